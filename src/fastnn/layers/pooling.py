"""Pooling: MaxPool1D, MaxPool2D."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..program import Builder, Operand
from .base import Layer, Vectors
from .windows import Padding, Window, as_image, padding, sizes


class Pooling(Layer):
    """What all pooling by windows is.

    Parameters
    ----------
    pool_size, strides : int or tuple of int
        Of the window, for all axes or each; by default windows do not overlap.
    zeros : "valid", "same", int or tuple
        The padding.
    name : str, optional
        The layer's name in the model.
    """

    layouts = ("lanes",)
    axes = 2

    def __init__(self, pool_size: Any, strides: Any, zeros: Any, name: str | None) -> None:
        super().__init__(name)
        self.pool_size = sizes("pool_size", pool_size, self.axes)
        self.strides = self.pool_size if strides is None else sizes("strides", strides, self.axes)
        self.padding: Padding = padding(zeros, self.axes)
        self.window = Window(self.pool_size, self.strides, self.padding)
        if not isinstance(self.padding, str) and any(
                max(p) >= n for p, n in zip(self.padding, self.pool_size, strict=True)):
            raise ValueError(f"padding: expected less than the window {self.pool_size}, so that each has a pixel, "
                             f"got {zeros!r}")

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        h, w, c = self.image = as_image(shape, self.axes, self.name, type(self).__name__)
        self.result = (*self.window.count((h, w)), c)
        if min(self.result) < 1:
            raise ValueError(f"layer {self.name!r}: a window of {self.pool_size} does not fit into samples of shape "
                             f"{shape}; try padding='same'")
        self.input_shape, self.output_shape = shape, self.result[2 - self.axes:]

    def get_config(self) -> dict[str, object]:
        return {"pool_size": self.pool_size, "strides": self.strides, "padding": self.padding, **super().get_config()}


class MaxPooling(Pooling):
    """What MaxPool1D and MaxPool2D are."""

    def settings(self) -> dict[str, Any]:
        """What both ops are told."""
        return self.window.settings(self.image[:2])

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(("B", *self.result), layout="lanes")
        few = self.window.y.size * self.window.x.size <= 256
        index = builder.arena(y.shape, np.uint8 if few else np.int32, "lanes") if builder.differentiates else None
        builder.emit("max_pool_forward", x, y, index, **self.settings())
        builder.saved[self] = x, index
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        x, index = builder.saved[self]
        if not need_dx:
            return None
        dx = builder.like(x)
        builder.emit("max_pool_backward", dy, index, dx, **self.settings())
        return dx


class MaxPool2D(MaxPooling):
    """The largest value of each window, channel by channel.

    Takes samples of shape ``(height, width, channels)``, gives ``(height', width', channels)``. The gradient goes to
    the largest value, the first one where several are equal.

    Parameters
    ----------
    pool_size : int or (int, int)
        Height and width of the window.
    strides : int or (int, int), optional
        Pixels from one window to the next; by default windows lie side by side.
    padding : "valid", "same", int or ((int, int), (int, int))
        Pixels around the image that never are the largest, as `fastnn.Conv2D` counts them.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.MaxPool2D(2)], input_shape=(2, 4, 1), dtype="float64")
    >>> model.predict([[[[1], [2], [3], [4]], [[8], [7], [6], [5]]]]).ravel()
    array([8., 6.])
    """

    def __init__(self, pool_size: int | tuple[int, int] = 2, strides: int | tuple[int, int] | None = None,
                 padding: Any = "valid", *, name: str | None = None) -> None:
        super().__init__(pool_size, strides, padding, name)


class MaxPool1D(MaxPooling):
    """The largest value of each stretch of a sequence, feature by feature.

    Takes samples of shape ``(time, features)``, gives ``(time', features)``.

    Parameters
    ----------
    pool_size : int
        Steps of a stretch.
    strides : int, optional
        Steps from one stretch to the next; by default they lie side by side.
    padding : "valid", "same", int or ((int, int),)
        Steps around the sequence that never are the largest, as `fastnn.Conv1D` counts them.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.MaxPool1D(2)], input_shape=(4, 1), dtype="float64")
    >>> model.predict([[[1], [2], [8], [4]]]).ravel()
    array([2., 8.])
    """

    axes = 1

    def __init__(self, pool_size: int = 2, strides: int | None = None, padding: Any = "valid", *,
                 name: str | None = None) -> None:
        super().__init__(pool_size, strides, padding, name)
