"""Normalisation over a batch or over each sample (``csrc/norm.inc``)."""

from __future__ import annotations

import numpy as np

from ...program import op
from .base import elements


def moments(x, axes, counts=True):
    """mean and variance in float64 over what counts along some axes, which stay with size 1"""
    wide = x.astype(np.float64)
    how = {"axis": axes, "keepdims": True, "where": counts}
    if not np.any(counts):
        zero = np.zeros_like(wide[:1])
        return zero, zero
    mean = wide.mean(**how)
    return mean, ((wide - mean) ** 2).mean(**how)


def counted(mask):
    """which rows count, as a column"""
    return True if mask is None else mask[:, np.newaxis] != 0


def normalized(x, mean, inverse, gamma, beta):
    """(x - mean) inverse gamma + beta in the dtype of x; gamma and beta may be None"""
    u = (x - mean.astype(x.dtype)) * inverse.astype(x.dtype)
    if gamma is not None:
        u = u * gamma
    return u if beta is None else u + beta


def normalized_gradient(g, u, inverse, axes):
    """inverse (g - mean g - u mean(g u)), the means over some axes; in float64"""
    return inverse * (g - g.mean(axis=axes, keepdims=True) - u * (g * u).mean(axis=axes, keepdims=True))


def put(gradient, total, accumulate):
    """gradient (+)= total, where there is a place for it"""
    if gradient is not None:
        gradient[...] = total + gradient if accumulate else total


@op("x gamma? beta? mask? -> y mean? inverse? running_mean? running_variance?", dims="unbiased",
    scalars="epsilon momentum", lanes="x y", flops=elements("y", 8), in_place=True)
def batch_norm_forward(x, gamma, beta, mask, y, mean, inverse, running_mean, running_variance, *, unbiased,
                       epsilon, momentum, step):
    """y = (x - mean) inverse gamma + beta with the batch's mean and 1 / sqrt(variance + epsilon) of each
    feature; running += (1 - momentum) (the batch's - running); rows that mask says 0 for count nowhere
    """
    axes, counts = tuple(range(x.ndim - 1)), counted(mask)
    m, variance = moments(x, axes, counts)
    scale = 1 / np.sqrt(variance + epsilon)
    for place, value in ((mean, m), (inverse, scale)):
        if place is not None:
            place[...] = value.ravel()
    count = x.size // x.shape[-1] if mask is None else counts.sum()
    factor = count / max(count - 1, 1) if unbiased else 1.0
    for running, value in ((running_mean, m), (running_variance, variance * factor)):
        if running is not None and count:
            running[...] = running + (1 - momentum) * (value.ravel() - running)
    y[...] = normalized(x, m, scale, gamma, beta)


@op("dy x mean inverse gamma? mask? -> dx? dgamma? dbeta?", lanes="dy x dx", flops=elements("dy", 10))
def batch_norm_backward(dy, x, mean, inverse, gamma, mask, dx, dgamma, dbeta, *, step, accumulate=False):
    """dx = gamma inverse (dy - (sum dy + u sum(dy u)) / R) with u = (x - mean) inverse, R the rows that count;
    dgamma (+)= sum dy u, dbeta (+)= sum dy; accumulating never adds to dx
    """
    axes = tuple(range(x.ndim - 1))
    wide = dy.astype(np.float64)
    u = (x.astype(np.float64) - mean) * inverse
    put(dgamma, (wide * u).sum(axis=axes), accumulate)
    put(dbeta, wide.sum(axis=axes), accumulate)
    if dx is not None:
        count = x.size // x.shape[-1] if mask is None else max(np.count_nonzero(mask), 1)
        through = (wide.sum(axis=axes) + u * (wide * u).sum(axis=axes)) / count
        scale = inverse if gamma is None else inverse * gamma
        dx[...] = scale * (wide - np.where(counted(mask), through, 0))


@op("mean variance gamma? beta? -> scale shift", scalars="epsilon",
    owned="mean variance gamma beta scale shift", flops=elements("mean", 6))
def batch_norm_fold(mean, variance, gamma, beta, scale, shift, *, epsilon, step):
    """scale = gamma / sqrt(variance + epsilon), shift = beta - mean scale"""
    factor = (1.0 if gamma is None else gamma) / np.sqrt(variance.astype(np.float64) + epsilon)
    scale[...] = factor
    shift[...] = (0.0 if beta is None else beta) - mean * factor


@op("x scale shift? -> y", by_row="x y", lanes="x y", flops=elements("y", 2))
def scale_shift(x, scale, shift, y, *, step):
    """y_ij = x_ij scale_j + shift_j"""
    y[...] = x * scale if shift is None else x * scale + shift


@op("x gamma? beta? -> y mean? inverse?", scalars="epsilon", by_row="x y mean inverse",
    flops=elements("y", 8))
def layer_norm_forward(x, gamma, beta, y, mean, inverse, *, epsilon, step):
    """y = (x - mean) inverse gamma + beta with each row's own mean and 1 / sqrt(variance + epsilon)"""
    m, variance = moments(x, 1)
    scale = 1 / np.sqrt(variance + epsilon)
    for place, value in ((mean, m), (inverse, scale)):
        if place is not None:
            place[...] = value.ravel()
    y[...] = normalized(x, m, scale, gamma, beta)


@op("dy x mean inverse gamma? -> dx", by_row="dy x mean inverse dx", flops=elements("dy", 12))
def layer_norm_backward(dy, x, mean, inverse, gamma, dx, *, step):
    """dx = inverse (g - mean g - u mean(g u)) of each row, g = dy gamma, u = (x - mean) inverse"""
    scale = inverse[:, np.newaxis].astype(np.float64)
    u = (x.astype(np.float64) - mean[:, np.newaxis]) * scale
    g = dy.astype(np.float64) if gamma is None else dy.astype(np.float64) * gamma
    dx[...] = normalized_gradient(g, u, scale, 1)


@op("dy x mean inverse -> dgamma? dbeta?", owned="dgamma dbeta", flops=elements("dy", 5))
def layer_norm_backward_parameters(dy, x, mean, inverse, dgamma, dbeta, *, step, accumulate=False):
    """dgamma_j (+)= sum_i dy_ij (x_ij - mean_i) inverse_i, dbeta_j (+)= sum_i dy_ij"""
    wide = dy.astype(np.float64)
    add = accumulate or not step.first_block
    put(dgamma, (wide * (x - mean[:, np.newaxis]) * inverse[:, np.newaxis]).sum(axis=0), add)
    put(dbeta, wide.sum(axis=0), add)
