"""What a training run reported, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


class History:
    """The losses and metrics of each epoch; what `fit` returns.

    Attributes
    ----------
    epoch : list of int
        The numbers of the epochs, counted from 0.
    history : dict of list
        For each name ("loss", "accuracy", "val_loss", ...) one float per epoch; NaN where an epoch has none.

    Examples
    --------
    >>> history = History()
    >>> history.append(0, {"loss": 0.7, "val_accuracy": 0.8})
    >>> history.append(1, {"loss": 0.4, "val_accuracy": 0.9})
    >>> history["loss"], history.last()
    ([0.7, 0.4], {'loss': 0.4, 'val_accuracy': 0.9})
    >>> history
    History of 2 epochs: loss 0.7000 -> 0.4000, val_accuracy 0.8000 -> 0.9000
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def append(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Add the logs of one epoch.

        Parameters
        ----------
        epoch : int
            Its number, counted from 0.
        logs : mapping
            Name to value. A new name gets NaN for the epochs before, a missing one for this epoch.
        """
        for name in logs:
            self.history.setdefault(name, [math.nan] * len(self.epoch))
        for name, values in self.history.items():
            values.append(float(logs.get(name, math.nan)))
        self.epoch.append(int(epoch))

    def last(self) -> dict[str, float]:
        """The values of the last epoch; empty before the first."""
        return {name: values[-1] for name, values in self.history.items() if values}

    def plot(self, **settings: Any) -> Any:
        """Draw the curves: `fastnn.plot.history`, which has the settings."""
        from . import plot  # pictures stand above
        return plot.history(self, **settings)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.history:
            raise KeyError(f"{name!r}; the history holds {', '.join(self.history) or 'nothing yet'}")
        return self.history[name]

    def __contains__(self, name: object) -> bool:
        return name in self.history

    def __len__(self) -> int:
        return len(self.epoch)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        curves = ", ".join(f"{name} {values[0]:.4f} -> {values[-1]:.4f}"
                           for name, values in self.history.items())
        epochs = f"{len(self)} epoch{'' if len(self) == 1 else 's'}"
        return f"History of {epochs}{': ' if curves else ''}{curves}"


class RunningLoss:
    """The loss of an epoch as its steps go by: the mean over its rows, or their sum.

    Examples
    --------
    >>> running = RunningLoss(sums_rows=False)
    >>> running.add(np.array([1.0, 4.0]), np.array([2.0, 1.0]))
    >>> running.loss()
    2.0
    """

    def __init__(self, sums_rows: bool) -> None:
        self.sums_rows = sums_rows
        self.loss_sum = self.weight_sum = 0.0

    def add(self, losses: np.ndarray, weights: np.ndarray) -> None:
        """Add the losses of some steps, and the sums of their rows' weights."""
        # numpy.cumsum adds one after the other, in step order: chunks do not change the sum
        terms = losses if self.sums_rows else losses * weights
        self.loss_sum = float(np.cumsum(np.append(self.loss_sum, terms))[-1])
        self.weight_sum = float(np.cumsum(np.append(self.weight_sum, weights))[-1])

    def loss(self) -> float:
        """What the steps so far come to."""
        if self.sums_rows:
            return self.loss_sum
        return self.loss_sum / self.weight_sum if self.weight_sum else 0.0
