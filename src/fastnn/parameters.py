"""The numbers of a model: its vectors, and the arrays in them by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from . import checks
from .backends import Memory
from .checks_arrays import as_real_array, first_entry, place
from .program import Layout, aligned_zeros

Arrays = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]

_given: ContextVar[Shapes | None] = ContextVar("given", default=None)


@contextmanager
def arrays_given(shapes: Shapes) -> Iterator[None]:
    """Models made in this block are for arrays of these names and shapes, which are set afterwards.

    So no initial values are drawn, and a model that has other arrays is refused before any is allocated.
    """
    token = _given.set(shapes)
    try:
        yield
    finally:
        _given.reset(token)


class Numbers:
    """Parameters, persistent arrays and optimizer state of one model, laid out in vectors.

    `trained` is the layout of gradients and optimizer state: parameters that are frozen have neither.
    """

    def __init__(self, parameters: Layout, persistent: Layout) -> None:
        self.parameters, self.persistent, self.trained = parameters, persistent, parameters
        self.dtype = parameters.dtype
        self.wants_values = _given.get() is None  # initial ones
        self._check_given()
        self.memory = Memory(parameters.zeros(), parameters.zeros(), np.zeros(0, self.dtype),
                             persistent.zeros())

    def _check_given(self) -> None:
        given = _given.get()
        own = {name: s.shape for layout in (self.parameters, self.persistent)
               for name, s in layout.segments.items()}
        if given is not None and own != given:
            name = next(name for name in (*own, *given) if own.get(name) != given.get(name))
            raise ValueError(f"{name}: the layers make its shape {own.get(name)}, there is one of "
                             f"{given.get(name)}")

    def named_parameters(self) -> Arrays:
        """Every parameter, as a view."""
        return self.parameters.views(self.memory.parameters)

    def train_only(self, trained: Layout) -> None:
        """Make room for the gradients of these parameters, and drop the optimizer's state arrays."""
        self.trained = trained
        self.memory.gradients = trained.zeros()
        self.memory.state = np.zeros(0, self.dtype)

    def named_gradients(self) -> Arrays:
        """The gradient of every parameter that is trained, as a view."""
        return self.trained.views(self.memory.gradients)

    def all_arrays(self) -> Arrays:
        """Every parameter and persistent array, as a view."""
        return self.named_parameters() | self.persistent.views(self.memory.persistent)

    def allocate_states(self, initial: Sequence[float]) -> None:
        """Make room for optimizer state: for each value an array a parameter, which begins with it."""
        size = len(initial) * self.trained.size
        if self.memory.state.size == size:
            return
        self.memory.state = aligned_zeros(size, self.dtype)
        for views, value in zip(self.states(), initial, strict=True):
            for view in views.values():
                view[...] = value

    def states(self) -> list[Arrays]:
        """The optimizer's state arrays, as views."""
        if not self.memory.state.size:
            return []
        return [self.trained.views(v) for v in self.memory.state.reshape(-1, self.trained.size)]

    def set_states(self, states: Sequence[Mapping[str, np.ndarray]], initial: Sequence[float] = ()) -> None:
        """Set the optimizer's state arrays; without any, to the values that they begin with.

        The vector stays where it is if it has the right size: Runs hold its address.
        """
        if not self.trained.size:
            return
        if not states and self.memory.state.size == len(initial) * self.trained.size:
            states = [{name: np.asarray(value) for name in self.trained.segments} for value in initial]
        names = self.trained.segments
        if lost := [name for name in names if any(name not in arrays for arrays in states)]:
            raise ValueError(f"states: expected those of {', '.join(names)}; {', '.join(lost)} were frozen "
                             "when they were taken")
        self.allocate_states([0.0] * len(states))
        for views, arrays in zip(self.states(), states, strict=True):
            for name, view in views.items():
                view[...] = arrays[name]


def copies(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """The arrays, copied."""
    return {name: view.copy() for name, view in arrays.items()}


def assign(views: Mapping[str, np.ndarray], values: Mapping[str, Any], source: str) -> None:
    """Set every view from the value of its name.

    Raises
    ------
    ValueError
        If names or shapes do not match; then nothing is changed.
    """
    if missing := [name for name in views if name not in values]:
        raise ValueError(f"{source}: expected the arrays {', '.join(views)}; "
                         f"{', '.join(missing)} are missing")
    for name in values:
        checks.lookup(source, name, views)
    arrays = {name: fitting(view, values[name], name, source) for name, view in views.items()}
    for name, view in views.items():
        view[...] = arrays[name]


def filled(value: Any, view: np.ndarray) -> Any:
    """A number as an array of the view's shape; arrays stay what they are, so that wrong shapes are seen."""
    return value if np.ndim(value) else np.full(view.shape, value)


def fitting(view: np.ndarray, value: Any, name: str, source: str) -> np.ndarray:
    """`value` as an array of the view's shape and dtype, for it to take.

    Raises
    ------
    TypeError, ValueError
        If it is no array of numbers, has another shape, or numbers that are finite and too large for the dtype.
    """
    array = as_real_array(value, f"{source}: {name}", f"an array of numbers of shape {view.shape}", "give it numbers")
    if array.shape != view.shape:
        raise ValueError(f"{source}: expected {name} of shape {view.shape}, got {array.shape}")
    if array.dtype == view.dtype:
        return array
    with np.errstate(over="ignore", under="ignore"):
        converted = array.astype(view.dtype)
    if array.dtype.kind == "f" and (lost := np.isfinite(array) & ~np.isfinite(converted)).any():
        position = first_entry(lost)
        raise ValueError(f"{source}: {place(name, position)[0]} is {array[position]:g}, too large for "
                         f"{view.dtype}; take dtype='float64'")
    return converted
