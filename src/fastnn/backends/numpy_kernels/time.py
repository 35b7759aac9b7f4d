"""Sequences into and out of the time layout, row t B + b (``csrc/time.inc``)."""

from __future__ import annotations

import numpy as np

from ...program import op


def by_time(x, time, shape):
    """Samples (B, T, ...) as rows t B + b, in the given shape."""
    return np.swapaxes(x.reshape(len(x), time, -1), 0, 1).reshape(shape)


def by_sample(x, time):
    """Rows t B + b as samples (B, T, n)."""
    return np.swapaxes(x.reshape(time, -1, x.shape[-1]), 0, 1)


@op("source -> y", dims="check_finite", flops=lambda s: 0)
def gather_time(source, y, *, check_finite, step):
    """y_(tB+b) = source[index[row + b]][t]"""
    rows = slice(step.row, step.row + len(y) // step.time)
    picked = source[rows] if step.index is None else source[step.index[rows]]
    y[...] = by_time(picked, step.time, y.shape)
    if check_finite and y.dtype.kind == "f" and not np.isfinite(picked).all():
        step.bad_row = step.row + int(np.argmin(np.isfinite(picked.reshape(len(picked), -1)).all(axis=1)))


@op("x -> y", flops=lambda s: 0)
def rows_to_time(x, y, *, step):
    """y_(tB+b) = x_b[t]"""
    y[...] = by_time(x, step.time, y.shape)


@op("x -> y", flops=lambda s: 0)
def time_to_rows(x, y, *, step):
    """y_b[t] = x_(tB+b)"""
    y[...] = by_sample(x, step.time).reshape(y.shape)


@op("x -> y", flops=lambda s: 0)
def store_time(x, y, *, step):
    """y_b[t] = x_(tB+b), into the caller's array"""
    y[...] = by_sample(x, step.time).reshape(y.shape)
