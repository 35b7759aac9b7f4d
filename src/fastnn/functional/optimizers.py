"""Steps of the optimizers on arrays, in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array, op

_sgd = op("sgd", "dw:* => w:*")
_momentum = op("momentum", "dw:* => w:* velocity:*")
_nesterov = op("nesterov", "dw:* => w:* velocity:*")
_adam = op("adam", "dw:* => w:* mean:* square:*", correct=1)
_adagrad = op("adagrad", "dw:* => w:* square_sum:*")
_rmsprop = op("rmsprop", "dw:* => w:* square:*")
_rmsprop_momentum = op("rmsprop_momentum", "dw:* => w:* square:* velocity:*")
_rmsprop_centered = op("rmsprop_centered", "dw:* => w:* square:* mean:*")
_rmsprop_centered_momentum = op("rmsprop_centered_momentum", "dw:* => w:* square:* mean:* velocity:*")
_adadelta = op("adadelta", "dw:* => w:* square:* square_step:*")
_amsgrad = op("amsgrad", "dw:* => w:* mean:* square:* largest:*", correct=1)
_nadam = op("nadam", "dw:* => w:* mean:* square:*", correct=1)
_lion = op("lion", "dw:* => w:* mean:*")


def sgd(dw: Any, w: np.ndarray, rate: float) -> None:
    """w -= rate dw, in place.

    Examples
    --------
    >>> w = np.ones(2)
    >>> sgd([1.0, 2.0], w, rate=0.5)
    >>> w
    array([0.5, 0. ])
    """
    _sgd((dw, w), None, (1.0,), rate)


def momentum(dw: Any, w: np.ndarray, velocity: np.ndarray, rate: float, beta: float = 0.9) -> None:
    """velocity = beta velocity - rate dw; w += velocity, in place."""
    _momentum((dw, w, velocity), None, (1.0, beta), rate)


def nesterov(dw: Any, w: np.ndarray, velocity: np.ndarray, rate: float, beta: float = 0.9) -> None:
    """velocity = beta velocity - rate dw; w += beta velocity - rate dw, in place."""
    _nesterov((dw, w, velocity), None, (1.0, beta), rate)


def adam(dw: Any, w: np.ndarray, mean: np.ndarray, square: np.ndarray, rate: float, update: int,
         beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
    """Adam's `update`-th step (from 1), in place; see `fastnn.Adam`."""
    _adam((dw, w, mean, square), None, (1.0, beta_1, beta_2, epsilon), rate, update)


def amsgrad(dw: Any, w: Array, mean: Array, square: Array, largest: Array, rate: float, update: int,
            beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
    """AMSGrad's `update`-th step, in place; see `fastnn.AMSGrad`."""
    _amsgrad((dw, w, mean, square, largest), None, (1.0, beta_1, beta_2, epsilon), rate, update)


def nadam(dw: Any, w: Array, mean: Array, square: Array, rate: float, update: int, beta_1: float = 0.9,
          beta_2: float = 0.999, epsilon: float = 1e-8, momentum_decay: float = 4e-3) -> None:
    """NAdam's `update`-th step, in place; see `fastnn.NAdam`."""
    settings = 1.0, beta_1, beta_2, epsilon, 0.0, 0.0, momentum_decay
    _nadam((dw, w, mean, square), None, settings, rate, update)


def adamw(dw: Any, w: Array, mean: Array, square: Array, rate: float, update: int, beta_1: float = 0.9,
          beta_2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.01) -> None:
    """AdamW's `update`-th step, in place: w *= 1 - rate weight_decay, then Adam's; see `fastnn.AdamW`."""
    _adam((dw, w, mean, square), None, (1.0, beta_1, beta_2, epsilon, 0.0, weight_decay), rate, update)


def lion(dw: Any, w: Array, mean: Array, rate: float, beta_1: float = 0.9, beta_2: float = 0.99,
         weight_decay: float = 0.0) -> None:
    """A step of `fastnn.Lion`, in place."""
    _lion((dw, w, mean), None, (1.0, beta_1, beta_2, 0.0, 0.0, weight_decay), rate)


def adagrad(dw: Any, w: Array, square_sum: Array, rate: float, epsilon: float = 1e-10) -> None:
    """A step of `fastnn.AdaGrad`, in place."""
    _adagrad((dw, w, square_sum), None, (1.0, 0.0, 0.0, epsilon), rate)


def rmsprop(dw: Any, w: Array, square: Array, rate: float, rho: float = 0.9, epsilon: float = 1e-8) -> None:
    """A step of `fastnn.RMSprop`, in place."""
    _rmsprop((dw, w, square), None, (1.0, 0.0, rho, epsilon), rate)


def rmsprop_momentum(dw: Any, w: Array, square: Array, velocity: Array, rate: float, rho: float = 0.9,
                     beta: float = 0.9, epsilon: float = 1e-8) -> None:
    """A step of `fastnn.RMSprop` with momentum, in place."""
    _rmsprop_momentum((dw, w, square, velocity), None, (1.0, beta, rho, epsilon), rate)


def rmsprop_centered(dw: Any, w: Array, square: Array, mean: Array, rate: float, rho: float = 0.9,
                     epsilon: float = 1e-8) -> None:
    """A step of `fastnn.RMSprop`, centered, in place."""
    _rmsprop_centered((dw, w, square, mean), None, (1.0, 0.0, rho, epsilon), rate)


def rmsprop_centered_momentum(dw: Any, w: Array, square: Array, mean: Array, velocity: Array, rate: float,
                              rho: float = 0.9, beta: float = 0.9, epsilon: float = 1e-8) -> None:
    """A step of `fastnn.RMSprop`, centered and with momentum, in place."""
    _rmsprop_centered_momentum((dw, w, square, mean, velocity), None, (1.0, beta, rho, epsilon), rate)


def adadelta(dw: Any, w: Array, square: Array, square_step: Array, rate: float = 1.0, rho: float = 0.9,
             epsilon: float = 1e-6) -> None:
    """A step of `fastnn.AdaDelta`, in place."""
    _adadelta((dw, w, square, square_step), None, (1.0, 0.0, rho, epsilon), rate)
