"""The dense layer and its two gradients (``csrc/dense.inc``)."""

from __future__ import annotations

import numpy as np

from ...activations import ACTIVATIONS
from ...program import op
from .base import product


@op("x w b? -> y z?", dims="activation", scalars="alpha", owned="y z", flops=product("x", "w", "x"))
def dense_forward(x, w, b, y, z, *, activation, alpha, step):
    """y = f(z), z = x w + b"""
    pre = x @ w
    if b is not None:
        pre += b
    if z is not None:
        z[...] = pre
    y[...] = ACTIVATIONS[activation].function(pre, alpha)


@op("dy w f? -> dx", dims="activation", scalars="alpha", owned="f dx", flops=product("dy", "dy", "dx"))
def dense_backward_input(dy, w, f, dx, *, activation, alpha, step, accumulate=False):
    """dx = (dy w^T) * f'"""
    result = dy @ w.T
    if f is not None:
        result *= ACTIVATIONS[activation].slope(f, alpha)
    if accumulate:
        dx += result
    else:
        dx[...] = result


@op("x dy -> dw db?", owned="dw db", flops=product("x", "dw", "x"))
def dense_backward_parameters(x, dy, dw, db, *, step, accumulate=False):
    """dw = x^T dy, db = column sums of dy"""
    if accumulate or not step.first_block:
        dw += x.T @ dy
        if db is not None:
            db += dy.sum(axis=0, dtype=np.float64).astype(dy.dtype)
        return
    dw[...] = x.T @ dy
    if db is not None:
        db[...] = dy.sum(axis=0, dtype=np.float64)
