"""Averages over windows, and mean or maximum over all of an image or a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..program import Builder, Operand
from .base import Layer, Vectors
from .pooling import Pooling
from .windows import as_image


class AveragePooling(Pooling):
    """What AveragePool1D and AveragePool2D are."""

    def __init__(self, pool_size: Any, strides: Any, padding: Any, count_padding: bool, name: str | None) -> None:
        super().__init__(pool_size, strides, padding, name)
        self.count_padding = checks.boolean("count_padding", count_padding)

    @property
    def _settings(self) -> dict[str, Any]:
        return {**self.window.settings(self.image[:2]), "count_padding": int(self.count_padding)}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(("B", *self.result), layout="lanes")
        builder.emit("average_pool_forward", x, y, **self._settings)
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        if not need_dx:
            return None
        dx = builder.arena(("B", *self.image), layout="lanes")
        builder.emit("average_pool_backward", dy, dx, **self._settings)
        return dx

    def get_config(self) -> dict[str, object]:
        return {"count_padding": self.count_padding, **super().get_config()}


class AveragePool2D(AveragePooling):
    """The mean of each window, channel by channel.

    Takes samples of shape ``(height, width, channels)``, gives ``(height', width', channels)``.

    Parameters
    ----------
    pool_size : int or (int, int)
        Height and width of the window.
    strides : int or (int, int), optional
        Pixels from one window to the next; by default windows lie side by side.
    padding : "valid", "same", int or ((int, int), (int, int))
        Zeros around the image, as `fastnn.Conv2D` counts them.
    count_padding : bool
        Whether the mean divides by the whole window where zeros are in it, as PyTorch's default
        (``count_include_pad``); by default by the pixels that are there, as in Keras.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.AveragePool2D(2), fnn.Flatten()], input_shape=(2, 4, 1), dtype="float64")
    >>> model.predict([[[[1], [2], [3], [4]], [[8], [7], [6], [5]]]]).ravel()
    array([4.5, 4.5])
    """

    def __init__(self, pool_size: int | tuple[int, int] = 2, strides: int | tuple[int, int] | None = None,
                 padding: Any = "valid", *, count_padding: bool = False, name: str | None = None) -> None:
        super().__init__(pool_size, strides, padding, count_padding, name)


class AveragePool1D(AveragePooling):
    """The mean of each stretch of a sequence, feature by feature.

    Takes samples of shape ``(time, features)``, gives ``(time', features)``.

    Parameters
    ----------
    pool_size : int
        Steps of a stretch.
    strides : int, optional
        Steps from one stretch to the next; by default they lie side by side.
    padding : "valid", "same", int or ((int, int),)
        Zeros around the sequence, as `fastnn.Conv1D` counts them.
    count_padding : bool
        Whether the mean divides by the whole stretch where zeros are in it, see `fastnn.AveragePool2D`.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.AveragePool1D(2), fnn.Flatten()], input_shape=(4, 1), dtype="float64")
    >>> model.predict([[[1], [2], [8], [4]]]).ravel()
    array([1.5, 6. ])
    """

    axes = 1

    def __init__(self, pool_size: int = 2, strides: int | None = None, padding: Any = "valid", *,
                 count_padding: bool = False, name: str | None = None) -> None:
        super().__init__(pool_size, strides, padding, count_padding, name)


class _OfImage(Layer):
    """One number a channel, of all pixels: a window as large as the image."""

    layouts = ("lanes",)

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        self.image = as_image(shape, 2, self.name, type(self).__name__)
        self.input_shape, self.output_shape = shape, shape[2:]

    @property
    def _window(self) -> dict[str, Any]:
        h, w, _ = self.image
        return {"kernel_y": h, "kernel_x": w, "stride_y": h, "stride_x": w}

    def _as_rows(self, builder: Builder, y: Operand) -> Operand:
        rows = builder.arena(("B", self.image[2]))
        builder.emit("lanes_to_rows", y, rows)
        return rows

    def _as_pixels(self, builder: Builder, dy: Operand) -> Operand:
        pixels = builder.arena(("B", 1, 1, self.image[2]), layout="lanes")
        builder.emit("rows_to_lanes", dy, pixels, gradient=1)
        return pixels


class GlobalAveragePool2D(_OfImage):
    """The mean of each channel over an image: ``(height, width, channels)`` to ``(channels,)``.

    Parameters
    ----------
    name : str, optional
        The layer's name in the model.

    Notes
    -----
    Lin, Chen and Yan 2014, "Network in network": in the place of large dense layers at a network's end.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.GlobalAveragePool2D()], input_shape=(2, 2, 1), dtype="float64")
    >>> model.predict([[[[1], [2]], [[3], [6]]]])
    array([[3.]])
    """

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(("B", 1, 1, self.image[2]), layout="lanes")
        builder.emit("average_pool_forward", x, y, **self._window)
        return self._as_rows(builder, y)

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        if not need_dx:
            return None
        dx = builder.arena(("B", *self.image), layout="lanes")
        builder.emit("average_pool_backward", self._as_pixels(builder, dy), dx, **self._window)
        return dx


class GlobalMaxPool2D(_OfImage):
    """The largest value of each channel over an image: ``(height, width, channels)`` to ``(channels,)``.

    The gradient goes to the largest value, the first one where several are equal.

    Parameters
    ----------
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.GlobalMaxPool2D()], input_shape=(2, 2, 1), dtype="float64")
    >>> model.predict([[[[1], [2]], [[3], [6]]]])
    array([[6.]])
    """

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(("B", 1, 1, self.image[2]), layout="lanes")
        few = self.image[0] * self.image[1] <= 256
        index = builder.arena(y.shape, np.uint8 if few else np.int32, "lanes") if builder.differentiates else None
        builder.emit("max_pool_forward", x, y, index, **self._window)
        builder.saved[self] = index
        return self._as_rows(builder, y)

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        if not need_dx:
            return None
        dx = builder.arena(("B", *self.image), layout="lanes")
        builder.emit("max_pool_backward", self._as_pixels(builder, dy), builder.saved[self], dx, **self._window)
        return dx


class _OverTime(Layer):
    """One number a feature, of all steps of a sequence; those that a mask leaves out do not count."""

    layouts = ("time",)
    keeps_mask = False

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        if len(shape) != 2:
            raise ValueError(f"layer {self.name!r}: {type(self).__name__} expects samples of shape (time, features), "
                             f"got {shape}")
        self.input_shape, self.output_shape = shape, shape[1:]


class GlobalAveragePool1D(_OverTime):
    """The mean of each feature over a sequence: ``(time, features)`` to ``(features,)``.

    Steps that a mask leaves out do not count; a sequence without any gives zeros.

    Parameters
    ----------
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.GlobalAveragePool1D()], input_shape=(3, 1), dtype="float64")
    >>> model.predict([[[1], [2], [6]]])
    array([[3.]])
    """

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y, mask = builder.arena(("B", *self.output_shape)), builder.mask_of(x)
        builder.emit("time_mean_forward", x, mask, y)
        builder.saved[self] = x, mask
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        x, mask = builder.saved[self]
        if not need_dx:
            return None
        dx = builder.like(x)
        builder.emit("time_mean_backward", dy, mask, dx)
        return dx


class GlobalMaxPool1D(_OverTime):
    """The largest value of each feature over a sequence: ``(time, features)`` to ``(features,)``.

    Steps that a mask leaves out do not count; a sequence without any gives zeros. The gradient goes to the
    largest value, the first one where several are equal.

    Parameters
    ----------
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.GlobalMaxPool1D()], input_shape=(3, 1), dtype="float64")
    >>> model.predict([[[1], [6], [2]]])
    array([[6.]])
    """

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(("B", *self.output_shape))
        index = builder.arena(y.shape, np.int32) if builder.differentiates else None
        builder.emit("time_max_forward", x, builder.mask_of(x), y, index)
        builder.saved[self] = x, index
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        x, index = builder.saved[self]
        if not need_dx:
            return None
        dx = builder.like(x)
        builder.emit("time_max_backward", dy, index, dx)
        return dx
