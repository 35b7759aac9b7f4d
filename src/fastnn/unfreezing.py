"""Gradual unfreezing: a callback that lets frozen layers be trained, from the top down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import checks
from .callback_base import Callback, Logs


class GradualUnfreezing(Callback):
    """Unfreeze one layer after the other while a model is trained, from the top down (Howard and Ruder 2018).

    A new head on what another network learned begins with large gradients; layers that wait until it has
    settled are not spoiled by them. At the start of an epoch in which a layer's turn has come, the model is
    compiled again: layers that were trained already keep their optimizer state.

    Parameters
    ----------
    layers : sequence, optional
        Names of layers, or lists of names to be unfrozen together, in the order of their turns; by default
        every frozen layer with parameters, from the last to the first.
    every : int
        Epochs from one turn to the next; the first is after so many.

    Attributes
    ----------
    unfrozen : int
        Turns so far.

    Notes
    -----
    A layer that is unfrozen begins as in a new training: its optimizer state is new, and the bias correction of
    `fastnn.Adam` counts its updates from there. Lower layers want a lower rate:
    ``rate_factors=model.rates_by_depth(1 / 2.6)``.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> layers = [fnn.Dense(8, "relu"), fnn.Dense(4, "relu"), fnn.Dense(1)]
    >>> model = fnn.Sequential(layers, input_shape=(2,))
    >>> model.freeze(up_to="dense_1")
    >>> model.compile(fnn.SGD(0.1, rate_factors=model.rates_by_depth(1 / 2.6)), "squared_error")
    >>> before = model.layers[0].weight.copy()
    >>> turns = GradualUnfreezing(every=2)
    >>> history = model.fit(np.eye(2), [0.0, 1.0], epochs=4, callbacks=turns, verbose=0)
    >>> [layer.trainable for layer in model.layers]
    [False, True, True]
    """

    state_names = ("unfrozen",)

    def __init__(self, layers: Sequence[str | Sequence[str]] | None = None, every: int = 1) -> None:
        if isinstance(layers, str) or not (layers is None or isinstance(layers, Sequence)):
            raise TypeError(f"layers: expected a list of names of layers, got {checks.describe(layers)}")
        self.layers = layers
        self.every = checks.positive_int("every", every)
        self.unfrozen = 0
        self.turns: list[list[str]] = []

    def on_train_begin(self, logs: Logs) -> None:
        self.unfrozen = 0
        frozen = [layer.name for layer in self.model.layers if layer.segments and not layer.trainable]
        if self.layers is None:
            self.turns = [[name] for name in reversed(frozen)]
        else:
            self.turns = [[turn] if isinstance(turn, str) else list(turn) for turn in self.layers]
        for name in (name for turn in self.turns for name in turn):
            self.model.get_layer(name)  # there is one
        if not frozen:
            raise ValueError("GradualUnfreezing: expected a model with frozen layers, all are trained; freeze "
                             "them before compile, as by model.freeze(up_to=...)")

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._unfreeze(min(epoch // self.every, len(self.turns)))

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave: the layers whose turn had come are unfrozen again."""
        turns = checks.positive_int("unfrozen", state["unfrozen"], 0)
        self._unfreeze(min(turns, len(self.turns)))

    def _unfreeze(self, turns: int) -> None:
        """Unfreeze what is due in the first turns and still frozen."""
        due = [self.model.get_layer(name) for turn in self.turns[self.unfrozen:turns] for name in turn]
        self.unfrozen = max(turns, self.unfrozen)
        if any(not layer.trainable for layer in due):
            self.model.unfreeze(*due)
            self.model.recompile()
