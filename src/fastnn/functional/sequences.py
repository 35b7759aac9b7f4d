"""Sequences on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from .base import Array, as_arrays, call


def time_mean_forward(x: Any, mask: Any = None) -> np.ndarray:
    """y (B, n): the mean of sequences x (B, time, n) over the steps with a 1 in mask (B, time), 0 without any.

    Examples
    --------
    >>> time_mean_forward([[[1.0], [3.0], [8.0]]], [[1.0, 1.0, 0.0]])
    array([[2.]])
    """
    x, mask = as_arrays("x:btn mask?:bt", x, mask)
    y = np.empty((len(x), x.shape[2]), x.dtype)
    call("time_mean_forward", (*_in_time(x, mask), y), time=x.shape[1])
    return y


def time_mean_backward(dy: Any, mask: Any) -> np.ndarray:
    """dx (B, time, n) of `time_mean_forward` with dy (B, n) and mask (B, time)."""
    dy, mask = as_arrays("dy:bn mask:bt", dy, mask)
    dx = np.empty((mask.shape[1] * len(dy), dy.shape[1]), dy.dtype)
    call("time_mean_backward", (dy, np.ascontiguousarray(mask.T).ravel(), dx), time=mask.shape[1])
    return _by_sample(dx, len(dy))


def time_max_forward(x: Any, mask: Any = None) -> tuple[Array, Array]:
    """y (B, n): the largest of sequences x (B, time, n) over the steps with a 1 in mask (B, time), 0 without any; and
    the first step that has it, (B, n) int32, -1 without any.
    """
    x, mask = as_arrays("x:btn mask?:bt", x, mask)
    y = np.empty((len(x), x.shape[2]), x.dtype)
    index = np.empty(y.shape, np.int32)
    call("time_max_forward", (*_in_time(x, mask), y, index), time=x.shape[1])
    return y, index


def time_max_backward(dy: Any, index: Any, time: int) -> np.ndarray:
    """dx (B, time, n) of `time_max_forward`: dy (B, n) at the steps of index (B, n)."""
    dy, index = as_arrays("dy:bn index:bn.i4", dy, index)
    dx = np.empty((checks.positive_int("time", time) * len(dy), dy.shape[1]), dy.dtype)
    call("time_max_backward", (dy, index, dx), time=time)
    return _by_sample(dx, len(dy))


def _in_time(x: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Sequences and their mask in the time layout."""
    rows = np.ascontiguousarray(np.swapaxes(x, 0, 1)).reshape(-1, x.shape[2])
    return rows, None if mask is None else np.ascontiguousarray(mask.T).ravel()


def _by_sample(rows: np.ndarray, batch: int) -> np.ndarray:
    """Rows of the time layout as sequences."""
    return np.ascontiguousarray(np.swapaxes(rows.reshape(-1, batch, rows.shape[1]), 0, 1))
