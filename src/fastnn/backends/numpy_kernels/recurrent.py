"""Recurrent layers over all steps in time (``csrc/recurrent.inc``, ``csrc/lstm.inc``, ``csrc/gru.inc``)."""

from __future__ import annotations

import numpy as np

from ...activations import ACTIVATIONS
from ...program import op

sigmoid, tanh = ACTIVATIONS["sigmoid"].function, ACTIVATIONS["tanh"].function


def steps(array, time):
    """(T, B, n) or (T, B): an array of the time layout, step by step, as a view."""
    return array.reshape(time, -1, *array.shape[1:])


def forward_flops(shapes):
    """Of z = x w + h u over all steps."""
    return 2 * shapes["x"][0] * (shapes["w"][0] * shapes["w"][1] + shapes["u"][0] * shapes["u"][1])


def backward_flops(shapes):
    """Of dh = dz u^T over all steps."""
    rows = next(shapes[name] for name in ("f", "gates") if name in shapes)[0]
    return 2 * rows * shapes["u"][0] * shapes["u"][1]


def parameter_flops(shapes):
    """Of du = h^T dz over all steps."""
    return 2 * shapes["y"][0] * shapes["du"][0] * shapes["du"][1]


def order(time, reverse):
    """The steps in the order in which they are worked on."""
    return range(time)[::-1] if reverse else range(time)


def start(state, shape, dtype):
    """The initial state (B, n), zeros where there is none."""
    return np.zeros(shape, dtype) if state is None else state


def where_there(mask, time, t, new, old):
    """`new`, but `old` in rows that are masked at step t."""
    return new if mask is None else np.where(steps(mask, time)[t][:, None] != 0, new, old)


def states_before(y, h0, time, reverse):
    """(T, B, n): for each step the state before it."""
    states = steps(y, time)
    first = start(h0, states.shape[1:], y.dtype)[None]
    return np.concatenate((states[1:], first) if reverse else (first, states[:-1]))


def cut(bptt, k):
    """Whether no gradient goes from step k + 1 back to step k."""
    return bptt and (k + 1) % bptt == 0


def bias(b, n, dtype):
    """b, zeros where there is none."""
    return np.zeros(n, dtype) if b is None else b


@op("x w u b? h0? mask? -> y z? h_last?", dims="activation reverse", scalars="alpha", flops=forward_flops)
def rnn_forward(x, w, u, b, h0, mask, y, z, h_last, *, activation, reverse, alpha, step):
    """y_t = h_t = f(z_t), z_t = x_t w + h_{t-1} u + b"""
    xs, ys = steps(x, step.time), steps(y, step.time)
    h = start(h0, ys.shape[1:], y.dtype)
    for t in order(step.time, reverse):
        pre = xs[t] @ w + h @ u + bias(b, w.shape[1], y.dtype)
        if z is not None:
            steps(z, step.time)[t] = pre
        h = ys[t] = where_there(mask, step.time, t, ACTIVATIONS[activation].function(pre, alpha), h)
    if h_last is not None:
        h_last[...] = h


@op("dy? dh_last? u f mask? -> dz dh0?", dims="activation reverse bptt", scalars="alpha", flops=backward_flops)
def rnn_backward(dy, dh_last, u, f, mask, dz, dh0, *, activation, reverse, bptt, alpha, step):
    """dz_t = (dy_t + dz_{t+1} u^T) * f'"""
    time, fs, dzs = step.time, steps(f, step.time), steps(dz, step.time)
    dh = start(dh_last, dzs.shape[1:], dz.dtype)
    for k in range(time)[::-1]:
        t = order(time, reverse)[k]
        if k < time - 1 and cut(bptt, k):
            dh = np.zeros_like(dh)
        if dy is not None:
            dh = dh + steps(dy, time)[t]
        dzs[t] = where_there(mask, time, t, dh * ACTIVATIONS[activation].slope(fs[t], alpha), np.zeros_like(dh))
        dh = where_there(mask, time, t, np.zeros_like(dh), dh) + dzs[t] @ u.T
    if dh0 is not None:
        dh0[...] = dh


@op("x w u b? h0? c0? mask? -> y c? gates? h_last? c_last?", dims="reverse", private="gates", flops=forward_flops)
def lstm_forward(x, w, u, b, h0, c0, mask, y, c, gates, h_last, c_last, *, reverse, step):
    """z_t = x_t w + h_{t-1} u + b in the order i f g o; c_t = f c_{t-1} + i g, h_t = o tanh(c_t)"""
    time = step.time
    xs, ys = steps(x, time), steps(y, time)
    h, cell = (start(state, ys.shape[1:], y.dtype) for state in (h0, c0))
    for t in order(time, reverse):
        z = xs[t] @ w + h @ u + bias(b, w.shape[1], y.dtype)
        i, f, g, o = np.split(z, 4, axis=1)
        i, f, g, o = sigmoid(i, 0), sigmoid(f, 0), tanh(g, 0), sigmoid(o, 0)
        new = f * cell + i * g
        h = ys[t] = where_there(mask, time, t, o * tanh(new, 0), h)
        cell = where_there(mask, time, t, new, cell)
        if c is not None:
            steps(c, time)[t] = cell
        if gates is not None:
            steps(gates, time)[t] = np.concatenate((i, f, g, o), axis=1)
    for last, state in ((h_last, h), (c_last, cell)):
        if last is not None:
            last[...] = state


@op("dy? dh_last? dc_last? u gates c c0? mask? -> dz dh0? dc0?", dims="reverse bptt", flops=backward_flops)
def lstm_backward(dy, dh_last, dc_last, u, gates, c, c0, mask, dz, dh0, dc0, *, reverse, bptt, step):
    """dc_t += dh_t o (1 - tanh(c_t)^2); dz_i = dc_t g i (1 - i), dz_f = dc_t c_{t-1} f (1 - f),
    dz_g = dc_t i (1 - g^2), dz_o = dh_t tanh(c_t) o (1 - o); dc_{t-1} = dc_t f, dh_{t-1} = dz_t u^T
    """
    time, cs, dzs = step.time, steps(c, step.time), steps(dz, step.time)
    before = states_before(c, c0, time, reverse)
    dh, dc = (start(last, cs.shape[1:], c.dtype) for last in (dh_last, dc_last))
    for k in range(time)[::-1]:
        t = order(time, reverse)[k]
        if k < time - 1 and cut(bptt, k):
            dh, dc = np.zeros_like(dh), np.zeros_like(dc)
        if dy is not None:
            dh = dh + steps(dy, time)[t]
        i, f, g, o = np.split(steps(gates, time)[t], 4, axis=1)
        out = tanh(cs[t], 0)
        inner = dc + dh * o * (1 - out * out)
        parts = (inner * g * i * (1 - i), inner * before[t] * f * (1 - f), inner * i * (1 - g * g),
                 dh * out * o * (1 - o))
        together, dc = np.concatenate(parts, axis=1), where_there(mask, time, t, inner * f, dc)
        dzs[t] = where_there(mask, time, t, together, np.zeros_like(together))
        dh = where_there(mask, time, t, np.zeros_like(dh), dh) + dzs[t] @ u.T
    for first, state in ((dh0, dh), (dc0, dc)):
        if first is not None:
            first[...] = state


@op("y h0? dz -> du", dims="reverse", flops=parameter_flops)
def recurrent_backward_parameters(y, h0, dz, du, *, reverse, step, accumulate=False):
    """du = sum_t h_{t-1}^T dz_t"""
    result = states_before(y, h0, step.time, reverse).reshape(y.shape).T @ dz
    du[...] = du + result if accumulate or not step.first_block else result


@op("x w u b? bq? h0? mask? -> y gates? h_last?", dims="reverse reset_after", private="gates", flops=forward_flops)
def gru_forward(x, w, u, b, bq, h0, mask, y, gates, h_last, *, reverse, reset_after, step):
    """z, r = sigmoid(x_t w_zr + h_{t-1} u_zr + b_zr); n = tanh(x_t w_n + b_n + r q), q = h_{t-1} u_n + bq, where
    not reset_after n = tanh(x_t w_n + b_n + q u_n), q = r h_{t-1}; h_t = z h_{t-1} + (1 - z) n
    """
    time = step.time
    xs, ys = steps(x, time), steps(y, time)
    n_units = y.shape[1]
    h = start(h0, ys.shape[1:], y.dtype)
    for t in order(time, reverse):
        a = xs[t] @ w + bias(b, w.shape[1], y.dtype)
        a[:, :2 * n_units] += h @ u[:, :2 * n_units]
        z, r = np.split(sigmoid(a[:, :2 * n_units], 0), 2, axis=1)
        if reset_after:
            q = h @ u[:, 2 * n_units:] + bias(bq, n_units, y.dtype)
            n = tanh(a[:, 2 * n_units:] + r * q, 0)
        else:
            q = r * h
            n = tanh(a[:, 2 * n_units:] + q @ u[:, 2 * n_units:], 0)
        h = ys[t] = where_there(mask, time, t, n + z * (h - n), h)
        if gates is not None:
            steps(gates, time)[t] = np.concatenate((z, r, n, q), axis=1)
    if h_last is not None:
        h_last[...] = h


@op("dy? dh_last? u gates y h0? mask? -> dgates dh0?", dims="reverse bptt reset_after", flops=backward_flops)
def gru_backward(dy, dh_last, u, gates, y, h0, mask, dgates, dh0, *, reverse, bptt, reset_after, step):
    """dgates = dz dr dn dq, q in the place of dq where not reset_after; dn = dh (1 - z) (1 - n^2),
    dz = dh (h_{t-1} - n) z (1 - z), dq = dn r or dn u_n^T, dr = dq q or dq h_{t-1}, times r (1 - r)
    """
    time, n_units = step.time, y.shape[1]
    before, results = states_before(y, h0, time, reverse), steps(dgates, time)
    dh = start(dh_last, before.shape[1:], y.dtype)
    for k in range(time)[::-1]:
        t = order(time, reverse)[k]
        if k < time - 1 and cut(bptt, k):
            dh = np.zeros_like(dh)
        if dy is not None:
            dh = dh + steps(dy, time)[t]
        z, r, n, q = np.split(steps(gates, time)[t], 4, axis=1)
        dn = dh * (1 - z) * (1 - n * n)
        dz = dh * (before[t] - n) * z * (1 - z)
        if reset_after:
            fourth = dn * r
            dr, passed = dn * q * r * (1 - r), dh * z
        else:
            fourth = q
            dq = dn @ u[:, 2 * n_units:].T
            dr, passed = dq * before[t] * r * (1 - r), dh * z + dq * r
        together = np.concatenate((dz, dr, dn, fourth), axis=1)
        results[t] = where_there(mask, time, t, together, np.zeros_like(together))
        dh = where_there(mask, time, t, passed, dh) + results[t][:, :2 * n_units] @ u[:, :2 * n_units].T
        if reset_after:
            dh = dh + results[t][:, 3 * n_units:] @ u[:, 2 * n_units:].T
    if dh0 is not None:
        dh0[...] = dh


@op("y h0? dgates -> du dbq?", dims="reverse reset_after", flops=parameter_flops)
def gru_backward_parameters(y, h0, dgates, du, dbq, *, reverse, reset_after, step, accumulate=False):
    """du = sum_t of h_{t-1}^T [dz dr] and of h_{t-1}^T dq, where not reset_after q^T dn; dbq = column sums of dq"""
    n = y.shape[1]
    before = states_before(y, h0, step.time, reverse).reshape(y.shape)
    q, dn = dgates[:, 3 * n:], dgates[:, 2 * n:3 * n]
    last = before.T @ q if reset_after else q.T @ dn
    result = np.concatenate((before.T @ dgates[:, :2 * n], last), axis=1)
    adds = accumulate or not step.first_block
    du[...] = du + result if adds else result
    if dbq is not None and reset_after:
        sums = q.sum(axis=0, dtype=np.float64).astype(q.dtype)
        dbq[...] = dbq + sums if adds else sums
