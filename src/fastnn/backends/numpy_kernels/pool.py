"""Max pooling (``csrc/pool.inc``)."""

from __future__ import annotations

import math

import numpy as np

from ...program import op
from .conv import DIMS as CONV_DIMS
from .conv import conv_forward, spread

DIMS = "kernel_y kernel_x stride_y stride_x pad_y pad_x"


def windows(x, small, settings, beyond):
    """The pixels of each window, (B, oh, ow, c, ky kx) of x; outside there is `beyond`."""
    ky, kx, sy, sx, py, px = (settings[name] for name in DIMS.split())
    (oh, ow), (h, w) = small, x.shape[1:3]
    size = max((oh - 1) * sy + ky, py + h), max((ow - 1) * sx + kx, px + w)
    frame = np.full((len(x), *size, x.shape[3]), beyond, x.dtype)
    frame[:, py:py + h, px:px + w] = x
    shifted = [frame[:, i:i + (oh - 1) * sy + 1:sy, j:j + (ow - 1) * sx + 1:sx] for i in range(ky) for j in range(kx)]
    return np.stack(shifted, axis=-1)


def elements(maps):
    """A comparison for each pixel of each window is about one for each of the image."""
    return lambda shapes: math.prod(shapes[maps])


@op("x -> y index?", dims=DIMS, lanes="x y index", flops=elements("x"))
def max_pool_forward(x, y, index, *, step, **settings):
    """y = the largest of each window; index says which, in row order: the first one"""
    seen = windows(x, y.shape[1:3], settings, -np.inf)
    inside = windows(np.ones((1, *x.shape[1:]), bool), y.shape[1:3], settings, False)
    at = np.argmax(np.where(inside, seen, -np.inf), axis=-1)
    first = np.argmax(inside, axis=-1)  # where all that lies inside is -inf, as what lies outside
    at = np.where(np.take_along_axis(np.broadcast_to(inside, seen.shape), at[..., None], -1)[..., 0], at, first)
    y[...] = np.take_along_axis(seen, at[..., None], axis=-1)[..., 0]
    if index is not None:
        index[...] = at


@op("x w b? -> y index?", dims=f"{CONV_DIMS} activation pool_y pool_x pool_stride_y pool_stride_x", scalars="alpha",
    lanes="x y index", flops=lambda s: 2 * math.prod(s["y"] + s["pool_y"] + s["pool_x"]) * s["w"][0])
def conv_pool_forward(x, w, b, y, index, *, pool_y, pool_x, pool_stride_y, pool_stride_x, step, **settings):
    """y = the maxima of f(x * w + b) in windows that lie inside; index says which"""
    size = (y.shape[1] - 1) * pool_stride_y + pool_y, (y.shape[2] - 1) * pool_stride_x + pool_x
    below = np.empty((len(x), *size, y.shape[3]), x.dtype)
    conv_forward(x, w, b, below, None, step=step, **settings)
    window = (pool_y, pool_x, pool_stride_y, pool_stride_x, 0, 0)
    max_pool_forward(below, y, index, step=step, **dict(zip(DIMS.split(), window, strict=True)))


@op("dy index -> dx", dims=DIMS, lanes="dy index dx", flops=elements("dy"))
def max_pool_backward(dy, index, dx, *, step, **settings):
    """dx = dy at the maxima, added up where windows overlap"""
    ky, kx, sy, sx, py, px = (settings[name] for name in DIMS.split())
    dx[...] = spread(dy, index, dx.shape[1:3], (ky, kx), (sy, sx), (py, px))
