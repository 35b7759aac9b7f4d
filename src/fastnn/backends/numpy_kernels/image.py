"""Averages of windows, frames and enlarging of images (``csrc/image.inc``)."""

from __future__ import annotations

import numpy as np

from ...program import op
from .base import elements

WINDOW = "kernel_y kernel_x stride_y stride_x pad_y pad_x count_padding"


def weighted(equation, x, rows, columns):
    """The sums of einsum with weights of at least 0, of which a zero lets nothing through, not even NaN."""
    finite = np.isfinite(x)
    y = np.einsum(equation, np.where(finite, x, 0), rows, columns, optimize=True)
    if not finite.all():
        for value, seen in ((np.nan, np.isnan(x)), (np.inf, x == np.inf), (-np.inf, x == -np.inf)):
            y[np.einsum(equation, seen.astype(rows.dtype), rows, columns, optimize=True) > 0] += value
    return y


def averages(size, small, settings):
    """The matrices that average along each axis, (h', h) and (w', w): y = rows x columns^T."""
    matrices = []
    for axis, n, windows in zip("yx", size, small, strict=True):
        size, stride, pad = (settings[f"{name}_{axis}"] for name in ("kernel", "stride", "pad"))
        first = np.arange(windows)[:, np.newaxis] * stride - pad
        inside = (np.arange(n) >= first) & (np.arange(n) < first + size)
        count = size if settings["count_padding"] else inside.sum(axis=1, keepdims=True)
        matrices.append(inside / count)
    return matrices


@op("x -> y", dims=WINDOW, lanes="x y", flops=elements("x"))
def average_pool_forward(x, y, *, step, **settings):
    """y = the mean of each window; what lies outside is zero and counts where `count_padding`"""
    rows, columns = averages(x.shape[1:3], y.shape[1:3], settings)
    y[...] = weighted("bhwc,yh,xw->byxc", x, rows, columns)


@op("dy -> dx", dims=WINDOW, lanes="dy dx", flops=elements("dx"))
def average_pool_backward(dy, dx, *, step, **settings):
    """dx = the sum of dy / count over the windows that a pixel is in"""
    rows, columns = averages(dx.shape[1:3], dy.shape[1:3], settings)
    dx[...] = weighted("byxc,yh,xw->bhwc", dy, rows, columns)


def overlap(n_from, n_to, pad):
    """slices of two axes whose pixels are the same, the second one beginning `pad` pixels earlier"""
    first, end = max(0, -pad), min(n_from, n_to - pad)
    return slice(first, max(first, end)), slice(first + pad, max(first, end) + pad)


@op("x -> y", dims="pad_y pad_x", lanes="x y", flops=lambda s: 0)
def crop_pad(x, y, *, pad_y, pad_x, step):
    """y[i, j] = x[i - pad_y, j - pad_x], zero outside x"""
    (from_y, to_y), (from_x, to_x) = (overlap(x.shape[k], y.shape[k], pad)
                                      for k, pad in ((1, pad_y), (2, pad_x)))
    y[...] = 0
    y[:, to_y, to_x] = x[:, from_y, from_x]


def enlarging(n, factor, bilinear):
    """The matrix (n factor, n) that enlarges an axis: the nearest pixel, or bilinear between centres."""
    i = np.arange(n * factor)
    matrix = np.zeros((n * factor, n))
    if not bilinear:
        matrix[i, i // factor] = 1
        return matrix
    at = np.maximum(2 * i + 1 - factor, 0)
    first, weight = at // (2 * factor), at % (2 * factor) / (2 * factor)
    matrix[i, first] = 1 - weight
    np.add.at(matrix, (i, np.minimum(first + 1, n - 1)), weight)
    return matrix


@op("x -> y", dims="factor_y factor_x bilinear", lanes="x y", flops=elements("y", 6))
def upsample_forward(x, y, *, factor_y, factor_x, bilinear, step):
    """y (B, h fy, w fx, c): the nearest pixel, or bilinear between four"""
    rows, columns = enlarging(x.shape[1], factor_y, bilinear), enlarging(x.shape[2], factor_x, bilinear)
    y[...] = weighted("bhwc,yh,xw->byxc", x, rows, columns)


@op("dy -> dx", dims="factor_y factor_x bilinear", lanes="dy dx", flops=elements("dy", 6))
def upsample_backward(dy, dx, *, factor_y, factor_x, bilinear, step):
    """dx = the sum of dy over what was read from a pixel, each with its weight"""
    rows, columns = enlarging(dx.shape[1], factor_y, bilinear), enlarging(dx.shape[2], factor_x, bilinear)
    dx[...] = weighted("byxc,yh,xw->bhwc", dy, rows, columns)
