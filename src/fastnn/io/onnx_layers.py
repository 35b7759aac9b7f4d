"""How layers of rows are written to ONNX: dense and input layers, activations, merges, shapes.

A row of `ROWS` is a layer's class and a function of (emitter, layer, its inputs) that gives its output.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers import (
    ELU,
    Activation,
    Add,
    Concatenate,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    HardSigmoid,
    Layer,
    LeakyReLU,
    MinMax,
    Multiply,
    PCAWhitening,
    PReLU,
    RowNormalize,
    Standardize,
)
from .onnx_activations import activated
from .onnx_emitter import Emitter, Value
from .orders import CHANNELS, SAMPLES

Exporter = Callable[..., Any]


def dense(g: Emitter, layer: Any, x: Value) -> Value:
    """x W + b: Gemm; MatMul and Add for each step of a sequence."""
    weight, bias = g.constant(g.array(layer, "weight"), "weight"), g.array(layer, "bias")
    name = g.in_order(x, SAMPLES)
    biases = [] if bias is None else [g.constant(bias, "bias")]
    if len(x.shape) == 1:
        y = g.op("Gemm", name, weight, *biases)
    else:
        y = g.op("MatMul", name, weight)
        y = g.op("Add", y, *biases) if biases else y
    return activated(g, layer.choice, Value((*x.shape[:-1], layer.units), y))


def activation(g: Emitter, layer: Any, x: Value) -> Value:
    """f(x)."""
    return activated(g, layer.choice, x)


def prelu(g: Emitter, layer: Any, x: Value) -> Value:
    """A slope for each feature of the sample."""
    alpha = g.array(layer, "alpha")
    assert alpha is not None
    shape = x.shape if alpha.size == math.prod(map(int, x.shape)) else x.shape[-1:]  # type: ignore[arg-type]
    return Value(x.shape, g.op("PRelu", g.in_order(x, SAMPLES), g.constant(alpha.reshape(shape), "alpha")))


def nothing(g: Emitter, layer: Layer, x: Value) -> Value:
    """What acts in training alone."""
    return x


def flatten(g: Emitter, layer: Layer, x: Value) -> Value:
    """Samples as rows, in fastnn's order."""
    if len(x.shape) == 1:
        return x
    return Value(layer.output_shape, g.op("Flatten", g.in_order(x, SAMPLES), axis=1))


def standardize(g: Emitter, layer: Layer, x: Value) -> Value:
    """(x - mean) scale; of MinMax, (x - zero) scale."""
    (mean, scale) = (g.array(layer, name) for name in list(layer.persistent)[:2])
    assert mean is not None and scale is not None
    centred = g.op("Sub", g.in_order(x, SAMPLES), g.constant(mean.reshape(x.shape), "mean"))  # type: ignore[arg-type]
    return Value(x.shape, g.op("Mul", centred, g.constant(scale.reshape(x.shape), "scale")))  # type: ignore[arg-type]


def row_normalize(g: Emitter, layer: Any, x: Value) -> Value:
    """x / |x|, and zeros where the norm is zero."""
    row = flatten(g, layer, x).names[SAMPLES] if len(x.shape) > 1 else x.names[SAMPLES]
    norm = g.op(f"ReduceL{layer.order}", row, axes=[1], keepdims=1)
    y = g.op("Div", row, g.op("Max", norm, g.constant(np.finfo(np.float32).tiny)))
    if len(x.shape) > 1:
        y = g.op("Reshape", y, g.constant([0, *map(int, x.shape)], "shape"))  # type: ignore[arg-type]
    return Value(x.shape, y)


def pca_whitening(g: Emitter, layer: Layer, x: Value) -> Value:
    """(x - mean) U / sqrt(lambda + epsilon)."""
    mean, directions = g.array(layer, "mean"), g.array(layer, "directions")
    row = g.op("Flatten", g.in_order(x, SAMPLES), axis=1) if len(x.shape) > 1 else x.names[SAMPLES]
    centred = g.op("Sub", row, g.constant(mean, "mean"))
    return Value(layer.output_shape, g.op("MatMul", centred, g.constant(directions, "directions")))


def merge(kind: str) -> Exporter:
    """a, b, ... brought together two by two, in an order of axes that all of them have."""
    def export(g: Emitter, layer: Layer, *xs: Value) -> Value:
        shared = [order for order in xs[0].names if all(order in x.names for x in xs)]
        order = shared[0] if shared else SAMPLES
        total = g.in_order(xs[0], order)
        for x in xs[1:]:
            total = g.op(kind, total, g.in_order(x, order))
        return Value(layer.output_shape, total, order)
    return export


def concatenate(g: Emitter, layer: Layer, *xs: Value) -> Value:
    """Side by side along the last axis: the second, where channels are first."""
    order = CHANNELS if len(xs[0].shape) > 1 and all(x.order == CHANNELS for x in xs) else SAMPLES
    axis = 1 if order == CHANNELS else -1
    return Value(layer.output_shape, g.op("Concat", *(g.in_order(x, order) for x in xs), axis=axis), order)


ROWS: dict[type[Layer], Exporter] = {
    Dense: dense,
    Activation: activation, LeakyReLU: activation, ELU: activation, HardSigmoid: activation,
    PReLU: prelu,
    Dropout: nothing, GaussianNoise: nothing,
    Flatten: flatten,
    Standardize: standardize, MinMax: standardize, RowNormalize: row_normalize, PCAWhitening: pca_whitening,
    Add: merge("Add"), Multiply: merge("Mul"), Concatenate: concatenate,
}
