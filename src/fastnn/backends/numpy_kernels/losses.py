"""Losses, fused with the final activation where they belong together (``csrc/loss*.inc``)."""

from __future__ import annotations

import numpy as np

from ...activations import ACTIVATIONS
from ...elementwise_losses import ELEMENTWISE_LOSSES
from ...program import op
from .base import elements
from .elementwise import softmax


def _row_factor(weight, step, dtype, factor=1.0):
    """What a row's gradient is multiplied by: factor w_i / weight_sum"""
    weight = 1.0 if weight is None else weight[:, None]
    return np.multiply(weight, factor / step.weight_sum, dtype=np.float64).astype(dtype)


def _xlogx(x):
    return x * np.log(np.where(x > 0, x, 1))


def _one_hot(target, n, dtype):
    """Rows, and rows of labels; one that is ignored has weight 0 and a negative label, so any will do."""
    return (np.arange(n) == np.maximum(target, 0)[:, None]).astype(dtype) if target.ndim == 1 else target


@op("logits target weight? -> y dlogits? row_loss", dims="divergence", scalars="smoothing factor",
    by_row="logits target weight y dlogits row_loss", flops=elements("y", 6))
def softmax_cross_entropy(logits, target, weight, y, dlogits, row_loss, *, divergence, smoothing, factor,
                          step):
    """row_loss_i = factor sum_j t_ij (log sum_k exp(z_ik) - z_ij); dlogits = factor (y sum_j t_ij - t) w /
    weight_sum; smoothing spreads a part of t evenly; divergence adds factor sum_j t_ij log t_ij
    """
    probability, top, log_sum = softmax(logits)
    y[...] = probability
    if target.ndim == 1 and smoothing == 0:
        rows, labels = np.arange(len(target)), np.maximum(target, 0)
        row_loss[...] = factor * (top[:, 0].astype(np.float64) - logits[rows, labels] + log_sum[:, 0])
        probability[rows, labels] -= 1
    else:
        n = logits.shape[1]
        t = _one_hot(target, n, logits.dtype) * (1 - smoothing) + smoothing / n
        loss = t * ((top - logits) + log_sum)
        row_loss[...] = factor * (loss + _xlogx(t) if divergence else loss).sum(axis=1)
        probability = probability * t.sum(axis=1, keepdims=True) - t
    if dlogits is not None:
        dlogits[...] = probability * _row_factor(weight, step, y.dtype, factor)


@op("logits target weight? -> y dlogits? row_loss", dims="divergence", scalars="smoothing factor",
    by_row="logits target weight y dlogits row_loss", flops=elements("y", 8))
def sigmoid_cross_entropy(logits, target, weight, y, dlogits, row_loss, *, divergence, smoothing, factor,
                          step):
    """row_loss_i = factor sum_j max(z, 0) - z t + log(1 + exp(-|z|)); dlogits = factor (y - t) w /
    weight_sum; smoothing moves t towards 1/2; divergence adds factor sum_j t log t + (1 - t) log(1 - t)
    """
    t = target * (1 - smoothing) + smoothing / 2
    loss = np.maximum(logits, 0) - logits * t + np.log1p(np.exp(-np.abs(logits)))
    row_loss[...] = factor * (loss + _xlogx(t) + _xlogx(1 - t) if divergence else loss).sum(axis=1)
    y[...] = ACTIVATIONS["sigmoid"].function(logits, 0.0)
    if dlogits is not None:
        dlogits[...] = (y - t) * _row_factor(weight, step, y.dtype, factor)


@op("y target weight? -> dy? row_loss", scalars="factor", by_row="y target weight dy row_loss",
    flops=elements("y", 4))
def squared_error(y, target, weight, dy, row_loss, *, factor, step):
    """row_loss_i = factor sum_j (y_ij - t_ij)^2; dy = 2 factor (y - t) w / weight_sum"""
    error = y - target
    row_loss[...] = factor * (error * error).sum(axis=1, dtype=np.float64)
    if dy is not None:
        dy[...] = error * _row_factor(weight, step, y.dtype, 2 * factor)


@op("y target weight? -> dy? row_loss", dims="loss", scalars="a b factor",
    by_row="y target weight dy row_loss", flops=elements("y", 6))
def elementwise_loss(y, target, weight, dy, row_loss, *, loss, a, b, factor, step):
    """row_loss_i = factor sum_j l(y_ij, t_ij); dy = factor dl/dy w / weight_sum"""
    row = ELEMENTWISE_LOSSES[loss]
    row_loss[...] = factor * row.value(y, target, a, b).sum(axis=1)
    if dy is not None:
        dy[...] = row.slope(y, target, a, b) * _row_factor(weight, step, y.dtype, factor)


@op("logits target weight? -> y dlogits? row_loss", scalars="gamma factor",
    by_row="logits target weight y dlogits row_loss", flops=elements("y", 16))
def softmax_focal(logits, target, weight, y, dlogits, row_loss, *, gamma, factor, step):
    """row_loss_i = -factor sum_j t_ij (1 - y_ij)^gamma log y_ij; where y_ij > 1/2, 1 - y_ij is the sum of the
    others
    """
    probability, top, log_sum = softmax(logits)
    y[...] = probability
    t = _one_hot(target, logits.shape[1], logits.dtype)
    large = y > 0.5
    rest = np.where(large, 0, y).sum(axis=1, keepdims=True)
    log_y = np.where(large, np.log1p(-np.minimum(rest, 0.5)), (logits - top) - log_sum)
    m = np.maximum(np.where(large, rest, 1 - y), np.finfo(y.dtype).tiny)
    power = t * m ** y.dtype.type(gamma)
    row_loss[...] = -factor * (power * log_y).sum(axis=1)
    if dlogits is not None:
        h = power * (gamma * y * (log_y / m) - 1)
        pull = h * np.where(large, rest, 1 - y) - y * (h.sum(axis=1, keepdims=True) - h)
        dlogits[...] = pull * _row_factor(weight, step, y.dtype, factor)


@op("y target weight? -> dy? row_loss", dims="hardest", scalars="margin power factor",
    by_row="y target weight dy row_loss", flops=elements("y", 5))
def multi_class_hinge(y, target, weight, dy, row_loss, *, hardest, margin, power, factor, step):
    """row_loss_i = factor sum over j != label of max(0, y_ij - y_i,label + margin)^power, or its largest"""
    rows, labels = np.arange(len(y)), np.maximum(target, 0)
    m = y - y[rows, labels][:, None] + y.dtype.type(margin)
    m[rows, labels] = -np.inf
    if hardest:
        m[np.arange(y.shape[1]) != m.argmax(axis=1)[:, None]] = -np.inf
    m = np.maximum(m, 0)
    row_loss[...] = factor * (m ** int(power)).sum(axis=1)
    if dy is not None:
        slope = np.where(m > 0, 2 * m if power == 2 else 1, 0).astype(y.dtype)
        slope[rows, labels] = -slope.sum(axis=1)
        dy[...] = slope * _row_factor(weight, step, y.dtype, factor)


@op("y target weight? -> dy? row_loss", scalars="offset", by_row="y target weight dy row_loss",
    flops=elements("y", 12))
def cosine_distance(y, target, weight, dy, row_loss, *, offset, step):
    """with unit vectors u of y and v of t, d = |u - v|^2 / 2: row_loss_i = d + offset - 1 and dy =
    (u - v - d u) / |y| w / weight_sum; a row of zeros has the cosine 0 and no gradient
    """
    y, t = y.astype(np.float64), target.astype(np.float64)
    size, t_size = (np.sqrt((a * a).sum(axis=1, keepdims=True)) for a in (y, t))
    defined = (size != 0) & (t_size != 0)
    inverse = np.where(defined, 1 / np.where(defined, size, 1), 0)
    u, v = y * inverse, t * np.where(defined, 1 / np.where(defined, t_size, 1), 0)
    d = np.where(defined, ((u - v) ** 2).sum(axis=1, keepdims=True) / 2, 1)
    row_loss[...] = d[:, 0] + (offset - 1)
    if dy is not None:
        dy[...] = (u - v - d * u) * inverse * _row_factor(weight, step, dy.dtype)


@op("x weight? -> y", by_row="x weight y", flops=elements("y"))
def weigh_rows(x, weight, y, *, step):
    """y_ij = x_ij w_i / weight_sum: gradients of the rows' own losses become those of the step's"""
    y[...] = x * _row_factor(weight, step, y.dtype)


@op("logits target weight? -> y dlogits? row_loss", by_row="logits target weight y dlogits row_loss",
    flops=elements("y", 8))
def poisson_deviance(logits, target, weight, y, dlogits, row_loss, *, step):
    """row_loss_i = sum_j t log(t / y) - t + y, y = exp(logits); dlogits = (y - t) w / weight_sum"""
    y[...] = np.exp(logits)
    log_target = np.log(np.where(target > 0, target, 1))
    row_loss[...] = (target * (log_target - logits) - target + y).sum(axis=1)
    if dlogits is not None:
        dlogits[...] = (y - target) * _row_factor(weight, step, y.dtype)


@op("row_loss weight? ->", dims="more", scalars="factor", flops=elements("row_loss", 2))
def loss_sum(row_loss, weight, *, more, factor, step):
    """the step's loss (+)= factor sum_i w_i row_loss_i / weight_sum"""
    total = row_loss.sum() if weight is None else weight @ row_loss
    step.loss = (0.0 if step.first_block and not more else step.loss) + factor * total / step.weight_sum
