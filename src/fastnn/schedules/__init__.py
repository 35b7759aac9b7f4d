"""Learning-rate schedules: the rate as a function of the updates done, counted from 0.

An optimizer takes one in the place of its learning rate: ``fnn.SGD(fnn.CosineDecay(0.1, total=1000))``.
Every duration is in updates; an epoch has ``ceil(rows / batch_size)`` of them. `SCHEDULES` has all by name.
"""

from .base import SCHEDULES, ConstantRate, Schedule, WarmUp, get
from .cosines import CosineDecay, CosineRestarts, OneCycle
from .decays import (
    ConstantThenInverse,
    ExponentialDecay,
    InverseSquareRootDecay,
    InverseTimeDecay,
    PolynomialDecay,
    StepDecay,
)

__all__ = ["SCHEDULES", "ConstantRate", "ConstantThenInverse", "CosineDecay", "CosineRestarts",
           "ExponentialDecay", "InverseSquareRootDecay", "InverseTimeDecay", "OneCycle", "PolynomialDecay",
           "Schedule", "StepDecay", "WarmUp", "get"]
