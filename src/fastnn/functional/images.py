"""Images cut, enlarged, and moved at random."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..checks_arrays import describe
from ..operands import MOST_PIXELS
from .base import as_arrays, call, flag, number, pair, room
from .noise import noisy


def crop_pad(x: Any, pads: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    """Images x (B, h, w, c) with zeros ((above, below), (left, right)); negative numbers cut off. Its gradient is the
    same call with the signs turned.

    Examples
    --------
    >>> crop_pad(np.ones((1, 2, 2, 1)), ((1, 0), (0, -1)))[0, :, :, 0]
    array([[0.],
           [1.],
           [1.]])
    """
    x, = as_arrays("x:bhwc", x)
    above, below, left, right = _signed(pads)
    size = x.shape[1] + above + below, x.shape[2] + left + right
    if min(size) < 1:
        raise ValueError(f"pads: expected to leave a pixel of {x.shape[1:3]}, got {pads!r}")
    y = room("y", (len(x), *size, x.shape[3]), x.dtype)
    call("crop_pad", (x, y), pad_y=above, pad_x=left)
    return y


def _signed(pads: Any) -> tuple[int, ...]:
    """The four numbers of ((above, below), (left, right))."""
    pairs = pads if isinstance(pads, (tuple, list)) and len(pads) == 2 else ()
    flat = [n for each in pairs if isinstance(each, (tuple, list)) and len(each) == 2 for n in each]
    if len(flat) != 4:
        raise ValueError(f"pads: expected ((above, below), (left, right)), got {describe(pads)}")
    return tuple(checks.positive_int("pads", n, -MOST_PIXELS, MOST_PIXELS) for n in flat)


def upsample_forward(x: Any, size: Any = 2, bilinear: bool = False) -> np.ndarray:
    """Images x (B, h, w, c) enlarged by whole factors, a number or (vertical, horizontal): the nearest pixel, or
    bilinear between the centres of four (PyTorch's ``align_corners=False``).

    Examples
    --------
    >>> upsample_forward([[[[0.0], [4.0]]]], (1, 2), bilinear=True).ravel().tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    x, = as_arrays("x:bhwc", x)
    fy, fx = pair("size", size)
    y = room("y", (len(x), x.shape[1] * fy, x.shape[2] * fx, x.shape[3]), x.dtype)
    call("upsample_forward", (x, y), factor_y=fy, factor_x=fx, bilinear=flag("bilinear", bilinear))
    return y


def upsample_backward(dy: Any, size: Any = 2, bilinear: bool = False) -> np.ndarray:
    """dx (B, h, w, c) of `upsample_forward`.

    Examples
    --------
    >>> upsample_backward([[[[1.0], [2.0]]]], (1, 2)).ravel()
    array([3.])
    """
    dy, = as_arrays("dy:bhwc", dy)
    fy, fx = pair("size", size)
    if dy.shape[1] % fy or dy.shape[2] % fx:
        raise ValueError(f"size: expected divisors of {dy.shape[1:3]}, got {size!r}")
    dx = np.empty((len(dy), dy.shape[1] // fy, dy.shape[2] // fx, dy.shape[3]), dy.dtype)
    call("upsample_backward", (dy, dx), factor_y=fy, factor_x=fx, bilinear=flag("bilinear", bilinear))
    return dx


def random_flip(x: Any, horizontal: bool = True, vertical: bool = False, seed: int = 0, update: int = 1,
                instance: int = 0) -> np.ndarray:
    """Images x (B, h, w, c) mirrored left to right, or upside down, each with probability 1/2; seed, update and
    instance as for `dropout`. Its own gradient.

    Examples
    --------
    >>> y = random_flip(np.arange(3.0).reshape(1, 1, 3, 1), seed=1)
    >>> y.ravel().tolist() in ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0])
    True
    """
    return _augmented("random_flip", x, seed, update, instance, horizontal=flag("horizontal", horizontal),
                      vertical=flag("vertical", vertical))


def random_shift(x: Any, most: Any = 2, fill: float = 0.0, gradient: bool = False, seed: int = 0, update: int = 1,
                 instance: int = 0) -> np.ndarray:
    """Images x (B, h, w, c) moved by whole numbers of pixels up to `most`, one or (vertical, horizontal), either way;
    `fill` comes in. With `gradient`, dx of dy.

    Examples
    --------
    >>> y = random_shift(np.ones((1, 3, 3, 1)), most=1, fill=-1.0, seed=1)
    >>> set(y.ravel().tolist()) <= {1.0, -1.0}, y.shape
    (True, (1, 3, 3, 1))
    """
    most_y, most_x = pair("most", most, 0)
    return _augmented("random_shift", x, seed, update, instance, most_y=most_y, most_x=most_x,
                      gradient=flag("gradient", gradient), fill=number("fill", fill))


def random_rotation(x: Any, degrees: float = 10.0, fill: float = 0.0, gradient: bool = False, seed: int = 0,
                    update: int = 1, instance: int = 0) -> np.ndarray:
    """Images x (B, h, w, c) turned about their middles by angles up to `degrees` either way, bilinear between pixels;
    `fill` lies around them. With `gradient`, dx of dy.

    Examples
    --------
    >>> y = random_rotation(np.ones((1, 5, 5, 1)), degrees=20.0, seed=1)
    >>> y[0, 2, 2, 0].item(), bool(y.min() < 1)
    (1.0, True)
    """
    most = float(np.deg2rad(checks.positive_float("degrees", degrees, allow_zero=True)))
    return _augmented("random_rotation", x, seed, update, instance, most=most, gradient=flag("gradient", gradient),
                      fill=number("fill", fill))


def _augmented(name: str, x: Any, seed: int, update: int, instance: int, **settings: Any) -> np.ndarray:
    x, = as_arrays("x:bhwc", x)
    height, width, channels = x.shape[1:]
    rows = x.reshape(len(x), -1)
    return noisy(name, rows, seed, update, instance, height=height, width=width, channels=channels,
                  **settings).reshape(x.shape)
