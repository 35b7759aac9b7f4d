"""How layers are written in C: a row of `ROWS` is a class and a function of (writer, layer, inputs, outputs).

Inputs and outputs are C expressions, pointers to a sample's values.
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
    AveragePool1D,
    AveragePool2D,
    BatchNorm,
    Concatenate,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Cropping2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GaussianNoise,
    GlobalAveragePool1D,
    GlobalAveragePool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GroupNorm,
    HardSigmoid,
    Layer,
    LayerNorm,
    LeakyReLU,
    MaxPool1D,
    MaxPool2D,
    MinMax,
    Multiply,
    PCAWhitening,
    PReLU,
    RandomFlip,
    RandomRotation,
    RandomShift,
    Reshape,
    RowNormalize,
    Standardize,
    UpSampling2D,
    ZeroPadding2D,
)


def dense(c: Any, layer: Any, x: str, y: str) -> None:
    """Each step of a sequence is a row."""
    n_in, rows = layer.input_shape[-1], math.prod(layer.input_shape[:-1])
    c.call("dense", rows, n_in, layer.units, x, c.constant("weight"), c.constant("bias"), y)
    c.activate(layer.choice, layer.output_shape, y)


def convolution(function: str) -> Callable[..., None]:
    """Convolutions, of sequences as images of height 1."""
    def write(c: Any, layer: Any, x: str, y: str) -> None:
        told = layer.settings()
        s = (*layer.image, *layer.result, *(told[name] for name in (
            "kernel_y", "kernel_x", "stride_y", "stride_x", "pad_y", "pad_x", "dilation_y", "dilation_x", "groups")))
        c.call(function, c.settings(s), x, c.constant("weight"), c.constant("bias"), y)
        c.activate(layer.choice, layer.output_shape, y)
    return write


def pool(function: str) -> Callable[..., None]:
    """Pooling by windows."""
    def write(c: Any, layer: Any, x: str, y: str) -> None:
        told = layer.window.settings(layer.image[:2])
        s = (*layer.image, *layer.result[:2], *(told[name] for name in (
            "kernel_y", "kernel_x", "stride_y", "stride_x", "pad_y", "pad_x")))
        c.call(function, c.settings(s + ((int(layer.count_padding),) if function == "average_pool" else ())), x, y)
    return write


def global_pool(function: str, of_steps: str = "") -> Callable[..., None]:
    """A window as large as the image or the sequence; of a sequence with a mask, the steps that count."""
    def write(c: Any, layer: Any, x: str, y: str) -> None:
        h, w, n = (1, *layer.input_shape)[-3:]
        if c.mask != "0":
            c.call(of_steps, w, n, x, c.mask, y)
            return
        s = (h, w, n, 1, 1, h, w, h, w, 0, 0)
        c.call(function, c.settings(s + ((0,) if function == "average_pool" else ())), x, y)
    return write


def frame(sign: int) -> Callable[..., None]:
    """Pixels added or taken away at the sides: windows of one pixel, some of them beyond the image."""
    def write(c: Any, layer: Any, x: str, y: str) -> None:
        (above, _), (left, _) = layer.padding if sign > 0 else layer.cropping
        s = (*layer.input_shape, *layer.output_shape[:2], 1, 1, 1, 1, sign * above, sign * left)
        c.call("max_pool", c.settings(s), x, y)
    return write


def copied(c: Any, layer: Any, x: str, y: str) -> None:
    """The value itself, in its own place."""
    n = math.prod(layer.input_shape)
    c.call("copy", 1, n, n, 0, x, y)


def activation(c: Any, layer: Any, x: str, y: str) -> None:
    """Of a copy."""
    copied(c, layer, x, y)
    c.activate(layer.choice, layer.input_shape, y)


def prelu(c: Any, layer: Any, x: str, y: str) -> None:
    """A slope for each feature, or each channel."""
    alpha = c.array("alpha")
    assert alpha is not None
    c.call("prelu", math.prod(layer.input_shape), alpha.size, x, c.constant("alpha"), y)


def batch_norm(c: Any, layer: Any, x: str, y: str) -> None:
    """The running statistics folded into a scale and a shift."""
    arrays = {name: c.array(name) for name in ("gamma", "beta", "running_mean", "running_variance")}
    wide = {name: np.asarray(a, np.float64) for name, a in arrays.items() if a is not None}
    scale = wide.get("gamma", 1.0) / np.sqrt(wide["running_variance"] + layer.epsilon)
    shift = wide.get("beta", 0.0) - scale * wide["running_mean"]
    n = layer.input_shape[-1]
    c.call("scale_shift", math.prod(layer.input_shape) // n, n, x, c.constant("scale", scale),
           c.constant("shift", shift), y)


def layer_norm(c: Any, layer: Any, x: str, y: str) -> None:
    """Over as many values as gamma and beta have."""
    total = math.prod(layer.input_shape)
    n = layer.input_shape[-1] if layer.per_pixel else total
    c.call("layer_norm", total // n, n, f"(real){layer.epsilon!r}", x, c.constant("gamma"), c.constant("beta"), y)


def group_norm(c: Any, layer: Any, x: str, y: str) -> None:
    """Over the pixels and channels of each group."""
    h, w, n = layer.input_shape
    c.call("group_norm", h * w, n, layer.groups, f"(real){layer.epsilon!r}", x, c.constant("gamma"), c.constant("beta"),
           y)


def up_sampling(c: Any, layer: Any, x: str, y: str) -> None:
    """Larger images."""
    c.call("upsample", c.settings((*layer.input_shape, *layer.size, int(layer.interpolation == "bilinear"))), x, y)


def standardize(c: Any, layer: Any, x: str, y: str) -> None:
    """(x - mean) scale; of MinMax, (x - zero) scale."""
    c.call("standardize", math.prod(layer.input_shape), x, *map(c.constant, list(layer.persistent)[:2]), y)


def row_normalize(c: Any, layer: Any, x: str, y: str) -> None:
    """x / |x|."""
    c.call("row_normalize", math.prod(layer.input_shape), layer.order, x, y)


def pca_whitening(c: Any, layer: Any, x: str, y: str) -> None:
    """x U' - mean U', the product taken once, here."""
    mean, directions = (np.asarray(c.array(name), np.float64) for name in ("mean", "directions"))
    c.call("dense", 1, *directions.shape, x, c.constant("directions"), c.constant("shift", -mean @ directions), y)


def merge(function: str) -> Callable[..., None]:
    """The first copied, the others added or multiplied."""
    def write(c: Any, layer: Any, *places: str) -> None:
        *xs, y = places
        copied(c, layer, xs[0], y)
        for x in xs[1:]:
            c.call(function, math.prod(layer.input_shape), x, y)
    return write


def concatenate(c: Any, layer: Any, *places: str) -> None:
    """Columns side by side."""
    *xs, y = places
    first, width = 0, layer.output_shape[-1]
    for x, n in zip(xs, layer.widths, strict=True):
        c.call("copy", math.prod(layer.output_shape[:-1]), n, width, first, x, y)
        first += n


def nothing(c: Any, layer: Any, x: str, y: str) -> None:
    """What acts in training alone, or only reshapes: the same numbers in the same place."""


ROWS: dict[type[Layer], Callable[..., None]] = {
    Dense: dense, Activation: activation, LeakyReLU: activation, ELU: activation, HardSigmoid: activation, PReLU: prelu,
    Conv1D: convolution("conv"), Conv2D: convolution("conv"), DepthwiseConv2D: convolution("conv"),
    ConvTranspose2D: convolution("conv_transpose"), MaxPool1D: pool("max_pool"), MaxPool2D: pool("max_pool"),
    BatchNorm: batch_norm, LayerNorm: layer_norm, GroupNorm: group_norm,
    AveragePool1D: pool("average_pool"), AveragePool2D: pool("average_pool"),
    GlobalAveragePool1D: global_pool("average_pool", "mean_of_steps"), GlobalAveragePool2D: global_pool("average_pool"),
    GlobalMaxPool1D: global_pool("max_pool", "largest_of_steps"), GlobalMaxPool2D: global_pool("max_pool"),
    UpSampling2D: up_sampling,
    ZeroPadding2D: frame(1), Cropping2D: frame(-1),
    **dict.fromkeys([Flatten, Reshape, Dropout, GaussianNoise, RandomFlip, RandomShift, RandomRotation], nothing),
    Standardize: standardize, MinMax: standardize, RowNormalize: row_normalize, PCAWhitening: pca_whitening,
    Add: merge("add"), Multiply: merge("multiply"), Concatenate: concatenate,
}
