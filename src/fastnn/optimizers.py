"""Optimizers: each is one op, applied to every parameter array after the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import checks
from .clipping import Clipping
from .program import Builder, Segment


class Optimizer:
    """A rule that moves parameters along their gradients: what `SGD`, `Adam` and the others are.

    Parameters
    ----------
    learning_rate : float or callable
        The rate, or a function from the number of updates done to the rate.
    **clipping : float
        One of `clipnorm`, `clipvalue` and `global_clipnorm`: see `fastnn.Clipping`.

    Attributes
    ----------
    learning_rate : float or callable
        It may be set at any time; the next chunk of steps uses it.

    Examples
    --------
    A rate that falls with the updates:

    >>> import fastnn as fnn
    >>> optimizer = fnn.SGD(lambda update: 0.1 / (1 + update))
    >>> optimizer.rates(0, 4).round(3).tolist()
    [0.1, 0.05, 0.033, 0.025]
    """

    def __init__(self, learning_rate: float | Callable[[int], float] = 0.01,
                 **clipping: float | None) -> None:
        self.clipping = Clipping(**clipping)
        self.learning_rate = learning_rate if callable(learning_rate) else \
            checks.positive_float("learning_rate", learning_rate)

    @property
    def op(self) -> str:
        """The op that updates one parameter array."""
        raise NotImplementedError

    @property
    def n_states(self) -> int:
        """How many arrays of a parameter's shape are kept for it."""
        return 0

    def rates(self, first: int, n: int) -> np.ndarray:
        """The learning rates of the `n` updates from the one that has `first` before it; float64 (n,)."""
        if callable(self.learning_rate):
            return np.array([self.learning_rate(first + i) for i in range(n)], np.float64)
        return np.full(n, self.learning_rate, np.float64)

    def scalars(self) -> dict[str, float]:
        """The op's settings; the learning rate comes with each step."""
        return {"correct": 0, "rate_factor": 1.0, "beta1": 0.0, "beta2": 0.0, "epsilon": 0.0, "decay": 0.0}

    def emit(self, builder: Builder, segment: Segment) -> None:
        """Emit the update of one parameter array."""
        states = [builder.state(segment, i) for i in range(self.n_states)]
        settings: dict[str, Any] = {**self.scalars()}
        settings["rate_factor"] *= segment.rate_factor
        settings["decay"] *= segment.decay_factor
        builder.emit(self.op, builder.gradient(segment), builder.parameter(segment), *states, **settings)

    def get_config(self) -> dict[str, object]:
        """The constructor's arguments."""
        return {"learning_rate": self.learning_rate, **self.clipping.get_config()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class SGD(Optimizer):
    """Stochastic gradient descent: w -= rate dw; with momentum the two rules below.

    Parameters
    ----------
    learning_rate : float or callable
        The rate, or a function from the number of updates done to the rate.
    momentum : float
        0 <= momentum < 1; v = momentum v - rate dw, w += v.
    nesterov : bool
        Look ahead: w += momentum v - rate dw, with the new v.
    **clipping : float
        See `fastnn.Clipping`.

    Raises
    ------
    ValueError
        If a value is out of range, or `nesterov` is set without momentum.

    Notes
    -----
    The rate stands inside the velocity, as in Keras and CS231n; PyTorch's stands outside, which is the same
    as long as the rate does not change.

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

    def __init__(self, learning_rate: float | Callable[[int], float] = 0.01, momentum: float = 0.0,
                 nesterov: bool = False, **clipping: float | None) -> None:
        super().__init__(learning_rate, **clipping)
        self.momentum = checks.fraction("momentum", momentum)
        self.nesterov = checks.boolean("nesterov", nesterov)
        if nesterov and not momentum:
            raise ValueError("nesterov: expected a momentum above 0 with it, got momentum=0; "
                             "try momentum=0.9")

    @property
    def op(self) -> str:
        return "nesterov" if self.nesterov else "momentum" if self.momentum else "sgd"

    @property
    def n_states(self) -> int:
        return 1 if self.momentum else 0

    def scalars(self) -> dict[str, float]:
        return {**super().scalars(), "beta1": self.momentum}

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class Momentum(SGD):
    """SGD with momentum: v = momentum v - rate dw, w += v (Polyak 1964).

    Parameters
    ----------
    learning_rate, momentum, nesterov, **clipping
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

    def __init__(self, learning_rate: float | Callable[[int], float] = 0.01, momentum: float = 0.9,
                 nesterov: bool = False, **clipping: float | None) -> None:
        super().__init__(learning_rate, momentum, nesterov, **clipping)


class Nesterov(SGD):
    """SGD with Nesterov's momentum: v = momentum v - rate dw, w += momentum v - rate dw with the new v.

    Parameters
    ----------
    learning_rate, momentum, nesterov, **clipping
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

    def __init__(self, learning_rate: float | Callable[[int], float] = 0.01, momentum: float = 0.9,
                 nesterov: bool = True, **clipping: float | None) -> None:
        super().__init__(learning_rate, momentum, nesterov, **clipping)


class Adam(Optimizer):
    """Adam: steps of about the rate, each parameter's scaled by running averages (Kingma and Ba 2015).

    m = beta_1 m + (1 - beta_1) dw; v = beta_2 v + (1 - beta_2) dw^2;
    w -= rate (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon), at the t-th update.

    Parameters
    ----------
    learning_rate : float or callable
        The rate, or a function from the number of updates done to the rate.
    beta_1, beta_2 : float
        How slowly the two running averages move, 0 <= beta < 1.
    epsilon : float
        1e-8 as in the paper and PyTorch (Keras: 1e-7), added to the root after the bias correction.
    **clipping : float
        See `fastnn.Clipping`.

    Examples
    --------
    Whatever the size of the gradient, the first step has the length of the rate:

    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_initializer="zeros")
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(fnn.Adam(learning_rate=0.1), loss="squared_error")
    >>> history = model.fit([[1.0]], [2000.0], verbose=0)
    >>> round(line.weight.item(), 6)
    0.1
    """

    op = "adam"
    n_states = 2

    def __init__(self, learning_rate: float | Callable[[int], float] = 1e-3, beta_1: float = 0.9,
                 beta_2: float = 0.999, epsilon: float = 1e-8, **clipping: float | None) -> None:
        super().__init__(learning_rate, **clipping)
        self.beta_1, self.beta_2 = checks.fraction("beta_1", beta_1), checks.fraction("beta_2", beta_2)
        self.epsilon = checks.positive_float("epsilon", epsilon)

    def scalars(self) -> dict[str, float]:
        return {**super().scalars(), "correct": 1, "beta1": self.beta_1, "beta2": self.beta_2,
                "epsilon": self.epsilon}

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2,
                "epsilon": self.epsilon}


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD, "momentum": Momentum, "nesterov": Nesterov, "adam": Adam,
}


def get(optimizer: str | Optimizer) -> Optimizer:
    """An optimizer from its name, with its default settings, or the optimizer itself.

    Examples
    --------
    >>> get("sgd")
    SGD(learning_rate=0.01, momentum=0.0, nesterov=False)
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(f"optimizer: expected a name or a fastnn Optimizer, got {type(optimizer).__name__}")
    return checks.lookup("optimizer", optimizer, OPTIMIZERS)()
