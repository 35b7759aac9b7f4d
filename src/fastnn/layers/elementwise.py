"""A layer that only reshapes: Flatten."""

from __future__ import annotations

import math

from ..program import Builder, Operand
from .base import Layer, Vectors


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
