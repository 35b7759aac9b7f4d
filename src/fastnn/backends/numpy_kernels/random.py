"""Ops that draw random numbers, from counters (``csrc/random.inc``)."""

from __future__ import annotations

import numpy as np

from ...program import op
from .base import elements

WORD = np.uint64(0xFFFFFFFF)
GROUPS, WORDS = 16, 64  # counters side by side, and their words
SETTINGS = "instance own_seed first_group in_time"


def philox(counter, seed, rounds=10):
    """The four words of each block of Philox4x32; `counter`: four uint64 arrays below 2^32.

    Source: Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
    """
    c0, c1, c2, c3 = counter
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF
    for _ in range(rounds):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1 = p1 >> np.uint64(32) ^ c1 ^ np.uint64(k0), p1 & WORD
        c2, c3 = p0 >> np.uint64(32) ^ c3 ^ np.uint64(k1), p0 & WORD
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def random_words(shape, step, instance, own_seed, first_group, in_time=0):
    """(B, words, 16): the words of each row, 16 columns in turn; column j is ``[:, j // 16, j % 16]``."""
    n_groups = -(-shape[1] // WORDS) * GROUPS
    time, rows = np.divmod(np.arange(shape[0])[:, np.newaxis], shape[0] // step.time if in_time else shape[0])
    group = (np.arange(first_group, first_group + n_groups) + time * n_groups).astype(np.uint64) & WORD
    row = (step.batch_row + rows).astype(np.uint64) & WORD
    constants = (np.full((1, 1), number & 0xFFFFFFFF, np.uint64) for number in (step.update, instance))
    words = philox((group, row, *constants), step.seed if own_seed < 0 else own_seed)
    grouped = [np.broadcast_to(w, (shape[0], n_groups)).reshape(shape[0], -1, 1, GROUPS) for w in words]
    return np.concatenate(grouped, axis=2).reshape(shape[0], -1, GROUPS)


def _columns(values, n):
    return values.reshape(len(values), -1)[:, :n]


@op("x -> y", dims=SETTINGS, scalars="share", by_row="x y", flops=elements("y"))
def dropout(x, y, *, instance, own_seed, first_group, in_time, share, step):
    """y = x / (1 - share) where the element's word is at least 2^32 share, else 0"""
    threshold = np.uint64(min(round(share * 2.0 ** 32), 2 ** 32 - 1))
    keep = _columns(random_words(x.shape, step, instance, own_seed, first_group, in_time) >= threshold, x.shape[1])
    y[...] = np.where(keep, x * x.dtype.type(1 / (1 - share)), 0)


@op("x -> y", dims=SETTINGS, scalars="deviation", by_row="x y", flops=elements("y", 2))
def gaussian_noise(x, y, *, instance, own_seed, first_group, in_time, deviation, step):
    """y = x + deviation z, z standard normal by Box and Muller's method, two from two words"""
    words = random_words(x.shape, step, instance, own_seed, first_group, in_time)
    u = ((words[:, ::2] >> np.uint64(9)) + 0.5) * 2.0 ** -23
    quarter = words[:, 1::2] >> np.uint64(30)
    part = ((words[:, 1::2] >> np.uint64(8) & np.uint64(0x3FFFFF)) + 0.5) * 2.0 ** -22 - 0.5
    cosine, sine = np.cos(part * (np.pi / 2)), np.sin(part * (np.pi / 2))
    for _ in range(3):  # a quarter of a turn at a time, without rounding
        cosine, sine, quarter = (np.where(quarter > 0, a, b) for a, b in
                                 ((-sine, cosine), (cosine, sine), (quarter - np.uint64(1), quarter)))
    radius = np.sqrt(-2 * np.log(u))
    z = np.stack((radius * cosine, radius * sine), axis=2)
    y[...] = x + x.dtype.type(deviation) * _columns(z, x.shape[1]).astype(x.dtype)
