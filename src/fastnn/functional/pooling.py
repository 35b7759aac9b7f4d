"""Pooling of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array, as_arrays, call, flag, pair, require_below, room
from .convolution import Slides


def max_pool_forward(x: Any, pool_size: Any = 2, strides: Any = None, padding: Any = 0) -> tuple[Array, Array]:
    """The largest of each window of images x (B, h, w, c), and where in the window it is, in row order: the first.
    Sizes, strides (by default the sizes) and padding as for `conv_forward`; what lies outside never is the largest.

    Examples
    --------
    >>> y, index = max_pool_forward([[[[1.0], [3.0]], [[2.0], [0.0]]]])
    >>> y.item(), index.item()
    (3.0, 1)
    """
    x, = as_arrays("x:bhwc", x)
    slides = _pool(pool_size, strides, padding)
    y = room("y", (len(x), *slides.count(x), x.shape[3]), x.dtype)
    index = np.empty(y.shape, np.uint8 if slides.size[0] * slides.size[1] <= 256 else np.int32)
    call("max_pool_forward", (x, y, index), **slides.settings)
    return y, index


def max_pool_backward(dy: Any, index: Any, size: tuple[int, int], pool_size: Any = 2, strides: Any = None,
                      padding: Any = 0) -> np.ndarray:
    """dx (B, h, w, c) of `max_pool_forward`, for images of `size` (h, w).

    Examples
    --------
    >>> max_pool_backward([[[[5.0]]]], [[[[1.0]]]], (2, 2)).ravel()
    array([0., 5., 0., 0.])
    """
    dy, index = as_arrays("dy:bhwc index:bhwc.i4", dy, index)
    slides = _pool(pool_size, strides, padding)
    dx = room("dx", (len(dy), *pair("size", size), dy.shape[3]), dy.dtype)
    if slides.count(dx) != list(dy.shape[1:3]):
        raise ValueError(f"size: expected that of images whose pools are {dy.shape[1:3]}, got {size!r}")
    require_below("index", index, 0, slides.size[0] * slides.size[1])
    few = slides.size[0] * slides.size[1] <= 256
    call("max_pool_backward", (dy, index.astype(np.uint8) if few else index, dx), **slides.settings)
    return dx


def _pool(pool_size: Any, strides: Any, padding: Any) -> Slides:
    slides = Slides(pool_size, pool_size if strides is None else strides, padding, name="pool_size")
    if any(max(p) >= k for p, k in zip(slides.pads, slides.size, strict=True)):
        raise ValueError(f"padding: expected less than the window {slides.size}, got {padding!r}")
    return slides


def average_pool_forward(x: Any, pool_size: Any = 2, strides: Any = None, padding: Any = 0,
                         count_padding: bool = False) -> np.ndarray:
    """y = the mean of each window of images x (B, h, w, c). Sizes, strides and zeros as for `max_pool_forward`; the
    zeros count where told so.

    Examples
    --------
    >>> average_pool_forward(np.arange(4.0).reshape(1, 2, 2, 1)).item()
    1.5
    """
    x, = as_arrays("x:bhwc", x)
    slides = _pool(pool_size, strides, padding)
    y = room("y", (len(x), *slides.count(x), x.shape[3]), x.dtype)
    call("average_pool_forward", (x, y), **slides.settings, count_padding=flag("count_padding", count_padding))
    return y


def average_pool_backward(dy: Any, size: tuple[int, int], pool_size: Any = 2, strides: Any = None, padding: Any = 0,
                          count_padding: bool = False) -> np.ndarray:
    """dx (B, h, w, c) of `average_pool_forward`, for images of size (h, w).

    Examples
    --------
    >>> average_pool_backward([[[[4.0]]]], (2, 2)).ravel()
    array([1., 1., 1., 1.])
    """
    dy, = as_arrays("dy:bhwc", dy)
    dx = room("dx", (len(dy), *pair("size", size), dy.shape[3]), dy.dtype)
    slides = _pool(pool_size, strides, padding)
    if slides.count(dx) != list(dy.shape[1:3]):
        raise ValueError(f"size: expected that of images whose pools are {dy.shape[1:3]}, got {size!r}")
    call("average_pool_backward", (dy, dx), **slides.settings, count_padding=flag("count_padding", count_padding))
    return dx
