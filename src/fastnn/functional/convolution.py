"""Convolutions of images, and kernels that slide."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from .base import Array, activating, as_arrays, call, pair, room


def _pads(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """((above, below), (left, right)) of a number, (vertical, horizontal) or all four."""
    vertical, horizontal = value if isinstance(value, (tuple, list)) and len(value) == 2 else (value, value)
    return pair("padding", vertical, 0), pair("padding", horizontal, 0)


class Slides:
    """A kernel or window of a size that slides over images."""

    def __init__(self, size: Any, strides: Any, padding: Any, dilation: Any = 1, name: str = "kernel_size") -> None:
        self.size, self.strides, self.pads = pair(name, size), pair("strides", strides), _pads(padding)
        self.dilation = pair("dilation", dilation)
        self.settings = {"kernel_y": self.size[0], "kernel_x": self.size[1], "stride_y": self.strides[0],
                         "stride_x": self.strides[1], "pad_y": self.pads[0][0], "pad_x": self.pads[1][0]}
        self.spans = [(k - 1) * d + 1 - sum(p) for k, d, p in zip(self.size, self.dilation, self.pads, strict=True)]

    def count(self, images: np.ndarray) -> list[int]:
        """How often it fits into images."""
        counts = [(n - span) // s + 1
                  for n, span, s in zip(images.shape[1:3], self.spans, self.strides, strict=True)]
        if min(counts) < 1:
            raise ValueError(f"expected a kernel or window that fits into images of {images.shape[1:3]}, got one of "
                             f"{self.size} with dilation {self.dilation} and padding {self.pads}")
        return counts

    def spread(self, maps: np.ndarray) -> list[int]:
        """The images that it would make such maps of."""
        return [(n - 1) * s + span for n, s, span in zip(maps.shape[1:3], self.strides, self.spans, strict=True)]

    def convolution(self, groups: Any, channels: int, filters: int) -> dict[str, Any]:
        """What the ops of convolutions are told."""
        if channels % checks.positive_int("groups", groups) or filters % groups:
            raise ValueError(f"groups: expected a divisor of {channels} channels and {filters} filters, got {groups}")
        return {**self.settings, "dilation_y": self.dilation[0], "dilation_x": self.dilation[1], "groups": groups}


def conv_forward(x: Any, w: Any, b: Any = None, activation: str = "identity", alpha: float | None = None,
                 strides: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> np.ndarray:
    """y = f(x * w + b) of images x (B, h, w, c), w (kernel height, kernel width, c / groups, filters), b (filters) or
    None. Strides and dilation are a number or (vertical, horizontal), padding also ((above, below), (left, right)).

    Examples
    --------
    >>> conv_forward(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)), [0.5])[0, :, :, 0]
    array([[4.5, 4.5],
           [4.5, 4.5]])
    """
    x, w, b = as_arrays("x:bhwc w:pqio b?:o", x, w, b)
    slides = Slides(w.shape[:2], strides, padding, dilation)
    settings = _checked(slides, groups, x.shape[3], w.shape[3], w.shape[2])
    y = room("y", (len(x), *slides.count(x), w.shape[3]), x.dtype)
    call("conv_forward", (x, _matrix(w), b, y, None), **activating(activation, alpha), **settings)
    return y


def conv_backward_input(dy: Any, w: Any, size: tuple[int, int], f: Any = None, activation: str = "identity",
                        alpha: float | None = None, strides: Any = 1, padding: Any = 0, dilation: Any = 1,
                        groups: int = 1) -> np.ndarray:
    """dx (B, h, w, c) of `conv_forward` for images of `size` (h, w), times the slope of the activation below at f, its
    output or input (see `fastnn.activations`), where given.

    Examples
    --------
    >>> conv_backward_input([[[[1.0]]]], np.full((2, 2, 1, 1), 3.0), (2, 2)).ravel()
    array([3., 3., 3., 3.])
    """
    dy, w, f = as_arrays("dy:bhwo w:pqio f?:bklc", dy, w, f)
    slides = Slides(w.shape[:2], strides, padding, dilation)
    dx = room("dx", (len(dy), *pair("size", size), w.shape[2] * checks.positive_int("groups", groups)), dy.dtype)
    settings = _checked(slides, groups, dx.shape[3], w.shape[3], w.shape[2])
    if slides.count(dx) != list(dy.shape[1:3]):
        raise ValueError(f"size: expected that of images whose maps are {dy.shape[1:3]}, got {size!r}")
    if f is not None and f.shape != dx.shape:
        raise ValueError(f"f: expected shape {dx.shape}, got {f.shape}")
    call("conv_backward_input", (dy, _matrix(w), f, dx), **activating(activation, alpha), **settings)
    return dx


def conv_backward_parameters(x: Any, dy: Any, kernel_size: Any, strides: Any = 1, padding: Any = 0,
                             dilation: Any = 1, groups: int = 1) -> tuple[Array, Array]:
    """dw (kernel height, kernel width, c / groups, filters) and db (filters) of `conv_forward`.

    Examples
    --------
    >>> dw, db = conv_backward_parameters(np.arange(4.0).reshape(1, 2, 2, 1), [[[[2.0]]]], (2, 2))
    >>> dw.ravel(), db
    (array([0., 2., 4., 6.]), array([2.]))
    """
    x, dy = as_arrays("x:bhwc dy:bklo", x, dy)
    slides = Slides(kernel_size, strides, padding, dilation)
    return _conv_gradients("conv_backward_parameters", [x, dy, None], x, dy, slides, groups, dy.shape[3])


def conv_transpose_forward(x: Any, w: Any, b: Any = None, activation: str = "identity", alpha: float | None = None,
                           strides: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> np.ndarray:
    """y = f(z + b), z what `conv_backward_input` makes of x (B, h, w, c) with w (kernel height, kernel width,
    filters / groups, c): the transposed convolution, whose padding is cut off. b (filters) or None.

    Examples
    --------
    >>> conv_transpose_forward([[[[1.0], [2.0]]]], np.ones((1, 2, 1, 1)), strides=2).ravel()
    array([1., 1., 2., 2.])
    """
    x, w, b = as_arrays("x:bhwc w:pqic b?:o", x, w, b)
    slides = Slides(w.shape[:2], strides, padding, dilation)
    size = slides.spread(x)
    if min(size) < 1:
        raise ValueError(f"padding: expected to leave a pixel, got {padding!r}")
    y = room("y", (len(x), *size, w.shape[2] * checks.positive_int("groups", groups)), x.dtype)
    settings = _checked(slides, groups, y.shape[3], w.shape[3], w.shape[2])
    if b is not None and b.shape != y.shape[3:]:
        raise ValueError(f"b: expected shape {y.shape[3:]}, got {b.shape}")
    call("conv_transpose_forward", (x, _matrix(w), b, y, None), **activating(activation, alpha), **settings)
    return y


def conv_transpose_backward_input(dy: Any, w: Any, f: Any = None, activation: str = "identity",
                                  alpha: float | None = None, strides: Any = 1, padding: Any = 0, dilation: Any = 1,
                                  groups: int = 1) -> np.ndarray:
    """dx of `conv_transpose_forward`: `conv_forward` of dy without a bias, times the slope of the activation below.

    Examples
    --------
    >>> conv_transpose_backward_input([[[[1.0], [2.0], [3.0], [4.0]]]], np.ones((1, 2, 1, 1)), strides=(1, 2)).ravel()
    array([3., 7.])
    """
    dy, w, f = as_arrays("dy:bhwo w:pqic f?:bklc", dy, w, f)
    slides = Slides(w.shape[:2], strides, padding, dilation)
    settings = _checked(slides, groups, dy.shape[3], w.shape[3], w.shape[2])
    dx = room("dx", (len(dy), *slides.count(dy), w.shape[3]), dy.dtype)
    if f is not None and f.shape != dx.shape:
        raise ValueError(f"f: expected shape {dx.shape}, got {f.shape}")
    call("conv_transpose_backward_input", (dy, _matrix(w), f, dx), **activating(activation, alpha), **settings)
    return dx


def conv_transpose_backward_parameters(x: Any, dy: Any, kernel_size: Any, strides: Any = 1, padding: Any = 0,
                                       dilation: Any = 1, groups: int = 1) -> tuple[Array, Array]:
    """dw (kernel height, kernel width, filters / groups, c) and db (filters) of `conv_transpose_forward`.

    Examples
    --------
    >>> dw, db = conv_transpose_backward_parameters([[[[2.0]]]], [[[[1.0], [3.0]]]], (1, 2))
    >>> dw.ravel(), db
    (array([2., 6.]), array([4.]))
    """
    x, dy = as_arrays("x:bhwc dy:bklo", x, dy)
    slides = Slides(kernel_size, strides, padding, dilation)
    return _conv_gradients("conv_transpose_backward_parameters", [x, dy], dy, x, slides, groups, dy.shape[3])


def _conv_gradients(name: str, inputs: list[Array | None], images: Array, maps: Array, slides: Slides, groups: int,
                    filters: int) -> tuple[Array, Array]:
    settings = slides.convolution(groups, images.shape[3], maps.shape[3])
    if slides.count(images) != list(maps.shape[1:3]):
        raise ValueError(f"dy: expected maps of {slides.count(images)} for images of {images.shape[1:3]}, "
                         f"got {maps.shape[1:3]}")
    dw = room("dw", (*slides.size, images.shape[3] // groups, maps.shape[3]), images.dtype)
    db = np.empty((1, filters), images.dtype)
    call(name, (*inputs, _matrix(dw), db), **settings)
    return dw, db[0]


def _checked(slides: Slides, groups: int, channels: int, filters: int, seen: int) -> dict[str, Any]:
    """The settings, if w's third axis is a group's channels."""
    if seen * checks.positive_int("groups", groups) != channels:
        raise ValueError(f"w: expected a third axis of {channels} channels / {groups} groups, got {seen}")
    return slides.convolution(groups, channels, filters)


def _matrix(w: np.ndarray) -> np.ndarray:
    return w.reshape(-1, w.shape[-1])
