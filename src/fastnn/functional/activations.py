"""Activations on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import alphas, op

_activation_forward = op("activation_forward", "x:bn -> y:bn")
_activation_backward = op("activation_backward", "dy:bn f:bn -> dx:bn")
_log_softmax_forward = op("log_softmax_forward", "x:bn -> y:bn")
_log_softmax_backward = op("log_softmax_backward", "dy:bn y:bn -> dx:bn")
_prelu_forward = op("prelu_forward", "x:bn slope:n -> y:bn")
_prelu_backward_input = op("prelu_backward_input", "dy:bn x:bn slope:n -> dx:bn")
_prelu_backward_parameters = op("prelu_backward_parameters", "dy:bn x:bn -> dslope:n")
_softmax_forward = op("softmax_forward", "x:bn -> y:bn")
_softmax_backward = op("softmax_backward", "dy:bn y:bn -> dx:bn")


def activation_forward(x: Any, activation: str, alpha: float | None = None) -> np.ndarray:
    """y = f(x), x (B, n); alpha is the activation's parameter, by default as `fastnn.activations` has it."""
    return _activation_forward((x,), activation, alphas(activation, alpha))


def activation_backward(dy: Any, f: Any, activation: str, alpha: float | None = None) -> np.ndarray:
    """dx = dy * f', f' in terms of the activation's output or input `f` (see `fastnn.activations`)."""
    return _activation_backward((dy, f), activation, alphas(activation, alpha))


def log_softmax_forward(x: Any) -> np.ndarray:
    """log softmax of each row of x (B, n), finite where softmax underflows.

    Examples
    --------
    >>> log_softmax_forward([[1000.0, 0.0]]).tolist()
    [[0.0, -1000.0]]
    """
    return _log_softmax_forward((x,))


def log_softmax_backward(dy: Any, y: Any) -> np.ndarray:
    """dx_ij = dy_ij - exp(y_ij) sum_k dy_ik, y (B, n) the log softmax's output."""
    return _log_softmax_backward((dy, y))


def prelu_forward(x: Any, slope: Any) -> np.ndarray:
    """y_ij = x_ij where x_ij > 0, else slope_j x_ij: x (B, n), slope (n)."""
    return _prelu_forward((x, slope))


def prelu_backward_input(dy: Any, x: Any, slope: Any) -> np.ndarray:
    """dx_ij = dy_ij where x_ij > 0, else dy_ij slope_j."""
    return _prelu_backward_input((dy, x, slope))


def prelu_backward_parameters(dy: Any, x: Any) -> np.ndarray:
    """dslope_j = sum_i dy_ij min(x_ij, 0)."""
    return _prelu_backward_parameters((dy, x))


def softmax_forward(x: Any) -> np.ndarray:
    """softmax of each row of x (B, n).

    Examples
    --------
    >>> softmax_forward([[0.0, 0.0]])
    array([[0.5, 0.5]])
    """
    return _softmax_forward((x,))


def softmax_backward(dy: Any, y: Any) -> np.ndarray:
    """dx_ij = y_ij (dy_ij - sum_k dy_ik y_ik), y (B, n) the softmax's output."""
    return _softmax_backward((dy, y))
