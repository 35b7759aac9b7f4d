"""Elementwise activations: one row each, as in ``csrc/activations.def``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Activation:
    """One activation y = f(x).

    `slope` gives f' in terms of y or of x, as `derivative_of` ("output" or "input") says; both functions also
    take `alpha`, the activation's one parameter. `kinks` are the points without a derivative. `onnx` is the
    operator's name there.
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
    Activation("sigmoid", "1 / (1 + exp(-x))", _sigmoid, lambda y, alpha: y * (1 - y), "output", (0, 1), "Sigmoid"),
    Activation("tanh", "(exp(x) - exp(-x)) / (exp(x) + exp(-x))", lambda x, alpha: np.tanh(x),
               lambda y, alpha: 1 - y * y, "output", (-1, 1), "Tanh"),
    Activation("relu", "max(x, 0)", lambda x, alpha: np.maximum(x, 0), lambda y, alpha: (y > 0).astype(y.dtype),
               "output", (0, np.inf), "Relu", kinks=(0.0,)),
)}
