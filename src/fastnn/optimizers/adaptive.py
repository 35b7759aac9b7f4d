"""Optimizers that scale each parameter's step by the gradients it has seen: AdaGrad, RMSprop, AdaDelta."""

from __future__ import annotations

from typing import Any

from .. import checks
from .base import Optimizer, Rate, epsilons


class AdaGrad(Optimizer):
    """AdaGrad: the more a parameter has moved, the smaller its steps (Duchi, Hazan and Singer 2011).

    s += dw^2; w -= rate dw / (sqrt(s) + epsilon).

    Parameters
    ----------
    learning_rate : float, Schedule or callable
        The rate, or a function from the number of updates done to the rate.
    initial_accumulator : float
        What s begins with: 0 as in the paper and PyTorch, Keras has 0.1.
    epsilon : float
        1e-10 as in PyTorch; Keras has 1e-7.
    epsilon_inside : bool
        sqrt(s + epsilon) for the denominator, as in Keras.
    **common
        `rate_factors`, `weight_decay` and clipping, as for `Optimizer`.

    Examples
    --------
    The first step has the length of the rate, whatever the gradient; the next are shorter:

    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_initializer="zeros")
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(fnn.AdaGrad(learning_rate=0.1), loss="squared_error")
    >>> history = model.fit([[1.0]], [2000.0], verbose=0)
    >>> round(line.weight.item(), 6)
    0.1
    """

    op = "adagrad"

    def __init__(self, learning_rate: Rate = 0.01, initial_accumulator: float = 0.0, epsilon: float = 1e-10,
                 epsilon_inside: bool = False, **common: Any) -> None:
        super().__init__(learning_rate, **common)
        self.initial_accumulator = checks.positive_float("initial_accumulator", initial_accumulator,
                                                         allow_zero=True)
        self.epsilon = checks.positive_float("epsilon", epsilon)
        self.epsilon_inside = checks.boolean("epsilon_inside", epsilon_inside)

    @property
    def initial_states(self) -> tuple[float, ...]:
        return (self.initial_accumulator,)

    def scalars(self) -> dict[str, Any]:
        return {**super().scalars(), **epsilons(self.epsilon, self.epsilon_inside)}

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "initial_accumulator": self.initial_accumulator,
                "epsilon": self.epsilon, "epsilon_inside": self.epsilon_inside}


class RMSprop(Optimizer):
    """RMSprop: steps scaled by the root mean square of recent gradients (Hinton 2012, lecture 6e).

    s = rho s + (1 - rho) dw^2; d = dw / (sqrt(s) + epsilon); w -= rate d.
    Centered, the running variance stands for s (Graves 2013): m = rho m + (1 - rho) dw, s - m^2.
    With momentum, v = momentum v - rate d; w += v.

    Parameters
    ----------
    learning_rate : float, Schedule or callable
        The rate, or a function from the number of updates done to the rate.
    rho : float
        How slowly the averages move, 0 <= rho < 1: 0.9 in the lecture, CS231n and Keras, 0.99 in PyTorch.
    momentum : float
        0 <= momentum < 1.
    centered : bool
        Subtract the squared mean of the gradient.
    epsilon : float
        1e-8 as in PyTorch; Keras has 1e-7.
    epsilon_inside : bool
        sqrt(s + epsilon) for the denominator, as in Keras and in Graves's paper.
    rate_outside : bool
        v = momentum v - d, w += rate v, as in PyTorch: the same until the rate changes.
    **common
        `rate_factors`, `weight_decay` and clipping, as for `Optimizer`.

    Notes
    -----
    ``RMSprop(rate, 0.99, momentum, centered, rate_outside=True)`` is PyTorch's.

    Examples
    --------
    The first step is the rate over sqrt(1 - rho):

    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_initializer="zeros")
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(fnn.RMSprop(learning_rate=0.1, rho=0.75), loss="squared_error")
    >>> history = model.fit([[1.0]], [2000.0], verbose=0)
    >>> round(line.weight.item(), 6)
    0.2
    """

    def __init__(self, learning_rate: Rate = 1e-3, rho: float = 0.9, momentum: float = 0.0,
                 centered: bool = False, epsilon: float = 1e-8, epsilon_inside: bool = False,
                 rate_outside: bool = False, **common: Any) -> None:
        super().__init__(learning_rate, **common)
        self.rho, self.momentum = checks.fraction("rho", rho), checks.fraction("momentum", momentum)
        self.centered = checks.boolean("centered", centered)
        self.epsilon = checks.positive_float("epsilon", epsilon)
        self.epsilon_inside = checks.boolean("epsilon_inside", epsilon_inside)
        self.rate_outside = checks.boolean("rate_outside", rate_outside)

    @property
    def op(self) -> str:
        return "rmsprop" + "_centered" * self.centered + "_momentum" * bool(self.momentum)

    @property
    def initial_states(self) -> tuple[float, ...]:
        return (0.0,) * (1 + self.centered + bool(self.momentum))

    def scalars(self) -> dict[str, Any]:
        return {**super().scalars(), "beta1": self.momentum, "beta2": self.rho,
                "rate_outside": int(self.rate_outside), **epsilons(self.epsilon, self.epsilon_inside)}

    def get_config(self) -> dict[str, object]:
        names = "rho", "momentum", "centered", "epsilon", "epsilon_inside", "rate_outside"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class AdaDelta(Optimizer):
    """AdaDelta: RMSprop whose rate is the root mean square of its own past steps (Zeiler 2012).

    s = rho s + (1 - rho) dw^2; d = dw sqrt(u + epsilon) / sqrt(s + epsilon);
    u = rho u + (1 - rho) d^2; w -= rate d.

    Parameters
    ----------
    learning_rate : float, Schedule or callable
        1 as in the paper and PyTorch; Keras has 0.001.
    rho : float
        How slowly the averages move: 0.9 as in PyTorch; 0.95 in the paper and Keras.
    epsilon : float
        1e-6 as in the paper and PyTorch; it sets the size of the first steps.
    **common
        `rate_factors`, `weight_decay` and clipping, as for `Optimizer`.

    Examples
    --------
    It starts slowly: the first step is sqrt(epsilon / (1 - rho)).

    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_initializer="zeros")
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(fnn.AdaDelta(rho=0.75, epsilon=1e-4), loss="squared_error")
    >>> history = model.fit([[1.0]], [2000.0], verbose=0)
    >>> round(line.weight.item(), 6)
    0.02
    """

    op = "adadelta"
    initial_states = (0.0, 0.0)

    def __init__(self, learning_rate: Rate = 1.0, rho: float = 0.9, epsilon: float = 1e-6,
                 **common: Any) -> None:
        super().__init__(learning_rate, **common)
        self.rho = checks.fraction("rho", rho)
        self.epsilon = checks.positive_float("epsilon", epsilon)

    def scalars(self) -> dict[str, Any]:
        return {**super().scalars(), "beta2": self.rho, "epsilon": self.epsilon}

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}
