"""Weights of classes, as weights of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import checks
from .checks_arrays import as_any_array, describe


def balanced_weights(y: Any) -> dict[int, float]:
    """Weights with which every class counts the same: ``n / (classes * rows of the class)``.

    Scikit-learn's "balanced", as a dict that ``fit(class_weight=...)`` takes, for batches too.

    Parameters
    ----------
    y : array_like, shape (n,)
        Labels; all that there are.

    Returns
    -------
    dict of int to float
        The weight of each label that y has; their mean over the rows is 1.

    Examples
    --------
    >>> balanced_weights([0, 0, 0, 2])
    {0: 0.6666666666666666, 2: 2.0}
    """
    labels = as_any_array(y, "y", "whole numbers of shape (n,)")
    if labels.ndim != 1 or labels.dtype.kind not in "iub" or not labels.size:
        raise ValueError(f"y: expected whole numbers of shape (n,), got {describe(y)}")
    classes, counts = np.unique(labels, return_counts=True)
    weights = labels.size / (len(classes) * counts)
    return dict(zip(map(int, classes), weights.tolist(), strict=True))


def row_weights(class_weight: Any, y: np.ndarray, kind: str, n_out: int) -> np.ndarray:
    """The weight of each row's class.

    Parameters
    ----------
    class_weight : mapping, array-like or "balanced"
        See `fastnn.training.fit`.
    y : numpy.ndarray
        Targets as `fastnn.checks.as_targets` gives them.
    kind : str
        What they are.
    n_out : int
        Outputs of the model.

    Returns
    -------
    numpy.ndarray, shape (n,)
        float64.

    Raises
    ------
    ValueError, TypeError
        If rows are in no class, or the weights do not fit the classes.

    Examples
    --------
    >>> row_weights({1: 3.0}, np.array([0, 1, 1]), "labels_or_rows", 2)
    array([1., 3., 3.])
    """
    shares = _memberships(y, kind, n_out)
    n_classes = n_out if shares.ndim == 1 else shares.shape[1]
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"class_weight: expected a dict, an array or 'balanced', got {describe(class_weight)}")
        weights = _balanced(shares, n_classes)
    else:
        weights = _as_weights(class_weight, n_classes)
    if shares.ndim == 1:
        return weights[np.maximum(shares, 0)]  # of an ignored row, whose weight is 0, any
    return shares @ weights


def _memberships(y: np.ndarray, kind: str, n_out: int) -> np.ndarray:
    """Labels (n,), or each row's share in each class (n, classes)."""
    if y.ndim == 1:
        return y
    if kind == "labels_or_rows":
        return y.astype(np.float64)
    if kind in ("binary", "signs") and n_out == 1:
        one = np.maximum(y.astype(np.float64), 0)
        return np.hstack([1 - one, one])
    why = "rows of several yes-or-no outputs are in no one class" if kind in ("binary", "signs") else \
        "the loss is not one of classes"
    raise ValueError(f"class_weight: expected None, as {why}; weigh the rows by sample_weight")


def _balanced(shares: np.ndarray, n_classes: int) -> np.ndarray:
    if shares.ndim == 1:
        counts = np.bincount(shares[shares >= 0], minlength=n_classes).astype(np.float64)
    else:
        counts = shares.sum(axis=0)
    present = counts > 0
    return np.where(present, counts.sum() / (present.sum() * np.where(present, counts, 1)), 1.0)


def _as_weights(class_weight: Any, n_classes: int) -> np.ndarray:
    weights = np.ones(n_classes)
    if isinstance(class_weight, Mapping):
        for label, weight in class_weight.items():
            if label not in range(n_classes):
                raise ValueError(f"class_weight: the classes are 0..{n_classes - 1}, got {describe(label)}")
            weights[int(label)] = checks.positive_float(f"class_weight[{label!r}]", weight, True, wide=True)
    else:
        given = as_any_array(class_weight, "class_weight", f"a dict, {n_classes} numbers or 'balanced'")
        if given.shape != (n_classes,) or given.dtype.kind not in "fiu":
            raise ValueError(f"class_weight: expected a dict {{label: weight}}, {n_classes} numbers, one for "
                             f"each class, or 'balanced', got {describe(class_weight)}")
        weights[:] = given
    if not np.isfinite(weights).all() or (weights < 0).any():
        wrong = int(np.argmax(~np.isfinite(weights) | (weights < 0)))
        raise ValueError(f"class_weight: weights must be finite and at least 0, got {weights[wrong]:g} for "
                         f"class {wrong}")
    return weights


def with_class_weight(model: Any, class_weight: Any, y: Any,
                      weight: np.ndarray | None) -> np.ndarray | None:
    """The rows' weights times those of their classes."""
    if class_weight is None:
        return weight
    if not isinstance(y, np.ndarray) or len(model.output_shape) != 1:
        raise ValueError("class_weight: expected a model with one output of shape (n_out,), a class a row; give "
                         "rows a sample_weight instead")
    factors = row_weights(class_weight, y, model.target_kind, model.output_shape[0])
    weight = factors if weight is None else weight * factors
    if not weight.any():
        raise ValueError("class_weight: expected a weight above 0 for some class that y has; all rows have 0")
    return weight
