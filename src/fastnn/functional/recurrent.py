"""Recurrent layers over all steps in time: forward, and backpropagation through time.

Sequences are (B, time, n), masks (B, time), states (B, n). With `reverse` the last step comes first; where the mask
is 0 a step leaves the state as it is. `bptt` cuts the gradient after so many steps, 0: never.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from .base import Array, activating, as_arrays, call, flag
from .sequences import by_sample, in_time

_FORWARD = "x:btn w:no u:io b?:o"  # w and u: a row for each input and each unit, a column for each unit of each gate


def rnn_forward(x: Any, w: Any, u: Any, b: Any = None, h0: Any = None, mask: Any = None, activation: str = "tanh",
                alpha: float | None = None, reverse: bool = False) -> tuple[Array, Array, Array]:
    """The states y_t = h_t = f(z_t), z_t = x_t w + h_{t-1} u + b, and z, both (B, time, units), and the last state:
    x (B, time, n_in), w (n_in, units), u (units, units), b (units) or None, h0 (B, units) or None for zeros.

    Examples
    --------
    >>> y, z, h_last = rnn_forward([[[1.0], [0.0]]], [[2.0]], [[3.0]], activation="relu")
    >>> y.ravel(), h_last.item()
    (array([2., 6.]), 6.0)
    """
    x, w, u, b, h0, mask = as_arrays(f"{_FORWARD} h0?:bi mask?:bt", x, w, u, b, h0, mask)
    _check_gates(u, 1)
    y, h_last = _new(x, u)
    z = np.empty_like(y)
    call("rnn_forward", (in_time(x), w, u, b, h0, in_time(mask), y, z, h_last), time=x.shape[1],
         **activating(activation, alpha), reverse=flag("reverse", reverse))
    return by_sample(y, x.shape[1]), by_sample(z, x.shape[1]), h_last


def rnn_backward(dy: Any, u: Any, f: Any, dh_last: Any = None, mask: Any = None, activation: str = "tanh",
                 alpha: float | None = None, reverse: bool = False, bptt: int = 0) -> tuple[Array, Array]:
    """dz (B, time, units) and dh0 (B, units) of `rnn_forward`, f its y or z, whichever the activation's slope is a
    function of (see `fastnn.activations`). Then dw = x^T dz, db the sums of dz, dx = dz w^T (`dense_backward_input`),
    and du is what `recurrent_backward_parameters` gives.

    Examples
    --------
    >>> dz, dh0 = rnn_backward([[[0.0], [1.0]]], [[3.0]], [[[2.0], [6.0]]], activation="relu")
    >>> dz.ravel(), dh0.item()
    (array([3., 1.]), 9.0)
    """
    dy, u, f, dh_last, mask = as_arrays("dy:bti u:io f:bti dh_last?:bi mask?:bt", dy, u, f, dh_last, mask)
    _check_gates(u, 1)
    dz, dh0 = _new(dy, u)
    call("rnn_backward", (in_time(dy), dh_last, u, in_time(f), in_time(mask), dz, dh0), time=dy.shape[1],
         **activating(activation, alpha), **_through_time(reverse, bptt))
    return by_sample(dz, dy.shape[1]), dh0


def recurrent_backward_parameters(y: Any, dz: Any, h0: Any = None, reverse: bool = False) -> np.ndarray:
    """du = sum_t h_{t-1}^T dz_t, of `rnn_backward` or `lstm_backward`: y (B, time, units) the states, h0 the first.

    Examples
    --------
    >>> recurrent_backward_parameters([[[2.0], [6.0]]], [[[3.0], [1.0]]])
    array([[2.]])
    """
    y, dz, h0 = as_arrays("y:bti dz:bto h0?:bi", y, dz, h0)
    du = np.empty((y.shape[2], dz.shape[2]), y.dtype)
    call("recurrent_backward_parameters", (in_time(y), h0, in_time(dz), du), time=y.shape[1],
         reverse=flag("reverse", reverse))
    return du


def lstm_forward(x: Any, w: Any, u: Any, b: Any = None, h0: Any = None, c0: Any = None, mask: Any = None,
                 reverse: bool = False) -> tuple[Array, Array, Array, Array, Array]:
    """The states y and the cells c (B, time, units), the gates i f g o (B, time, 4 units), and the last state and
    cell of `fastnn.LSTM`: x (B, time, n_in), w (n_in, 4 units), u (units, 4 units), b (4 units) or None, h0 and c0
    (B, units) or None for zeros.

    Examples
    --------
    >>> y, c, gates, h_last, c_last = lstm_forward([[[1.0]]], [[9.0, 0.0, 9.0, 9.0]], np.zeros((1, 4)))
    >>> c.round(3).item(), y.round(3).item()  # the input passes, the cell is shown
    (1.0, 0.761)
    """
    x, w, u, b, h0, c0, mask = as_arrays(f"{_FORWARD} h0?:bi c0?:bi mask?:bt", x, w, u, b, h0, c0, mask)
    _check_gates(u, 4)
    (y, h_last), (c, c_last) = _new(x, u), _new(x, u)
    gates, time = np.empty((len(y), u.shape[1]), x.dtype), x.shape[1]
    call("lstm_forward", (in_time(x), w, u, b, h0, c0, in_time(mask), y, c, gates, h_last, c_last), time=time,
         reverse=flag("reverse", reverse))
    return by_sample(y, time), by_sample(c, time), by_sample(gates, time), h_last, c_last


def lstm_backward(dy: Any, u: Any, gates: Any, c: Any, dh_last: Any = None, dc_last: Any = None, c0: Any = None,
                  mask: Any = None, reverse: bool = False, bptt: int = 0) -> tuple[Array, Array, Array]:
    """dz (B, time, 4 units), dh0 and dc0 (B, units) of `lstm_forward`, whose gates and cells these are; w, b, x and u
    get theirs from dz as `rnn_backward` says.

    Examples
    --------
    >>> dz, dh0, dc0 = lstm_backward([[[1.0]]], np.zeros((1, 4)), [[[1.0, 0.25, 0.0, 0.5]]], [[[0.0]]])
    >>> dz.ravel(), dc0.item()
    (array([0. , 0. , 0.5, 0. ]), 0.125)
    """
    dy, u, gates, c, dh_last, dc_last, c0, mask = as_arrays(
        "dy:bti u:io gates:bto c:bti dh_last?:bi dc_last?:bi c0?:bi mask?:bt",
        dy, u, gates, c, dh_last, dc_last, c0, mask)
    _check_gates(u, 4)
    dz, dh0 = np.empty((len(dy) * dy.shape[1], u.shape[1]), dy.dtype), _new(dy, u)[1]
    dc0 = np.empty_like(dh0)
    call("lstm_backward", (in_time(dy), dh_last, dc_last, u, in_time(gates), in_time(c), c0, in_time(mask), dz, dh0,
                           dc0), time=dy.shape[1], **_through_time(reverse, bptt))
    return by_sample(dz, dy.shape[1]), dh0, dc0


def gru_forward(x: Any, w: Any, u: Any, b: Any = None, bq: Any = None, h0: Any = None, mask: Any = None,
                reverse: bool = False, reset_after: bool = True) -> tuple[Array, Array, Array]:
    """The states y (B, time, units), the gates z r n q (B, time, 4 units) and the last state of `fastnn.GRU`:
    x (B, time, n_in), w (n_in, 3 units), u (units, 3 units), b (3 units) and bq (units) or None, h0 (B, units) or
    None for zeros. q is h_{t-1} u_n + bq, or r h_{t-1} where not `reset_after`, which has no bq.

    Examples
    --------
    >>> y, gates, h_last = gru_forward([[[1.0]]], np.zeros((1, 3)), np.zeros((1, 3)), h0=[[8.0]])
    >>> y.item()  # z is 1 / 2, n is 0
    4.0
    """
    x, w, u, b, bq, h0, mask = as_arrays(f"{_FORWARD} bq?:i h0?:bi mask?:bt", x, w, u, b, bq, h0, mask)
    _check_gates(u, 3)
    if bq is not None and not reset_after:
        raise ValueError("bq: expected None where the reset gate is not reset_after, got an array")
    y, h_last = _new(x, u)
    gates, time = np.empty((len(y), 4 * len(u)), x.dtype), x.shape[1]
    call("gru_forward", (in_time(x), w, u, b, bq, h0, in_time(mask), y, gates, h_last), time=time,
         reverse=flag("reverse", reverse), reset_after=flag("reset_after", reset_after))
    return by_sample(y, time), by_sample(gates, time), h_last


def gru_backward(dy: Any, u: Any, gates: Any, y: Any, dh_last: Any = None, h0: Any = None, mask: Any = None,
                 reverse: bool = False, bptt: int = 0, reset_after: bool = True) -> tuple[Array, Array]:
    """dgates = dz dr dn dq (B, time, 4 units) and dh0 (B, units) of `gru_forward`, whose gates and states these are;
    q in the place of dq where not `reset_after`. dgates' first 3 units columns are what w, b and x get theirs from,
    as `rnn_backward` says; u and bq, from `gru_backward_parameters`.

    Examples
    --------
    >>> dgates, dh0 = gru_backward([[[1.0]]], np.zeros((1, 3)), [[[0.5, 0.5, 0.0, 0.0]]], [[[4.0]]], h0=[[8.0]])
    >>> dgates.ravel(), dh0.item()
    (array([2.  , 0.  , 0.5 , 0.25]), 0.5)
    """
    dy, u, gates, y, dh_last, h0, mask = as_arrays("dy:bti u:io gates:bts y:bti dh_last?:bi h0?:bi mask?:bt",
                                                   dy, u, gates, y, dh_last, h0, mask)
    _check_gates(u, 3)
    _check_four("gates", gates, y)
    dgates, dh0 = np.empty((len(dy) * dy.shape[1], gates.shape[2]), dy.dtype), _new(dy, u)[1]
    call("gru_backward", (in_time(dy), dh_last, u, in_time(gates), in_time(y), h0, in_time(mask), dgates, dh0),
         time=dy.shape[1], **_through_time(reverse, bptt), reset_after=flag("reset_after", reset_after))
    return by_sample(dgates, dy.shape[1]), dh0


def gru_backward_parameters(y: Any, dgates: Any, h0: Any = None, reverse: bool = False,
                            reset_after: bool = True) -> tuple[Array, Array]:
    """du (units, 3 units) and dbq (units) of `gru_forward`; dbq is zero where not `reset_after`.

    Examples
    --------
    >>> du, dbq = gru_backward_parameters([[[4.0]]], [[[2.0, 0.0, 0.5, 0.25]]], h0=[[8.0]])
    >>> du, dbq
    (array([[16.,  0.,  2.]]), array([0.25]))
    """
    y, dgates, h0 = as_arrays("y:bti dgates:bts h0?:bi", y, dgates, h0)
    _check_four("dgates", dgates, y)
    n = y.shape[2]
    du, dbq = np.empty((n, 3 * n), y.dtype), np.zeros(n, y.dtype)
    call("gru_backward_parameters", (in_time(y), h0, in_time(dgates), du, dbq if reset_after else None),
         time=y.shape[1], reverse=flag("reverse", reverse), reset_after=flag("reset_after", reset_after))
    return du, dbq


def _new(sequence: np.ndarray, u: np.ndarray) -> tuple[Array, Array]:
    """Room for all states, in the time layout, and for one."""
    batch, time = sequence.shape[:2]
    return np.empty((batch * time, len(u)), sequence.dtype), np.empty((batch, len(u)), sequence.dtype)


def _check_gates(u: np.ndarray, gates: int) -> None:
    if u.shape[1] != gates * len(u):
        raise ValueError(f"u: expected shape ({len(u)}, {gates * len(u)}), {gates} gates of {len(u)} units, "
                         f"got {u.shape}")


def _check_four(name: str, gates: np.ndarray, y: np.ndarray) -> None:
    if gates.shape[2] != 4 * y.shape[2]:
        raise ValueError(f"{name}: expected 4 x {y.shape[2]} columns for the states y of {y.shape[2]} units, "
                         f"got {gates.shape[2]}")


def _through_time(reverse: bool, bptt: int) -> dict[str, int]:
    return {"reverse": flag("reverse", reverse), "bptt": checks.positive_int("bptt", bptt, minimum=0)}
