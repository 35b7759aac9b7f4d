"""What a network that says numbers said: predicted against true, residuals, the worst rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..metric_functions import mae, r2
from ..page import table
from .answers import Numbers
from .charts import chart, charts
from .rows import features_of, header_of, place
from .subject import Missing, Subject
from .words import figure

PICTURED, LISTED, WORST = 3, 40, 15  # columns with pictures, columns in the table, rows


def applies(subject: Subject, i: int) -> bool:
    """Whether the i-th output says numbers."""
    return isinstance(subject.answers(i), Numbers)


def section(subject: Subject, i: int) -> str:
    """All of it for the i-th output."""
    answers, at = subject.answers(i), f"-{i}" if i else ""
    assert isinstance(answers, Numbers)
    if answers.broken:
        raise Missing(f"{answers.broken:,} of {len(answers.rows):,} are predicted something that is no finite number; "
                      "see what the doctor found")
    k = answers.true.shape[1]
    pictures = []
    for j in range(min(k, PICTURED)):
        of = f" of column {j}" if k > 1 else ""
        pictures += [lambda j=j, of=of: against(answers, j, of), lambda j=j, of=of: residuals(answers, j, of)]
    note = f"<p>Pictures are of the first {PICTURED} of {k} columns.</p>\n" if k > PICTURED else ""
    return "\n".join([note + charts(*pictures), columns(subject, answers, at), worst(subject, answers, at)])


def against(answers: Numbers, j: int, of: str) -> str:
    """Predicted against true."""
    def draw(ax: Any) -> None:
        from .. import plot

        plot.predictions(answers.true[:, j], answers.said[:, j], ax=ax)

    return chart(draw, f"predicted against true numbers{of}, {len(answers.true)} points; R^2 "
                       f"{figure(r2(answers.true[:, j], answers.said[:, j]))}",
                 f"Predicted against true{of}; on the dashed line they are equal.", height=4.0)


def residuals(answers: Numbers, j: int, of: str) -> str:
    """How the errors are distributed."""
    errors = answers.errors[:, j]

    def draw(ax: Any) -> None:
        from .. import plot

        plot.residuals(answers.true[:, j], answers.said[:, j], ax=ax)

    return chart(draw, f"histogram of predicted minus true{of}: mean {figure(float(errors.mean()))}, standard "
                       f"deviation {figure(float(errors.std()))}",
                 f"How far off the predictions{of} are, and to which side.", height=4.0)


def columns(subject: Subject, answers: Numbers, at: str) -> str:
    """Errors of each column."""
    k = answers.true.shape[1]
    rows, table_read = [], subject.model.columns
    for j in range(min(k, LISTED)):
        true, said = answers.true[:, j], answers.said[:, j]
        rows.append([table_read.target if table_read and k == 1 else f"column {j}", figure(mae(true, said), ".4g"),
                     figure(float(np.sqrt(np.mean((said - true) ** 2))), ".4g"), figure(r2(true, said), ".4f"),
                     figure(float(np.mean(said - true)), ".3g"), figure(float(true.mean()), ".4g"),
                     figure(float(true.std()), ".4g")])
    if k > 1:
        rows.append([f"all {k} columns", figure(mae(answers.true, answers.said), ".4g"),
                     figure(float(np.sqrt(np.square(answers.errors).mean())), ".4g"),
                     figure(r2(answers.true, answers.said), ".4f"), figure(float(answers.errors.mean()), ".3g"),
                     figure(float(answers.true.mean()), ".4g"), figure(float(answers.true.std()), ".4g")])
    caption = "Errors; who always says the mean is off by the true numbers' standard deviation"
    caption += f"; {LISTED} of {k} columns" if k > LISTED else ""
    return table(caption, ["", "mean absolute error", "root mean square error", "R\u00b2", "mean error", "true mean",
                           "true std"], rows, name=f"errors{at}")


def worst(subject: Subject, answers: Numbers, at: str) -> str:
    """The rows that are farthest off."""
    chosen, k = answers.worst(WORST), answers.true.shape[1]
    if k == 1:
        header, rows = ["true", "predicted", "predicted - true"], [
            [figure(float(answers.true[j, 0]), ".5g"), figure(float(answers.said[j, 0]), ".5g"),
             figure(float(answers.errors[j, 0]), "+.3g")] for j in chosen]
    else:
        header, rows = ["root mean square error", "largest error"], [
            [figure(float(np.sqrt(np.square(answers.errors[j]).mean())), ".4g"),
             figure(float(np.abs(answers.errors[j]).max()), ".4g")] for j in chosen]
    features: list[list[str]] = [[] for _ in chosen]
    if answers.steps is None:
        header = [*header, *header_of(subject)]
        features = [features_of(subject, int(answers.rows[j])) for j in chosen]
    names = [place(answers, j) for j in chosen]
    lines = [[name, *row, *more] for name, row, more in zip(names, rows, features, strict=True)]
    return "<h3>Worst rows</h3>\n" + table("The rows that are farthest off, the worst first", ["row", *header], lines,
                                           name=f"worst{at}")
