"""How pooling, frames, enlarging, group norm and augmentation are written to ONNX; rows as in onnx_layers.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers import (
    AveragePool1D,
    AveragePool2D,
    Cropping2D,
    GlobalAveragePool1D,
    GlobalAveragePool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GroupNorm,
    Layer,
    RandomFlip,
    RandomRotation,
    RandomShift,
    Reshape,
    UpSampling2D,
    ZeroPadding2D,
)
from .onnx_emitter import Emitter, Value
from .onnx_images import pool, scale_and_shift
from .onnx_layers import Exporter, nothing
from .orders import CHANNELS, SAMPLES

LOWEST = np.finfo(np.float32).min


def global_pool(kind: str) -> Exporter:
    """The mean or the largest value of each channel, as a row."""
    def export(g: Emitter, layer: Layer, x: Value) -> Value:
        y = g.op(kind, g.in_order(x, CHANNELS))
        return Value(layer.output_shape, g.op("Flatten", y, axis=1))
    return export


def counts(g: Emitter, x: Value) -> str:
    """1 for the steps of a sequence that count, else 0: (n, time, 1)."""
    assert x.mask is not None
    return g.op("Unsqueeze", g.op("Cast", x.mask, to=g.onnx.TensorProto.FLOAT), g.constant([2], "axis"))


def mean_of_steps(g: Emitter, layer: Layer, x: Value) -> Value:
    """The mean of the steps that count."""
    name = g.in_order(x, SAMPLES)
    if x.mask is None:
        return Value(layer.output_shape, g.op("ReduceMean", name, axes=[1], keepdims=0))
    there, axis = counts(g, x), g.constant([1], "steps")
    steps = g.op("Max", g.op("ReduceSum", there, axis, keepdims=0), g.constant(np.float32(1), "one"))
    return Value(layer.output_shape, g.op("Div", g.op("ReduceSum", g.op("Mul", name, there), axis, keepdims=0), steps))


def largest_of_steps(g: Emitter, layer: Layer, x: Value) -> Value:
    """The largest of the steps that count, 0 without any."""
    name = g.in_order(x, SAMPLES)
    if x.mask is None:
        return Value(layer.output_shape, g.op("ReduceMax", name, axes=[1], keepdims=0))
    there = counts(g, x)
    seen = g.op("Where", g.op("Cast", there, to=g.onnx.TensorProto.BOOL), name, g.constant(LOWEST, "lowest"))
    any_there = g.op("ReduceMax", there, axes=[1], keepdims=0)
    return Value(layer.output_shape, g.op("Mul", g.op("ReduceMax", seen, axes=[1], keepdims=0), any_there))


def zero_padding(g: Emitter, layer: Any, x: Value) -> Value:
    """Zeros above and left, then below and right."""
    (above, below), (left, right) = layer.padding
    pads = g.constant([0, 0, above, left, 0, 0, below, right], "pads")
    return Value(layer.output_shape, g.op("Pad", g.in_order(x, CHANNELS), pads), CHANNELS)


def cropping(g: Emitter, layer: Any, x: Value) -> Value:
    """Rows and columns from one to another."""
    (above, below), (left, right) = layer.cropping
    h, w, _ = layer.input_shape
    places = {"starts": [above, left], "ends": [h - below, w - right], "axes": [2, 3]}
    y = g.op("Slice", g.in_order(x, CHANNELS), *(g.constant(array, name) for name, array in places.items()))
    return Value(layer.output_shape, y, CHANNELS)


def up_sampling(g: Emitter, layer: Any, x: Value) -> Value:
    """The nearest pixel, or between the centres of four."""
    bilinear = layer.interpolation == "bilinear"
    how: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"} if bilinear else \
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    scales = g.constant(np.array([1, 1, *layer.size], np.float32), "scales")
    return Value(layer.output_shape, g.op("Resize", g.in_order(x, CHANNELS), "", scales, **how), CHANNELS)


def reshape(g: Emitter, layer: Layer, x: Value) -> Value:
    """Samples in another shape, in fastnn's order."""
    shape = g.constant([0, *layer.output_shape], "shape")
    return Value(layer.output_shape, g.op("Reshape", g.in_order(x, SAMPLES), shape))


def group_norm(g: Emitter, layer: Any, x: Value) -> Value:
    """Instance norm of groups that are one channel long, in the place of pixels and channels."""
    h, w, c = layer.input_shape
    gamma, beta = scale_and_shift(g, layer, c)
    name = g.in_order(x, CHANNELS)
    if layer.groups == c:
        y = g.op("InstanceNormalization", name, g.constant(gamma, "gamma"), g.constant(beta, "beta"),
                 epsilon=layer.epsilon)
        return Value(x.shape, y, CHANNELS)
    groups = g.op("Reshape", name, g.constant([0, layer.groups, -1], "groups"))
    ones, zeros = np.ones(layer.groups), np.zeros(layer.groups)
    y = g.op("InstanceNormalization", groups, g.constant(ones, "ones"), g.constant(zeros, "zeros"),
             epsilon=layer.epsilon)
    y = g.op("Reshape", y, g.constant([0, c, h, w], "image"))
    y = g.op("Mul", y, g.constant(gamma.reshape(c, 1, 1), "gamma"))
    return Value(x.shape, g.op("Add", y, g.constant(beta.reshape(c, 1, 1), "beta")), CHANNELS)


POOLING: dict[type[Layer], Exporter] = {
    AveragePool1D: pool("AveragePool"), AveragePool2D: pool("AveragePool"),
    GlobalAveragePool2D: global_pool("GlobalAveragePool"), GlobalMaxPool2D: global_pool("GlobalMaxPool"),
    GlobalAveragePool1D: mean_of_steps, GlobalMaxPool1D: largest_of_steps,
    ZeroPadding2D: zero_padding, Cropping2D: cropping, UpSampling2D: up_sampling, Reshape: reshape,
    GroupNorm: group_norm, RandomFlip: nothing, RandomShift: nothing, RandomRotation: nothing,
}
