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
    """y = f(x), x (B, n); alpha is the activation's parameter, by default as `fastnn.activations` has it.

    Examples
    --------
    >>> activation_forward([[-1.0, 2.0]], "leaky_relu", alpha=0.5)
    array([[-0.5,  2. ]])
    """
    return _activation_forward((x,), activation, alphas(activation, alpha))


def activation_backward(dy: Any, f: Any, activation: str, alpha: float | None = None) -> np.ndarray:
    """dx = dy * f', f' in terms of the activation's output or input `f` (see `fastnn.activations`).

    Examples
    --------
    >>> activation_backward([[1.0, 1.0]], [[0.0, 0.5]], "sigmoid")  # f is the output: f (1 - f)
    array([[0.  , 0.25]])
    """
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
    """dx_ij = dy_ij - exp(y_ij) sum_k dy_ik, y (B, n) the log softmax's output.

    Examples
    --------
    >>> log_softmax_backward([[1.0, 0.0]], np.log([[0.5, 0.5]])).round(9)
    array([[ 0.5, -0.5]])
    """
    return _log_softmax_backward((dy, y))


def prelu_forward(x: Any, slope: Any) -> np.ndarray:
    """y_ij = x_ij where x_ij > 0, else slope_j x_ij: x (B, n), slope (n).

    Examples
    --------
    >>> prelu_forward([[-2.0, 2.0]], [0.5, 0.5])
    array([[-1.,  2.]])
    """
    return _prelu_forward((x, slope))


def prelu_backward_input(dy: Any, x: Any, slope: Any) -> np.ndarray:
    """dx_ij = dy_ij where x_ij > 0, else dy_ij slope_j.

    Examples
    --------
    >>> prelu_backward_input([[1.0, 1.0]], [[-2.0, 2.0]], [0.5, 0.5])
    array([[0.5, 1. ]])
    """
    return _prelu_backward_input((dy, x, slope))


def prelu_backward_parameters(dy: Any, x: Any) -> np.ndarray:
    """dslope_j = sum_i dy_ij min(x_ij, 0).

    Examples
    --------
    >>> prelu_backward_parameters([[1.0, 1.0]], [[-2.0, 2.0]])
    array([-2.,  0.])
    """
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
    """dx_ij = y_ij (dy_ij - sum_k dy_ik y_ik), y (B, n) the softmax's output.

    Examples
    --------
    >>> softmax_backward([[1.0, 0.0]], [[0.5, 0.5]])
    array([[ 0.25, -0.25]])
    """
    return _softmax_backward((dy, y))
