"""Arrays put together, and multiples: what `fastnn.Add` and `fastnn.Multiply` do."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import op

_add = op("add", "a:bn b:bn -> y:bn")
_multiply = op("multiply", "a:bn b:bn -> y:bn")
_scale = op("scale", "x:bn -> y:bn")


def add(a: Any, b: Any) -> np.ndarray:
    """y = a + b, all (B, n).

    Examples
    --------
    >>> add([[1.0, 2.0]], [[3.0, 4.0]])
    array([[4., 6.]])
    """
    return _add((a, b))


def multiply(a: Any, b: Any) -> np.ndarray:
    """y = a * b, all (B, n).

    Examples
    --------
    >>> multiply([[1.0, 2.0]], [[3.0, 4.0]])
    array([[3., 8.]])
    """
    return _multiply((a, b))


def scale(x: Any, factor: float) -> np.ndarray:
    """y = factor x, x (B, n).

    Examples
    --------
    >>> scale([[1.0, 2.0]], 3.0)
    array([[3., 6.]])
    """
    return _scale((x,), None, (factor,))
