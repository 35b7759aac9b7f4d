"""How good a model is on labelled samples: what `train`, `evaluate` and `report` say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import fastnn as fnn

from .. import metrics
from .data import Samples, as_inputs


@dataclass(frozen=True)
class Scores:
    """Loss and metrics over some rows; for classes also each class alone.

    Attributes
    ----------
    rows : str
        What a row is.
    values : dict
        "loss" and "accuracy", or "loss", "r2", "rmse" and "mae".
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
        right, true, said = np.diag(self.confusion), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        return {str(name): {"precision": _share(r, s), "recall": _share(r, t), "f1": _share(2 * r, s + t),
                            "rows": int(t)}
                for name, r, t, s in zip(self.classes, right, true, said, strict=True)}

    def document(self) -> dict[str, Any]:
        """For --json."""
        if self.confusion is None:
            return {"rows": self.n, **self.values}
        return {"rows": self.n, **self.values, "classes": self.per_class(), "confusion": self.confusion}


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def score(model: fnn.Model, samples: Samples) -> Scores:
    """Measure a model."""
    X, y = as_inputs(model, samples), samples.y
    assert y is not None
    outputs = model.predict(X)
    values = {"loss": model.evaluate(X, y)["loss"]}
    if samples.classes is None:
        outputs = outputs.reshape(y.shape)
        values |= {"r2": metrics.r2(y, outputs), "rmse": metrics.mse(y, outputs) ** 0.5, "mae": metrics.mae(y, outputs)}
        return Scores(samples.rows, len(y), values)
    said = said_classes(outputs)
    confusion = np.zeros((len(samples.classes),) * 2, int)
    np.add.at(confusion, (y, said), 1)
    return Scores(samples.rows, len(y), values | {"accuracy": float(np.trace(confusion) / len(y))}, samples.classes,
                  confusion)


def said_classes(outputs: np.ndarray) -> np.ndarray:
    """The class of each row: its largest output; of one output whether it is above 0.5."""
    if outputs.ndim < 2 or outputs.shape[-1] == 1:
        return (outputs.reshape(len(outputs)) > 0.5).astype(int)
    return outputs.argmax(axis=-1)
