"""Running averages, of numbers and of weights: smoother than what they follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import checks
from .callback_base import Callback, Logs, require_like


class ExponentialAverage:
    """v_t = beta v_(t-1) + (1 - beta) x_t, from v_0 = 0: about the mean of the last 1 / (1 - beta) values.

    With bias correction `value` is v_t / (1 - beta^t), so that the zero at the start does not count
    (deeplearning.ai, course 2; Kingma and Ba 2015).

    Parameters
    ----------
    beta : float
        0 <= beta < 1; larger is smoother and slower.
    bias_correction : bool
        Divide by 1 - beta^t.

    Attributes
    ----------
    value : float or numpy.ndarray
        The average so far; None before the first `update`.
    count : int
        Values so far.

    Examples
    --------
    >>> plain, corrected = ExponentialAverage(0.9, bias_correction=False), ExponentialAverage(0.9)
    >>> [(round(plain.update(x), 3), round(corrected.update(x), 3)) for x in (10.0, 10.0)]
    [(1.0, 10.0), (1.9, 10.0)]
    """

    def __init__(self, beta: float = 0.9, bias_correction: bool = True) -> None:
        self.beta = checks.fraction("beta", beta)
        self.bias_correction = checks.boolean("bias_correction", bias_correction)
        self.count = 0
        self._sum: Any = 0.0

    def update(self, value: Any) -> Any:
        """Take one more value, a number or an array, and return the average."""
        value = np.asarray(value, np.float64) if np.ndim(value) else float(value)
        self._sum = self.beta * self._sum + (1 - self.beta) * value
        self.count += 1
        return self.value

    @property
    def value(self) -> Any:
        if not self.count:
            return None
        return self._sum / (1 - self.beta ** self.count) if self.bias_correction else self._sum


class _WeightAverage(Callback):
    """A callback that gathers an average of the parameters, and gives it to the model in the end."""

    state_names = ("average", "count")

    def __init__(self, at_end: bool) -> None:
        self.at_end = checks.boolean("at_end", at_end)
        self.average: dict[str, np.ndarray] = {}
        self.count = 0

    def on_train_begin(self, logs: Logs) -> None:
        self.average, self.count = {}, 0

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        if checks.positive_int("count", state["count"], minimum=0):
            require_like("average", state["average"], self.model.named_parameters())
        super().set_state(state)

    def on_train_end(self, logs: Logs) -> None:
        if self.at_end and self.count:
            _assign(self.model, self.weights())

    def gather(self, share: float) -> None:
        """Move the average by this share of its distance to the parameters; float64."""
        for name, parameter in self.model.named_parameters().items():
            if not self.count:
                self.average[name] = np.zeros(parameter.shape)
            self.average[name] += share * (parameter - self.average[name])
        self.count += 1

    def weights(self) -> Mapping[str, np.ndarray]:
        """The averaged parameters by name, float64."""
        return self.average

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model with the averaged parameters inside a ``with`` block, with its own afterwards."""
        own = {name: parameter.copy() for name, parameter in self.model.named_parameters().items()}
        _assign(self.model, self.weights() if self.count else own)
        try:
            yield
        finally:
            _assign(self.model, own)


def _assign(model: Any, weights: Mapping[str, np.ndarray]) -> None:
    for name, parameter in model.named_parameters().items():
        parameter[...] = weights[name]


class EMA(_WeightAverage):
    """The exponentially weighted average of the weights, with bias correction (Polyak and Juditsky 1992).

    Parameters
    ----------
    beta : float
        0 <= beta < 1: about the last 1 / (1 - beta) steps or epochs count.
    every : {"step", "epoch"}
        When the weights are taken. Every step has the core come back to Python for it.
    at_end : bool
        Give the averaged weights to the model when the training ends.

    Notes
    -----
    Statistics that layers keep beside their parameters stay those of the last step.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1, use_bias=False)], input_shape=(1,))
    >>> model.compile(fnn.SGD(0.1), loss="squared_error")
    >>> ema = EMA(0.9, at_end=False)
    >>> history = model.fit([[1.0]], [2.0], epochs=3, callbacks=ema, verbose=0)
    >>> with ema.applied():
    ...     smooth = model.predict([[1.0]])
    >>> bool((smooth < model.predict([[1.0]])).all())
    True
    """

    def __init__(self, beta: float = 0.999, every: str = "step", at_end: bool = True) -> None:
        super().__init__(at_end)
        self.beta = checks.fraction("beta", beta)
        self.every = checks.choice("every", every, ("step", "epoch"))
        if every == "step":
            self.on_batch_end = self._gather  # type: ignore[assignment, method-assign]
        else:
            self.on_epoch_end = self._gather  # type: ignore[assignment, method-assign]

    def _gather(self, number: int, logs: Logs) -> None:
        # the corrected average moves by (1 - beta) / (1 - beta^t)
        self.gather((1 - self.beta) / (1 - self.beta ** (self.count + 1)))


class SWA(_WeightAverage):
    """Stochastic weight averaging: the mean of the weights after each epoch from `start` on (Izmailov 2018).

    Parameters
    ----------
    start : int
        The first epoch that counts, from 0: late, when a constant or cyclic rate has the weights wander.
    every : int
        Epochs between two that count, such as the length of a cycle.
    at_end : bool
        Give the averaged weights to the model when the training ends.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1, use_bias=False)], input_shape=(1,))
    >>> model.compile(fnn.SGD(0.5), loss="squared_error")
    >>> swa = SWA(start=2)
    >>> history = model.fit([[1.0]], [2.0], epochs=4, callbacks=swa, verbose=0)
    >>> swa.count
    2
    """

    def __init__(self, start: int, every: int = 1, at_end: bool = True) -> None:
        super().__init__(at_end)
        self.start = checks.positive_int("start", start, minimum=0)
        self.every = checks.positive_int("every", every)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if epoch >= self.start and (epoch - self.start) % self.every == 0:
            self.gather(1 / (self.count + 1))
