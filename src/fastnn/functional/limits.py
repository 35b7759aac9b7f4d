"""Penalties, clipping and constraints on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import checks
from .base import as_array, call


def penalty(w: Any, l1: float = 0.0, l2: float = 0.0) -> tuple[float, np.ndarray]:
    """The penalty l1 sum |w| + l2 / 2 sum w^2 on w (n,) or (rows, n), and its gradient l1 sign(w) + l2 w.

    See `fastnn.L1`, `fastnn.L2` and `fastnn.ElasticNet`.

    Examples
    --------
    >>> penalty([3.0, -4.0], l1=1.0, l2=2.0)
    (32.0, array([ 7., -9.]))
    """
    w = as_array("w", w, "*")
    dw, rows = np.zeros_like(w), np.empty(len(w) if w.ndim == 2 else 1)
    call("penalty", (w, dw, rows), l1=checks.positive_float("l1", l1, allow_zero=True),
         l2=checks.positive_float("l2", l2, allow_zero=True))
    return call("penalty_sum", (rows,), real=w.dtype), dw


def clip_value(dw: Any, limit: float) -> np.ndarray:
    """min(max(dw, -limit), limit), dw (n,) or (rows, n); a new array.

    Examples
    --------
    >>> clip_value([3.0, -4.0], 3.5)
    array([ 3. , -3.5])
    """
    dw = as_array("dw", dw, "*")
    call("clip_value", (dw,), limit=checks.positive_float("limit", limit))
    return dw


def clip_norm(dw: Any, limit: float) -> np.ndarray:
    """dw limit / |dw| where the Euclidean norm |dw| is above limit, else dw: (n,) or (rows, n); a new array.

    Examples
    --------
    >>> clip_norm([3.0, -4.0], 1.0).round(9)
    array([ 0.6, -0.8])
    """
    return clip_global_norm([dw], limit)[0]


def clip_global_norm(gradients: Sequence[Any], limit: float) -> list[np.ndarray]:
    """The arrays scaled by one factor, so that the Euclidean norm of all together is at most limit.

    Pascanu, Mikolov and Bengio 2013; each (n,) or (rows, n). A new array for each.

    Examples
    --------
    >>> [g.round(9).tolist() for g in clip_global_norm([[3.0], [[-4.0]]], 1.0)]
    [[0.6], [[-0.8]]]
    """
    limit = checks.positive_float("limit", limit)
    if not isinstance(gradients, (list, tuple)):
        raise TypeError(f"gradients: expected a list of arrays, got {checks.describe(gradients)}")
    arrays = [as_array("dw", dw, "*") for dw in gradients]
    total: np.ndarray | None = None
    for dw in arrays:
        rows, before = np.empty(len(dw) if dw.ndim == 2 else 1), total
        total = np.empty(1)
        call("row_squares", (dw, rows))
        call("norm_square", (rows, before, total), real=dw.dtype)
    for dw in arrays:
        call("clip_norm", (total, dw), limit=limit, real=dw.dtype)
    return arrays


def max_norm(w: Any, limit: float) -> np.ndarray:
    """w (n_in, n_out) with each column longer than limit scaled back to that length; a new array.

    See `fastnn.MaxNorm`.

    Examples
    --------
    >>> max_norm([[3.0, 0.3], [4.0, 0.4]], 1.0).round(9)
    array([[0.6, 0.3],
           [0.8, 0.4]])
    """
    w = as_array("w", w, "io")
    call("max_norm", (w,), limit=checks.positive_float("limit", limit))
    return w
