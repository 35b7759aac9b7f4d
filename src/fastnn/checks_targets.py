"""The checks of targets and weights that checks.py offers."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .checks_arrays import (
    BLOCK,
    as_real_array,
    check_same_length,
    describe,
    first_entry,
    is_gatherable,
    is_memmap,
    packed,
    place,
    refuse_nonfinite,
    rows_of,
)

PROBABILITY_TOLERANCE = 1e-3  # of a row's sum: a row rounded to float16 is off by at most 2**-11


VALUES = {"binary": "values in [0, 1]", "signs": "values -1 and 1, or 0 and 1,",
          "counts": "numbers of at least 0"}  # by kind, where not any numbers will do


def as_targets(y: Any, loss_kind: str, n_out: int, n_rows: int, dtype: np.dtype[Any],
               name: str = "y", ignore_label: int | None = None) -> np.ndarray:
    """The targets in the form that the loss's kernel reads.

    Parameters
    ----------
    y : array-like
        What the user gave.
    loss_kind : str
        'labels_or_rows', cross-entropy after softmax: class labels ``(n,)`` or ``(n, 1)``, or rows
        ``(n, n_out)``, one-hot or of probabilities. 'labels', the multi-class hinge: the same, but one-hot
        rows become labels. 'binary', cross-entropy after sigmoid: values in [0, 1], ``(n, n_out)``, or
        ``(n,)`` for one output. 'signs', the hinge: -1 and 1, or 0 and 1, of which 0 becomes -1; shapes as
        for 'binary' from here on. 'counts', Poisson's loss: numbers of at least 0. 'rows', regression: any
        numbers. 'labels_or_numbers', a function of the user's: labels as for 'labels_or_rows', or any
        numbers.
    n_out : int
        Outputs of the model.
    n_rows : int
        Rows of X.
    dtype : numpy.dtype
        Of the model.
    name : str
        What the user calls them.
    ignore_label : int, optional
        A label that stands for none, and then -1 does too; only labels will do.

    Returns
    -------
    numpy.ndarray
        Labels as contiguous int64 ``(n,)``, -1 where ignored, or contiguous rows ``(n, n_out)`` of `dtype`.
        Rows in a gatherable memory-mapped file are left where they are and not looked at.

    Examples
    --------
    >>> as_targets([[1], [0]], "labels_or_rows", 3, 2, np.dtype("float32"))
    array([1, 0])
    """
    rows_shape = rows_of((n_out,))
    labels_too = loss_kind.startswith("labels") and not (loss_kind == "labels_or_numbers" and n_out == 1)
    if labels_too:
        expected = f"class labels 0..{n_out - 1} of shape (n,) or rows of shape {rows_shape}"
    else:
        values = VALUES.get(loss_kind, "numbers")
        expected = f"{values} of shape {rows_shape}" + (" or (n,)" if n_out == 1 else "")
    array = as_real_array(y, name, expected,
                           f"encode classes as whole numbers 0..k-1: classes, {name} = "
                           f"np.unique({name}, return_inverse=True)")
    if n_rows == 1 and n_out > 1 and array.shape == (n_out,):
        raise ValueError(f"{name} must be {expected}, got {describe(array)}; "
                         f"one row needs {name}[np.newaxis]")
    check_same_length(n_rows, array, name)
    one_column = array.ndim == 1 or array.shape[1:] == (1,)
    if labels_too and one_column:
        return _as_labels(array.reshape(n_rows), n_out, name, ignore_label)
    if ignore_label is not None:
        raise ValueError(f"{name} must be class labels 0..{n_out - 1} or {ignore_label}, of shape (n,), "
                         f"where ignore_label is set, got {describe(array)}; give rows the sample_weight 0")
    if n_out == 1 and one_column:
        array = array.reshape(n_rows, 1)
    if array.shape != (n_rows, n_out):
        raise ValueError(f"{name} must be {expected}, got {describe(array)}; "
                         f"{_target_hint(array, n_out, name, loss_kind)}")
    if array.dtype == bool:
        array = array.view(np.uint8)
    if loss_kind == "signs":
        return _as_signs(array, name, dtype)
    if loss_kind == "labels":
        return _labels_of_one_hot(array, name)
    if is_memmap(array) and is_gatherable(array):
        return array
    refuse_nonfinite(array, name, dtype)
    if loss_kind in ("binary", "labels_or_rows"):
        _check_probabilities(array, name, sum_to_one=loss_kind == "labels_or_rows")
    if loss_kind == "counts" and array.min(initial=0) < 0:
        row, column = first_entry(array < 0)
        raise ValueError(f"{place(name, (row, column))[0]} is {array[row, column]:g} but counts are at least "
                         "0; for other numbers take another loss, such as 'squared_error'")
    return packed(array, dtype)


def as_sample_weight(w: Any, n_rows: int, name: str = "sample_weight") -> np.ndarray | None:
    """The weights as contiguous float64 ``(n,)``: finite, none negative, not all zero; None stays None.

    Examples
    --------
    >>> as_sample_weight([1, 2, 0], 3)
    array([1., 2., 0.])
    """
    if w is None:
        return None
    array = as_real_array(w, name, "one number per row of X, shape (n,)", "give each row a number")
    check_same_length(n_rows, array, name)
    if array.ndim != 1 and array.shape != (n_rows, 1):
        raise ValueError(f"{name} must have shape ({n_rows},), one weight per row, got {describe(array)}")
    array = packed(array.reshape(n_rows), np.float64)
    refuse_nonfinite(array, name)
    if array.min() < 0:
        row = int(np.argmax(array < 0))
        raise ValueError(f"{name}[{row}] is {array[row]:g} but weights must be at least 0; "
                         "a weight of 0 leaves the row out")
    with np.errstate(over="ignore"):
        total = array.sum()
    if not 0 < total < math.inf:
        hint = "scale the weights down" if total else "at least one weight must be above 0"
        raise ValueError(f"{name} must have a positive, finite sum, got {total:g}; {hint}")
    return array


def _target_hint(array: np.ndarray, n_out: int, name: str, loss_kind: str) -> str:
    if math.prod(array.shape[1:]) == n_out:
        return f"pass {name}.reshape(-1, {n_out})"
    if array.ndim == 1 or array.shape[1:] == (1,):
        if array.dtype.kind == "f" and loss_kind == "rows":
            return f"the last layer must have as many units as {name} has columns: 1 instead of {n_out}"
        softmax = " or end the model with 'softmax', whose loss takes labels" if loss_kind == "binary" else ""
        labels = name if array.ndim == 1 else f"{name}.ravel()"
        return f"turn class labels into one-hot rows with np.eye({n_out})[{labels}]{softmax}"
    return f"the last layer must have as many units as {name} has columns"


def _as_labels(array: np.ndarray, n_classes: int, name: str, ignore_label: int | None = None) -> np.ndarray:
    if ignore_label is not None:
        ignored = (array == ignore_label) | (array == -1)  # so that what this gave is taken again
        labels = _as_labels(np.where(ignored, array.dtype.type(0), array), n_classes, name)
        return np.where(ignored, -1, labels)
    expected = f"labels of {n_classes} classes are 0..{n_classes - 1}"
    if array.dtype.kind == "f":
        refuse_nonfinite(array, name)
        fractional = array != np.floor(array)
        if fractional.any():
            row = int(fractional.argmax())
            raise ValueError(f"{name}[{row}] is {array[row]:g}, which is no whole number; {expected}; "
                             f"probabilities need shape {rows_of((n_classes,))}, regression another loss")
    low, high = array.min(), array.max()  # before the cast: it would wrap large labels around
    if low < 0 or high >= n_classes:
        row = int(np.argmax((array < 0) | (array >= n_classes)))
        if n_classes == 1:
            hint = ("a softmax over one unit is always 1: end the model with Dense(2, 'softmax') "
                    "or Dense(1, 'sigmoid')")
        elif low == 1 and high == n_classes:
            hint = f"they seem to count from 1: pass {name} - 1"
        elif low == -1 and high == 1 and n_classes == 2:
            hint = f"for labels -1 and 1 pass ({name} + 1) // 2"
        elif low >= 0:
            hint = f"the last layer needs {int(high) + 1} units for these labels, or renumber them from 0"
        else:
            hint = "renumber the classes from 0"
        raise ValueError(f"{name}[{row}] is {array[row]:g} but {expected}; {hint}")
    return packed(array, np.int64)


def _as_signs(array: np.ndarray, name: str, dtype: np.dtype[Any]) -> np.ndarray:
    """Rows of -1 and 1."""
    wrong = (array != 1) & (array != 0) & (array != -1)
    if wrong.any():
        row, column = first_entry(wrong)
        raise ValueError(f"{place(name, (row, column))[0]} is {array[row, column]:g} but must be -1 or 1, "
                         "or 0 or 1")
    zeros, negative = array == 0, array == -1
    if zeros.any() and negative.any():
        raise ValueError(f"{name} must be -1 and 1, or 0 and 1, got -1, 0 and 1; leave rows out by the "
                         "sample_weight 0")
    return packed(np.where(array == 1, 1, -1), dtype)


def _labels_of_one_hot(array: np.ndarray, name: str) -> np.ndarray:
    wrong = ((array != 0) & (array != 1)).any(axis=1) | (np.count_nonzero(array, axis=1) != 1)
    if wrong.any():
        raise ValueError(f"{name}[{int(wrong.argmax())}] must be a one-hot row, with a single 1 and zeros; "
                         "probabilities need another loss, such as 'cross_entropy'")
    return packed(array.argmax(axis=1), np.int64)


def without_ignored(weight: np.ndarray | None, y: np.ndarray, name: str = "y") -> np.ndarray | None:
    """The rows' weights, 0 where `as_targets` found the ignored label.

    Examples
    --------
    >>> without_ignored(None, np.array([2, -1, 0]))
    array([1., 0., 1.])
    """
    if y.ndim != 1 or y.min(initial=0) >= 0:
        return weight
    weight = (y >= 0).astype(np.float64) if weight is None else weight * (y >= 0)
    if not weight.any():
        raise ValueError(f"{name} must have a row that counts, got the ignored label or the weight 0 in "
                         "all of them")
    return weight


def _check_probabilities(array: np.ndarray, name: str, sum_to_one: bool) -> None:
    n_rows = max(1, BLOCK // array.shape[1])
    for start in range(0, len(array), n_rows):
        block = array[start:start + n_rows]
        if block.min() < 0 or block.max() > 1:
            bad = (block < 0) | (block > 1)
            row, column = first_entry(bad)
            hint = "one-hot rows or probabilities" if sum_to_one else "classes as 0 and 1, or probabilities"
            raise ValueError(f"{place(name, (row + start, column))[0]} is {block[row, column]:g} "
                             f"but must lie in [0, 1]; pass {hint}")
        if sum_to_one:
            sums = block.sum(axis=1, dtype=np.float64)
            bad = np.abs(sums - 1) > PROBABILITY_TOLERANCE
            if bad.any():
                row = int(bad.argmax())
                raise ValueError(f"{name}[{row + start}] sums to {sums[row]:g} but one-hot or probability "
                                 "rows sum to 1; for several classes per row end the model with 'sigmoid'")
