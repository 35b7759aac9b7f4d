"""Tables of rows that tokens look up, and masks of steps in time (``csrc/embedding.inc``)."""

from __future__ import annotations

import numpy as np

from ...program import OPS, op
from .base import elements
from .optimizer import DIMS, SCALARS


@op("token w -> y", by_row="y", flops=elements("y", 0))
def embedding_forward(token, w, y, *, step):
    """y_i = w_token[i]"""
    y[...] = w[token]


@op("token dy -> dw", flops=elements("dy"))
def embedding_backward(token, dy, dw, *, step, accumulate=False):
    """dw_v = sum of dy_i over token[i] = v"""
    if not accumulate and step.first_block:
        dw[...] = 0
    np.add.at(dw, token, dy)


@op("token -> rows place", flops=elements("token", 0))
def distinct_tokens(token, rows, place, *, step):
    """rows = the tokens, each once, in the order in which they come, then -1; token[i] = rows[place[i]]"""
    distinct, first, which = np.unique(token, return_index=True, return_inverse=True)
    by_first = np.argsort(first)
    rows[...] = -1
    rows[:len(distinct)] = distinct[by_first]
    place[...] = np.argsort(by_first)[which]


@op("place dy -> drows", flops=elements("dy"))
def embedding_backward_rows(place, dy, drows, *, step):
    """drows_r = sum of dy_i over place[i] = r"""
    drows[...] = 0
    np.add.at(drows, place, dy)


@op("rows drows -> w w_state1? w_state2? w_state3?", dims="optimizer " + DIMS, scalars=SCALARS, in_place=True,
    flops=elements("drows", 8))
def lazy_update(rows, drows, w, *states, optimizer, step, **settings):
    """row rows[i] of w takes the optimizer's step along drows_i; the others stay, and so do their states"""
    rows = rows[rows >= 0]
    arrays = [w, *(state for state in states if state is not None)]
    named = [array[rows] for array in arrays]
    OPS[optimizer].kernel(drows[:len(rows)], *named, step=step, **settings)
    for array, values in zip(arrays, named, strict=True):
        array[rows] = values


@op("token -> mask", by_row="mask", flops=elements("mask"))
def token_mask(token, mask, *, step):
    """mask_i = token[i] != 0"""
    mask[...] = token != 0


@op("x -> mask", scalars="value", by_row="x mask", flops=elements("x"))
def step_mask(x, mask, *, value, step):
    """mask_i = not all x_ij = value"""
    mask[...] = (x != x.dtype.type(value)).any(axis=1)
