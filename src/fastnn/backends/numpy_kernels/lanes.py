"""Images into and out of the lanes layout (``csrc/lanes.inc``); here an image is a plain (h, w, c)."""

from __future__ import annotations

from ...program import op
from .rows import gather


@op("source -> y", dims="check_finite", lanes="y", flops=lambda s: 0)
def gather_lanes(source, y, *, check_finite, step):
    """image i of y = source[index[row + i]]"""
    gather(source, y, check_finite=check_finite, step=step)


@op("x -> y", dims="gradient", lanes="y", flops=lambda s: 0)
def rows_to_lanes(x, y, *, gradient, step):
    """image i of y = x_i; in lanes beyond B the last image, or zeros where x is a gradient"""
    y[...] = x.reshape(y.shape)


@op("x -> y", lanes="x", flops=lambda s: 0)
def lanes_to_rows(x, y, *, step):
    """y_i = image i of x"""
    y[...] = x.reshape(y.shape)

