"""What a model's output is to a reader: classes, marks of several classes, or numbers; told by loss and targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..classified import ByClass, confusion, decisions, each_class, of_each_class
from ..metric_functions import _has_several_classes


@dataclass(eq=False)
class Classes:
    """One class a row (of sequences: a step in time).

    Attributes
    ----------
    labels, said : numpy.ndarray
        The true class and the one that the model decides for, int64 (n,).
    outputs : numpy.ndarray
        (n, k) as the model gives them, for one output both classes.
    probabilities : bool
        Whether the outputs are.
    rows : numpy.ndarray
        Which row of X each is of; labels that are ignored are left out.
    steps : numpy.ndarray or None
        Which step in time, of sequences.
    """

    labels: np.ndarray
    said: np.ndarray
    outputs: np.ndarray
    probabilities: bool
    rows: np.ndarray
    steps: np.ndarray | None

    @property
    def counts(self) -> np.ndarray:
        """The confusion matrix; not for very many classes."""
        return confusion(self.labels, self.said, self.outputs.shape[1])

    @property
    def by_class(self) -> ByClass:
        """Figures of each class."""
        return each_class(self.labels, self.said, self.outputs.shape[1])

    @property
    def perplexity(self) -> float:
        """The exponential of the mean of -log p of the true class: between so many classes the model is unsure."""
        p = self.outputs[np.arange(len(self.labels)), self.labels].astype(np.float64)
        with np.errstate(divide="ignore"):
            return float(np.exp(-np.log(p).mean()))

    @property
    def broken(self) -> int:
        """How many have outputs that are no finite numbers."""
        return int((~np.isfinite(self.outputs).all(axis=1)).sum())

    @property
    def right(self) -> int:
        """How many are."""
        return int((self.labels == self.said).sum())

    def worst(self, n: int) -> np.ndarray:
        """The wrong ones, those first to whose true class the model gives least against the one it says."""
        every = np.arange(len(self.labels))
        true = self.outputs[every, self.labels]
        lead = true if self.probabilities else true - self.outputs[every, self.said]
        wrong = np.flatnonzero(self.labels != self.said)
        return wrong[np.argsort(lead[wrong], kind="stable")][:n]


@dataclass(eq=False)
class Marks:
    """Any number of classes a row, each decided for by itself: 0/1 of shape (n, k)."""

    true: np.ndarray
    said: np.ndarray


@dataclass(eq=False)
class Numbers:
    """Numbers, (n, k) in float64; `rows` and `steps` as for `Classes`."""

    true: np.ndarray
    said: np.ndarray
    rows: np.ndarray
    steps: np.ndarray | None

    @property
    def broken(self) -> int:
        """How many are predicted something that is no finite number."""
        return int((~np.isfinite(self.said).all(axis=1)).sum())

    @property
    def errors(self) -> np.ndarray:
        """Predicted minus true."""
        return self.said - self.true

    def worst(self, n: int) -> np.ndarray:
        """The rows that are farthest off, the root mean square over the columns."""
        return np.argsort(-np.square(self.errors).mean(axis=1), kind="stable")[:n]


def answers_of(model: Any, i: int, targets: np.ndarray, outputs: np.ndarray,
               mask: np.ndarray | None = None) -> Classes | Marks | Numbers:
    """What the i-th output said of checked targets; of sequences with a mask, of the steps that count."""
    kind, activation = model._target_kind(i), model._compiled.heads[i].activation
    labels_given = targets.ndim == outputs.ndim - 1
    n, time = len(outputs), outputs.shape[1] if outputs.ndim == 3 else 0
    k = outputs.shape[-1] if outputs.ndim < 4 else int(np.prod(outputs.shape[1:]))
    flat = outputs.reshape(-1, k)
    given = np.asarray(targets).reshape(-1) if labels_given else np.asarray(targets).reshape(-1, k)
    rows = np.repeat(np.arange(n), time) if time else np.arange(n)
    steps = np.tile(np.arange(time), n) if time else None
    kept = np.ones(len(given), bool) if mask is None else mask.reshape(-1)
    if labels_given:
        kept = kept & (given >= 0)
    given, flat, rows, steps = given[kept], flat[kept], rows[kept], None if steps is None else steps[kept]
    if labels_given:
        return _classes(given, flat, rows, steps)
    two_values = bool(np.isin(given, (-1.0, 1.0) if kind == "signs" else (0.0, 1.0)).all())
    one_class = two_values and k > 1 and not _has_several_classes(given > 0, flat)
    if kind in ("labels_or_rows", "labels") or one_class:
        return _classes(given.argmax(axis=1), flat, rows, steps)
    if two_values and (kind in ("signs", "binary") or activation == "sigmoid"):
        if k == 1:
            return _classes((given[:, 0] > 0).astype(np.int64), flat, rows, steps, scores=kind == "signs")
        return Marks(given > 0, flat > 0.5)  # scores are seen through a sigmoid here, as by metrics
    return Numbers(given.astype(np.float64), flat.astype(np.float64), rows, steps)


def _classes(labels: np.ndarray, outputs: np.ndarray, rows: np.ndarray, steps: np.ndarray | None,
             scores: bool = False) -> Classes:
    k, both = outputs.shape[1], of_each_class(outputs)
    within = bool((outputs >= 0).all() and (outputs <= 1).all())
    probabilities = not scores and within and (k == 1 or bool((np.abs(both.sum(axis=1) - 1) < 1e-3).all()))
    return Classes(labels.astype(np.int64), decisions(outputs), both, probabilities, rows, steps)
