"""Dense layers on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import alphas, op

_dense_forward = op("dense_forward", "x:bi w:io b?:o -> y:bo")
_dense_backward_input = op("dense_backward_input", "dy:bo w:io f?:bi -> dx:bi")
_dense_backward_parameters = op("dense_backward_parameters", "x:bi dy:bo -> dw:io db:o")


def dense_forward(x: Any, w: Any, b: Any = None, activation: str = "identity",
                  alpha: float | None = None) -> np.ndarray:
    """y = f(x w + b): x (B, n_in), w (n_in, n_out), b (n_out) or None; alpha: the activation's default.

    Examples
    --------
    >>> dense_forward([[1.0, 2.0]], [[1.0], [3.0]], [0.5], "relu")
    array([[7.5]])
    """
    return _dense_forward((x, w, b), activation, alphas(activation, alpha))


def dense_backward_input(dy: Any, w: Any, f: Any = None, activation: str = "identity",
                         alpha: float | None = None) -> np.ndarray:
    """dx = (dy w^T) * f': dy (B, n_out), w (n_in, n_out); f (B, n_in) or None is what the slope f' of the
    activation below is a function of, its output or input (see `fastnn.activations`).

    Examples
    --------
    >>> dense_backward_input([[2.0]], [[1.0], [3.0]])
    array([[2., 6.]])
    """
    return _dense_backward_input((dy, w, f), activation, alphas(activation, alpha))


def dense_backward_parameters(x: Any, dy: Any) -> tuple[np.ndarray, np.ndarray]:
    """dw = x^T dy and db = the column sums of dy: x (B, n_in), dy (B, n_out).

    Examples
    --------
    >>> dense_backward_parameters([[1.0, 2.0]], [[2.0]])
    (array([[2.],
           [4.]]), array([2.]))
    """
    return _dense_backward_parameters((x, dy))
