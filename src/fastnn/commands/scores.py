"""How good a model is on labelled samples: what `train` and `evaluate` say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import fastnn as fnn

from .. import metrics
from ..classified import by_class, confusion, decisions
from ..diagnostics.report import as_table
from .data import as_inputs
from .files import Samples

FIGURES = ("precision", "recall", "f1")  # of a class
MOST_CLASSES = 12  # whose confusion matrix is printed whole


@dataclass(frozen=True)
class Scores:
    """Loss and metrics over some rows; for classes also each class alone.

    Attributes
    ----------
    rows : str
        What a row is.
    n : int
        How many there are.
    values : dict
        By name: "loss" where the model has one; "accuracy", or "r2", "rmse" and "mae"; and the model's own metrics.
    classes : tuple or None
        What the classes are called.
    confusion : numpy.ndarray or None
        (class, said): how many rows of a class were taken for which.

    Examples
    --------
    >>> scores = Scores("rows", 3, {"accuracy": 2 / 3}, ("no", "yes"), np.array([[1, 0], [1, 1]]))
    >>> print(scores)
    accuracy 66.67% (2 of 3 rows)
    >>> scores.per_class()["yes"]
    {'precision': 1.0, 'recall': 0.5, 'f1': 0.6666666666666666, 'rows': 2}
    >>> print(scores.matrix())
    class  taken for no  yes
    no                1    0
    yes               1    1
    """

    rows: str
    n: int
    values: dict[str, float]
    classes: tuple[Any, ...] | None = None
    confusion: np.ndarray | None = None

    def __str__(self) -> str:
        if self.confusion is None:
            return (f"R2 {self.values['r2']:.4f}, RMSE {self.values['rmse']:.4g}, MAE {self.values['mae']:.4g} "
                    f"({self.n:,} {self.rows})")
        right = int(np.trace(self.confusion))
        return f"accuracy {right / self.n:.2%} ({right} of {self.n} {self.rows})"

    def per_class(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and rows of each class by its name; 0 where there is nothing to divide by."""
        assert self.confusion is not None and self.classes is not None
        figures = by_class(self.confusion)
        return {str(name): {**{key: float(getattr(figures, key)[i]) for key in FIGURES}, "rows": int(figures.rows[i])}
                for i, name in enumerate(self.classes)}

    def table(self) -> str:
        """The classes one by one, and the mean over those that occur or were said, as the metrics' is."""
        assert self.confusion is not None
        found = self.per_class()
        rows = [(name, *(f"{row[key]:.4f}" for key in FIGURES), f"{row['rows']:,}")
                for name, row in found.items()]
        counts = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        occur = [row for row, n in zip(found.values(), counts, strict=True) if n]
        means = (f"{sum(row[key] for row in occur) / len(occur):.4f}" for key in FIGURES)
        return as_table([("class", "precision", "recall", "F1", self.rows), *rows, ("mean", *means, f"{self.n:,}")], 1)

    def matrix(self) -> str:
        """The confusion matrix; of many classes those taken for another most often."""
        assert self.confusion is not None and self.classes is not None
        names = [str(name) for name in self.classes]
        if len(names) <= MOST_CLASSES:
            return as_table([("class", f"taken for {names[0]}", *names[1:]),
                             *((name, *map(str, row)) for name, row in zip(names, self.confusion, strict=True))], 1)
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CLASSES]
        pairs = [divmod(int(i), len(names)) for i in order if wrong.flat[i]]
        return as_table([("class", "taken for", self.rows),
                         *((names[i], names[j], str(wrong[i, j])) for i, j in pairs)], 2)

    def document(self) -> dict[str, Any]:
        """For --json."""
        if self.confusion is None:
            return {"rows": self.n, **self.values}
        return {"rows": self.n, **self.values, "classes": self.per_class(), "confusion": self.confusion}


def score(model: fnn.Model, samples: Samples) -> Scores:
    """Measure a model on samples with their targets."""
    X, y = as_inputs(model, samples), samples.y
    assert y is not None
    values: dict[str, float] = {}
    if model.loss is None:
        outputs = model.predict(X)
    else:  # as metrics see them: after the sigmoid, where the loss has it
        values, outputs = model._evaluated(*model._checked(X, y, None))
    if samples.classes is None:
        if outputs.size != y.size:
            raise ValueError(f"{samples.name}: expected {outputs.size // len(y)} numbers to be said for each row, got "
                             f"{y.size // len(y)}")
        outputs = outputs.reshape(y.shape)
        values |= {"r2": metrics.r2(y, outputs), "rmse": metrics.mse(y, outputs) ** 0.5, "mae": metrics.mae(y, outputs)}
        return Scores(samples.rows, len(y), values)
    counts = confusion(y, decisions(outputs), len(samples.classes))
    values["accuracy"] = float(np.trace(counts) / len(y))
    return Scores(samples.rows, len(y), values, samples.classes, counts)
