"""Where values of a graph come together, and the weights of steps in time (``csrc/merge.inc``)."""

from __future__ import annotations

import numpy as np

from ...program import op
from .base import elements


@op("a b -> y", by_row="a b y", flops=elements("y"))
def add(a, b, y, *, step):
    """y = a + b"""
    np.add(a, b, out=y)


@op("a b -> y", by_row="a b y", flops=elements("y"))
def multiply(a, b, y, *, step):
    """y = a * b"""
    np.multiply(a, b, out=y)


@op("x -> y", scalars="factor", by_row="x y", flops=elements("y"))
def scale(x, y, *, factor, step):
    """y = factor x"""
    np.multiply(x, x.dtype.type(factor), out=y)


@op("x -> y", dims="from_column to_column count", lanes="x y", in_place=True, flops=lambda s: 0)
def copy_columns(x, y, *, from_column, to_column, count, step):
    """y_(i, to + j) = x_(i, from + j) for j < count: columns, or channels of images"""
    y[..., to_column:to_column + count] = x[..., from_column:from_column + count]


@op("weight? mask? label? -> y", flops=elements("y", 3))
def time_weights(weight, mask, label, y, *, step):
    """y_(tB+b) = w_b m_tb sum_b w_b / sum_tb w_b m_tb; m is zero where a label is negative"""
    counts = np.ones((step.time, len(y) // step.time))
    if mask is not None:
        counts *= mask.reshape(counts.shape) != 0
    if label is not None:
        counts *= label.reshape(counts.shape) >= 0
    w = np.ones(counts.shape[1]) if weight is None else weight
    counts *= w
    total = counts.sum()
    y[...] = counts.ravel() * (w.sum() / total if total > 0 else 0.0)
