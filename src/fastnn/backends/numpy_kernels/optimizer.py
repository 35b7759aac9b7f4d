"""Optimizer steps, in place (``csrc/optimizer.inc``)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...program import OPS, op
from .base import elements, product

SCALARS = "rate_factor beta1 beta2 epsilon decay"


def optimizer(operands: str, n_flops: int) -> Callable:
    """Register a function of (dw, w, *states, rates) as an optimizer's op.

    It also serves inside dense_backward_update.
    """

    def register(rule: Callable) -> Callable:
        def kernel(dw, w, *states, correct, step, **scalars):
            rule(dw, w, *states, Rates(w.dtype.type, correct, step, **scalars))

        kernel.__name__, kernel.__doc__ = rule.__name__, rule.__doc__
        return op(operands, dims="correct", scalars=SCALARS, owned=operands.replace("->", ""), in_place=True,
                  flops=elements("w", n_flops), optimizer=True)(kernel)

    return register


class Rates:
    """The numbers of one step, in the parameters' type (``FNN(rates)`` in ``csrc/optimizer.inc``)."""

    def __init__(self, real, correct, step, *, rate_factor, beta1, beta2, epsilon, decay):
        rate = step.rate * rate_factor
        self.rate, self.beta1, self.beta2 = real(rate), real(beta1), real(beta2)
        self.epsilon, self.decay = real(epsilon), real(decay)
        self.one_minus_beta1, self.one_minus_beta2 = real(1 - beta1), real(1 - beta2)
        self.corrected_rate = real(rate / (1 - beta1 ** step.update) if correct else rate)
        self.root_correction = real(1 / np.sqrt(1 - beta2 ** step.update) if correct else 1)


@op("x dy -> w w_state1? w_state2? w_state3? b? b_state1? b_state2? b_state3?", dims="optimizer correct",
    scalars=SCALARS, owned="w w_state1 w_state2 w_state3 b b_state1 b_state2 b_state3",
    flops=product("x", "w", "x"), in_place=True)
def dense_backward_update(x, dy, w, w_state1, w_state2, w_state3, b, b_state1, b_state2, b_state3, *,
                          optimizer, correct, step, **scalars):
    """w takes the optimizer's step along x^T dy, b along the column sums of dy"""
    db = dy.sum(axis=0, dtype=np.float64).astype(dy.dtype)
    for gradient, parameter, *states in ((x.T @ dy, w, w_state1, w_state2, w_state3),
                                         (db, b, b_state1, b_state2, b_state3)):
        if parameter is not None:
            OPS[optimizer].kernel(gradient, parameter, *(s for s in states if s is not None), correct=correct,
                                  step=step, **scalars)


@optimizer("dw -> w", 2)
def sgd(dw, w, r):
    """w -= rate dw"""
    w -= r.rate * dw


@optimizer("dw -> w velocity", 4)
def momentum(dw, w, velocity, r):
    """velocity = beta1 velocity - rate dw; w += velocity"""
    velocity *= r.beta1
    velocity -= r.rate * dw
    w += velocity


@optimizer("dw -> w velocity", 6)
def nesterov(dw, w, velocity, r):
    """velocity = beta1 velocity - rate dw; w += beta1 velocity - rate dw"""
    velocity *= r.beta1
    velocity -= r.rate * dw
    w += r.beta1 * velocity - r.rate * dw


@optimizer("dw -> w mean square", 12)
def adam(dw, w, mean, square, r):
    """mean and square are running averages of dw and dw^2; w -= rate mean' / (sqrt(square') + epsilon), where
    ' divides by 1 - beta^t"""
    mean *= r.beta1
    mean += r.one_minus_beta1 * dw
    square *= r.beta2
    square += r.one_minus_beta2 * dw * dw
    w -= r.corrected_rate * mean / (np.sqrt(square) * r.root_correction + r.epsilon)
