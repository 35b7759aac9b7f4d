"""What a classifier said of rows, counted: which classes were taken for which, and how sure it was."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import checks
from .backends import row_argmax


def decisions(outputs: Any, threshold: float = 0.5) -> np.ndarray:
    """The class that each row of outputs decides for, as the metric "accuracy" sees it: int64 (n,).

    Examples
    --------
    >>> decisions([[0.2, 0.8], [0.5, 0.5]]), decisions([[0.2], [0.9]])
    (array([1, 0]), array([0, 1]))
    """
    outputs = np.asarray(outputs)
    if outputs.ndim > 1 and outputs.shape[1] > 1:
        return np.asarray(row_argmax(outputs), np.int64)
    return (outputs.reshape(-1) > threshold).astype(np.int64)


def confusion(labels: Any, said: Any, n_classes: int = 0) -> np.ndarray:
    """How many rows of each class (first axis) were taken for which (second axis).

    Examples
    --------
    >>> confusion([0, 0, 1], [0, 1, 1])
    array([[1, 1],
           [0, 1]])
    """
    labels, said = (np.asarray(a).reshape(-1).astype(np.int64) for a in (labels, said))
    checks.check_same_length(len(labels), said, "said")
    n = max(n_classes, int(labels.max(initial=-1)) + 1, int(said.max(initial=-1)) + 1)
    return np.bincount(labels * n + said, minlength=n * n).reshape(n, n)


class ByClass(NamedTuple):
    """Of each class: the rows in it, the rows taken for it, and precision, recall and F1, 0 where there are none."""

    rows: np.ndarray
    said: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def by_class(counts: np.ndarray) -> ByClass:
    """The figures of each class from what `confusion` counted.

    Examples
    --------
    >>> by_class(np.array([[1, 1], [0, 1]])).precision.tolist()
    [1.0, 0.5]
    """
    return _figures(np.diag(counts), counts.sum(axis=1), counts.sum(axis=0))


def each_class(labels: np.ndarray, said: np.ndarray, n_classes: int) -> ByClass:
    """The same from labels and decisions, also of so many classes that nobody would count all pairs.

    Examples
    --------
    >>> each_class(np.array([0, 0, 1]), np.array([0, 1, 1]), 100_000).recall[:2].tolist()
    [0.5, 1.0]
    """
    return _figures(*(np.bincount(a, minlength=n_classes) for a in (labels[labels == said], labels, said)))


def _figures(hits: np.ndarray, rows: np.ndarray, said: np.ndarray) -> ByClass:
    return ByClass(rows, said, hits / np.maximum(said, 1), hits / np.maximum(rows, 1),
                   2 * hits / np.maximum(rows + said, 1))


def confused(labels: np.ndarray, said: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """The pairs that are confused most: (true class, said class, how often), the most frequent first.

    Examples
    --------
    >>> confused(np.array([0, 0, 0, 1]), np.array([1, 2, 2, 1]), 5)
    [(0, 2, 2), (0, 1, 1)]
    """
    wrong = labels != said
    pairs, counts = np.unique(np.stack([labels[wrong], said[wrong]]), axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return [(int(pairs[0, i]), int(pairs[1, i]), int(counts[i])) for i in order]


class Calibration(NamedTuple):
    """Of the rows that a classifier is about equally sure of: how sure it is, how often it is right, how many.

    Attributes
    ----------
    sure, right : numpy.ndarray
        Means over the rows of each bin that has some: the largest probability, and whether its class is right.
    rows : numpy.ndarray
        How many there are.
    """

    sure: np.ndarray
    right: np.ndarray
    rows: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error: the mean over all rows of how far the two are apart in their bin."""
        return float(np.average(np.abs(self.sure - self.right), weights=self.rows))


def calibration(labels: Any, outputs: Any, bins: int = 10) -> Calibration:
    """How sure a classifier is, and how often it is right then (Guo et al. 2017).

    Parameters
    ----------
    labels : array-like
        ``(n,)``, from 0 on.
    outputs : array-like
        Probabilities: ``(n, k)``, or of class 1 ``(n, 1)`` or ``(n,)``.
    bins : int
        Into which how sure it is, from 0 to 1, is divided.

    Returns
    -------
    Calibration

    Examples
    --------
    >>> round(calibration([0, 1, 1, 1], [0.9, 0.9, 0.9, 0.8]).error, 3)
    0.225
    """
    labels, outputs = np.asarray(labels).reshape(-1), of_each_class(outputs)
    checks.check_same_length(len(labels), outputs, "outputs")
    bins = checks.positive_int("bins", bins)
    sure, right = outputs.max(axis=1).astype(np.float64), outputs.argmax(axis=1) == labels
    at = np.minimum((sure * bins).astype(np.int64), bins - 1)
    rows = np.bincount(at, minlength=bins)
    kept = rows > 0
    sums = [np.bincount(at, values, bins)[kept] for values in (sure, right)]
    return Calibration(sums[0] / rows[kept], sums[1] / rows[kept], rows[kept])


def of_each_class(outputs: Any) -> np.ndarray:
    """Probabilities (n, k), also where one output says the chance of class 1 of two.

    Examples
    --------
    >>> of_each_class([0.25])
    array([[0.75, 0.25]])
    """
    outputs = np.asarray(outputs)
    if outputs.ndim < 2 or outputs.shape[1] == 1:
        outputs = outputs.astype(np.float64)
        return np.stack([1 - outputs.reshape(-1), outputs.reshape(-1)], axis=1)
    return outputs
