"""The checks of sequences and of tokens that checks.py offers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .checks_arrays import as_real_array, describe, first_entry, place, refuse_nonfinite
from .checks_targets import as_targets

Shape = tuple[int | None, ...]


def known_shape(X: Any, shape: Shape) -> tuple[int, ...]:
    """The shape of a sample, with None replaced by the steps in time that X has.

    Examples
    --------
    >>> known_shape(np.zeros((2, 7, 3)), (None, 3))
    (7, 3)
    """
    if None not in shape:
        return shape  # type: ignore[return-value]
    try:
        given = X.shape if hasattr(X, "shape") else np.shape(np.from_dlpack(X) if hasattr(X, "__dlpack__") else X)
        steps = int(given[1]) if len(given) == len(shape) + 1 else 1
    except Exception:  # whoever reads X says why it cannot be
        steps = 1
    return tuple(max(1, steps) if n is None else n for n in shape)


def as_tokens(X: Any, shape: Shape, n_tokens: int, name: str = "X") -> np.ndarray:
    """Whole numbers 0 to n_tokens - 1, contiguous int64 ``(n, time)``.

    Examples
    --------
    >>> as_tokens([[0, 2], [1.0, 1.0]], (2,), 3)
    array([[0, 2],
           [1, 1]])
    """
    steps = "time" if shape[0] is None else shape[0]
    expected = f"whole numbers 0..{n_tokens - 1} of shape (n, {steps})"
    array = as_real_array(X, name, expected, "number the tokens from 0")
    if array.ndim != 2 or shape[0] not in (None, array.shape[1]):
        raise ValueError(f"{name} must be {expected}, got {describe(array)}")
    refuse_nonfinite(array, name, None, 0)
    wrong = (array < 0) | (array >= n_tokens)
    if array.dtype.kind == "f":
        wrong |= array != np.floor(array)
    if wrong.any():
        position = first_entry(wrong)
        raise ValueError(f"{place(name, position)[0]} is {array[position]:g} but must be one of the {expected}")
    return np.ascontiguousarray(array, np.int64)


def as_targets_of(y: Any, loss_kind: str, shape: Shape, n_rows: int, time: int, dtype: np.dtype[Any],
                  name: str = "y", ignore_label: int | None = None) -> np.ndarray:
    """`as_targets` for outputs of any shape: of sequences ``(time, n_out)`` each step is a row.

    Returns labels ``(n,)`` or ``(n, time)``, or numbers ``(n, ...)`` of the outputs' shape, flattened where
    they are images.

    Examples
    --------
    >>> as_targets_of([[1, 0, 2]], "labels_or_rows", (3, 4), 1, 3, np.dtype("float32"))
    array([[1, 0, 2]])
    """
    if len(shape) == 1:
        return as_targets(y, loss_kind, int(shape[0] or 0), n_rows, dtype, name, ignore_label)
    sizes = tuple(time if n is None else n for n in shape)
    array = as_real_array(y, name, f"an array of one row for each of the {n_rows} samples",
                          "see the shape of model.predict(X)")
    steps = sizes[0] if len(sizes) == 2 else 1
    labels = len(sizes) == 2 and array.shape in ((n_rows, steps), (n_rows, steps, 1)) and sizes[1] > 1
    fits = labels or array.shape == (n_rows, *sizes) or (sizes[-1] == 1 and array.shape == (n_rows, *sizes[:-1])) \
        or (len(sizes) > 2 and array.shape == (n_rows, math.prod(sizes)))  # as they are returned
    if not fits:
        words = f", or labels ({n_rows}, {steps})" if len(sizes) == 2 and loss_kind.startswith("labels") else ""
        raise ValueError(f"{name} must have shape {(n_rows, *sizes)}{words}, got {describe(array)}")
    n_out = sizes[1] if len(sizes) == 2 else math.prod(sizes)
    flat_shape = (n_rows * steps,) if labels else (n_rows * steps, n_out)
    flat, flat_name = array.reshape(flat_shape), f"{name}.reshape{flat_shape}"
    checked = as_targets(flat, loss_kind, n_out, n_rows * steps, dtype, flat_name, ignore_label)
    if checked.ndim == 1:
        return checked.reshape(n_rows, steps)
    return checked.reshape(n_rows, *sizes) if len(sizes) == 2 else checked
