"""The protocol between `fit` and its callbacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from . import checks

Logs = dict[str, float]


class Callback:
    """What `fit` calls at fixed points; a subclass overrides the methods it wants.

    Logs are dicts of floats: "loss", the metrics, and with validation "val_loss" and "val_<metric>". A
    callback ends the training after the epoch with ``self.model.stop_training = True``.

    Attributes
    ----------
    model : Model
        The model that is trained.
    params : dict
        "epochs", "steps" (of an epoch), "batch_size" and "rows"; the last three are None where `fit` cannot
        know them; "resumed", whether `fit` goes on with a checkpoint.
    state_names : tuple of str
        The attributes that a checkpoint holds (see `fastnn.Checkpoint`): numbers, strings, arrays, and lists,
        tuples and dicts of them. What changes while a model is trained, and is looked at later, belongs here.

    Examples
    --------
    >>> class StopWhenGood(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         self.model.stop_training = logs["loss"] < 0.01

    One that counts, and goes on counting with a checkpoint:

    >>> class Count(Callback):
    ...     state_names = ("epochs",)
    ...     def on_train_begin(self, logs):
    ...         self.epochs = 0
    ...     def on_epoch_end(self, epoch, logs):
    ...         self.epochs += 1
    """

    model: Any = None
    params: Mapping[str, Any] = {}
    state_names: tuple[str, ...] = ()

    def set_model(self, model: Any) -> None:
        """Take the model, before the training begins."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Take the settings, before the training begins."""
        self.params = params

    def set_data(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Take the rows that are trained on, before the training begins; not where `fit` is given batches."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of this callback; by default the attributes of `state_names`."""
        return {name: getattr(self, name) for name in self.state_names}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave, after `on_train_begin`: the training goes on from there.

        Raises
        ------
        ValueError, KeyError
            If it is not what `state` gave: what is None after `on_train_begin` may be anything, a number must
            stay one, and everything else must be of the same type.
        """
        for name in self.state_names:
            old, new = getattr(self, name), state[name]
            numbers = isinstance(old, (int, float)) and isinstance(new, (int, float))
            if not (old is None or numbers or type(old) is type(new)):
                raise ValueError(f"{name}: expected {type(old).__name__}, got {type(new).__name__}")
        for name in self.state_names:
            setattr(self, name, state[name])

    def on_train_begin(self, logs: Logs) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs) -> None:
        """After the training, also when Ctrl-C or an error ended it; with the last epoch's logs."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Before each epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After each epoch and its validation."""

    def on_batch_end(self, step: int, logs: Logs) -> None:
        """After each step, counted from 0 in each epoch.

        Overriding this has the compiled core come back to Python after every step, which costs small
        models much of their speed; `on_progress` is free.
        """

    def on_progress(self, step: int, logs: Logs) -> None:
        """About every 50 ms, with the number of steps done in this epoch and the loss so far."""


def require_like(name: str, arrays: Any, like: Mapping[str, np.ndarray]) -> None:
    """Refuse what is not a dict of arrays with the names and shapes of `like`."""
    if not isinstance(arrays, dict) or arrays.keys() != like.keys() or \
            any(np.shape(array) != like[key].shape or array.dtype.kind != "f" for key, array in arrays.items()):
        raise ValueError(f"{name}: expected arrays like the model's, {', '.join(like)}")


def list_of_callbacks(callbacks: Any) -> list[Callback]:
    """One callback, several or None, as a new list; `CallbackList` says what they must be.

    Examples
    --------
    >>> list_of_callbacks(None)
    []
    """
    if callbacks is None or isinstance(callbacks, Callback):
        return [] if callbacks is None else [callbacks]
    if not isinstance(callbacks, Iterable) or isinstance(callbacks, (str, bytes, Mapping, np.ndarray)):
        raise TypeError(f"callbacks: expected fastnn.Callback objects in a list, got {checks.describe(callbacks)}")
    return list(callbacks)


class CallbackList(Callback):
    """Several callbacks as one, called in order.

    Parameters
    ----------
    callbacks : iterable of Callback
        The callbacks.

    Examples
    --------
    >>> CallbackList([Callback()]).wants_batches
    False
    """

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                hint = "write it with parentheses" if isinstance(callback, type) else \
                    "wrap functions in fastnn.LambdaCallback"
                raise TypeError("callbacks: expected fastnn.Callback objects, got "
                                f"{checks.describe(callback)}; {hint}")

    @property
    def wants_batches(self) -> bool:
        """Whether any callback has its own `on_batch_end`."""
        return any(getattr(callback.on_batch_end, "__func__", None) is not Callback.on_batch_end
                   for callback in self.callbacks)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: Mapping[str, Any]) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def set_data(self, X: Any, y: Any, sample_weight: Any) -> None:
        for callback in self.callbacks:
            callback.set_data(X, y, sample_weight)

    def on_train_begin(self, logs: Logs) -> None:
        for callback in self.callbacks:
            callback.on_train_begin(logs)

    def on_train_end(self, logs: Logs) -> None:
        for callback in self.callbacks:
            callback.on_train_end(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_batch_end(self, step: int, logs: Logs) -> None:
        for callback in self.callbacks:
            callback.on_batch_end(step, logs)

    def on_progress(self, step: int, logs: Logs) -> None:
        for callback in self.callbacks:
            callback.on_progress(step, logs)
