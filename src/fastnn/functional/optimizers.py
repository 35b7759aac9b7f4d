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
    """velocity = beta velocity - rate dw; w += velocity, in place.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> velocity = np.array([0.5, 0.0])
    >>> momentum([1.0, 2.0], w, velocity, rate=0.1)
    >>> w, velocity
    (array([1.35, 0.8 ]), array([ 0.35, -0.2 ]))
    """
    _momentum((dw, w, velocity), None, (1.0, beta), rate)


def nesterov(dw: Any, w: np.ndarray, velocity: np.ndarray, rate: float, beta: float = 0.9) -> None:
    """velocity = beta velocity - rate dw; w += beta velocity - rate dw, in place.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> velocity = np.array([0.5, 0.0])
    >>> nesterov([1.0, 2.0], w, velocity, rate=0.1)
    >>> w.round(3), velocity.round(3)
    (array([1.215, 0.62 ]), array([ 0.35, -0.2 ]))
    """
    _nesterov((dw, w, velocity), None, (1.0, beta), rate)


def adam(dw: Any, w: np.ndarray, mean: np.ndarray, square: np.ndarray, rate: float, update: int,
         beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
    """Adam's `update`-th step (from 1), in place; see `fastnn.Adam`.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> mean, square = np.zeros((2, 2))
    >>> adam([1.0, 2.0], w, mean, square, rate=0.1, update=1)
    >>> w.round(6)  # the first step is as long as the rate
    array([0.9, 0.9])
    """
    _adam((dw, w, mean, square), None, (1.0, beta_1, beta_2, epsilon), rate, update)


def amsgrad(dw: Any, w: Array, mean: Array, square: Array, largest: Array, rate: float, update: int,
            beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
    """AMSGrad's `update`-th step, in place; see `fastnn.AMSGrad`.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> mean, square, largest = np.zeros((3, 2))
    >>> amsgrad([1.0, 2.0], w, mean, square, largest, rate=0.1, update=1)
    >>> w.round(6)
    array([0.9, 0.9])
    """
    _amsgrad((dw, w, mean, square, largest), None, (1.0, beta_1, beta_2, epsilon), rate, update)


def nadam(dw: Any, w: Array, mean: Array, square: Array, rate: float, update: int, beta_1: float = 0.9,
          beta_2: float = 0.999, epsilon: float = 1e-8, momentum_decay: float = 4e-3) -> None:
    """NAdam's `update`-th step, in place; see `fastnn.NAdam`.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> mean, square = np.zeros((2, 2))
    >>> nadam([1.0, 2.0], w, mean, square, rate=0.1, update=1)
    >>> w.round(3)
    array([0.894, 0.894])
    """
    settings = 1.0, beta_1, beta_2, epsilon, 0.0, 0.0, momentum_decay
    _nadam((dw, w, mean, square), None, settings, rate, update)


def adamw(dw: Any, w: Array, mean: Array, square: Array, rate: float, update: int, beta_1: float = 0.9,
          beta_2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.01) -> None:
    """AdamW's `update`-th step, in place: w *= 1 - rate weight_decay, then Adam's; see `fastnn.AdamW`.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> mean, square = np.zeros((2, 2))
    >>> adamw([1.0, 2.0], w, mean, square, rate=0.1, update=1, weight_decay=0.5)
    >>> w.round(6)
    array([0.85, 0.85])
    """
    _adam((dw, w, mean, square), None, (1.0, beta_1, beta_2, epsilon, 0.0, weight_decay), rate, update)


def lion(dw: Any, w: Array, mean: Array, rate: float, beta_1: float = 0.9, beta_2: float = 0.99,
         weight_decay: float = 0.0) -> None:
    """A step of `fastnn.Lion`, in place.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> mean = np.zeros(2)
    >>> lion([1.0, -2.0], w, mean, rate=0.1)
    >>> w.round(6), mean.round(6)
    (array([0.9, 1.1]), array([ 0.01, -0.02]))
    """
    _lion((dw, w, mean), None, (1.0, beta_1, beta_2, 0.0, 0.0, weight_decay), rate)


def adagrad(dw: Any, w: Array, square_sum: Array, rate: float, epsilon: float = 1e-10) -> None:
    """A step of `fastnn.AdaGrad`, in place.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> square_sum = np.zeros(2)
    >>> adagrad([1.0, 2.0], w, square_sum, rate=0.1)
    >>> w.round(6), square_sum
    (array([0.9, 0.9]), array([1., 4.]))
    """
    _adagrad((dw, w, square_sum), None, (1.0, 0.0, 0.0, epsilon), rate)


def rmsprop(dw: Any, w: Array, square: Array, rate: float, rho: float = 0.9, epsilon: float = 1e-8) -> None:
    """A step of `fastnn.RMSprop`, in place.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> square = np.zeros(2)
    >>> rmsprop([1.0, 2.0], w, square, rate=0.1)
    >>> w.round(3), square.round(3)
    (array([0.684, 0.684]), array([0.1, 0.4]))
    """
    _rmsprop((dw, w, square), None, (1.0, 0.0, rho, epsilon), rate)


def rmsprop_momentum(dw: Any, w: Array, square: Array, velocity: Array, rate: float, rho: float = 0.9,
                     beta: float = 0.9, epsilon: float = 1e-8) -> None:
    """A step of `fastnn.RMSprop` with momentum, in place.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> square, velocity = np.zeros((2, 2))
    >>> rmsprop_momentum([1.0, 2.0], w, square, velocity, rate=0.1)
    >>> w.round(3), velocity.round(3)
    (array([0.684, 0.684]), array([-0.316, -0.316]))
    """
    _rmsprop_momentum((dw, w, square, velocity), None, (1.0, beta, rho, epsilon), rate)


def rmsprop_centered(dw: Any, w: Array, square: Array, mean: Array, rate: float, rho: float = 0.9,
                     epsilon: float = 1e-8) -> None:
    """A step of `fastnn.RMSprop`, centered, in place.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> square, mean = np.zeros((2, 2))
    >>> rmsprop_centered([1.0, 2.0], w, square, mean, rate=0.1)
    >>> w.round(3), mean.round(3)
    (array([0.667, 0.667]), array([0.1, 0.2]))
    """
    _rmsprop_centered((dw, w, square, mean), None, (1.0, 0.0, rho, epsilon), rate)


def rmsprop_centered_momentum(dw: Any, w: Array, square: Array, mean: Array, velocity: Array, rate: float,
                              rho: float = 0.9, beta: float = 0.9, epsilon: float = 1e-8) -> None:
    """A step of `fastnn.RMSprop`, centered and with momentum, in place.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> square, mean, velocity = np.zeros((3, 2))
    >>> rmsprop_centered_momentum([1.0, 2.0], w, square, mean, velocity, rate=0.1)
    >>> w.round(3)
    array([0.667, 0.667])
    """
    _rmsprop_centered_momentum((dw, w, square, mean, velocity), None, (1.0, beta, rho, epsilon), rate)


def adadelta(dw: Any, w: Array, square: Array, square_step: Array, rate: float = 1.0, rho: float = 0.9,
             epsilon: float = 1e-6) -> None:
    """A step of `fastnn.AdaDelta`, in place.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> square, square_step = np.zeros((2, 2))
    >>> adadelta([1.0, 2.0], w, square, square_step)
    >>> w.round(4)
    array([0.9968, 0.9968])
    """
    _adadelta((dw, w, square, square_step), None, (1.0, 0.0, rho, epsilon), rate)
