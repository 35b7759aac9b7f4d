"""How layers of images, and those that normalise, are written to ONNX, which has channels first.

A row of `IMAGES` is a layer's class and its function, as in onnx_layers.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers import (
    BatchNorm,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    DepthwiseConv2D,
    Layer,
    LayerNorm,
    MaxPool1D,
    MaxPool2D,
)
from ..layers.windows import Axis, Window
from .onnx_activations import activated
from .onnx_emitter import Emitter, Value
from .onnx_layers import Exporter
from .orders import CHANNELS, SAMPLES


def axes_of(window: Window, n: int) -> list[Axis]:
    """A window's axes: one over a sequence, two over an image."""
    return [window.y, window.x][2 - n:]


def pads_of(window: Window, size: tuple[int, ...]) -> list[int]:
    """Zeros before each axis, then those after, over samples of that size."""
    axes = axes_of(window, len(size))
    before = [axis.before(n) for axis, n in zip(axes, size, strict=True)]
    after = [max(0, (axis.count(n) - 1) * axis.stride + axis.span - n - first)
             for axis, n, first in zip(axes, size, before, strict=True)]
    return before + after


def convolution(g: Emitter, layer: Any, x: Value) -> Value:
    """W (kernel..., channels / groups, filters) becomes (filters, channels / groups, kernel...)."""
    weight, bias = g.array(layer, "weight"), g.array(layer, "bias")
    assert weight is not None
    weight = np.moveaxis(weight, (-1, -2), (0, 1))
    y = g.op("Conv", g.in_order(x, CHANNELS), g.constant(weight, "weight"),
             *([] if bias is None else [g.constant(bias, "bias")]), kernel_shape=layer.kernel_size,
             strides=layer.strides, dilations=layer.dilation_rate, group=layer.groups,
             pads=pads_of(layer.window, layer.input_shape[:-1]))
    return activated(g, layer.choice, Value(layer.output_shape, y, CHANNELS))


def transposed_cuts(layer: Any) -> tuple[list[int], list[int]]:
    """What is cut off the result of a transposed convolution, as `pads_of`, and the rows that it then lacks."""
    after_all = zip(axes_of(layer.window, 2), layer.input_shape, layer.output_shape, strict=False)
    before, after, lacking = [], [], []
    for axis, n, n_out in after_all:
        first, cut = axis.before(n_out), (n - 1) * axis.stride + axis.span - n_out
        before.append(first)
        after.append(max(0, cut - first))
        lacking.append(max(0, first - cut))
    return before + after, lacking


def transposed(g: Emitter, layer: Any, x: Value) -> Value:
    """W (kernel..., filters / groups, channels) becomes (channels, filters / groups, kernel...)."""
    weight, bias = g.array(layer, "weight"), g.array(layer, "bias")
    assert weight is not None
    pads, lacking = transposed_cuts(layer)
    y = g.op("ConvTranspose", g.in_order(x, CHANNELS), g.constant(np.moveaxis(weight, (-1, -2), (0, 1)), "weight"),
             *([] if bias is None else [g.constant(bias, "bias")]), kernel_shape=layer.kernel_size,
             strides=layer.strides, dilations=layer.dilation_rate, group=layer.groups, pads=pads,
             output_padding=lacking)
    return activated(g, layer.choice, Value(layer.output_shape, y, CHANNELS))


def pool(kind: str) -> Exporter:
    """The largest value, or the mean, of each window."""
    def export(g: Emitter, layer: Any, x: Value) -> Value:
        counted = {"count_include_pad": int(layer.count_padding)} if kind == "AveragePool" else {}
        y = g.op(kind, g.in_order(x, CHANNELS), kernel_shape=layer.pool_size, strides=layer.strides,
                 pads=pads_of(layer.window, layer.input_shape[:-1]), **counted)
        return Value(layer.output_shape, y, CHANNELS)
    return export


def scale_and_shift(g: Emitter, layer: Layer, n: int) -> tuple[np.ndarray, np.ndarray]:
    """gamma and beta of a layer that normalises; ones and zeros where it has none."""
    gamma, beta = g.array(layer, "gamma"), g.array(layer, "beta")
    return np.ones(n) if gamma is None else gamma, np.zeros(n) if beta is None else beta


def batch_norm(g: Emitter, layer: Any, x: Value) -> Value:
    """With the running statistics."""
    gamma, beta = scale_and_shift(g, layer, int(x.shape[-1]))  # type: ignore[arg-type]
    named = {"gamma": gamma, "beta": beta, "running_mean": g.array(layer, "running_mean"),
             "running_variance": g.array(layer, "running_variance")}
    order = SAMPLES if len(x.shape) == 1 else CHANNELS
    y = g.op("BatchNormalization", g.in_order(x, order), *(g.constant(a, name) for name, a in named.items()),
             epsilon=layer.epsilon)
    return Value(x.shape, y, order)


def layer_norm(g: Emitter, layer: Any, x: Value) -> Value:
    """Over the axes that gamma and beta have: the last one, or all of a sample."""
    shape = x.shape[-1:] if layer.per_pixel else x.shape
    gamma, beta = scale_and_shift(g, layer, int(np.prod(shape)))  # type: ignore[arg-type]
    y = g.op("LayerNormalization", g.in_order(x, SAMPLES), g.constant(gamma.reshape(shape), "gamma"),  # type: ignore[arg-type]
             g.constant(beta.reshape(shape), "beta"), axis=-len(shape), epsilon=layer.epsilon)  # type: ignore[arg-type]
    return Value(x.shape, y)


IMAGES: dict[type[Layer], Exporter] = {
    Conv1D: convolution, Conv2D: convolution, DepthwiseConv2D: convolution, ConvTranspose2D: transposed,
    MaxPool1D: pool("MaxPool"), MaxPool2D: pool("MaxPool"),
    BatchNorm: batch_norm, LayerNorm: layer_norm,
}
