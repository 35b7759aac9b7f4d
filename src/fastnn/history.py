"""What a training run reported, epoch by epoch."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


class Trained(NamedTuple):
    """What a training was of: the model, and the rows that it saw, each ``(X, y, sample_weight)`` as checked."""

    model: Any
    rows: tuple[Any, Any, Any] | None  # None where `fit` was given batches
    validation: tuple[Any, Any, Any] | None
    updates: int  # of the model when the training ended


class History:
    """The losses and metrics of each epoch; what `fit` returns.

    The history that `fit` returns also holds on to the model and to the rows it was given, by reference, for
    `report`; that is neither copied nor pickled, and ``model.history`` alone keeps no row alive.

    Attributes
    ----------
    epoch : list of int
        The numbers of the epochs, counted from 0.
    history : dict of list
        For each name ("loss", "accuracy", "val_loss", ...) one float per epoch; NaN where an epoch has none.
    settings : dict
        How `fit` was called, and on what it ran: "batch_size", "epochs", "backend", ...; empty where the history
        comes from a file.
    seconds, rates : list of float
        For each epoch that ran here, the seconds of its steps, without validation, and the learning rate; NaN
        where that follows the number of updates.

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
        self.settings: dict[str, Any] = {}
        self.seconds: list[float] = []
        self.rates: list[float] = []
        self._model: weakref.ref | None = None
        self._trained: Trained | None = None

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

    def report(self, path: str | os.PathLike[str], X: Any = None, y: Any = None, **settings: Any) -> None:
        """Write a report of the training and the model, one HTML file that needs no network.

        Parameters
        ----------
        path : path-like
            The file; it is replaced only once the new one is complete.
        X, y : array_like, optional
            Labelled rows to judge the model by, best those that it has not seen; by default `fit`'s validation
            rows, or those trained on where there were none.
        **settings
            Of `fastnn.report.write_report`: title, class_names, feature_names, ...

        Raises
        ------
        RuntimeError
            If the history belongs to no model, or to one that is gone.

        Examples
        --------
        >>> import fastnn as fnn
        >>> from fastnn.data import load_digits
        >>> model = fnn.Sequential([fnn.Flatten(), fnn.Standardize(), fnn.Dense(10, "softmax")], input_shape=(8, 8))
        >>> model.compile(metrics=["accuracy"])
        >>> history = model.fit(*load_digits(), epochs=2, validation_split=0.2, verbose=0)
        >>> history.report("digits.html")
        """
        from .report import write_report  # reports stand above
        model = self._trained.model if self._trained else self._model and self._model()
        if model is None:
            raise RuntimeError("this history belongs to no model, or to one that is gone; call "
                               "fastnn.report.write_report(model, path, history=history)")
        write_report(model, path, X, y, history=self, **settings)

    def ran(self, seconds: float, optimizer: Any) -> None:
        """Note how long an epoch's steps took, and the rate where it is a number, which callbacks may change."""
        self.seconds.append(seconds)
        rate = optimizer.learning_rate
        self.rates.append(math.nan if callable(rate) else float(rate))

    def belong(self, model: Any) -> None:
        """Know the model, but do not keep it alive."""
        self._model = weakref.ref(model)

    def held(self, model: Any, rows: Any, validation: Any, updates: int) -> History:
        """The same history, which shares its lists with this one and keeps model and rows alive."""
        other = History.__new__(History)
        other.__dict__.update(self.__dict__)
        other._trained = Trained(model, rows, validation, updates)
        return other

    @property
    def trained(self) -> Trained | None:
        """The model and the rows, where this is what `fit` returned."""
        return self._trained

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_model": None, "_trained": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]  # what an older pickle does not have
        self.__dict__.update(state)

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
