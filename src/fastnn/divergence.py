"""What happens when training stops being finite: the error, and the numbers that are put back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from . import backends

if TYPE_CHECKING:
    from .model import Model


class DivergenceError(FloatingPointError):
    """Training produced a value that is not finite; the model holds the last good weights.

    Attributes
    ----------
    epoch, step : int
        Where, both from 0.
    layer : str
        The first layer with such a value, "loss" for the loss itself.
    """

    def __init__(self, epoch: int, step: int, layer: str, what: str, good_step: int) -> None:
        self.epoch, self.step, self.layer = epoch, step, layer
        super().__init__(
            f"training diverged in epoch {epoch}, step {step}: the first values that are not finite are in "
            f"layer {layer!r} ({what}). The weights are those before step {good_step} of that epoch. Try a "
            "smaller learning rate, standardized inputs (a Standardize layer first) or smaller initial "
            "weights.")


class Snapshot:
    """The numbers of a model at the start of a step, known to be finite."""

    def __init__(self, model: Model, step: int) -> None:
        started = time.perf_counter()
        self.step, self.update_count = step, model.update_count
        self.vectors = [vector.copy() for vector in _vectors(model)]
        self.taken = time.perf_counter()
        self.cost = self.taken - started

    def stale(self, seconds: float, share: float) -> bool:
        """Whether it is `seconds` old, and copying again takes no more than `share` of the time since."""
        return time.perf_counter() - self.taken > max(seconds, self.cost / share)

    def put_back(self, model: Model) -> None:
        """Give the model these numbers again."""
        for vector, saved in zip(_vectors(model), self.vectors, strict=True):
            vector[...] = saved
        model.update_count = self.update_count


def all_finite(model: Model) -> bool:
    """Whether everything that training changes in a model is finite."""
    return all(map(backends.all_finite, _vectors(model)))


def _vectors(model: Model) -> tuple[np.ndarray, ...]:
    memory = model._numbers.memory
    return memory.parameters, memory.state, memory.persistent
