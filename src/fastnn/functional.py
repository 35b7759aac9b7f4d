"""The ops as functions on arrays, on the backend in use.

Every function takes C-contiguous arrays of float32 or float64, all of one dtype, and returns new arrays;
the optimizer steps change theirs in place. Nothing is checked beyond what keeps memory safe: these are the
kernels, for experiments and tests; `fastnn.Sequential` is the way to train.

Examples
--------
>>> import numpy as np
>>> from fastnn import functional as F
>>> F.activation_forward(np.array([[-1.0, 2.0]]), "relu")
array([[0., 2.]])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import backends, checks
from .activations import ACTIVATIONS
from .backends.numpy_kernels import Step
from .program import OPS

__all__ = [
    "activation_backward", "activation_forward", "adam", "dense_backward_input", "dense_backward_parameters",
    "dense_forward", "momentum", "nesterov", "sgd", "sigmoid_cross_entropy", "softmax_backward",
    "softmax_cross_entropy", "softmax_forward", "squared_error", "standardize",
]

_REALS = {np.dtype(np.float32): 0, np.dtype(np.float64): 1}


def call(name: str, arrays: Sequence[np.ndarray | None], *, weight_sum: float = 1.0, rate: float = 0.0,
         update: int = 1, **settings: Any) -> float:
    """Run one op on arrays in the order of its operands (None: absent); outputs are written in place.

    Returns the loss, which only loss_sum gives. Ops on a Run's rows (gather) want a Program.
    """
    schema = OPS[name]
    settings = {**dict.fromkeys(schema.dims, 0), **dict.fromkeys(schema.scalars, 0.0), **settings}
    if backends.backend() == "numpy":
        step = Step(rate=rate, update=update, weight_sum=weight_sum)
        with np.errstate(all="ignore"):
            schema.kernel(*arrays, step=step, **settings)
        return step.loss
    native = backends.native
    dims = tuple(native.setting(n, settings[n]) for n in schema.dims)
    scalars = tuple(settings[n] for n in schema.scalars)
    dtype = next(_REALS[a.dtype] for a in arrays if a is not None)
    return native.core.call(native.OPCODES[name], dtype, tuple(arrays), len(schema.inputs), dims, scalars,
                            rate, update, weight_sum)


def _array(name: str, value: Any, ndim: int, like: np.ndarray | None = None) -> np.ndarray:
    if type(value) is np.ndarray and value.dtype in _REALS and value.ndim == ndim \
            and value.flags.c_contiguous and (like is None or value.dtype == like.dtype):
        return value
    array = np.asarray(value)
    dtype = like.dtype if like is not None else array.dtype if array.dtype in _REALS else np.dtype(np.float64)
    if array.ndim != ndim:
        raise ValueError(f"{name}: expected {ndim} dimensions, got shape {array.shape}")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected numbers, got dtype {array.dtype}")
    return np.ascontiguousarray(array, dtype)


def _same(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    return array


def _activation(name: str) -> str:
    if name not in ACTIVATIONS:
        checks.lookup("activation", name, ACTIVATIONS)
    return name


def dense_forward(x: Any, w: Any, b: Any = None, activation: str = "identity") -> np.ndarray:
    """y = f(x w + b): x (B, n_in), w (n_in, n_out), b (n_out) or None."""
    x = _array("x", x, 2)
    w = _array("w", w, 2, x)
    if w.shape[0] != x.shape[1]:
        raise ValueError(f"w: expected shape ({x.shape[1]}, n_out), got {w.shape}")
    if b is not None:
        b = _same("b", _array("b", b, 1, x), w.shape[1:])
    y = np.empty((x.shape[0], w.shape[1]), x.dtype)
    call("dense_forward", (x, w, b, y, None), activation=_activation(activation))
    return y


def dense_backward_input(dy: Any, w: Any, f: Any = None, activation: str = "identity") -> np.ndarray:
    """dx = (dy w^T) * f'(f): dy (B, n_out), w (n_in, n_out); f is what the activation's slope takes."""
    dy = _array("dy", dy, 2)
    w = _array("w", w, 2, dy)
    _same("dy", dy, (dy.shape[0], w.shape[1]))
    dx = np.empty((dy.shape[0], w.shape[0]), dy.dtype)
    if f is not None:
        f = _same("f", _array("f", f, 2, dy), dx.shape)
    call("dense_backward_input", (dy, w, f, dx), activation=_activation(activation))
    return dx


def dense_backward_parameters(x: Any, dy: Any) -> tuple[np.ndarray, np.ndarray]:
    """dw = x^T dy and db = the column sums of dy."""
    x = _array("x", x, 2)
    dy = _array("dy", dy, 2, x)
    _same("dy", dy, (x.shape[0], dy.shape[1]))
    dw, db = np.empty((x.shape[1], dy.shape[1]), x.dtype), np.empty(dy.shape[1], x.dtype)
    call("dense_backward_parameters", (x, dy, dw, db))
    return dw, db


def activation_forward(x: Any, activation: str) -> np.ndarray:
    """y = f(x), x (B, n)."""
    x = _array("x", x, 2)
    y = np.empty_like(x)
    call("activation_forward", (x, y), activation=_activation(activation))
    return y


def activation_backward(dy: Any, f: Any, activation: str) -> np.ndarray:
    """dx = dy * f', f' in terms of the activation's output or input `f` (see `fastnn.activations`)."""
    dy = _array("dy", dy, 2)
    f = _same("f", _array("f", f, 2, dy), dy.shape)
    dx = np.empty_like(dy)
    call("activation_backward", (dy, f, dx), activation=_activation(activation))
    return dx


def softmax_forward(x: Any) -> np.ndarray:
    """softmax of each row of x (B, n)."""
    x = _array("x", x, 2)
    y = np.empty_like(x)
    call("softmax_forward", (x, y))
    return y


def softmax_backward(dy: Any, y: Any) -> np.ndarray:
    """dx_ij = y_ij (dy_ij - sum_k dy_ik y_ik)."""
    dy = _array("dy", dy, 2)
    y = _same("y", _array("y", y, 2, dy), dy.shape)
    dx = np.empty_like(dy)
    call("softmax_backward", (dy, y, dx))
    return dx


def _loss(op: str, output: Any, target: Any, sample_weight: Any, labels: bool, **settings: Any,
          ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    output = _array("output", output, 2)
    rows, n = output.shape
    if labels and np.ndim(target) == 1:
        target = np.ascontiguousarray(target, np.int64)
        if target.size and not 0 <= target.min() <= target.max() < n:
            raise ValueError(f"target: expected labels 0..{n - 1}, got {target.min()}..{target.max()}")
        _same("target", target, (rows,))
    else:
        target = _same("target", _array("target", target, 2, output), output.shape)
    if sample_weight is not None:
        sample_weight = _same("sample_weight", np.ascontiguousarray(sample_weight, np.float64), (rows,))
    weight_sum = float(rows if sample_weight is None else sample_weight.sum())
    y, dy, row_loss = np.empty_like(output), np.empty_like(output), np.empty(rows)
    outputs = (dy, row_loss) if op == "squared_error" else (y, dy, row_loss)
    call(op, (output, target, sample_weight, *outputs), weight_sum=weight_sum, **settings)
    return y, dy, row_loss


def softmax_cross_entropy(logits: Any, target: Any,
                          sample_weight: Any = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, gradient of the mean loss for the logits, and each row's loss (float64).

    `target`: labels (B,) or rows (B, n).
    """
    return _loss("softmax_cross_entropy", logits, target, sample_weight, True)


def sigmoid_cross_entropy(logits: Any, target: Any,
                          sample_weight: Any = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, gradient of the mean loss for the logits, each row's loss (float64); target (B, n)."""
    return _loss("sigmoid_cross_entropy", logits, target, sample_weight, False)


def squared_error(y: Any, target: Any, sample_weight: Any = None,
                  factor: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the mean loss for y, and each row's loss factor * sum_j (y_ij - t_ij)^2 (float64)."""
    return _loss("squared_error", y, target, sample_weight, False, factor=factor)[1:]


def standardize(x: Any, mean: Any, scale: Any) -> np.ndarray:
    """y_ij = (x_ij - mean_j) scale_j."""
    x = _array("x", x, 2)
    mean, scale = (_same(n, _array(n, v, 1, x), x.shape[1:]) for n, v in (("mean", mean), ("scale", scale)))
    y = np.empty_like(x)
    call("standardize", (x, mean, scale, y))
    return y


def _update(op: str, arrays: Sequence[np.ndarray], rate: float, update: int = 1, **scalars: float) -> None:
    for name, array in zip(OPS[op].operands, arrays, strict=True):
        if not isinstance(array, np.ndarray) or array.dtype != arrays[0].dtype or array.dtype not in _REALS \
                or array.shape != arrays[0].shape or array.ndim not in (1, 2) or not array.flags.c_contiguous:
            raise ValueError(f"{name}: expected a C-contiguous {arrays[0].dtype} array of shape "
                             f"{arrays[0].shape}")
        if name != "dw" and not array.flags.writeable:
            raise ValueError(f"{name}: expected a writable array, it is changed in place")
    call(op, arrays, rate=rate, update=update, rate_factor=1.0, **scalars)


def sgd(dw: np.ndarray, w: np.ndarray, rate: float) -> None:
    """w -= rate dw, in place."""
    _update("sgd", (dw, w), rate)


def momentum(dw: np.ndarray, w: np.ndarray, velocity: np.ndarray, rate: float, beta: float = 0.9) -> None:
    """velocity = beta velocity - rate dw; w += velocity, in place."""
    _update("momentum", (dw, w, velocity), rate, beta1=beta)


def nesterov(dw: np.ndarray, w: np.ndarray, velocity: np.ndarray, rate: float, beta: float = 0.9) -> None:
    """velocity = beta velocity - rate dw; w += beta velocity - rate dw, in place."""
    _update("nesterov", (dw, w, velocity), rate, beta1=beta)


def adam(dw: np.ndarray, w: np.ndarray, mean: np.ndarray, square: np.ndarray, rate: float, update: int,
         beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
    """Adam's `update`-th step (from 1), in place; see `fastnn.Adam`."""
    _update("adam", (dw, w, mean, square), rate, update, correct=1, beta1=beta_1, beta2=beta_2,
            epsilon=epsilon)
