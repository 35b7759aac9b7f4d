"""Schedules that only fall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import checks
from .base import Schedule


@dataclass(frozen=True)
class InverseTimeDecay(Schedule, name="inverse_time"):
    """rate / (1 + decay t): the 1/t rule of Robbins and Monro (1951), as in CS231n and deeplearning.ai.

    Parameters
    ----------
    rate : float
        The first learning rate, a in a / (1 + decay t).
    decay : float
        The rate has halved after 1 / decay updates.

    Examples
    --------
    >>> InverseTimeDecay(0.1, decay=0.01)(100)
    0.05
    """

    rate: float
    decay: float

    def __post_init__(self) -> None:
        self._check("rate")
        self._check("decay", allow_zero=True)

    def rates(self, updates: np.ndarray) -> np.ndarray:
        return self.rate / (1 + self.decay * updates)


@dataclass(frozen=True)
class ConstantThenInverse(Schedule, name="constant_then_inverse"):
    """rate tau / max(t, tau): constant for tau updates, then as 1/t (Bengio 2012; CS224d).

    Parameters
    ----------
    rate : float
        The first learning rate.
    tau : float
        How many updates it holds.

    Examples
    --------
    >>> schedule = ConstantThenInverse(0.1, tau=100)
    >>> schedule(50), schedule(200)
    (0.1, 0.05)
    """

    rate: float
    tau: float

    def __post_init__(self) -> None:
        self._check("rate")
        self._check_updates("tau")

    def rates(self, updates: np.ndarray) -> np.ndarray:
        return self.rate * self.tau / np.maximum(updates, self.tau)


@dataclass(frozen=True)
class ExponentialDecay(Schedule, name="exponential"):
    """rate factor^(t / every), falling smoothly.

    Parameters
    ----------
    rate : float
        The first learning rate.
    factor : float
        What the rate is multiplied by in `every` updates.
    every : float
        In updates.

    Notes
    -----
    The form rate exp(-k t) of CS231n has factor = exp(-k).

    Examples
    --------
    >>> ExponentialDecay(0.1, factor=0.5, every=100)(200)
    0.025
    """

    rate: float
    factor: float
    every: float = 1.0

    def __post_init__(self) -> None:
        self._check("rate", "factor")
        self._check_updates("every")

    def rates(self, updates: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # a factor above 1 ends at infinity
            return self.rate * self.factor ** (updates / self.every)


@dataclass(frozen=True)
class StepDecay(Schedule, name="step"):
    """rate factor^k after the k-th step: floor(t / every) of them, or those in a list.

    Parameters
    ----------
    rate : float
        The first learning rate.
    factor : float
        What each step multiplies it by.
    every : int or sequence of int
        Updates between two steps; or the updates at which the steps are.

    Examples
    --------
    >>> schedule = StepDecay(0.1, factor=0.5, every=100)
    >>> schedule(99), schedule(100)
    (0.1, 0.05)
    >>> StepDecay(0.1, factor=0.5, every=(30, 60))(70)
    0.025
    """

    rate: float
    factor: float
    every: int | Sequence[int]

    def __post_init__(self) -> None:
        self._check("rate", "factor")
        given = self.every.tolist() if isinstance(self.every, np.ndarray) else self.every
        every = [checks.positive_int("every", n) for n in (given if isinstance(given, (tuple, list)) else [given])]
        if not every:
            raise ValueError("every: expected the update of at least one step, got none")
        if every != sorted(every):
            raise ValueError(f"every: expected updates in rising order, got {self.every!r}")
        object.__setattr__(self, "every", every if isinstance(given, (tuple, list)) else every[0])

    def rates(self, updates: np.ndarray) -> np.ndarray:
        steps = updates // self.every if isinstance(self.every, int) else \
            np.searchsorted(np.asarray(self.every), updates, side="right")
        with np.errstate(over="ignore"):  # a factor above 1 ends at infinity
            return self.rate * self.factor ** steps


@dataclass(frozen=True)
class InverseSquareRootDecay(Schedule, name="inverse_square_root"):
    """rate / sqrt(1 + t / tau).

    Parameters
    ----------
    rate : float
        The first learning rate.
    tau : float
        In updates.

    Notes
    -----
    ``WarmUp(InverseSquareRootDecay(rate, n), n)`` is the schedule of Vaswani et al. (2017),
    rate min(s / n, sqrt(n / s)) in the s-th update.

    Examples
    --------
    >>> InverseSquareRootDecay(0.1, tau=100)(300)
    0.05
    """

    rate: float
    tau: float = 1.0

    def __post_init__(self) -> None:
        self._check("rate")
        self._check_updates("tau")

    def rates(self, updates: np.ndarray) -> np.ndarray:
        return self.rate / np.sqrt(1 + updates / self.tau)


@dataclass(frozen=True)
class PolynomialDecay(Schedule, name="polynomial"):
    """final + (rate - final) (1 - t / total)^power, and `final` from then on.

    Parameters
    ----------
    rate : float
        The first learning rate.
    total : float
        Updates until `final` is reached.
    power : float
        1 falls in a straight line.
    final : float
        The last learning rate.

    Examples
    --------
    >>> PolynomialDecay(0.1, total=100, power=2)(50)
    0.025
    """

    rate: float
    total: float
    power: float = 1.0
    final: float = 0.0

    def __post_init__(self) -> None:
        self._check("rate", "power")
        self._check_updates("total")
        self._check("final", allow_zero=True)

    def rates(self, updates: np.ndarray) -> np.ndarray:
        return self.final + (self.rate - self.final) * (1 - np.minimum(updates / self.total, 1)) ** self.power
