"""Layers that bring several values together: Add, Multiply, Concatenate."""

from __future__ import annotations

from functools import reduce
from itertools import accumulate

from ..program import Builder, Operand
from .base import Layer, Vectors

Shapes = tuple[tuple[int, ...], ...]


class Merge(Layer):
    """What the layers of this file are: called on a list of tensors, they give one."""

    takes_many = True

    def build(self, shape: tuple, vectors: Vectors) -> None:
        shapes: Shapes = shape
        if len(shapes) < 2 or not isinstance(shapes[0], tuple):
            raise ValueError(f"layer {self.name!r}: expected a list of at least two tensors, got one; "
                             f"call it as fnn.{type(self).__name__}()([a, b])")
        if not self.fit(shapes):
            raise ValueError(f"layer {self.name!r}: expected samples of {self.expected}, got shapes "
                             f"{', '.join(map(str, shapes))}")
        self.input_shape, self.output_shape = shapes[0], self.merged(shapes)

    expected = "one shape"

    def fit(self, shapes: Shapes) -> bool:
        """Whether samples of these shapes can be merged."""
        return len(set(shapes)) == 1

    def merged(self, shapes: Shapes) -> tuple[int, ...]:
        """The shape of the result."""
        return shapes[0]


class Add(Merge):
    """y = a + b + ..., of samples of one shape; what a residual block ends in (He et al. 2016).

    Parameters
    ----------
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> a, b = fnn.Input((2,)), fnn.Input((2,))
    >>> fnn.Model([a, b], fnn.Add()([a, b])).predict([[[1.0, 2.0]], [[10.0, 20.0]]])
    array([[11., 22.]], dtype=float32)
    """

    layouts = ("rows", "time", "lanes")

    def forward(self, builder: Builder, x: tuple[Operand, ...], *,  # type: ignore[override]
                activate: bool = True) -> Operand:
        total = x[0]
        for other in x[1:]:
            y = builder.like(total)
            builder.emit("add", total, other, y)
            total = y
        builder.saved[self] = len(x)
        return total

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> tuple[Operand, ...]:  # type: ignore[override]
        return (dy,) * builder.saved[self]


class Multiply(Merge):
    """y = a * b * ..., element by element, of samples of one shape: a gate.

    Parameters
    ----------
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> a, b = fnn.Input((2,)), fnn.Input((2,))
    >>> fnn.Model([a, b], fnn.Multiply()([a, b])).predict([[[1.0, 2.0]], [[10.0, 20.0]]])
    array([[10., 40.]], dtype=float32)
    """

    layouts = ("rows", "time", "lanes")

    def forward(self, builder: Builder, x: tuple[Operand, ...], *,  # type: ignore[override]
                activate: bool = True) -> Operand:
        builder.saved[self] = x
        return self._product(builder, x)

    @staticmethod
    def _product(builder: Builder, factors: tuple[Operand, ...]) -> Operand:
        def times(a: Operand, b: Operand) -> Operand:
            y = builder.like(a)
            builder.emit("multiply", a, b, y)
            return y
        return reduce(times, factors)

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> tuple[Operand, ...]:  # type: ignore[override]
        x = builder.saved[self]
        return tuple(self._product(builder, (dy, *x[:i], *x[i + 1:])) for i in range(len(x)))


class Concatenate(Merge):
    """Samples side by side along their last axis: features, or the channels of images.

    Parameters
    ----------
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> a, b = fnn.Input((2,)), fnn.Input((1,))
    >>> fnn.Model([a, b], fnn.Concatenate()([a, b])).predict([[[1.0, 2.0]], [[3.0]]])
    array([[1., 2., 3.]], dtype=float32)
    """

    expected = "one shape but for the last axis"

    def fit(self, shapes: Shapes) -> bool:
        return len({shape[:-1] for shape in shapes}) == 1

    def merged(self, shapes: Shapes) -> tuple[int, ...]:
        self.layouts = ({1: "rows", 2: "time", 3: "lanes"}[len(shapes[0])],)
        self.widths = [shape[-1] for shape in shapes]
        return (*shapes[0][:-1], sum(self.widths))

    def forward(self, builder: Builder, x: tuple[Operand, ...], *,  # type: ignore[override]
                activate: bool = True) -> Operand:
        y = builder.arena((*x[0].shape[:-1], sum(self.widths)), layout=x[0].layout)
        for part, first, width in zip(x, self._firsts(), self.widths, strict=True):
            builder.emit("copy_columns", part, y, to_column=first, count=width)
        builder.saved[self] = x
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> tuple[Operand, ...]:  # type: ignore[override]
        gradients = tuple(builder.like(part) for part in builder.saved[self])
        for dx, first, width in zip(gradients, self._firsts(), self.widths, strict=True):
            builder.emit("copy_columns", dy, dx, from_column=first, count=width)
        return gradients

    def _firsts(self) -> list[int]:
        """The column of y where each part begins."""
        return [0, *accumulate(self.widths[:-1])]
