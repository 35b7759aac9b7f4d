"""The numbers of a model by name: reading, setting, keeping and giving back."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .checks_arrays import describe
from .compilation import Compiled
from .history import History
from .layers import Layer
from .optimizers import Optimizer
from .parameters import Numbers, assign, copies, fitting


@dataclass(frozen=True)
class LoadReport:
    """What `load_state_dict` with ``strict=False`` did with each array.

    Attributes
    ----------
    matched : tuple of str
        Names that were set.
    missing : tuple of str
        Arrays of the model that the state does not have: they stay.
    unexpected : tuple of str
        Names of the state that the model does not have.
    mismatched : tuple of str
        Names of both whose shapes differ: they stay.

    Examples
    --------
    >>> print(LoadReport(("dense.weight", "dense.bias"), ("dense_1.weight",), (), ()))
    2 arrays matched; missing: dense_1.weight
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]

    def __str__(self) -> str:
        rest = (f"{what}: {', '.join(map(str, names))}" for what in ("missing", "unexpected", "mismatched")
                if (names := getattr(self, what)))
        return "; ".join([f"{len(self.matched)} arrays matched", *rest])


class ModelState:
    """What `fastnn.Model` is made of below its graph: arrays, optimizer state, counts."""

    _compiled: Compiled
    _numbers: Numbers
    layers: list[Layer]
    optimizer: Optimizer | None
    update_count: int
    shuffles: int
    _history: History
    _returned: weakref.ref | None = None  # the history that fit returned, as long as the caller keeps it

    @property
    def history(self) -> History:
        """Of the last `fit`: what that returned, while somebody keeps it."""
        return (self._returned and self._returned()) or self._history

    @history.setter
    def history(self, history: History) -> None:
        self._history, self._returned = history, None
        history.belong(self)

    def returned_history(self, rows: Any, validation: Any) -> History:
        """The history with the model and the rows it was trained on, for the caller of `fit` to keep or not."""
        returned = self._history.held(self, rows, validation, self.update_count)
        self._returned = weakref.ref(returned)
        return returned

    def named_parameters(self) -> dict[str, np.ndarray]:
        """Every parameter by name, as a writable view.

        Examples
        --------
        >>> import fastnn as fnn
        >>> model = fnn.Sequential([fnn.Dense(4, "relu"), fnn.Dense(1)], input_shape=(3,))
        >>> list(model.named_parameters())
        ['dense.weight', 'dense.bias', 'dense_1.weight', 'dense_1.bias']
        """
        return self._numbers.named_parameters()

    def named_gradients(self) -> dict[str, np.ndarray]:
        """The gradient of every parameter that is trained, as the last backward pass left it, as a view."""
        return self._numbers.named_gradients()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and persistent arrays, by name."""
        return copies(self._numbers.all_arrays())

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadReport:
        """Set parameters and persistent arrays from what `state_dict` gave.

        Parameters
        ----------
        state : mapping of str to array_like
            By name.
        strict : bool
            Whether every array must be there and fit. Otherwise those that do not stay as they are, which is
            how a new model takes over the layers that it shares with another.

        Returns
        -------
        LoadReport
            What matched; it prints as a line.

        Raises
        ------
        ValueError
            If `strict` and names or shapes do not match; then nothing is changed.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"state: expected a dict of arrays, such as state_dict gives, got {describe(state)}")
        views = self._numbers.all_arrays()
        if strict:
            assign(views, state, "state")
            return LoadReport(tuple(views), (), (), ())
        shared = [name for name in views if name in state]
        fits = [name for name in shared if np.shape(state[name]) == views[name].shape]
        for name, array in [(name, fitting(views[name], state[name], name, "state")) for name in fits]:
            views[name][...] = array
        return LoadReport(tuple(fits), tuple(name for name in views if name not in state),
                          tuple(name for name in state if name not in views),
                          tuple(name for name in shared if name not in fits))

    def reset_states(self) -> None:
        """Set the states that stateful recurrent layers carry from batch to batch to zero."""
        for name, array in self._numbers.persistent.views(self._numbers.memory.persistent).items():
            if name in self._carried:
                array[...] = 0

    @property
    def _carried(self) -> set[str]:
        return {s.name for layer in self.layers if layer.state_rows for s in layer.persistent.values()}

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the parameters, in the order of the layers."""
        return list(copies(self.named_parameters()).values())

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the parameters from a list such as `get_weights` gives.

        Raises
        ------
        ValueError
            If number or shapes do not match; then nothing is changed.
        """
        views = self.named_parameters()
        if not isinstance(weights, (list, tuple)):
            raise TypeError(f"weights: expected a list of arrays, such as get_weights gives, got {describe(weights)}")
        if len(weights) != len(views):
            raise ValueError(f"weights: expected {len(views)} arrays ({', '.join(views)}), "
                             f"got {len(weights)}")
        assign(views, dict(zip(views, weights, strict=True)), "weights")

    def snapshot(self) -> dict[str, Any]:
        """Copies of everything that training changes: what `restore` takes back."""
        return {"arrays": self.state_dict(), "states": [copies(views) for views in self._numbers.states()],
                "update_count": self.update_count, "shuffles": self.shuffles, "since": self._starts(),
                "history": copy.deepcopy(self.history)}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go back to a `snapshot` of this model or of one with the same layers."""
        if not isinstance(snapshot, Mapping) or "arrays" not in snapshot:
            raise ValueError(f"snapshot: expected what snapshot() gives, got {describe(snapshot)}")
        self.load_state_dict(snapshot["arrays"])
        self._start_at(snapshot.get("since", {}))
        self._numbers.set_states(snapshot["states"], self.optimizer.initial_states if self.optimizer else ())
        self.update_count, self.shuffles = snapshot["update_count"], snapshot["shuffles"]
        self.history = copy.deepcopy(snapshot["history"])

    def _starts(self) -> dict[str, int]:
        """How many updates there had been when parameters that were frozen at first began to be trained."""
        return {name: s.since for name, s in self._numbers.trained.segments.items() if s.since}

    def _start_at(self, since: Mapping[str, int]) -> None:
        """Set what `_starts` says: bias correction counts from there."""
        known = {name: n for name, n in since.items() if name in self._numbers.trained.segments}
        if known != self._starts():
            self._numbers.trained = self._compiled.trained = self._numbers.trained.starting(known)
            self._compiled.forget()
