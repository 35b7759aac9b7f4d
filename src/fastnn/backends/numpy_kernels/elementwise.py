"""Activations (``csrc/activation.inc``, ``csrc/softmax.inc``, ``csrc/prelu.inc``)."""

from __future__ import annotations

import numpy as np

from ...activations import ACTIVATIONS
from ...program import op
from .base import elements


@op("x -> y", dims="activation", scalars="alpha", by_row="x y", flops=elements("y"))
def activation_forward(x, y, *, activation, alpha, step):
    """y = f(x)"""
    y[...] = ACTIVATIONS[activation].function(x, alpha)


@op("dy f -> dx", dims="activation", scalars="alpha", by_row="dy f dx", flops=elements("dx", 2))
def activation_backward(dy, f, dx, *, activation, alpha, step):
    """dx = dy * f'"""
    np.multiply(dy, ACTIVATIONS[activation].slope(f, alpha), out=dx)


def softmax(x):
    """softmax of each row, its largest value, and the log of the sum of exponentials of what lies below that"""
    top = x.max(axis=1, keepdims=True)
    e = np.exp(x - top)
    total = e.sum(axis=1, keepdims=True)
    return e / total, top, np.log(total)


@op("x -> y", by_row="x y", flops=elements("y", 4))
def softmax_forward(x, y, *, step):
    """y_ij = exp(x_ij) / sum_k exp(x_ik)"""
    y[...] = softmax(x)[0]


@op("dy y -> dx", by_row="dy y dx", flops=elements("y", 4))
def softmax_backward(dy, y, dx, *, step):
    """dx_ij = y_ij (dy_ij - sum_k dy_ik y_ik)"""
    dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))


@op("x -> y", by_row="x y", flops=elements("y", 4))
def log_softmax_forward(x, y, *, step):
    """y_ij = x_ij - log sum_k exp(x_ik)"""
    shifted = x - x.max(axis=1, keepdims=True)
    y[...] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@op("dy y -> dx", by_row="dy y dx", flops=elements("y", 4))
def log_softmax_backward(dy, y, dx, *, step):
    """dx_ij = dy_ij - exp(y_ij) sum_k dy_ik"""
    dx[...] = dy - np.exp(y) * dy.sum(axis=1, keepdims=True)


@op("x slope -> y", by_row="x y", flops=elements("y", 2))
def prelu_forward(x, slope, y, *, step):
    """y_ij = x_ij where x_ij > 0, else slope_j x_ij"""
    y[...] = np.where(x > 0, x, slope * x)


@op("dy x slope -> dx", by_row="dy x dx", flops=elements("dx", 2))
def prelu_backward_input(dy, x, slope, dx, *, step):
    """dx_ij = dy_ij where x_ij > 0, else dy_ij slope_j"""
    dx[...] = np.where(x > 0, dy, dy * slope)


@op("dy x -> dslope", owned="dslope", flops=elements("dy", 2))
def prelu_backward_parameters(dy, x, dslope, *, step, accumulate=False):
    """dslope_j = sum_i dy_ij min(x_ij, 0)"""
    total = (dy * np.minimum(x, 0)).sum(axis=0, dtype=np.float64)
    if accumulate or not step.first_block:
        total += dslope
    dslope[...] = total
