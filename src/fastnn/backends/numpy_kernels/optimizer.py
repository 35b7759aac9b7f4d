"""Optimizer steps, in place (``csrc/optimizer.inc``)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ...program import OPS, op
from .base import elements, product

DIMS = "correct rate_outside whole_first since"
SCALARS = "rate_factor beta1 beta2 epsilon epsilon_inside decay momentum_decay"
CORRECTION_BEFORE_EPSILON = 2


def optimizer(operands: str, n_flops: int) -> Callable:
    """Register a function of (dw, w, *states, rates) as an optimizer's op, behind decoupled weight decay.

    It also serves inside dense_backward_update.
    """

    def register(rule: Callable) -> Callable:
        def kernel(dw, w, *states, step, **settings):
            rates = Rates(w.dtype.type, rule.__name__, step, **settings)
            w *= rates.shrink
            rule(dw, w, *states, rates)

        kernel.__name__, kernel.__doc__ = rule.__name__, rule.__doc__
        op(operands, dims=DIMS, scalars=SCALARS, owned=operands.replace("->", ""), in_place=True,
           flops=elements("w", n_flops), optimizer=True)(kernel)
        return rule

    return register


class Rates:
    """The numbers of one step, in the parameters' type (``FNN(rates)`` in ``csrc/optimizer.inc``)."""

    def __init__(self, real, name, step, *, correct, rate_outside, whole_first, since, rate_factor, beta1, beta2,
                 epsilon, epsilon_inside, decay, momentum_decay):
        rate, update = step.rate * rate_factor, step.update - since
        beta1 = beta1 if step.momentum is None else step.momentum
        damps = name in ("momentum", "nesterov") and not (whole_first and update == 1)
        share = 1 - beta2 if damps else 1
        corrected_rate = rate / (1 - beta1 ** update) if correct else rate
        root_correction = 1 / np.sqrt(1 - beta2 ** update) if correct else 1
        if correct == CORRECTION_BEFORE_EPSILON:
            corrected_rate, root_correction = corrected_rate / root_correction, 1
        if name == "nadam":
            product = nadam_product(beta1, momentum_decay, update) if correct else 0
            now, ahead = (nadam_momentum(beta1, momentum_decay, t) for t in (update, update + 1))
            self.now_rate = real(rate * (1 - now) / (1 - product))
            self.ahead_rate = real(rate * ahead / (1 - product * ahead))
        self.rate, self.beta1, self.beta2 = real(rate), real(beta1), real(beta2)
        self.epsilon, self.epsilon_inside = real(epsilon), real(epsilon_inside)
        self.one_minus_beta1, self.one_minus_beta2 = real(1 - beta1), real(1 - beta2)
        self.gradient_rate = real(share if rate_outside else rate * share)
        self.velocity_rate = real(rate if rate_outside else 1)
        self.shrink = real(1 - rate * decay)
        self.corrected_rate, self.root_correction = real(corrected_rate), real(root_correction)


def nadam_momentum(beta, decay, update):
    """beta (1 - 1/2 0.96^(update decay))"""
    return beta * (1 - 0.5 * 0.96 ** (update * decay))


@lru_cache(8)
def nadam_product(beta, decay, update):
    """The product of NAdam's momenta of the updates 1 to `update`."""
    product = 1.0
    for i in range(1, update + 1):
        if product <= 1e-30:
            break
        product *= nadam_momentum(beta, decay, i)
    return product


@op("x dy -> w w_state1? w_state2? w_state3? b? b_state1? b_state2? b_state3?", dims=f"optimizer {DIMS}",
    scalars=SCALARS, owned="w w_state1 w_state2 w_state3 b b_state1 b_state2 b_state3",
    flops=product("x", "w", "x"), in_place=True)
def dense_backward_update(x, dy, w, w_state1, w_state2, w_state3, b, b_state1, b_state2, b_state3, *,
                          optimizer, step, **settings):
    """w takes the optimizer's step along x^T dy, b along the column sums of dy"""
    db = dy.sum(axis=0, dtype=np.float64).astype(dy.dtype)
    for gradient, parameter, *states in ((x.T @ dy, w, w_state1, w_state2, w_state3),
                                         (db, b, b_state1, b_state2, b_state3)):
        if parameter is not None:
            OPS[optimizer].kernel(gradient, parameter, *(s for s in states if s is not None), step=step,
                                  **settings)


@optimizer("dw -> w", 2)
def sgd(dw, w, r):
    """w -= rate dw"""
    w -= r.rate * dw


@optimizer("dw -> w velocity", 4)
def momentum(dw, w, velocity, r):
    """velocity = beta1 velocity - (1 - dampening) rate dw; w += velocity; or with the rate outside"""
    velocity *= r.beta1
    velocity -= r.gradient_rate * dw
    w += r.velocity_rate * velocity


@optimizer("dw -> w velocity", 6)
def nesterov(dw, w, velocity, r):
    """velocity as for momentum; w += beta1 velocity - rate dw"""
    velocity *= r.beta1
    velocity -= r.gradient_rate * dw
    w += r.velocity_rate * (r.beta1 * velocity) - r.rate * dw


@optimizer("dw -> w square_sum", 7)
def adagrad(dw, w, square_sum, r):
    """square_sum += dw^2; w -= rate dw / (sqrt(square_sum) + epsilon)"""
    square_sum += dw * dw
    w -= r.rate * dw / (np.sqrt(square_sum + r.epsilon_inside) + r.epsilon)


def average(mean, value, beta, one_minus_beta):
    """mean = beta mean + (1 - beta) value, in place"""
    mean *= beta
    mean += one_minus_beta * value


def rmsprop_direction(dw, square, mean, r):
    """dw / (sqrt(square) + epsilon), with the variance in the place of square where there is a mean"""
    average(square, dw * dw, r.beta2, r.one_minus_beta2)
    spread = square
    if mean is not None:
        average(mean, dw, r.beta2, r.one_minus_beta2)
        spread = np.maximum(square - mean * mean, 0)
    return dw / (np.sqrt(spread + r.epsilon_inside) + r.epsilon)


@optimizer("dw -> w square", 10)
def rmsprop(dw, w, square, r):
    """square is a running average of dw^2; w -= rate dw / (sqrt(square) + epsilon)"""
    w -= r.rate * rmsprop_direction(dw, square, None, r)


@optimizer("dw -> w square velocity", 12)
def rmsprop_momentum(dw, w, square, velocity, r):
    """RMSprop's direction in the place of momentum's dw"""
    momentum(rmsprop_direction(dw, square, None, r), w, velocity, r)


@optimizer("dw -> w square mean", 15)
def rmsprop_centered(dw, w, square, mean, r):
    """RMSprop with the running variance of dw in the place of square"""
    w -= r.rate * rmsprop_direction(dw, square, mean, r)


@optimizer("dw -> w square mean velocity", 17)
def rmsprop_centered_momentum(dw, w, square, mean, velocity, r):
    """RMSprop with the running variance, and momentum"""
    momentum(rmsprop_direction(dw, square, mean, r), w, velocity, r)


@optimizer("dw -> w square square_step", 14)
def adadelta(dw, w, square, square_step, r):
    """step = dw sqrt((square_step + epsilon) / (square + epsilon)), both running averages; w -= rate step"""
    average(square, dw * dw, r.beta2, r.one_minus_beta2)
    step = dw * np.sqrt((square_step + r.epsilon) / (square + r.epsilon))
    average(square_step, step * step, r.beta2, r.one_minus_beta2)
    w -= r.rate * step


@optimizer("dw -> w mean square", 12)
def adam(dw, w, mean, square, r):
    """mean and square are running averages of dw and dw^2; w -= rate mean' / (sqrt(square') + epsilon), where
    ' divides by 1 - beta^t"""
    adam_averages(dw, mean, square, r)
    w -= r.corrected_rate * mean / (np.sqrt(square) * r.root_correction + r.epsilon)


def adam_averages(dw, mean, square, r):
    """mean = beta1 mean + (1 - beta1) dw; square = beta2 square + (1 - beta2) dw^2, in place"""
    average(mean, dw, r.beta1, r.one_minus_beta1)
    average(square, dw * dw, r.beta2, r.one_minus_beta2)


@optimizer("dw -> w mean square largest", 13)
def amsgrad(dw, w, mean, square, largest, r):
    """Adam with the largest square so far"""
    adam_averages(dw, mean, square, r)
    np.maximum(square, largest, out=largest)
    w -= r.corrected_rate * mean / (np.sqrt(largest) * r.root_correction + r.epsilon)


@optimizer("dw -> w mean square", 14)
def nadam(dw, w, mean, square, r):
    """Adam with Nesterov's momentum: the next step's share of mean and this step's of dw"""
    adam_averages(dw, mean, square, r)
    w -= (r.ahead_rate * mean + r.now_rate * dw) / (np.sqrt(square) * r.root_correction + r.epsilon)


@optimizer("dw -> w mean", 8)
def lion(dw, w, mean, r):
    """w -= rate sign(beta1 mean + (1 - beta1) dw); mean = beta2 mean + (1 - beta2) dw"""
    w -= r.rate * np.sign(r.beta1 * mean + r.one_minus_beta1 * dw)
    average(mean, dw, r.beta2, r.one_minus_beta2)
