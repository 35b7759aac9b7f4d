"""Losses, fused with the final activation they belong to (``csrc/loss.inc``)."""

from __future__ import annotations

import numpy as np

from ...activations import ACTIVATIONS
from ...program import op
from .base import elements
from .elementwise import softmax


def _row_factor(weight, step, dtype):
    """What a row's gradient is multiplied by: w_i / weight_sum"""
    weight = 1.0 if weight is None else weight[:, None]
    return np.divide(weight, step.weight_sum, dtype=np.float64).astype(dtype)


@op("logits target weight? -> y dlogits? row_loss", by_row="logits target weight y dlogits row_loss",
    flops=elements("y", 6))
def softmax_cross_entropy(logits, target, weight, y, dlogits, row_loss, *, step):
    """row_loss_i = sum_j t_ij (log sum_k exp(z_ik) - z_ij); dlogits = (y sum_j t_ij - t) w / weight_sum"""
    probability, log_sum = softmax(logits)
    if target.ndim == 1:
        rows = np.arange(len(target))
        row_loss[...] = log_sum.astype(np.float64) - logits[rows, target]
    else:
        row_loss[...] = (target * (log_sum[:, None] - logits)).sum(axis=1)
    y[...] = probability
    if dlogits is None:
        return
    if target.ndim == 1:
        probability[rows, target] -= 1
    else:
        probability = probability * target.sum(axis=1, keepdims=True) - target
    dlogits[...] = probability * _row_factor(weight, step, y.dtype)


@op("logits target weight? -> y dlogits? row_loss", by_row="logits target weight y dlogits row_loss",
    flops=elements("y", 8))
def sigmoid_cross_entropy(logits, target, weight, y, dlogits, row_loss, *, step):
    """row_loss_i = sum_j max(z, 0) - z t + log(1 + exp(-|z|)); dlogits = (y - t) w / weight_sum"""
    loss = np.maximum(logits, 0) - logits * target + np.log1p(np.exp(-np.abs(logits)))
    row_loss[...] = loss.sum(axis=1)
    y[...] = ACTIVATIONS["sigmoid"].function(logits, 0.0)
    if dlogits is not None:
        dlogits[...] = (y - target) * _row_factor(weight, step, y.dtype)


@op("y target weight? -> dy? row_loss", scalars="factor", by_row="y target weight dy row_loss",
    flops=elements("y", 4))
def squared_error(y, target, weight, dy, row_loss, *, factor, step):
    """row_loss_i = factor sum_j (y_ij - t_ij)^2; dy = 2 factor (y - t) w / weight_sum"""
    error = y - target
    row_loss[...] = factor * (error * error).sum(axis=1, dtype=np.float64)
    if dy is not None:
        dy[...] = error * (_row_factor(weight, step, y.dtype) * y.dtype.type(2 * factor))


@op("row_loss weight? ->", flops=elements("row_loss", 2))
def loss_sum(row_loss, weight, *, step):
    """the step's loss = sum_i w_i row_loss_i / weight_sum"""
    total = row_loss.sum() if weight is None else weight @ row_loss
    step.loss = (0.0 if step.first_block else step.loss) + total / step.weight_sum
