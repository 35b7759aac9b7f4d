"""Schedules along a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .. import checks
from .base import Schedule


def _cosine(start: float, end: float, share: np.ndarray) -> np.ndarray:
    """From start to end along half a cosine."""
    return end + (start - end) / 2 * (1 + np.cos(np.pi * share))


@dataclass(frozen=True)
class CosineDecay(Schedule, name="cosine"):
    """final + (rate - final) (1 + cos(pi t / total)) / 2, then `final` (Loshchilov and Hutter 2017).

    Parameters
    ----------
    rate : float
        The first learning rate.
    total : float
        Updates until `final` is reached.
    final : float
        The last learning rate.

    Examples
    --------
    >>> round(CosineDecay(0.1, total=100)(50), 6)
    0.05
    """

    rate: float
    total: float
    final: float = 0.0

    def __post_init__(self) -> None:
        self._check("rate")
        self._check_updates("total")
        self._check("final", allow_zero=True)

    def rates(self, updates: np.ndarray) -> np.ndarray:
        return _cosine(self.rate, self.final, np.minimum(updates / self.total, 1))


@dataclass(frozen=True)
class CosineRestarts(Schedule, name="cosine_restarts"):
    """Cosine decay that begins anew, each period `multiplier` times as long (SGDR; Loshchilov, Hutter 2017).

    Parameters
    ----------
    rate : float
        The learning rate at the start of every period.
    period : float
        Updates of the first period.
    multiplier : float
        1 or more.
    final : float
        What each period falls to.

    Examples
    --------
    >>> schedule = CosineRestarts(0.1, period=100, multiplier=2)
    >>> round(schedule(50), 6), schedule(100), round(schedule(200), 6), schedule(300)
    (0.05, 0.1, 0.05, 0.1)
    """

    rate: float
    period: float
    multiplier: float = 1.0
    final: float = 0.0

    def __post_init__(self) -> None:
        self._check("rate", "multiplier")
        self._check_updates("period")
        self._check("final", allow_zero=True)
        if self.multiplier < 1:
            raise ValueError(f"multiplier: expected at least 1, got {self.multiplier!r}")

    def rates(self, updates: np.ndarray) -> np.ndarray:
        start, length = np.zeros(len(updates)), np.full(len(updates), self.period)
        if self.multiplier == 1:
            start = updates // self.period * self.period
        else:
            while (over := updates >= start + length).any():
                start[over] += length[over]
                length[over] *= self.multiplier
        return _cosine(self.rate, self.final, (updates - start) / length)


@dataclass(frozen=True)
class OneCycle(Schedule, name="one_cycle"):
    """Up to `rate`, then down far below where it began; the momentum the other way (Smith and Topin 2018).

    Parameters
    ----------
    rate : float
        The highest learning rate.
    total : int
        Updates of the cycle; the last rate holds from then on.
    warm_up : float
        Share of the cycle in which the rate rises.
    start_factor, end_factor : float
        The cycle begins at ``rate / start_factor`` and ends at ``rate / start_factor / end_factor``.
    momentum : (float, float) or None
        The optimizer's momentum (beta_1) where the rate is highest, and at both ends; None leaves it alone.

    Notes
    -----
    Cosine shaped, with PyTorch's numbers: the highest rate is that of update ``warm_up * total - 1``.

    Examples
    --------
    >>> schedule = OneCycle(0.1, total=100)
    >>> round(schedule(0), 6), round(schedule(29), 6), schedule(99) < 1e-6
    (0.004, 0.1, True)
    >>> schedule.momenta(np.array([0, 29, 99])).round(6).tolist()
    [0.95, 0.85, 0.95]
    """

    rate: float
    total: int
    warm_up: float = 0.3
    start_factor: float = 25.0
    end_factor: float = 1e4
    momentum: tuple[float, float] | None = (0.85, 0.95)

    def __post_init__(self) -> None:
        self._check("rate", "warm_up", "start_factor", "end_factor")
        object.__setattr__(self, "total", checks.positive_int("total", self.total))
        checks.fraction("warm_up", self.warm_up)
        if not math.isfinite(self.rate / self.start_factor / min(self.end_factor, 1.0)):
            raise ValueError(f"start_factor, end_factor: expected a finite rate / start_factor / end_factor, got "
                             f"{self.rate!r} / {self.start_factor!r} / {self.end_factor!r}")
        if self.momentum is not None:
            if not isinstance(self.momentum, (tuple, list)) or len(self.momentum) != 2:
                raise TypeError("momentum must be a pair of fractions, at the highest rate and at both ends, or None, "
                                f"got {checks.describe(self.momentum)}")
            low, high = (checks.fraction("momentum", m) for m in self.momentum)
            object.__setattr__(self, "momentum", (low, high))

    def _cycle(self, updates: np.ndarray, start: float, middle: float, end: float) -> np.ndarray:
        top, last = max(self.warm_up * self.total - 1, 0), self.total - 1
        rising = _cosine(start, middle, np.minimum(updates, top) / max(top, 1))
        share = np.clip((updates - top) / max(last - top, 1e-9), 0, 1)
        return np.where(updates <= top, rising, _cosine(middle, end, share))

    def rates(self, updates: np.ndarray) -> np.ndarray:
        start = self.rate / self.start_factor
        return self._cycle(updates, start, self.rate, start / self.end_factor)

    def momenta(self, updates: np.ndarray) -> np.ndarray | None:
        if self.momentum is None:
            return None
        low, high = self.momentum
        return self._cycle(updates, high, low, high)
