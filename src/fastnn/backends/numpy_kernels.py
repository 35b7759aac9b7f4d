"""Every op in plain NumPy: the reference, and the backend where no compiler was.

A kernel takes the op's operands as arrays in the order of its declaration (None where absent), writes its
outputs in place, and takes its settings and the `Step` by keyword. The string above it is the op's row in
``csrc/ops.def``; a test holds the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..activations import ACTIVATIONS
from ..program import op


@dataclass
class Step:
    """What a kernel may know of the step it runs in (``fnn_step`` in ``csrc/fastnn.h``)."""

    index: np.ndarray | None = None
    row: int = 0
    update: int = 1
    rate: float = 0.0
    weight_sum: float = 1.0
    first_block: bool = True
    loss: float = 0.0
    bad_row: int = -1


def _elements(name, factor=1):
    return lambda shapes: factor * int(np.prod(shapes[name]))


def _product(rows, columns, inner):
    return lambda s: 2 * s[rows][0] * s[columns][-1] * s[inner][-1]


@op("source -> y", dims="check_finite", by_row="y", flops=lambda s: 0)
def gather(source, y, *, check_finite, step):
    """y_i = source[index[row + i]]"""
    rows = slice(step.row, step.row + len(y))
    picked = source[rows] if step.index is None else source[step.index[rows]]
    y[...] = picked.reshape(y.shape)
    if check_finite and y.dtype.kind == "f" and not np.isfinite(y).all():
        step.bad_row = step.row + int(np.argmin(np.isfinite(y.reshape(len(y), -1)).all(axis=1)))


@op("x mean scale -> y", by_row="x y", flops=_elements("y", 2))
def standardize(x, mean, scale, y, *, step):
    """y_ij = (x_ij - mean_j) scale_j"""
    y[...] = (x - mean) * scale


@op("x -> y", by_row="x y", flops=lambda s: 0)
def store(x, y, *, step):
    """y = x, into the caller's array"""
    y[...] = x.reshape(y.shape)


@op("x w b? -> y z?", dims="activation", scalars="alpha", owned="y z", flops=_product("x", "w", "x"))
def dense_forward(x, w, b, y, z, *, activation, alpha, step):
    """y = f(z), z = x w + b"""
    pre = x @ w
    if b is not None:
        pre += b
    if z is not None:
        z[...] = pre
    y[...] = ACTIVATIONS[activation].function(pre, alpha)


@op("dy w f? -> dx", dims="activation", scalars="alpha", owned="f dx", flops=_product("dy", "dy", "dx"))
def dense_backward_input(dy, w, f, dx, *, activation, alpha, step, accumulate=False):
    """dx = (dy w^T) * f'"""
    product = dy @ w.T
    if f is not None:
        product *= ACTIVATIONS[activation].slope(f, alpha)
    if accumulate:
        dx += product
    else:
        dx[...] = product


@op("x dy -> dw db?", owned="dw db", flops=_product("x", "dw", "x"))
def dense_backward_parameters(x, dy, dw, db, *, step, accumulate=False):
    """dw = x^T dy, db = column sums of dy"""
    if accumulate or not step.first_block:
        dw += x.T @ dy
        if db is not None:
            db += dy.sum(axis=0, dtype=np.float64).astype(dy.dtype)
        return
    dw[...] = x.T @ dy
    if db is not None:
        db[...] = dy.sum(axis=0, dtype=np.float64)


@op("x dy -> w w_state1? w_state2? b? b_state1? b_state2?", dims="optimizer",
    scalars="rate_factor beta1 beta2 epsilon", owned="w w_state1 w_state2 b b_state1 b_state2",
    flops=_product("x", "w", "x"), in_place=True)
def dense_backward_update(x, dy, w, w_state1, w_state2, b, b_state1, b_state2, *, optimizer, step, **scalars):
    """w takes the optimizer's step along x^T dy, b along the column sums of dy"""
    take_step = {"sgd": sgd, "momentum": momentum, "nesterov": nesterov, "adam": adam}[optimizer]
    db = dy.sum(axis=0, dtype=np.float64).astype(dy.dtype)
    for gradient, parameter, *states in ((x.T @ dy, w, w_state1, w_state2), (db, b, b_state1, b_state2)):
        if parameter is not None:
            take_step(gradient, parameter, *(s for s in states if s is not None), step=step, **scalars)


@op("x -> y", dims="activation", scalars="alpha", by_row="x y", flops=_elements("y"))
def activation_forward(x, y, *, activation, alpha, step):
    """y = f(x)"""
    y[...] = ACTIVATIONS[activation].function(x, alpha)


@op("dy f -> dx", dims="activation", scalars="alpha", by_row="dy f dx", flops=_elements("dx", 2))
def activation_backward(dy, f, dx, *, activation, alpha, step):
    """dx = dy * f'"""
    np.multiply(dy, ACTIVATIONS[activation].slope(f, alpha), out=dx)


def _softmax(x):
    """softmax of each row, and the log of the sum of exponentials"""
    top = x.max(axis=1, keepdims=True)
    e = np.exp(x - top)
    total = e.sum(axis=1, keepdims=True)
    return e / total, (np.log(total) + top)[:, 0]


@op("x -> y", by_row="x y", flops=_elements("y", 4))
def softmax_forward(x, y, *, step):
    """y_ij = exp(x_ij) / sum_k exp(x_ik)"""
    y[...] = _softmax(x)[0]


@op("dy y -> dx", by_row="dy y dx", flops=_elements("y", 4))
def softmax_backward(dy, y, dx, *, step):
    """dx_ij = y_ij (dy_ij - sum_k dy_ik y_ik)"""
    dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))


def _row_factor(weight, step, dtype):
    """What a row's gradient is multiplied by: w_i / weight_sum"""
    weight = 1.0 if weight is None else weight[:, None]
    return np.divide(weight, step.weight_sum, dtype=np.float64).astype(dtype)


@op("logits target weight? -> y dlogits? row_loss", by_row="logits target weight y dlogits row_loss",
    flops=_elements("y", 6))
def softmax_cross_entropy(logits, target, weight, y, dlogits, row_loss, *, step):
    """row_loss_i = sum_j t_ij (log sum_k exp(z_ik) - z_ij); dlogits = (y sum_j t_ij - t) w / weight_sum"""
    probability, log_sum = _softmax(logits)
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
    flops=_elements("y", 8))
def sigmoid_cross_entropy(logits, target, weight, y, dlogits, row_loss, *, step):
    """row_loss_i = sum_j max(z, 0) - z t + log(1 + exp(-|z|)); dlogits = (y - t) w / weight_sum"""
    loss = np.maximum(logits, 0) - logits * target + np.log1p(np.exp(-np.abs(logits)))
    row_loss[...] = loss.sum(axis=1)
    y[...] = ACTIVATIONS["sigmoid"].function(logits, 0.0)
    if dlogits is not None:
        dlogits[...] = (y - target) * _row_factor(weight, step, y.dtype)


@op("y target weight? -> dy? row_loss", scalars="factor", by_row="y target weight dy row_loss",
    flops=_elements("y", 4))
def squared_error(y, target, weight, dy, row_loss, *, factor, step):
    """row_loss_i = factor sum_j (y_ij - t_ij)^2; dy = 2 factor (y - t) w / weight_sum"""
    error = y - target
    row_loss[...] = factor * (error * error).sum(axis=1, dtype=np.float64)
    if dy is not None:
        dy[...] = error * (_row_factor(weight, step, y.dtype) * y.dtype.type(2 * factor))


@op("row_loss weight? ->", flops=_elements("row_loss", 2))
def loss_sum(row_loss, weight, *, step):
    """the step's loss = sum_i w_i row_loss_i / weight_sum"""
    total = row_loss.sum() if weight is None else weight @ row_loss
    step.loss = (0.0 if step.first_block else step.loss) + total / step.weight_sum


def _optimizer(operands: str, n_flops: int):
    return op(operands, scalars="rate_factor beta1 beta2 epsilon", owned=operands.replace("->", ""),
              in_place=True, flops=_elements("w", n_flops))


@_optimizer("dw -> w", 2)
def sgd(dw, w, *, rate_factor, beta1, beta2, epsilon, step):
    """w -= rate dw"""
    w -= w.dtype.type(step.rate * rate_factor) * dw


@_optimizer("dw -> w velocity", 4)
def momentum(dw, w, velocity, *, rate_factor, beta1, beta2, epsilon, step):
    """velocity = beta1 velocity - rate dw; w += velocity"""
    velocity *= w.dtype.type(beta1)
    velocity -= w.dtype.type(step.rate * rate_factor) * dw
    w += velocity


@_optimizer("dw -> w velocity", 6)
def nesterov(dw, w, velocity, *, rate_factor, beta1, beta2, epsilon, step):
    """velocity = beta1 velocity - rate dw; w += beta1 velocity - rate dw"""
    gradient_step = w.dtype.type(step.rate * rate_factor) * dw
    velocity *= w.dtype.type(beta1)
    velocity -= gradient_step
    w += w.dtype.type(beta1) * velocity - gradient_step


@_optimizer("dw -> w mean square", 12)
def adam(dw, w, mean, square, *, rate_factor, beta1, beta2, epsilon, step):
    """mean and square are running averages of dw and dw^2; w -= rate mean' / (sqrt(square') + epsilon), where
    ' divides by 1 - beta^t"""
    real = w.dtype.type
    mean *= real(beta1)
    mean += real(1 - beta1) * dw
    square *= real(beta2)
    square += real(1 - beta2) * dw * dw
    rate = real(step.rate * rate_factor / (1 - beta1 ** step.update))
    correction = real(1 / np.sqrt(1 - beta2 ** step.update))
    w -= rate * mean / (np.sqrt(square) * correction + real(epsilon))
