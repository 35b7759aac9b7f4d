"""The top of a report: the outcome in a sentence, and its figures."""

from __future__ import annotations

import math

import numpy as np

from ..page import Html, escape, table
from ..progress import format_value
from .answers import Classes, Marks, Numbers
from .subject import Missing, Subject
from .words import count, percent, seconds


def headline(subject: Subject) -> str:
    """The sentence, the figures, and the table of loss and metrics."""
    parts = [f'<p class="outcome">{escape(sentence(subject))}</p>', figures(subject)]
    if subject.results:
        parts.append(results(subject))
    return "\n".join(parts)


def sentence(subject: Subject) -> str:
    """What became of it."""
    if subject.is_gan:
        return of_gan(subject)
    told = [*filter(None, (judgement(subject), epochs(subject), doctor(subject), since(subject)))]
    return " ".join(told)


def judgement(subject: Subject) -> str:
    """How good the model is."""
    if subject.judged is None:
        return f"How good the model is cannot be said here: {subject.why_no_rows}."
    told = []
    for i, name in enumerate(subject.output_names):
        of = f" in {name}" if len(subject.output_names) > 1 else ""
        answers = subject.answers(i)
        if isinstance(answers, (Classes, Numbers)) and answers.broken:
            told.append(f"gives no finite numbers{of} in {answers.broken:,} of {len(answers.rows):,}")
        elif isinstance(answers, Classes) and len(answers.labels):
            steps = " steps" if answers.steps is not None else ""
            told.append(f"gets {answers.right:,} of {len(answers.labels):,}{steps} right{of} "
                        f"({percent(answers.right / len(answers.labels))})")
        elif isinstance(answers, Marks):
            told.append(f"gets {percent(float((answers.true == answers.said).mean()))} of the marks right{of}")
        elif isinstance(answers, Numbers):
            told.append(f"is off by {math.sqrt(float(np.square(answers.errors).mean())):.4g}{of} "
                        "(root mean square error)")
    seen = " It has seen them all in training, so this says little of new rows." * subject.seen
    return (f"On {subject.judged.n:,} {subject.judged.name} the network {' and '.join(told)}"
            f"{', at' if told else ' has'} a loss of {format_value(subject.results['loss'])}.{seen}")


def epochs(subject: Subject) -> str:
    """How the training went."""
    n, best = len(subject.history), subject.best_epoch
    if not n:
        return ""
    if best is None:
        return f"It was trained for {count(n, 'epoch')}."
    which = "validation loss" if best[1] == "val_loss" else "training loss"
    return f"The {which} was lowest after epoch {subject.history.epoch[best[0]] + 1} of {n}."


def doctor(subject: Subject) -> str:
    """Whether the doctor found anything."""
    try:
        found = subject.diagnosis.findings
    except Missing:
        return ""
    if not found:
        return "The doctor found nothing wrong."
    kinds = [count(n, severity) for severity in ("error", "warning", "note")
             if (n := sum(f.severity == severity for f in found))]
    return f"The doctor found {' and '.join(kinds)}: {', '.join(dict.fromkeys(plain(f.name) for f in found))}."


def plain(name: str) -> str:
    """A rule's name in words."""
    return name.replace("_", " ")


def since(subject: Subject) -> str:
    """Whether the model is no longer what this history made it."""
    held = subject.history.trained
    if held is None or held.updates == subject.model.update_count:
        return ""
    more = subject.model.update_count - held.updates
    return (f"Since this training the model has been trained for {count(more, 'more step')}: all but the curves is "
            "of the model as it is now.") if more > 0 else \
        "Since this training the model was set back: all but the curves is of the model as it is now."


def of_gan(subject: Subject) -> str:
    """The same of two players."""
    logs = {name: value for name, value in subject.history.last().items() if math.isfinite(value)}
    if not logs:
        return "The two networks have not been trained yet."
    real, fake = percent(logs["real_accuracy"]), percent(logs["fake_accuracy"])
    return (f"After {count(len(subject.history), 'epoch')} the discriminator recognises {real} of the real samples and "
            f"{fake} of the generated ones; half of each would mean that it cannot tell them apart.")


def figures(subject: Subject) -> str:
    """What one looks for first."""
    found: list[tuple[str, str, float | None, str]] = []  # name, text, exact value, what it is of
    model, history = subject.model, subject.history
    if subject.judged is not None:
        for name, value in subject.results.items():
            found.append((name.replace("_", " "), show(name, value), value, subject.judged.name))
    if (best := subject.best_epoch) and not subject.is_gan:
        found.append(("best epoch", str(history.epoch[best[0]] + 1), history.epoch[best[0]] + 1,
                      f"of {len(history)}"))
    models = {"generator": model.generator, "discriminator": model.discriminator} if subject.is_gan else {"": model}
    for name, each in models.items():
        n = sum(array.size for array in each.named_parameters().values())
        found.append(("parameters", f"{n:,}", n, name or each.dtype.name))
    if history.seconds:
        total = sum(history.seconds)
        found.append(("training time", seconds(total), None, f"{count(len(history.seconds), 'epoch')}"))
    cells = "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>"
        f"{escape(text) if value is None else f'<data value={chr(34)}{value!r}{chr(34)}>{escape(text)}</data>'}"
        f"<small>{escape(of)}</small></dd></div>" for name, text, value, of in found)
    return f'<dl class="figures">\n{cells}\n</dl>'


def results(subject: Subject) -> str:
    """Loss and metrics here, and in the history."""
    assert subject.judged is not None
    history, best = subject.history, subject.best_epoch
    held = subject.judged.name
    columns = {f"{held}, as it is now": subject.results}
    last = history.last()
    if last:
        columns["training, last epoch"] = last
        if any(name.startswith("val_") for name in last):
            columns["validation, last epoch"] = {n[4:]: v for n, v in last.items() if n.startswith("val_")}
            if best is not None:
                columns["validation, best epoch"] = {n[4:]: v[best[0]] for n, v in history.history.items()
                                                     if n.startswith("val_")}
    rows = [[name, *(exact(name, values.get(name, math.nan)) for values in columns.values())]
            for name in subject.results]
    caption = "Loss and metrics, as model.evaluate gives them"
    if last:
        caption += "; the training's are means over an epoch while the weights moved"
    return table(caption, ["", *columns], rows, name="results")


def exact(name: str, value: float) -> str:
    """A cell with the exact number behind the one shown."""
    return "-" if math.isnan(value) else Html(f'<data value="{value!r}">{escape(show(name, value))}</data>')


def show(name: str, value: float) -> str:
    """A metric as people say it."""
    shares = ("accuracy", "precision", "recall", "f1")
    if name.endswith(shares) and 0 <= value <= 1:
        return percent(value)
    return format_value(value)


def not_judged(subject: Subject) -> str:
    """The section on what the model says, where it says nothing."""
    raise Missing(subject.why_no_rows or "there are no rows whose label counts")
