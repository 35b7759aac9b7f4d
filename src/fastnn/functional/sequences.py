"""Sequences on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from .base import Array, as_arrays, call, number, require_below, room


def time_mean_forward(x: Any, mask: Any = None) -> np.ndarray:
    """y (B, n): the mean of sequences x (B, time, n) over the steps with a 1 in mask (B, time), 0 without any.

    Examples
    --------
    >>> time_mean_forward([[[1.0], [3.0], [8.0]]], [[1.0, 1.0, 0.0]])
    array([[2.]])
    """
    x, mask = as_arrays("x:btn mask?:bt", x, mask)
    y = np.empty((len(x), x.shape[2]), x.dtype)
    call("time_mean_forward", (in_time(x), in_time(mask), y), time=x.shape[1])
    return y


def time_mean_backward(dy: Any, mask: Any) -> np.ndarray:
    """dx (B, time, n) of `time_mean_forward` with dy (B, n) and mask (B, time).

    Examples
    --------
    >>> time_mean_backward([[6.0]], [[1.0, 1.0, 0.0]]).ravel()
    array([3., 3., 0.])
    """
    dy, mask = as_arrays("dy:bn mask:bt", dy, mask)
    dx = np.empty((mask.shape[1] * len(dy), dy.shape[1]), dy.dtype)
    call("time_mean_backward", (dy, in_time(mask), dx), time=mask.shape[1])
    return by_sample(dx, mask.shape[1])


def time_max_forward(x: Any, mask: Any = None) -> tuple[Array, Array]:
    """y (B, n): the largest of sequences x (B, time, n) over the steps with a 1 in mask (B, time), 0 without any; and
    the first step that has it, (B, n) int32, -1 without any.

    Examples
    --------
    >>> y, index = time_max_forward([[[1.0], [3.0], [8.0]]], [[1.0, 1.0, 0.0]])
    >>> y.item(), index.item()
    (3.0, 1)
    """
    x, mask = as_arrays("x:btn mask?:bt", x, mask)
    y = np.empty((len(x), x.shape[2]), x.dtype)
    index = np.empty(y.shape, np.int32)
    call("time_max_forward", (in_time(x), in_time(mask), y, index), time=x.shape[1])
    return y, index


def time_max_backward(dy: Any, index: Any, time: int) -> np.ndarray:
    """dx (B, time, n) of `time_max_forward`: dy (B, n) at the steps of index (B, n).

    Examples
    --------
    >>> time_max_backward([[6.0]], [[1]], time=3).ravel()
    array([0., 6., 0.])
    """
    dy, index = as_arrays("dy:bn index:bn.i4", dy, index)
    time = checks.positive_int("time", time)
    require_below("index", index, -1, time)
    dx = room("dx", (time * len(dy), dy.shape[1]), dy.dtype)
    call("time_max_backward", (dy, index, dx), time=time)
    return by_sample(dx, time)


def step_mask(x: Any, value: float = 0.0) -> np.ndarray:
    """mask (B, time) of sequences x (B, time, n): 0 at the steps where every number is `value`, else 1.

    Examples
    --------
    >>> step_mask([[[1.0, 0.0], [0.0, 0.0]]])
    array([[1., 0.]])
    """
    x, = as_arrays("x:btn", x)
    mask = np.empty(x.shape[:2], x.dtype)
    call("step_mask", (x.reshape(-1, x.shape[2]), mask.reshape(-1)), value=number("value", value))
    return mask


def in_time(array: Any) -> Any:
    """A sequence (B, time, n) or its mask (B, time) in the time layout, row t B + b; None stays."""
    return None if array is None else np.ascontiguousarray(np.swapaxes(array, 0, 1)).reshape(-1, *array.shape[2:])


def by_sample(rows: np.ndarray, time: int) -> np.ndarray:
    """Rows of the time layout as sequences."""
    return np.ascontiguousarray(np.swapaxes(rows.reshape(time, -1, rows.shape[1]), 0, 1))
