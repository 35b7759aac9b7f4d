"""Normalisation of each image over its pixels and the channels of a group (``csrc/group_norm.inc``)."""

from __future__ import annotations

import numpy as np

from ...program import op
from .base import elements
from .normalization import moments, normalized, normalized_gradient, put


def grouped(x, groups, per_pixel):
    """images as (B, pixels, groups, channels of one), and the axes that statistics are over"""
    return x.reshape(len(x), -1, groups, x.shape[-1] // groups), (3,) if per_pixel else (1, 3)


def affine(parameter, shape):
    """gamma or beta, (c) or (h w, c), in the shape of `grouped` images"""
    return None if parameter is None else parameter.reshape(-1, *shape[2:])


@op("x gamma? beta? -> y mean? inverse?", dims="groups per_pixel", scalars="epsilon",
    by_row="x y mean inverse", lanes="x y mean inverse", flops=elements("y", 8))
def group_norm_forward(x, gamma, beta, y, mean, inverse, *, groups, per_pixel, epsilon, step):
    """y = (x - mean) inverse gamma + beta with each image's own mean and 1 / sqrt(variance + epsilon), over its
    pixels and the channels of a group, or of each pixel
    """
    cells, axes = grouped(x, groups, per_pixel)
    m, variance = moments(cells, axes)
    scale = 1 / np.sqrt(variance + epsilon)
    for place, value in ((mean, m), (inverse, scale)):
        if place is not None:
            place[...] = value.reshape(place.shape)
    gamma, beta = affine(gamma, cells.shape), affine(beta, cells.shape)
    y[...] = normalized(cells, m, scale, gamma, beta).reshape(y.shape)


def cells_of(dy, x, mean, inverse, groups, per_pixel):
    """dy and u = (x - mean) inverse as `grouped`, in float64, inverse beside them, and the axes"""
    d, axes = grouped(dy.astype(np.float64), groups, per_pixel)
    m, scale = (a.reshape(len(a), -1, groups, 1).astype(np.float64) for a in (mean, inverse))
    return d, (grouped(x, groups, per_pixel)[0] - m) * scale, scale, axes


@op("dy x mean inverse gamma? -> dx", dims="groups per_pixel", by_row="dy x mean inverse dx",
    lanes="dy x mean inverse dx", flops=elements("dy", 12))
def group_norm_backward(dy, x, mean, inverse, gamma, dx, *, groups, per_pixel, step):
    """dx = inverse (g - mean g - u mean(g u)), g = dy gamma, u = (x - mean) inverse"""
    d, u, scale, axes = cells_of(dy, x, mean, inverse, groups, per_pixel)
    g = d if gamma is None else d * affine(gamma, d.shape)
    dx[...] = normalized_gradient(g, u, scale, axes).reshape(dx.shape)


@op("dy x mean inverse -> dgamma? dbeta?", dims="groups per_pixel", lanes="dy x mean inverse",
    flops=elements("dy", 5))
def group_norm_backward_parameters(dy, x, mean, inverse, dgamma, dbeta, *, groups, per_pixel, step,
                                   accumulate=False):
    """dgamma (+)= sum dy u, dbeta (+)= sum dy with u = (x - mean) inverse, over images, and pixels where they
    are (c)
    """
    d, u, _, _ = cells_of(dy, x, mean, inverse, groups, per_pixel)
    for gradient, terms in ((dgamma, d * u), (dbeta, d)):
        if gradient is not None:
            total = terms.sum(axis=(0, 1) if gradient.ndim == 1 else 0).reshape(gradient.shape)
            put(gradient, total, accumulate or not step.first_block)
