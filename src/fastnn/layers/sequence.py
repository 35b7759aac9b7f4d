"""Layers around sequences: Bidirectional, TimeDistributed, Masking."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..program import Builder, Operand
from .base import Layer, Vectors
from .inputs import AdaptedLayer
from .recurrent_base import Recurrent
from .registry import from_config, to_config

MERGES = ("concat", "sum", "mul", "ave")


class Bidirectional(Layer):
    """A recurrent layer and its twin that reads the sequence backwards, their outputs merged step by step.

    Schuster and Paliwal (1997). The two have weights of their own. Called on a list ``[x, *states]`` they start from
    those, first the states of the layer that reads forwards: two in all, of LSTMs four.

    Parameters
    ----------
    layer : Recurrent
        The layer that reads forwards, such as ``fnn.LSTM(32, return_sequences=True)``. With
        ``return_state`` the last states follow the output, first those of this layer.
    merge : {"concat", "sum", "mul", "ave"}
        How outputs become one: side by side, or the sum, the product, the mean.
    name : str, optional
        The layer's name in the model.

    Attributes
    ----------
    forward_layer, backward_layer : Recurrent
        The two.
    forward_weight, backward_weight, ... : numpy.ndarray
        Their arrays, writable views, once the layer is in a model.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.Bidirectional(fnn.GRU(3, return_sequences=True))], input_shape=(5, 2))
    >>> model.predict(np.ones((1, 5, 2))).shape
    (1, 5, 6)
    """

    layouts = ("time",)
    takes_many = True

    def __init__(self, layer: Recurrent | dict, merge: str = "concat", *, name: str | None = None) -> None:
        super().__init__(name)
        if isinstance(layer, dict):
            layer = from_config(layer)  # type: ignore[assignment]
        if not isinstance(layer, Recurrent):
            raise TypeError(f"layer: expected a recurrent layer, got {type(layer).__name__}")
        if layer.reverse or layer.stateful:
            raise ValueError("layer: expected one that reads forwards and is not stateful, got "
                             f"reverse={layer.reverse}, stateful={layer.stateful}")
        self.merge = checks.choice("merge", merge, MERGES)
        self.forward_layer = layer
        self.backward_layer: Recurrent = from_config({**to_config(layer), "reverse": True})  # type: ignore[assignment]
        self.forward_layer.prefix, self.backward_layer.prefix = "forward_", "backward_"

    @property
    def both(self) -> tuple[Recurrent, Recurrent]:
        """Forward and backward."""
        return self.forward_layer, self.backward_layer

    def _halves(self, x: Any, *starts: Any) -> list[Any]:
        """What each of the two takes: the sequence, and its states where there are some."""
        half = len(starts) // 2
        return [(x, *starts[:half]), (x, *starts[half:])] if starts else [x, x]

    def build(self, shape: tuple, vectors: Vectors) -> None:
        shapes = shape if isinstance(shape[0], tuple) else (shape,)
        states = 2 * self.forward_layer.n_states
        if len(shapes) not in (1, 1 + states):
            raise ValueError(f"layer {self.name!r}: expected {states} initial states after the sequence, first those "
                             f"of the layer that reads forwards, got {len(shapes) - 1}")
        self.segments = {}
        for layer, own in zip(self.both, self._halves(*shapes), strict=True):
            layer.name = self.name
            layer.build(own, vectors)
            self.segments |= {layer.prefix + name: segment for name, segment in layer.segments.items()}
        self.input_shape, shape = self.forward_layer.input_shape, self.forward_layer.output_shape
        self.output_shape = (*shape[:-1], shape[-1] * (2 if self.merge == "concat" else 1))

    @property
    def output_shapes(self) -> tuple:
        return (self.output_shape, *self.forward_layer.output_shapes[1:], *self.backward_layer.output_shapes[1:])

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {layer.prefix + name: value for layer in self.both for name, value in layer.initial(rng).items()}

    def forward(self, builder: Builder, x: Any, *, activate: bool = True) -> Any:
        given = x if isinstance(x, tuple) else (x,)
        results = [layer.forward(builder, own) for layer, own in zip(self.both, self._halves(*given), strict=True)]
        (a, *states), (b, *more) = (r if isinstance(r, tuple) else (r,) for r in results)
        builder.saved[self] = a, b, len(given) // 2
        y = self._merged(builder, a, b)
        return (y, *states, *more) if self.forward_layer.return_state else y

    def _merged(self, builder: Builder, a: Operand, b: Operand) -> Operand:
        n = self.forward_layer.units
        if self.merge == "concat":
            y = builder.arena((a.shape[0], 2 * n))
            for i, part in enumerate((a, b)):
                builder.emit("copy_columns", part, y, to_column=i * n, count=n)
            return y
        y = builder.like(a)
        builder.emit("multiply" if self.merge == "mul" else "add", a, b, y)
        if self.merge == "ave":
            builder.emit("scale", y, y, factor=0.5)
        return y

    def backward(self, builder: Builder, dy: Any, *, need_dx: bool) -> Any:
        a, b, starts = builder.saved[self]
        main, *states = dy if isinstance(dy, tuple) else (dy,)
        da, db = (None, None) if main is None else self._parts(builder, main, a, b)
        half = len(states) // 2
        total, dstart = None, []
        for layer, d, own in ((self.forward_layer, da, states[:half]), (self.backward_layer, db, states[half:])):
            got: Any = None
            if any(part is not None for part in (d, *own)):
                got = layer.backward(builder, (d, *own) if own else d, need_dx=need_dx)
            dx, *first = got if isinstance(got, tuple) else (got, *[None] * starts)
            total = Recurrent.total_of(builder, total, dx)
            dstart += first
        return (total, *dstart) if starts else total

    def _parts(self, builder: Builder, dy: Operand, a: Operand, b: Operand) -> tuple[Operand, Operand]:
        """What dy is for each of the two outputs."""
        n = self.forward_layer.units
        if self.merge == "sum":
            return dy, dy
        da, db = builder.like(a), builder.like(b)
        for i, (part, other) in enumerate(((da, b), (db, a))):
            if self.merge == "concat":
                builder.emit("copy_columns", dy, part, from_column=i * n, count=n)
            elif self.merge == "mul":
                builder.emit("multiply", dy, other, part)
            else:
                builder.emit("scale", dy, part, factor=0.5)
        return da, db

    def get_config(self) -> dict[str, object]:
        return {"layer": to_config(self.forward_layer), "merge": self.merge, **super().get_config()}


class TimeDistributed(Layer):
    """A layer applied to each step of a sequence by itself, as if it were a sample.

    `fastnn.Dense` and elementwise layers do so without it.

    Parameters
    ----------
    layer : Layer
        One that takes samples of one axis.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.TimeDistributed(fnn.Dense(4))], input_shape=(5, 2))
    >>> model.predict(np.ones((1, 5, 2))).shape
    (1, 5, 4)
    """

    layouts = ("time",)

    def __init__(self, layer: Layer | dict, *, name: str | None = None) -> None:
        super().__init__(name)
        if isinstance(layer, dict):
            layer = from_config(layer)
        if not isinstance(layer, Layer):
            raise TypeError(f"layer: expected a fastnn layer, got {type(layer).__name__}")
        if isinstance(layer, AdaptedLayer):
            raise TypeError("layer: expected one that has no numbers of the training set, got "
                            f"{type(layer).__name__}; put that in front of the model, for whole samples")
        self.layer = layer

    def build(self, shape: tuple, vectors: Vectors) -> None:
        if len(shape) != 2:
            raise ValueError(f"layer {self.name!r}: TimeDistributed expects samples of shape (time, features), got "
                             f"{shape}")
        self.layer.name = self.name
        self.layer.build(shape[1:], vectors)
        self.segments, self.persistent = self.layer.segments, self.layer.persistent
        if len(self.layer.output_shape) != 1 or "rows" not in self.layer.layouts:
            raise ValueError(f"layer {self.name!r}: expected a layer from rows of features to rows of features, got "
                             f"{self.layer!r}")
        self.input_shape, self.output_shape = shape, (shape[0], *self.layer.output_shape)

    @property
    def activation(self) -> str:
        return self.layer.activation

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return self.layer.initial(rng)

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        return self.layer.forward(builder, x, activate=activate)

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        return self.layer.backward(builder, dy, need_dx=need_dx)

    def get_config(self) -> dict[str, object]:
        return {"layer": to_config(self.layer), **super().get_config()}


class Masking(Layer):
    """Steps whose features all have one value do not count: recurrent layers pass them by, losses leave them out.

    The way to sequences of unequal length: fill the short ones up with that value, at their end or their start.

    Parameters
    ----------
    mask_value : float
        The value.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    The second sequence has two steps:

    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.Masking(), fnn.SimpleRNN(2)], input_shape=(3, 1))
    >>> X = np.array([[[1.0], [2.0], [3.0]], [[1.0], [2.0], [0.0]]])
    >>> short = fnn.Sequential([fnn.Masking(), fnn.SimpleRNN(2)], input_shape=(2, 1))
    >>> bool((model.predict(X)[1] == short.predict(X[1:, :2])).all())
    True
    """

    layouts = ("time",)

    def __init__(self, mask_value: float = 0.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.mask_value = checks.finite_float("mask_value", mask_value)

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        if len(shape) != 2:
            raise ValueError(f"layer {self.name!r}: Masking expects samples of shape (time, features), got {shape}")
        super().build(shape, vectors)

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y, mask = builder.like(x), builder.arena(("BT",))
        builder.emit("copy_columns", x, y, count=int(x.shape[1]))  # x itself has all its steps
        builder.emit("step_mask", x, mask, value=self.mask_value)
        builder.set_mask(y, mask)
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        return dy

    def get_config(self) -> dict[str, object]:
        return {"mask_value": self.mask_value, **super().get_config()}
