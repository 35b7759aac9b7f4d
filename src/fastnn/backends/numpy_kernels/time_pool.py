"""A sequence in one row: mean or maximum over its steps in time (``csrc/time_pool.inc``)."""

from __future__ import annotations

import numpy as np

from ...program import op
from .base import elements


def steps(x, mask, step):
    """x as (T, B, n), and which steps count, (T, B, 1)"""
    x = x.reshape(step.time, -1, x.shape[1])
    counts = np.ones((*x.shape[:2], 1), bool) if mask is None else mask.reshape(*x.shape[:2], 1) != 0
    return x, counts


@op("x mask? -> y", flops=elements("x"))
def time_mean_forward(x, mask, y, *, step):
    """y_b = the mean of x_(tB+b) over the steps t that count, 0 without any"""
    x, counts = steps(x, mask, step)
    y[...] = np.where(counts, x, 0).sum(axis=0, dtype=np.float64) / np.maximum(counts.sum(axis=0), 1)


@op("dy mask? -> dx", flops=elements("dx"))
def time_mean_backward(dy, mask, dx, *, step):
    """dx_(tB+b) = dy_b / steps, 0 where the step does not count"""
    _, counts = steps(dx, mask, step)
    share = counts / np.maximum(counts.sum(axis=0), 1)
    dx[...] = (dy * share).reshape(dx.shape)


@op("x mask? -> y index?", flops=elements("x"))
def time_max_forward(x, mask, y, index, *, step):
    """y_b = max over the steps t that count of x_(tB+b), 0 without any; index: the first that has it, or -1"""
    x, counts = steps(x, mask, step)
    at = np.argmax(np.where(counts, x, -np.inf), axis=0)  # a NaN is a maximum
    first = np.argmax(np.broadcast_to(counts, x.shape), axis=0)  # where all that count are -inf
    at = np.where(np.take_along_axis(counts & ~np.isneginf(x), at[np.newaxis], axis=0)[0], at, first)
    there = counts.any(axis=0)
    y[...] = np.where(there, np.take_along_axis(x, at[np.newaxis], axis=0)[0], 0)
    if index is not None:
        index[...] = np.where(there, at, -1)


@op("dy index -> dx", flops=elements("dx"))
def time_max_backward(dy, index, dx, *, step):
    """dx = dy at the maxima, 0 elsewhere"""
    t = np.arange(step.time)[:, np.newaxis, np.newaxis]
    dx[...] = np.where(index == t, dy, 0).reshape(dx.shape)
