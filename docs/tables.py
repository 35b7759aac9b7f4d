"""The tables of docs/concepts.md, made from the registries: ``python docs/tables.py`` writes them anew.

They stand between ``<!-- table: NAME -->`` and ``<!-- end -->``. A test holds them up to date, so that what
is registered is on the page.
"""
import inspect
import math
import re
from functools import partial
from pathlib import Path

import fastnn as fnn
from fastnn import (
    activations,
    diagnostics,
    initializers,
    layers,
    lessons,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
)
from fastnn.elementwise_losses import ELEMENTWISE_LOSSES

PAGE = Path(__file__).with_name("concepts.md")
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def summary(thing, paragraphs=1):
    """What a docstring says first, in one line."""
    before = re.split(r"\n\n\w+\n---", inspect.getdoc(thing))[0].split("\n\n")[:paragraphs]
    return cell(" ".join(" ".join(before).split()))


def cell(text):
    """The text with what Markdown would take for its own escaped, except inside `code`."""
    parts = text.replace("``", "`").replace("|", "\\|").split("`")
    return "`".join(part if i % 2 else re.sub(r"([*_<])", r"\\\1", part) for i, part in enumerate(parts))


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(value):
    return {math.inf: "inf", -math.inf: "-inf"}.get(value, f"{value:.4g}")


def activation_rows():
    for name, row in (activations.ACTIVATIONS | activations.ROW_ACTIVATIONS).items():
        alpha = getattr(row, "alpha", None)
        formula = f"`{row.formula}`" + ("" if alpha is None else f", alpha = {alpha:.4g}")
        yield f"`{name}`", formula, f"{number(row.range[0])} to {number(row.range[1])}", cell(row.source)


def class_rows(registry, paragraphs=1):
    return [(f"`{name}`", f"`fnn.{thing.__name__}`", summary(thing, paragraphs))
            for name, thing in registry.items()]


def loss_rows():
    for name, thing in losses.LOSSES.items():
        if isinstance(thing, partial):  # a row of the table of elementwise losses without a class of its own
            row = ELEMENTWISE_LOSSES[name]
            yield f"`{name}`", f"`fnn.losses.Elementwise({name!r})`", f"`{row.formula}`; {cell(row.source)}"
        else:
            yield f"`{name}`", f"`fnn.{thing.__name__}`", summary(thing)


def initializer_rows():
    for name, thing in initializers.INITIALIZERS.items():
        words = summary(type(thing))
        if isinstance(thing, initializers.VarianceScaling):
            scale, n = thing.scale, thing.mode
            if n == "average":  # of the two
                scale, n = 2 * scale, "(n_in + n_out)"
            words = f"{thing.distribution.capitalize()}, variance {scale:g} / {cell(n)}."
        yield f"`{name}`", f"`{thing!r}`", words


def rule_rows():
    for name, rule in diagnostics.RULES.items():
        sign = "below" if rule.below else "above"
        yield f"`{name}`", cell(rule.doc), f"{sign} {rule.threshold:g}", cell(rule.remedy), cell(rule.source)


def anchor(heading):
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def lesson_rows():
    for lesson in lessons.LESSONS.values():
        ideas = ", ".join(f"[{idea}](#{anchor(idea)})" for idea in lesson.ideas)
        yield str(lesson.number), f"`fastnn lesson {lesson.name}`", \
            f"[{cell(lesson.title)}](images/lesson-{lesson.name}.png)", ideas


TABLES = {
    "activations": lambda: table(["name", "f(x)", "range", "source"], activation_rows()),
    "losses": lambda: table(["name", "in Python", "what it is"], loss_rows()),
    "initializers": lambda: table(["name", "in `fnn.initializers`", "what it is"], initializer_rows()),
    "optimizers": lambda: table(["name", "in Python", "what it is"], class_rows(optimizers.OPTIMIZERS, 2)),
    "schedules": lambda: table(["name", "in Python", "the rate of update t"],
                               class_rows(schedules.SCHEDULES)),
    "regularizers": lambda: table(["name", "in Python", "what it is"], class_rows(
        regularizers.REGULARIZERS | regularizers.CONSTRAINTS)),
    "layers": lambda: table(["in Python", "what it is"], [
        (f"`fnn.{name}`", summary(thing)) for name, thing in layers.LAYERS.items()]),
    "metrics": lambda: table(["name", "what it is"], [
        (f"`{name}`", summary(metric.function)) for name, metric in metrics.METRICS.items()]),
    "lessons": lambda: table(["", "on the command line", "picture", "ideas"], lesson_rows()),
    "rules": lambda: table(["name", "figure", "bad", "what to try", "source of the threshold"], rule_rows()),
}


def filled(text):
    """The page with its tables as the registries are now."""
    return BLOCK.sub(lambda match: match[1] + TABLES[match[2]]() + match[3], text)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
    print(f"{PAGE}: tables of fastnn {fnn.__version__}")
