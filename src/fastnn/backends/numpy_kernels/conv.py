"""Convolutions and their gradients (``csrc/conv.inc``, ``csrc/conv_gradient.inc``).

An image's pixel outside its bounds is zero. A tap (ky, kx) of the kernel meets, for output pixel (oy, ox), input
pixel (oy stride_y + ky dilation_y - pad_y, ox stride_x + kx dilation_x - pad_x).
"""

from __future__ import annotations

import math

import numpy as np

from ...activations import ACTIVATIONS
from ...operands import PAD
from ...program import op

DIMS = "kernel_y kernel_x stride_y stride_x dilation_y dilation_x pad_y pad_x groups"


class Taps:
    """The taps of a convolution from images of `size` (h, w) to maps of `small` (oh, ow)."""

    def __init__(self, size, small, kernel_y, kernel_x, stride_y, stride_x, dilation_y, dilation_x, pad_y, pad_x,
                 groups):
        self.kernel, self.groups, self.size, self.pad = (kernel_y, kernel_x), groups, size, (pad_y, pad_x)
        self.axes = tuple(zip((stride_y, stride_x), (dilation_y, dilation_x), small, strict=True))
        self.padded = tuple(max((n - 1) * s + (k - 1) * d + 1, p + whole)
                            for (s, d, n), k, p, whole in zip(self.axes, self.kernel, self.pad, size, strict=True))

    def frame(self, channels, images, dtype):
        """Zeros with room for the padding, and the view of the images themselves inside."""
        frame = np.zeros((images, *self.padded, channels), dtype)
        (py, px), (h, w) = self.pad, self.size
        return frame, frame[:, py:py + h, px:px + w]

    def slices(self):
        """(tap, where in the frame it meets all output pixels)."""
        for tap, at in enumerate(np.ndindex(*self.kernel)):
            yield tap, (slice(None), *(slice(t * d, t * d + (n - 1) * s + 1, s)
                                       for t, (s, d, n) in zip(at, self.axes, strict=True)))

    def rows(self, w):
        """The weights (channels in / groups, groups, channels out / groups) of each tap."""
        return w.reshape(math.prod(self.kernel), -1, self.groups, w.shape[-1] // self.groups)

    def split(self, x):
        """Channels by group."""
        return x.reshape(*x.shape[:-1], self.groups, -1)


def correlate(x, w, small, settings):
    """The convolution of x (B, h, w, c) with w, as maps of `small` (oh, ow)."""
    taps = Taps(x.shape[1:3], small, **settings)
    frame, inside = taps.frame(x.shape[3], len(x), x.dtype)
    inside[...] = x
    result = np.zeros((len(x), *small, taps.groups, w.shape[-1] // taps.groups), x.dtype)
    for tap, where in taps.slices():
        result += np.einsum("...gi,igo->...go", taps.split(frame[where]), taps.rows(w)[tap], optimize=True)
    return result.reshape(len(x), *small, -1)


def correlate_transposed(y, w, size, channels, settings):
    """What `correlate` does to x, transposed: maps y to images of `size` (h, w) with so many channels."""
    taps = Taps(size, y.shape[1:3], **settings)
    frame, inside = taps.frame(channels, len(y), y.dtype)
    for tap, where in taps.slices():
        part = np.einsum("...go,igo->...gi", taps.split(y), taps.rows(w)[tap], optimize=True)
        frame[where] += part.reshape(frame[where].shape)
    return inside


def _finish(pre, b, y, z, activation, alpha):
    if b is not None:
        pre = pre + b
    if z is not None:
        z[...] = pre
    y[...] = ACTIVATIONS[activation].function(pre, alpha)


def _sloped(dx, f, activation, alpha):
    return dx if f is None else dx * ACTIVATIONS[activation].slope(f, alpha)


def per_map(maps):
    """Every number of the maps meets every row of w."""
    return lambda shapes: 2 * math.prod(shapes[maps]) * shapes["w"][0]


def per_part(maps):
    """The same for a gradient, which comes in parts."""
    return lambda shapes: 2 * math.prod(shapes[maps]) * shapes["parts"][-2]


def per_map_of_pool(shapes):
    """That of `per_part`; a pooled gradient's map has the windows' pixels."""
    window = shapes["pool_y"][0] * shapes["pool_x"][0] if "index" in shapes else 1
    return per_part("dy")(shapes) * window


@op("x w b? -> y z?", dims=f"{DIMS} activation", scalars="alpha", lanes="x y z", flops=per_map("y"))
def conv_forward(x, w, b, y, z, *, activation, alpha, step, **settings):
    """y = f(z), z = x * w + b"""
    _finish(correlate(x, w, y.shape[1:3], settings), b, y, z, activation, alpha)


@op("dy w f? -> dx", dims=f"{DIMS} activation", scalars="alpha", lanes="dy f dx", flops=per_map("dy"))
def conv_backward_input(dy, w, f, dx, *, activation, alpha, step, **settings):
    """dx = (the transposed convolution of dy with w) f'"""
    result = correlate_transposed(dy, w, dx.shape[1:3], dx.shape[3], settings)
    dx[...] = _sloped(result, f, activation, alpha)


@op("x w b? -> y z?", dims=f"{DIMS} activation", scalars="alpha", lanes="x y z", flops=per_map("x"))
def conv_transpose_forward(x, w, b, y, z, *, activation, alpha, step, **settings):
    """y = f(z), z = the transposed convolution of x with w, + b"""
    _finish(correlate_transposed(x, w, y.shape[1:3], y.shape[3], settings), b, y, z, activation, alpha)


@op("dy w f? -> dx", dims=f"{DIMS} activation", scalars="alpha", lanes="dy f dx", flops=per_map("dx"))
def conv_transpose_backward_input(dy, w, f, dx, *, activation, alpha, step, **settings):
    """dx = (dy * w) f'"""
    dx[...] = _sloped(correlate(dy, w, dx.shape[1:3], settings), f, activation, alpha)


def chunks(images, parts, ndim):
    """The images of each chunk, by their number alone; one where there is one part of `ndim` axes."""
    blocks = -(-images // PAD)
    n = 1 if parts.ndim == ndim else min(blocks, len(parts))
    return [slice(PAD * (blocks * i // n), PAD * (blocks * (i + 1) // n)) for i in range(n)]


def _gradients(x, y, biased, parts, bias_parts, settings):
    taps = Taps(x.shape[1:3], y.shape[1:3], **settings)
    for i, images in enumerate(chunks(len(x), parts, 2)):
        frame, inside = taps.frame(x.shape[3], len(x[images]), x.dtype)
        inside[...] = x[images]
        part = taps.rows(parts[i] if parts.ndim == 3 else parts)
        for tap, where in taps.slices():
            part[tap] = np.einsum("byxgi,byxgo->igo", taps.split(frame[where]), taps.split(y[images]), optimize=True)
        if bias_parts is not None:
            bias_parts[i] = biased[images].sum(axis=(0, 1, 2), dtype=np.float64)


def spread(dy, index, size, kernel, strides, pads):
    """The map of `size` (h, w) with dy where its windows' maxima were, added up where windows overlap."""
    (ky, kx), (sy, sx), (py, px), (oh, ow), (h, w) = kernel, strides, pads, dy.shape[1:3], size
    frame = np.zeros((len(dy), max((oh - 1) * sy + ky, py + h), max((ow - 1) * sx + kx, px + w), dy.shape[3]), dy.dtype)
    for k, (i, j) in enumerate(np.ndindex(ky, kx)):
        frame[:, i:i + (oh - 1) * sy + 1:sy, j:j + (ow - 1) * sx + 1:sx] += np.where(index == k, dy, 0)
    return frame[:, py:py + h, px:px + w]


@op("x dy index? -> parts bias_parts?", private="parts bias_parts",
    dims=f"{DIMS} pool_y pool_x pool_stride_y pool_stride_x map_y map_x", lanes="x dy index", flops=per_map_of_pool)
def conv_backward_parameters(x, dy, index, parts, bias_parts, *, pool_y, pool_x, pool_stride_y, pool_stride_x, map_y,
                             map_x, step, **settings):
    """dw = the sum over images and pixels of x dy, db that of dy: a part for each chunk of images. With an index, dy
    is the gradient of a maximum pool, and goes to the maxima of the map below first"""
    if index is not None:
        dy = spread(dy, index, (map_y, map_x), (pool_y, pool_x), (pool_stride_y, pool_stride_x), (0, 0))
    _gradients(x, dy, dy, parts, bias_parts, settings)


@op("x dy -> parts bias_parts?", private="parts bias_parts", dims=DIMS, lanes="x dy", flops=per_part("x"))
def conv_transpose_backward_parameters(x, dy, parts, bias_parts, *, step, **settings):
    """the same of the transposed convolution: dw = the sum of dy x"""
    _gradients(dy, x, dy, parts, bias_parts, settings)


@op("parts dy -> dw", lanes="dy", owned="dw", flops=lambda s: math.prod(s["parts"]))
def sum_chunks(parts, dy, dw, *, step, accumulate=False):
    """dw (+)= the parts of the chunks of dy's images"""
    n = len(chunks(len(dy), parts, dw.ndim))
    total = parts if parts.ndim == dw.ndim else parts[:n].sum(axis=0)
    if accumulate or not step.first_block:
        total = dw + total
    dw[...] = total
