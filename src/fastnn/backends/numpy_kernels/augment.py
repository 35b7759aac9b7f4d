"""Images changed at random, a row (h w c) an image (``csrc/augment.inc``)."""

from __future__ import annotations

import numpy as np

from ...program import op
from .base import elements
from .random import SETTINGS, random_words

IMAGE = f"{SETTINGS} height width channels"


def two_words(x, step, settings):
    """The first two random words of each row, (B,) each."""
    words = random_words((len(x), 2), step, settings["instance"], settings["own_seed"], settings["first_group"])
    return words[:, 0, 0], words[:, 0, 1]


def images(x, settings):
    """rows as images"""
    return x.reshape(len(x), settings["height"], settings["width"], settings["channels"])


@op("x -> y", dims=f"{IMAGE} horizontal vertical", by_row="x y", flops=lambda s: 0)
def random_flip(x, y, *, horizontal, vertical, step, **settings):
    """y = x mirrored left to right and upside down, each with probability 1/2 where it is wanted"""
    first, second = (word >> np.uint64(31) == 1 for word in two_words(x, step, settings))
    seen = images(x, settings)
    if horizontal:
        seen = np.where(first[:, None, None, None], seen[:, :, ::-1], seen)
    if vertical:
        seen = np.where(second[:, None, None, None], seen[:, ::-1], seen)
    y[...] = seen.reshape(y.shape)


@op("x -> y", dims=f"{IMAGE} most_y most_x gradient", scalars="fill", by_row="x y", flops=lambda s: 0)
def random_shift(x, y, *, most_y, most_x, gradient, fill, step, **settings):
    """y[i, j] = x[i - a, j - b], a and b whole numbers up to most_y and most_x, `fill` outside; gradient: dx of dy"""
    shifts = [(word * np.uint64(2 * most + 1) >> np.uint64(32)).astype(int) - most
              for word, most in zip(two_words(x, step, settings), (most_y, most_x), strict=True)]
    sign, outside = (-1, 0.0) if gradient else (1, fill)
    seen = images(x, settings)
    h, w = seen.shape[1:3]
    framed = np.pad(seen, ((0, 0), (most_y, most_y), (most_x, most_x), (0, 0)), constant_values=outside)
    moved = [image[most_y - sign * a:most_y - sign * a + h, most_x - sign * b:most_x - sign * b + w]
             for image, a, b in zip(framed, *shifts, strict=True)]
    y[...] = np.reshape(moved, y.shape)


@op("x -> y", dims=f"{IMAGE} gradient", scalars="most fill", by_row="x y", flops=elements("y", 9))
def random_rotation(x, y, *, gradient, most, fill, step, **settings):
    """y = x turned about its middle by an angle up to `most`, bilinear, `fill` outside; gradient: dx of dy"""
    angle = most * ((two_words(x, step, settings)[0] + 0.5) * 2.0 ** -31 - 1)
    seen = images(x, settings)
    h, w = seen.shape[1:3]
    down, aside = np.arange(h)[:, np.newaxis] - (h - 1) / 2, np.arange(w) - (w - 1) / 2
    cosine, sine = (f(angle)[:, np.newaxis, np.newaxis] for f in (np.cos, np.sin))
    at_y, at_x = (h - 1) / 2 + cosine * down - sine * aside, (w - 1) / 2 + sine * down + cosine * aside
    top, left = np.floor(at_y).astype(int), np.floor(at_x).astype(int)
    result, row = np.zeros(seen.shape, x.dtype), np.arange(len(x))[:, np.newaxis, np.newaxis]
    for i, j in np.ndindex(2, 2):
        iy, ix = top + i, left + j
        part = ((at_y - top if i else 1 - (at_y - top)) * (at_x - left if j else 1 - (at_x - left)))
        part = part[..., np.newaxis].astype(x.dtype)
        inside = ((iy >= 0) & (iy < h) & (ix >= 0) & (ix < w))[..., np.newaxis]
        source = row, np.clip(iy, 0, h - 1), np.clip(ix, 0, w - 1)
        if gradient:
            np.add.at(result, source, np.where(inside, part * seen, 0))
        else:
            result += part * np.where(inside, seen[source], x.dtype.type(fill))
    y[...] = result.reshape(y.shape)
