"""Penalties and constraints on weights, clipping of gradients (``csrc/regularization.inc``)."""

from __future__ import annotations

import numpy as np

from ...program import op
from .base import elements


@op("w -> dw? row_penalty", dims="per_sample", scalars="l1 l2", by_row="w dw row_penalty",
    flops=elements("w", 6), in_place=True)
def penalty(w, dw, row_penalty, *, per_sample, l1, l2, step):
    """row_penalty_i = l1 sum_j |w_ij| + l2 / 2 sum_j w_ij^2; dw += l1 sign(w) + l2 w; per_sample: l1 and l2
    divided by the step's sum of row weights
    """
    if per_sample:
        l1, l2 = l1 / step.weight_sum, l2 / step.weight_sum
    rows = np.atleast_2d(w).astype(np.float64)
    row_penalty[...] = l1 * np.abs(rows).sum(axis=1) + 0.5 * l2 * (rows * rows).sum(axis=1)
    if dw is not None:
        dw += w.dtype.type(l1) * np.sign(w) + w.dtype.type(l2) * w


@op("row_penalty ->", flops=elements("row_penalty"))
def penalty_sum(row_penalty, *, step):
    """the step's loss += sum_i row_penalty_i"""
    step.loss += float(row_penalty.sum())


@op("x -> row_sum", by_row="x row_sum", flops=elements("x", 2))
def row_squares(x, row_sum, *, step):
    """row_sum_i = sum_j x_ij^2"""
    rows = np.atleast_2d(x).astype(np.float64)
    row_sum[...] = (rows * rows).sum(axis=1)


@op("row_sum before? -> total", by_row="before total", flops=elements("row_sum"))
def norm_square(row_sum, before, total, *, step):
    """total = before + sum_i row_sum_i"""
    total[0] = row_sum.sum() + (0 if before is None else before[0])


@op("total -> dw", scalars="limit", owned="dw", flops=elements("dw"), in_place=True)
def clip_norm(total, dw, *, limit, step):
    """dw *= limit / sqrt(total) where sqrt(total) > limit"""
    norm = np.sqrt(total[0])
    if norm > limit:
        dw *= dw.dtype.type(limit / norm)


@op("-> dw", scalars="limit", owned="dw", flops=elements("dw", 2), in_place=True)
def clip_value(dw, *, limit, step):
    """dw = min(max(dw, -limit), limit)"""
    np.clip(dw, -dw.dtype.type(limit), dw.dtype.type(limit), out=dw)


@op("-> w", scalars="limit", flops=elements("w", 3), in_place=True)
def max_norm(w, *, limit, step):
    """each column of w longer than limit is scaled back to that length"""
    columns = w.astype(np.float64)
    norm = np.sqrt((columns * columns).sum(axis=0))
    longer = norm > limit
    w *= np.where(longer, limit / np.where(longer, norm, 1.0), 1.0).astype(w.dtype)
