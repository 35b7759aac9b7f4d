"""Layers that only reshape: Flatten, Reshape."""

from __future__ import annotations

import math

from .. import checks
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


class Reshape(Layer):
    """Samples in another shape, values in C order; costs nothing where they are rows already.

    Parameters
    ----------
    shape : tuple of int
        Of a sample; one -1 stands for what is left.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(12), fnn.Reshape((2, -1, 3)), fnn.Flatten()], input_shape=(4,))
    >>> model.layers[1].output_shape
    (2, 2, 3)
    """

    emits = False

    def __init__(self, shape: tuple[int, ...], *, name: str | None = None) -> None:
        super().__init__(name)
        self.shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        known = checks.shape_tuple("shape", [1 if isinstance(n, int) and n == -1 else n for n in self.shape])
        self.shape = tuple(-1 if isinstance(n, int) and n == -1 else k for n, k in zip(self.shape, known, strict=True))
        if self.shape.count(-1) > 1:
            raise ValueError(f"shape: expected at most one -1, got {shape!r}")

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        n, known = math.prod(shape), math.prod(k for k in self.shape if k != -1)
        result = tuple(n // known if k == -1 else k for k in self.shape)
        if math.prod(result) != n:
            raise ValueError(f"layer {self.name!r}: expected a shape of the {n} values of a sample of {shape}, got "
                             f"{self.shape}")
        self.input_shape, self.output_shape = shape, result

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        return x

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        return dy

    def get_config(self) -> dict[str, object]:
        return {"shape": self.shape, **super().get_config()}
