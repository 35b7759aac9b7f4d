"""What a classifier said: the confusion matrix, figures of each class, how sure it is, its worst errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import bundles, classified
from ..classified import by_class, calibration
from ..page import Html, beside, escape, folded, table
from .answers import Classes, Marks
from .charts import chart, charts, gallery
from .rows import features_of, header_of, place
from .subject import Missing, Subject
from .words import figure, percent, shorter

MATRIX = 30  # classes that a matrix is readable of
WORST = 24
CONFUSED = 12  # pairs
LISTED = 200  # classes in a table


def applies(subject: Subject, i: int) -> bool:
    """Whether the i-th output says classes."""
    answers = subject.answers(i)
    return isinstance(answers, Marks) or isinstance(answers, Classes) and bool(len(answers.labels))


def section(subject: Subject, i: int) -> str:
    """All of it for the i-th output."""
    answers, at = subject.answers(i), f"-{i}" if i else ""
    assert subject.judged is not None
    if isinstance(answers, Marks):
        return marks(subject, i, answers, at)
    assert isinstance(answers, Classes)
    if answers.broken:
        raise Missing(f"{answers.broken:,} of {len(answers.rows):,} have outputs that are no finite numbers; see what "
                      "the doctor found")
    names = subject.names_of_classes(i, answers.outputs.shape[1])
    usual = int(np.bincount(answers.labels).argmax())
    share = float((answers.labels == usual).mean())
    what = "steps" if answers.steps is not None else "rows"
    words = (f"{answers.right:,} of {len(answers.labels):,} {what} are right, "
             f"{percent(answers.right / len(answers.labels))}; who always says {names[usual]}, the most frequent "
             f"class, is right in {percent(share)}.")
    if answers.steps is not None and answers.probabilities:
        words += (f" Perplexity {figure(answers.perplexity, '.4g')}: it is as unsure as between so many classes that "
                  "are equally likely.")
    pictures = charts(lambda: matrix_picture(answers, names), lambda: calibration_picture(answers))
    tables = beside(matrix(answers, names, at), each_class(answers, names, at), confused(answers, names, at),
                    sureness(answers, at))
    return "\n".join([f"<p>{escape(words)}</p>", pictures, tables, worst(subject, answers, names, at)])


def matrix_picture(answers: Classes, names: list[str]) -> str:
    """The confusion matrix in shades."""
    n = len(names)
    if n > MATRIX:
        raise Missing(f"the confusion matrix of {n} classes, which is too large to read; the pairs that are confused "
                      "most are below")

    def draw(ax: Any) -> None:
        from .. import plot

        plot.confusion_matrix(answers.labels, answers.said, labels=[shorter(name) for name in names], ax=ax)

    side = min(7.5, 2.4 + 0.26 * n)
    return chart(draw, f"confusion matrix of {n} classes: {answers.right} of {len(answers.labels)} right; the table "
                       "below has its numbers",
                 "Rows are true classes, columns predicted ones; shades are shares of the true class.",
                 width=1.15 * side, height=side)


def calibration_picture(answers: Classes) -> str:
    """How sure it is against how right."""
    if not answers.probabilities:
        raise Missing("how sure the network is, because its outputs are no probabilities")

    def draw(ax: Any) -> None:
        from .. import plot

        plot.calibration(answers.labels, answers.outputs, ax=ax)

    error = calibration(answers.labels, answers.outputs).error
    return chart(draw, f"how sure the network is against how often it is right; expected calibration error {error:.1%}",
                 "Below the line the network is surer than it is right; large points stand for many rows.", height=3.8)


def matrix(answers: Classes, names: list[str], at: str) -> str:
    """The confusion matrix in numbers."""
    if len(names) > MATRIX:
        return ""
    counts = answers.counts
    rows = [[name, *(cell(n, i == j) for j, n in enumerate(line)), f"{line.sum():,}"]
            for i, (name, line) in enumerate(zip(names, counts, strict=True))]
    rows.append(["predicted", *(f"{n:,}" for n in counts.sum(axis=0)), f"{counts.sum():,}"])
    return table("Confusion matrix: how many of each true class (rows) were taken for which (columns)",
                 ["true \\ predicted", *names, "in all"], rows, name=f"matrix{at}")


def cell(n: int, right: bool) -> str:
    """A count, in bold on the diagonal."""
    return Html(f"<b>{n:,}</b>") if right else f"{n:,}"


def each_class(answers: Classes, names: list[str], at: str) -> str:
    """Precision, recall and F1 of each class, and their means."""
    of = answers.by_class
    kept = np.flatnonzero(of.rows + of.said > 0)
    listed = kept if len(kept) <= LISTED else np.sort(kept[np.argsort(-of.rows[kept], kind="stable")[:LISTED]])
    rows = [[names[i], f"{of.rows[i]:,}", f"{of.said[i]:,}", percent(of.precision[i]), percent(of.recall[i]),
             percent(of.f1[i])] for i in listed]
    means = (percent(float(np.mean(a[kept]))) for a in (of.precision, of.recall, of.f1))
    rows.append([f"mean of {len(kept)}", f"{of.rows.sum():,}", f"{of.said.sum():,}", *means])
    caption = ("Each class: the share of what was taken for it that is it (precision), and of it that was found "
               "(recall)") + (f"; the {LISTED} most frequent" if len(kept) > LISTED else "")
    made = table(caption, ["class", "true", "predicted", "precision", "recall", "F1"], rows, name=f"each{at}")
    return made if len(rows) <= MATRIX else folded("The figures of each class", made)


def confused(answers: Classes, names: list[str], at: str) -> str:
    """The pairs of classes that are confused most."""
    pairs = classified.confused(answers.labels, answers.said, CONFUSED)
    if not pairs or len(names) < 3:
        return ""
    total = answers.by_class.rows
    rows = [[names[i], names[j], f"{n:,}", percent(n / total[i])] for i, j, n in pairs]
    return table("What is confused most", ["true class", "taken for", "how often", "of the true class"], rows,
                 name=f"confused{at}")


def sureness(answers: Classes, at: str) -> str:
    """The numbers of the calibration picture."""
    if not answers.probabilities:
        return ""
    found = calibration(answers.labels, answers.outputs)
    rows = [[f"{s:.1%}", f"{r:.1%}", f"{n:,}"] for s, r, n in zip(found.sure, found.right, found.rows, strict=True)]
    what = "steps" if answers.steps is not None else "rows"
    return table("How sure the network is, and how often it is right then: expected calibration error "
                 f"{found.error:.2%}", ["how sure (mean)", "right", what], rows, name=f"sure{at}")


def worst(subject: Subject, answers: Classes, names: list[str], at: str) -> str:
    """The errors that the network is surest of."""
    chosen = answers.worst(WORST)
    if not len(chosen):
        return "<h3>Worst errors</h3>\n<p>None: everything is right.</p>"
    assert subject.judged is not None
    wrong = len(answers.labels) - answers.right
    head = (f"<h3>Worst errors</h3>\n<p>The {len(chosen)} of {wrong:,} wrong ones that cost most: those to whose true "
            "class the network gives least.</p>")
    told = [(place(answers, j), names[answers.labels[j]], names[answers.said[j]], sure(answers, j)) for j in chosen]
    rows = answers.rows[chosen]
    if subject.images and answers.steps is None:
        pixels = np.asarray(bundles.parts(subject.judged.X)[0][rows]).reshape(len(told), *subject.images)
        captions = [f"<b>{escape(true)}</b>, said <b>{escape(said)}</b><br>{how}, row {row}"
                    for row, true, said, how in told]
        alts = [f"row {row}: a {true} that was taken for {said}" for row, true, said, _ in told]
        return f"{head}\n{gallery(pixels, captions, alts)}"
    header = ["row", "true", "predicted", "how sure"]
    features: list[list[str]] = [[] for _ in chosen]
    if answers.steps is None:
        header, features = header + header_of(subject), [features_of(subject, int(row)) for row in rows]
    lines = [[*cells, *more] for cells, more in zip(told, features, strict=True)]
    return f"{head}\n" + table("Worst errors, the costliest first", header, lines, name=f"worst{at}")


def sure(answers: Classes, j: int) -> str:
    """How sure the network is of what it says."""
    value = float(answers.outputs[j, answers.said[j]])
    return f"{value:.1%} sure" if answers.probabilities else f"score {figure(value)}"


def marks(subject: Subject, i: int, answers: Marks, at: str) -> str:
    """Classes that a row can have several of."""
    names = subject.names_of_classes(i, answers.true.shape[1])
    of = [by_class(np.array([[np.sum(~t & ~s), np.sum(~t & s)], [np.sum(t & ~s), np.sum(t & s)]]))
          for t, s in zip(answers.true.T, answers.said.T, strict=True)]
    rows = [[name, f"{c.rows[1]:,}", f"{c.said[1]:,}", percent(c.precision[1]), percent(c.recall[1]),
             percent(c.f1[1])] for name, c in zip(names, of, strict=True)]
    whole = float((answers.true == answers.said).all(axis=1).mean())
    return (f"<p>A row can have several of {len(names)} classes, so there is no confusion matrix; in {percent(whole)} "
            "of the rows all of them are right.</p>\n"
            + table("Each class, decided by itself", ["class", "true", "predicted", "precision", "recall", "F1"], rows,
                    name=f"each{at}"))
