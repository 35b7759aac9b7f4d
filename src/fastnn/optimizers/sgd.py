"""Gradient descent, plain and with momentum."""

from __future__ import annotations

from typing import Any

from .. import checks
from .base import Optimizer, Rate


class SGD(Optimizer):
    """Stochastic gradient descent: w -= rate dw; with momentum the two rules below.

    Parameters
    ----------
    learning_rate : float, Schedule or callable
        The rate, or a function from the number of updates done to the rate.
    momentum : float
        0 <= momentum < 1; v = momentum v - rate dw, w += v.
    nesterov : bool
        Look ahead: w += momentum v - rate dw, with the new v.
    dampening : float
        v = momentum v - (1 - dampening) rate dw. With dampening = momentum, v is a running average, as in
        deeplearning.ai's notes.
    rate_outside : bool
        v = momentum v - dw, w += rate v, as in PyTorch: the same until the rate changes.
    whole_first : bool
        No dampening in the first step, as in PyTorch.
    **common
        `rate_factors`, `weight_decay` and clipping, as for `Optimizer`.

    Raises
    ------
    ValueError
        If a value is out of range, or `nesterov` is set without momentum.

    Notes
    -----
    The rate stands inside the velocity, as in Keras and CS231n: a step once taken into the velocity keeps the
    rate of its time. PyTorch's is
    ``SGD(rate, momentum, nesterov, dampening, rate_outside=True, whole_first=True)``.

    Examples
    --------
    One step down 1/2 (w x - t)^2 from w = 0, with x = 1 and t = 2:

    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_initializer="zeros")
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(fnn.SGD(learning_rate=0.1), loss="squared_error")
    >>> model.train_on_batch([[1.0]], [2.0])
    {'loss': 2.0}
    >>> line.weight
    array([[0.2]])
    """

    def __init__(self, learning_rate: Rate = 0.01, momentum: float = 0.0, nesterov: bool = False,
                 dampening: float = 0.0, rate_outside: bool = False, whole_first: bool = False,
                 **common: Any) -> None:
        super().__init__(learning_rate, **common)
        self.dampening = checks.fraction("dampening", dampening)
        self.rate_outside = checks.boolean("rate_outside", rate_outside)
        self.whole_first = checks.boolean("whole_first", whole_first)
        self.momentum = checks.fraction("momentum", momentum)
        self.nesterov = checks.boolean("nesterov", nesterov)
        if nesterov and not momentum:
            raise ValueError("nesterov: expected a momentum above 0 with it, got momentum=0; "
                             "try momentum=0.9")

    @property
    def op(self) -> str:
        return "nesterov" if self.nesterov else "momentum" if self.momentum else "sgd"

    @property
    def initial_states(self) -> tuple[float, ...]:
        return (0.0,) if self.momentum else ()

    def scalars(self) -> dict[str, Any]:
        return {**super().scalars(), "beta1": self.momentum, "beta2": self.dampening,
                "rate_outside": int(self.rate_outside), "whole_first": int(self.whole_first)}

    def get_config(self) -> dict[str, object]:
        rare = {name: getattr(self, name) for name in ("dampening", "rate_outside", "whole_first")}
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov,
                **{name: value for name, value in rare.items() if value}}


class Momentum(SGD):
    """SGD with momentum: v = momentum v - rate dw, w += v (Polyak 1964).

    Parameters
    ----------
    learning_rate, momentum, nesterov, **common
        As for `SGD`.

    Examples
    --------
    Two steps down 1/2 (w - 2)^2 from w = 0: v is 0.2, then 0.9 * 0.2 + 0.1 * 1.8 = 0.36.

    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_initializer="zeros")
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(fnn.Momentum(learning_rate=0.1), loss="squared_error")
    >>> history = model.fit([[1.0]], [2.0], epochs=2, verbose=0)
    >>> round(line.weight.item(), 6)
    0.56
    """

    def __init__(self, learning_rate: Rate = 0.01, momentum: float = 0.9, nesterov: bool = False,
                 **common: Any) -> None:
        super().__init__(learning_rate, momentum, nesterov, **common)


class Nesterov(SGD):
    """SGD with Nesterov's momentum: v = momentum v - rate dw, w += momentum v - rate dw with the new v.

    Parameters
    ----------
    learning_rate, momentum, nesterov, **common
        As for `SGD`.

    Notes
    -----
    The form of Sutskever et al. (2013): w is where the gradient is taken, already a velocity ahead.

    Examples
    --------
    One step down 1/2 (w - 2)^2 from w = 0: v is 0.2, w is 0.9 * 0.2 + 0.2.

    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_initializer="zeros")
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(fnn.Nesterov(learning_rate=0.1), loss="squared_error")
    >>> history = model.fit([[1.0]], [2.0], verbose=0)
    >>> round(line.weight.item(), 6)
    0.38
    """

    def __init__(self, learning_rate: Rate = 0.01, momentum: float = 0.9, nesterov: bool = True,
                 **common: Any) -> None:
        super().__init__(learning_rate, momentum, nesterov, **common)
