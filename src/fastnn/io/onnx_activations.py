"""Activations as ONNX operators: by the column `onnx` of their table, or decomposed where opset 17 has none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..activations import ACTIVATIONS, Choice
from .onnx_emitter import Emitter, Value


def _gelu(g: Emitter, x: str) -> str:
    """x (1 + erf(x / sqrt 2)) / 2, as PyTorch's exporter writes it."""
    erf = g.op("Erf", g.op("Div", x, g.constant(math.sqrt(2.0))))
    return g.op("Mul", g.op("Mul", x, g.op("Add", erf, g.constant(1.0))), g.constant(0.5))


def _gelu_tanh(g: Emitter, x: str) -> str:
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    cube = g.op("Mul", g.op("Mul", g.op("Mul", x, x), x), g.constant(0.044715))
    tanh = g.op("Tanh", g.op("Mul", g.op("Add", x, cube), g.constant(math.sqrt(2.0 / math.pi))))
    return g.op("Mul", g.op("Mul", x, g.op("Add", tanh, g.constant(1.0))), g.constant(0.5))


# What opset 17 has no operator for. The reader of files knows each by writing it again and comparing.
DECOMPOSED: dict[str, Callable[[Emitter, str], str]] = {
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": lambda g, x: g.op("Mul", x, g.op("Sigmoid", x)),
    "mish": lambda g, x: g.op("Mul", x, g.op("Tanh", g.op("Softplus", x))),
    "hard_tanh": lambda g, x: g.op("Clip", x, g.constant(-1.0), g.constant(1.0)),
}


def element_by_element(g: Emitter, choice: Choice, x: str) -> str:
    """The nodes of an activation on the value of a name."""
    if choice.name == "identity":
        return x
    if choice.name in DECOMPOSED:
        return DECOMPOSED[choice.name](g, x)
    row = ACTIVATIONS[choice.name]
    attributes: dict[str, Any] = {} if row.alpha is None else {"alpha": choice.alpha}
    if row.onnx == "HardSigmoid":
        attributes["beta"] = 0.5
    return g.op(row.onnx, x, **attributes)


def activated(g: Emitter, choice: Choice, x: Value) -> Value:
    """f(x) of a layer's activation.

    Raises
    ------
    ValueError
        If it is a function of the user's.
    """
    if choice.functions is not None:
        raise ValueError(f"layer {g.layer!r}: its activation is a Python function, which ONNX cannot hold; expected "
                         "one of fastnn.activations.ACTIVATIONS")
    if choice.elementwise:
        return g.map(x, lambda name: element_by_element(g, choice, name))
    kind = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}[choice.name]
    name = g.in_order(x, "samples")
    if len(x.shape) <= 2:
        return Value(x.shape, g.op(kind, name, axis=-1))
    row = g.op(kind, g.op("Flatten", name, axis=1), axis=-1)  # over all of an image
    return Value(x.shape, g.op("Reshape", row, g.constant([0, *x.shape], "shape")))
