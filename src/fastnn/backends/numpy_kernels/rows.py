"""What enters and leaves the arena: rows of bound arrays (``csrc/gather.inc``)."""

from __future__ import annotations

import numpy as np

from ...program import op
from .base import elements


@op("source -> y", dims="check_finite", by_row="y", flops=lambda s: 0)
def gather(source, y, *, check_finite, step):
    """y_i = source[index[row + i]]"""
    rows = slice(step.row, step.row + len(y))
    picked = source[rows] if step.index is None else source[step.index[rows]]
    y[...] = picked.reshape(y.shape)
    if check_finite and y.dtype.kind == "f" and not np.isfinite(y).all():
        step.bad_row = step.row + int(np.argmin(np.isfinite(y.reshape(len(y), -1)).all(axis=1)))


@op("x ->", by_row="x", flops=lambda s: 0)
def check_rows(x, *, step):
    """stop the run at the first row with a value that is not finite"""
    finite = np.isfinite(x).all(axis=1)
    if not finite.all():
        step.bad_row = step.row + int(np.argmin(finite))


@op("x mean scale -> y", by_row="x y", flops=elements("y", 2))
def standardize(x, mean, scale, y, *, step):
    """y_ij = (x_ij - mean_j) scale_j"""
    y[...] = (x - mean) * scale


@op("dy scale -> dx", by_row="dy dx", flops=elements("dx"))
def standardize_backward(dy, scale, dx, *, step):
    """dx_ij = dy_ij scale_j"""
    dx[...] = dy * scale


def inverse_norm(x, order):
    """1 / |x_i| of each row (B, 1) in float64, 0 where the row is zero"""
    wide = x.astype(np.float64)
    norm = np.abs(wide).sum(axis=1) if order == 1 else np.sqrt((wide * wide).sum(axis=1))
    return np.where(norm == 0, 0.0, 1 / np.where(norm == 0, 1.0, norm))[:, np.newaxis]


@op("x -> y", dims="order", by_row="x y", flops=elements("y", 3))
def row_normalize(x, y, *, order, step):
    """y_i = x_i / |x_i|, the norm of order 1 or 2; a row of zeros stays"""
    y[...] = x * inverse_norm(x, order).astype(x.dtype)


@op("dy x -> dx", dims="order", by_row="dy x dx", flops=elements("dx", 8))
def row_normalize_backward(dy, x, dx, *, order, step):
    """dx_i = (dy_i - u_i sum_j dy_ij y_ij) / |x_i|, u = sign(x) (order 1) or y (order 2)"""
    scale = inverse_norm(x, order)
    y = x * scale
    u = np.sign(x) if order == 1 else y
    dx[...] = (dy - u * (dy * y).sum(axis=1, keepdims=True)) * scale


@op("x -> y", by_row="x y", flops=lambda s: 0)
def store(x, y, *, step):
    """y = x, into the caller's array"""
    y[...] = x.reshape(y.shape)
