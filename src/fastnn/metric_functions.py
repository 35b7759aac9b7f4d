"""The metrics: functions of (targets, outputs) over all rows of an evaluation.

Targets are what `fit` was given: class labels ``(n,)`` or ``(n, 1)``, one-hot or probability rows, 0/1 marks
of several classes per row, or continuous values. Outputs are what the model's last layer gives. The
registry in metrics.py gives each its name in `compile`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .backends import row_argmax
from .checks_arrays import as_numbers, describe

__all__ = ["accuracy", "binary_accuracy", "f1", "mae", "mse", "precision", "r2", "recall", "roc_auc",
           "top_k_accuracy"]


def accuracy(targets: Any, outputs: Any) -> float:
    """The share of rows whose class is right.

    The class is the largest output (the first of equal ones), with one output whether it exceeds 0.5. Rows as
    targets mean their largest entry; where a row can have several classes use `binary_accuracy`.

    Parameters
    ----------
    targets : array-like
        Labels ``(n,)``, or one-hot or probability rows ``(n, k)``.
    outputs : array-like
        ``(n, k)``; ``(n, 1)`` or ``(n,)`` with one output.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> accuracy([2, 0], [[0.1, 0.2, 0.7], [0.2, 0.5, 0.3]])
    0.5
    """
    targets, outputs = _arrays(targets, outputs)
    if outputs.ndim < 2 or outputs.shape[-1] == 1:
        return binary_accuracy(targets, outputs)
    right = row_argmax(outputs) == _labels("accuracy", targets, outputs)
    return float(np.count_nonzero(right) / right.size)


def top_k_accuracy(targets: Any, outputs: Any, k: int = 5) -> float:
    """The share of rows whose class is among the k largest outputs.

    Of equal outputs the first counts as the largest, as in `accuracy`, which is the case k = 1.

    Parameters
    ----------
    targets, outputs : array-like
        As for `accuracy`, with at least two outputs.
    k : int
        How many guesses each row has.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> top_k_accuracy([2, 0], [[0.1, 0.2, 0.7], [0.2, 0.5, 0.3]], k=2)
    0.5
    """
    targets, outputs = _arrays(targets, outputs)
    if outputs.ndim < 2 or outputs.shape[-1] == 1:
        raise ValueError(f"top_k_accuracy: expected at least two outputs per row, got shape {outputs.shape}; "
                         "try 'accuracy'")
    labels = _known_labels("top_k_accuracy", targets, outputs)[..., np.newaxis]
    own = np.take_along_axis(outputs, labels, -1)
    ahead = ~(outputs <= own)  # so that NaN does not count as right
    ahead |= (outputs == own) & (np.arange(outputs.shape[-1]) < labels)
    return float(np.count_nonzero(np.count_nonzero(ahead, axis=-1) < k) / labels.size)


def binary_accuracy(targets: Any, outputs: Any, threshold: float = 0.5) -> float:
    """The share of entries on the right side of the threshold, over all rows and columns.

    Parameters
    ----------
    targets, outputs : array-like
        Of one size; targets are 0 and 1, or probabilities, which count as 1 above 0.5. Labels stand for
        one-hot rows where there are several outputs.
    threshold : float
        Outputs above it mean 1; 0 suits logits.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> binary_accuracy([0, 1, 1, 0], [[0.2], [0.7], [0.4], [0.1]])
    0.75
    """
    targets, outputs = _values("binary_accuracy", targets, outputs)
    return float(np.count_nonzero((outputs > threshold) == (targets > 0.5)) / outputs.size)


def precision(targets: Any, outputs: Any, threshold: float = 0.5) -> float:
    """Of the rows said to be in a class, the share that is; the mean over the classes.

    With one or two outputs there is one class to be in, class 1; with more the mean over all classes that
    occur in the targets or the decisions (macro average). Rows with other than one 1 are taken as several
    classes at once: each column is then decided by the threshold. A class never decided for counts 0.

    Parameters
    ----------
    targets, outputs : array-like
        As for `accuracy`, or ``(n, k)`` 0/1 marks.
    threshold : float
        Outputs above it mean class 1, where each output is decided alone.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> precision([0, 1, 1, 0], [0.2, 0.7, 0.4, 0.9])
    0.5
    """
    hits, decided, _ = _counts("precision", targets, outputs, threshold)
    return float(np.mean(hits / np.maximum(decided, 1)))


def recall(targets: Any, outputs: Any, threshold: float = 0.5) -> float:
    """Of the rows in a class, the share that was found; the mean over the classes.

    Parameters
    ----------
    targets, outputs, threshold
        As for `precision`, as are the classes.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> recall([0, 1, 1, 1], [0.2, 0.7, 0.4, 0.9]) == 2 / 3
    True
    """
    hits, _, present = _counts("recall", targets, outputs, threshold)
    return float(np.mean(hits / np.maximum(present, 1)))


def f1(targets: Any, outputs: Any, threshold: float = 0.5) -> float:
    """The harmonic mean of precision and recall; the mean over the classes.

    Parameters
    ----------
    targets, outputs, threshold
        As for `precision`, as are the classes.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> f1([0, 1, 1, 0], [0.2, 0.7, 0.4, 0.9])
    0.5
    """
    hits, decided, present = _counts("f1", targets, outputs, threshold)
    return float(np.mean(2 * hits / np.maximum(decided + present, 1)))


def roc_auc(targets: Any, outputs: Any) -> float:
    """The chance that a row of a class gets a larger output than another row; the mean over the classes.

    The area under the ROC curve; ties count one half. With one or two outputs the class is class 1; with
    more it is each against the rest (macro average), but for classes that no row or every row is in. NaN if
    no class is left.

    Parameters
    ----------
    targets, outputs : array-like
        As for `precision`.

    Returns
    -------
    float
        Between 0 and 1; 0.5 is chance.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    targets, outputs = _arrays(targets, outputs)
    if outputs.ndim < 2 or outputs.shape[-1] == 1:
        targets, outputs = _entries("roc_auc", targets, outputs)
        return _binary_auc(targets > 0.5, outputs)
    k = outputs.shape[-1]
    if _has_several_classes(targets, outputs):
        classes, members = range(k), (targets > 0.5).reshape(-1, k)
    else:
        members = _labels("roc_auc", targets, outputs).reshape(-1, 1) == np.arange(k)
        classes = range(k) if k > 2 else range(1, 2)
    outputs, members = outputs.reshape(-1, k)[:, classes], members[:, classes]
    areas = np.array([_binary_auc(m, y) for m, y in zip(members.T, outputs.T, strict=True)])
    defined = members.any(axis=0) & ~members.all(axis=0)
    return float(areas[defined].mean()) if defined.any() else float("nan")


def mae(targets: Any, outputs: Any) -> float:
    """The mean absolute error, over all rows and columns.

    Parameters
    ----------
    targets, outputs : array-like
        Of one size; labels stand for one-hot rows where there are several outputs.

    Returns
    -------
    float
        At least 0.

    Examples
    --------
    >>> mae([1.0, 2.0], [[1.5], [2.0]])
    0.25
    """
    targets, outputs = _values("mae", targets, outputs)
    return float(np.abs(np.subtract(targets, outputs, dtype=np.float64)).mean())


def mse(targets: Any, outputs: Any) -> float:
    """The mean squared error, over all rows and columns.

    Parameters
    ----------
    targets, outputs : array-like
        As for `mae`.

    Returns
    -------
    float
        At least 0.

    Examples
    --------
    >>> mse([1.0, 2.0], [[1.5], [2.0]])
    0.125
    """
    targets, outputs = _values("mse", targets, outputs)
    error = np.subtract(targets, outputs, dtype=np.float64)
    return float(np.vdot(error, error)) / error.size


def r2(targets: Any, outputs: Any) -> float:
    """The coefficient of determination R^2: 1 is perfect, 0 as good as the mean; the mean over the columns.

    A column whose targets are all equal counts 1 if it is met exactly, else 0. NaN with fewer than two rows.

    Parameters
    ----------
    targets, outputs : array-like
        As for `mae`.

    Returns
    -------
    float
        At most 1.

    Examples
    --------
    >>> r2([1.0, 2.0, 3.0], [[1.0], [2.0], [2.0]])
    0.5
    """
    targets, outputs = _values("r2", targets, outputs)
    if len(targets) < 2:
        return float("nan")
    targets = np.asarray(targets, np.float64).reshape(len(targets), -1)
    residual = ((targets - outputs.reshape(targets.shape)) ** 2).sum(axis=0)
    total = ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)
    scores = np.where(np.isnan(residual), residual, residual == 0)
    np.divide(residual, total, out=residual, where=total != 0)
    return float(np.where(total != 0, 1 - residual, scores).mean())


def _arrays(targets: Any, outputs: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays of numbers; outputs with at least one column."""
    targets = as_numbers(targets, "targets", "an array of numbers", "encode classes as whole numbers 0..k-1")
    outputs = as_numbers(outputs, "outputs", "an array of numbers", "give it what model.predict gives")
    if not outputs.size and len(outputs):
        raise ValueError(f"outputs must be an array with at least one column, got {describe(outputs)}")
    return targets, outputs


def _refuse(name: str, targets: np.ndarray, outputs: np.ndarray) -> ValueError:
    if not outputs.size:
        return ValueError(f"{name}: expected at least one row, got outputs of shape {outputs.shape}")
    return ValueError(f"{name}: expected targets that fit outputs of shape {outputs.shape}, got shape "
                      f"{targets.shape}; pass labels of shape {outputs.shape[:-1] or outputs.shape} or rows "
                      f"of shape {outputs.shape}")


def _labels(name: str, targets: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """The class of each row, whichever form the targets have."""
    if outputs.size:
        if targets.shape == outputs.shape[:-1]:
            return targets
        if targets.shape == outputs.shape:
            return targets.argmax(-1)
        if targets.shape == (*outputs.shape[:-1], 1):
            return targets[..., 0]
    raise _refuse(name, targets, outputs)


def _known_labels(name: str, targets: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """The labels, each with an output of its own."""
    labels, k = _labels(name, targets, outputs).astype(np.intp), outputs.shape[-1]
    if labels.min() < 0 or labels.max() >= k:
        raise ValueError(f"{name}: expected labels from 0 to {k - 1}, got labels from {labels.min()} to "
                         f"{labels.max()}; the model needs an output for each class")
    return labels


def _entries(name: str, targets: Any, outputs: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both flat; the shapes may differ by axes of size 1, and would broadcast against each other."""
    if not outputs.size or targets.size != outputs.size or len(targets) != len(outputs):
        raise _refuse(name, targets, outputs)
    return targets.reshape(-1), outputs.reshape(-1)


def _values(name: str, targets: Any, outputs: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both in one shape; labels as one-hot rows."""
    targets, outputs = _arrays(targets, outputs)
    if targets.size == outputs.size and outputs.size and len(targets) == len(outputs):
        return targets.reshape(outputs.shape), outputs
    if outputs.ndim > 1 and targets.dtype.kind in "iu":
        return _labels(name, targets, outputs)[..., np.newaxis] == np.arange(outputs.shape[-1]), outputs
    raise _refuse(name, targets, outputs)


def _has_several_classes(targets: np.ndarray, outputs: np.ndarray) -> bool:
    """Whether targets mark any number of classes in each row, instead of being distributions."""
    if targets.shape != outputs.shape:
        return False
    return bool((np.abs(targets.sum(-1, dtype=np.float64) - 1) > 1e-3).any())


def _counts(name: str, targets: Any, outputs: Any,
            threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each class: rows rightly decided for it, rows decided for it, rows in it."""
    targets, outputs = _arrays(targets, outputs)
    if outputs.ndim < 2 or outputs.shape[-1] == 1:
        targets, outputs = (array[:, np.newaxis] for array in _entries(name, targets, outputs))
        in_columns = True
    else:
        in_columns = _has_several_classes(targets, outputs)
    if in_columns:
        decisions, members = outputs > threshold, targets > 0.5
        axes = tuple(range(outputs.ndim - 1))
        return (decisions & members).sum(axis=axes), decisions.sum(axis=axes), members.sum(axis=axes)
    k = outputs.shape[-1]
    labels = _known_labels(name, targets, outputs).reshape(-1)
    decided_for = outputs.argmax(-1).reshape(-1)
    hits, decided, present = (np.bincount(rows, minlength=k)
                              for rows in (labels[labels == decided_for], decided_for, labels))
    occurs = np.arange(k) == 1 if k == 2 else decided + present > 0
    return hits[occurs], decided[occurs], present[occurs]


def _binary_auc(members: np.ndarray, scores: np.ndarray) -> float:
    """The Mann-Whitney statistic: pairs in the right order, and half of the tied ones, over all pairs."""
    inside, outside = np.sort(scores[members]), np.sort(scores[~members])
    if not inside.size or not outside.size or np.isnan(inside[-1]) or np.isnan(outside[-1]):
        return float("nan")
    below = np.searchsorted(outside, inside, "left").sum() + np.searchsorted(outside, inside, "right").sum()
    return float(below) / (2.0 * inside.size * outside.size)
