"""Activations and softmax (``csrc/activation.inc``, ``csrc/softmax.inc``)."""

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
    """softmax of each row, and the log of the sum of exponentials"""
    top = x.max(axis=1, keepdims=True)
    e = np.exp(x - top)
    total = e.sum(axis=1, keepdims=True)
    return e / total, (np.log(total) + top)[:, 0]


@op("x -> y", by_row="x y", flops=elements("y", 4))
def softmax_forward(x, y, *, step):
    """y_ij = exp(x_ij) / sum_k exp(x_ik)"""
    y[...] = softmax(x)[0]


@op("dy y -> dx", by_row="dy y dx", flops=elements("y", 4))
def softmax_backward(dy, y, dx, *, step):
    """dx_ij = y_ij (dy_ij - sum_k dy_ik y_ik)"""
    dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))
