"""What every schedule is, and the two that stand for a number and before another.

`SCHEDULES` has all by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import checks

SCHEDULES: dict[str, type[Schedule]] = {}
LEAST_UPDATES = 1e-6  # of anything that is measured in them: shares of less overflow


class Schedule:
    """A learning rate that changes with the updates; a subclass gives `rates`, and its settings are fields.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Halving(Schedule):
    ...     rate: float
    ...     def rates(self, updates):
    ...         return self.rate / 2.0 ** updates
    >>> Halving(0.8)(2)
    0.2
    """

    name: ClassVar[str] = ""

    def __init_subclass__(cls, name: str = "") -> None:
        if name:
            cls.name = name
            SCHEDULES[name] = cls

    def rates(self, updates: np.ndarray) -> np.ndarray:
        """The learning rate of each update, given how many updates were done before it; float64."""
        raise NotImplementedError

    def momenta(self, updates: np.ndarray) -> np.ndarray | None:
        """The momentum (beta_1) of each update, where the schedule has one."""
        return None

    def __call__(self, update: int) -> float:
        return float(self.rates(np.array([update], np.float64))[0])

    def plot(self, updates: int, **settings: Any) -> Any:
        """Draw the rates of so many updates: `fastnn.plot.schedule`, which has the settings."""
        from .. import plot  # pictures stand above
        return plot.schedule(self, updates, **settings)

    def get_config(self) -> dict[str, Any]:
        """The name and the settings, as plain data; `get` takes it back."""
        fields = [f.name for f in dataclasses.fields(self)]  # type: ignore[arg-type]
        values = {f: getattr(self, f) for f in fields}
        plain = {k: v.get_config() if isinstance(v, Schedule) else v for k, v in values.items()}
        return {"name": self.name, **plain}

    def _check(self, *names: str, allow_zero: bool = False) -> None:
        for name in names:
            value = checks.positive_float(name, getattr(self, name), allow_zero, wide=True)
            object.__setattr__(self, name, value)

    def _check_updates(self, *names: str) -> None:
        """Numbers of updates, of which a share may be meant; so few that nothing could happen are a mistake."""
        self._check(*names)
        for name in names:
            if getattr(self, name) < LEAST_UPDATES:
                raise ValueError(f"{name} must be a number of updates of at least {LEAST_UPDATES:g}, got "
                                 f"{getattr(self, name)!r}")


def get(schedule: float | Schedule | Mapping[str, Any] | Callable[[int], float], name: str = "learning_rate",
        ) -> float | Schedule | Callable[[int], float]:
    """A learning rate from what stands for it: a number, a schedule, its ``get_config()``, a function.

    Examples
    --------
    >>> import fastnn as fnn
    >>> get({"name": "exponential", "rate": 0.1, "factor": 0.5})
    ExponentialDecay(rate=0.1, factor=0.5, every=1.0)
    """
    if isinstance(schedule, Mapping):
        settings = {k: get(v) if isinstance(v, Mapping) else v for k, v in schedule.items() if k != "name"}
        return checks.lookup(f"{name}: schedule", schedule.get("name", ""), SCHEDULES)(**settings)
    if callable(schedule):
        return schedule
    return checks.positive_float(name, schedule, wide=True)


@dataclass(frozen=True)
class ConstantRate(Schedule, name="constant"):
    """rate, always.

    Parameters
    ----------
    rate : float
        The learning rate.

    Examples
    --------
    >>> ConstantRate(0.1)(1000)
    0.1
    """

    rate: float

    def __post_init__(self) -> None:
        self._check("rate")

    def rates(self, updates: np.ndarray) -> np.ndarray:
        return np.full(len(updates), self.rate)


@dataclass(frozen=True)
class WarmUp(Schedule, name="warm_up"):
    """A linear rise before another schedule: s / n of its first rate in the s-th of n updates (Goyal 2017).

    Parameters
    ----------
    schedule : float or Schedule
        What follows; its own time begins with the last update of the rise.
    updates : int
        How many updates the rise takes.

    Examples
    --------
    >>> import fastnn as fnn
    >>> schedule = WarmUp(fnn.CosineDecay(0.1, total=100), updates=10)
    >>> [round(schedule(t), 6) for t in (0, 4, 9, 59)]
    [0.01, 0.05, 0.1, 0.05]
    """

    schedule: float | Schedule
    updates: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "updates", checks.positive_int("updates", self.updates))
        schedule = get(self.schedule, "schedule")
        if not isinstance(schedule, Schedule):
            if callable(schedule):
                raise TypeError("schedule: expected a number or a Schedule, got a function; subclass "
                                "fastnn.Schedule instead")
            schedule = ConstantRate(schedule)
        object.__setattr__(self, "schedule", schedule)

    def _after(self, updates: np.ndarray) -> np.ndarray:
        return np.maximum(updates - (self.updates - 1), 0)

    def rates(self, updates: np.ndarray) -> np.ndarray:
        assert isinstance(self.schedule, Schedule)
        return self.schedule.rates(self._after(updates)) * np.minimum((updates + 1) / self.updates, 1)

    def momenta(self, updates: np.ndarray) -> np.ndarray | None:
        assert isinstance(self.schedule, Schedule)
        return self.schedule.momenta(self._after(updates))
