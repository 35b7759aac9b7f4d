"""Elementwise activations: one row each, as in ``csrc/activations.def``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Activation:
    """One activation y = f(x).

    Attributes
    ----------
    name : str
        What layers call it.
    formula : str
        f(x) in Python's notation.
    function : callable
        f(x, alpha), element by element; alpha is the activation's one parameter, 0 where it has none.
    slope : callable
        f' as a function of (y, alpha) or (x, alpha).
    derivative_of : {"output", "input"}
        Which of the two `slope` takes.
    range : tuple of float
        Infimum and supremum of y.
    onnx : str
        The operator's name in ONNX.
    kinks : tuple of float
        The points without a derivative.

    Examples
    --------
    >>> relu = ACTIVATIONS["relu"]
    >>> relu.formula, relu.function(np.array([-1.0, 2.0]), 0.0).tolist()
    ('max(x, 0)', [0.0, 2.0])
    """

    name: str
    formula: str
    function: Callable[[np.ndarray, float], np.ndarray]
    slope: Callable[[np.ndarray, float], np.ndarray]
    derivative_of: str
    range: tuple[float, float]
    onnx: str
    kinks: tuple[float, ...] = ()


def _sigmoid(x: np.ndarray, alpha: float) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


ACTIVATIONS: dict[str, Activation] = {a.name: a for a in (
    Activation("identity", "x", lambda x, alpha: x, lambda y, alpha: np.ones_like(y), "output",
               (-np.inf, np.inf), "Identity"),
    Activation("sigmoid", "1 / (1 + exp(-x))", _sigmoid, lambda y, alpha: y * (1 - y), "output", (0, 1),
               "Sigmoid"),
    Activation("tanh", "(exp(x) - exp(-x)) / (exp(x) + exp(-x))", lambda x, alpha: np.tanh(x),
               lambda y, alpha: 1 - y * y, "output", (-1, 1), "Tanh"),
    Activation("relu", "max(x, 0)", lambda x, alpha: np.maximum(x, 0),
               lambda y, alpha: (y > 0).astype(y.dtype), "output", (0, np.inf), "Relu", kinks=(0.0,)),
)}
