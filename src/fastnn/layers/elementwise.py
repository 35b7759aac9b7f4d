"""Layers without weights: Activation, Flatten."""

from __future__ import annotations

import math

from ..program import Builder, Operand
from .base import Layer, Vectors, activation_name, emit_activation, emit_slope


class Activation(Layer):
    """y = f(x), element by element; "softmax" row by row.

    Parameters
    ----------
    activation : str
        Name of f, one of `fastnn.activations.ACTIVATIONS` or "softmax".
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Activation("relu")], input_shape=(2,))
    >>> model.predict([[-1.0, 2.0]])
    array([[0., 2.]], dtype=float32)
    """

    def __init__(self, activation: str, *, name: str | None = None) -> None:
        super().__init__(name)
        self._activation = activation_name("activation", activation)

    @property
    def activation(self) -> str:
        return self._activation

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        name = self.activation if activate else "identity"
        y = emit_activation(builder, name, x)
        builder.saved[self] = name, x, y
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        name, x, y = builder.saved[self]
        return emit_slope(builder, name, dy, x, y) if need_dx else None

    def get_config(self) -> dict[str, object]:
        return {"activation": self.activation, **super().get_config()}


class Flatten(Layer):
    """Samples of any shape as one row of features, in C order; costs nothing.

    Parameters
    ----------
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Flatten(), fnn.Dense(10)], input_shape=(8, 8))
    >>> model.layers[0].output_shape
    (64,)
    """

    emits = False

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        self.input_shape, self.output_shape = shape, (math.prod(shape),)

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        return x

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        return dy
