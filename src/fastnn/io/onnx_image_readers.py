"""What the ONNX operators of images become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers import Conv1D, Conv2D, ConvTranspose2D, DepthwiseConv2D, Layer, MaxPool1D, MaxPool2D
from .onnx_nodes import Node
from .onnx_readers import constant, ending, optional, require, value
from .orders import CHANNELS

AUTO = {"NOTSET": None, "": None, "VALID": "valid", "SAME_UPPER": "same"}


def padding(node: Node, axes: int) -> Any:
    """The layer's `padding`."""
    auto = node.attributes.get("auto_pad", "NOTSET")
    require(node, auto in AUTO, f"auto_pad one of {', '.join(filter(None, AUTO))}")
    if AUTO[auto] is not None:
        return AUTO[auto]
    pads = node.attributes.get("pads", [0] * 2 * axes)
    require(node, min(pads) >= 0, "pads that are not negative")
    return tuple(zip(pads[:axes], pads[axes:], strict=True)) if any(pads) else "valid"


def convolution(reader: Any, node: Node) -> None:
    """Conv of images or sequences; depthwise where each channel is a group."""
    x, weight, given = value(reader, node), constant(reader, node, 1, "weights"), node.attributes
    axes = weight.ndim - 2
    require(node, axes in (1, 2) and x.order == CHANNELS and len(x.shape) == axes + 1, "images or sequences")
    bias, kernel, groups = optional(reader, node, 2, "bias"), weight.shape[2:], given.get("group", 1)
    channels, filters = int(x.shape[-1]), weight.shape[0]  # type: ignore[arg-type]
    choice, output = ending(reader, node.outputs[0], rows=False)
    settings: dict[str, Any] = {
        "strides": tuple(given.get("strides", [1] * axes)), "padding": padding(node, axes),
        "dilation_rate": tuple(given.get("dilations", [1] * axes)), "activation": choice, "use_bias": bias is not None}
    layer: Layer
    if axes == 1:
        settings = {name: v[0] if name in ("strides", "dilation_rate") else v for name, v in settings.items()}
        layer = Conv1D(filters, kernel[0], groups=groups, **settings)
    elif groups == channels > 1 and filters % channels == 0:
        layer = DepthwiseConv2D(kernel, depth_multiplier=filters // channels, **settings)
    else:
        layer = Conv2D(filters, kernel, groups=groups, **settings)
    arrays = {"weight": np.moveaxis(weight, (0, 1), (-1, -2))} | ({} if bias is None else {"bias": bias})
    reader.call(layer, x, node, arrays=arrays, output=output)


def transposed(reader: Any, node: Node) -> None:
    """ConvTranspose of images."""
    x, weight, given = value(reader, node), constant(reader, node, 1, "weights"), node.attributes
    require(node, weight.ndim == 4 and x.order == CHANNELS, "images")
    bias, groups = optional(reader, node, 2, "bias"), given.get("group", 1)
    strides, dilations = (tuple(given.get(name, [1, 1])) for name in ("strides", "dilations"))
    lacking = given.get("output_padding", [0, 0])
    cut: Any = padding(node, 2)
    require(node, "output_shape" not in given and cut != "same", "explicit pads, no output_shape")
    spans = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    if any(lacking):  # rows that no window reaches: only "same" has them
        require(node, cut == "valid" or not any(map(any, cut)), "no pads where there is output_padding")
        require(node, all(s - span == more for s, span, more in zip(strides, spans, lacking, strict=True)),
                "output_padding = stride - span of the kernel")
        cut = "same"
    choice, output = ending(reader, node.outputs[0], rows=False)
    layer = ConvTranspose2D(weight.shape[1] * groups, weight.shape[2:], strides, cut, dilations, groups, choice,
                            use_bias=bias is not None)
    arrays = {"weight": np.moveaxis(weight, (0, 1), (-1, -2))} | ({} if bias is None else {"bias": bias})
    reader.call(layer, x, node, arrays=arrays, output=output)


def max_pool(reader: Any, node: Node) -> None:
    """MaxPool of images or sequences."""
    x, kernel, strides, zeros = pooling(reader, node)
    layer: Layer = MaxPool2D(kernel, strides, zeros) if len(kernel) == 2 else MaxPool1D(kernel[0], strides[0], zeros)
    reader.call(layer, x, node)


def pooling(reader: Any, node: Node) -> tuple[Any, Any, Any, Any]:
    """What all pooling has: the value, the window, strides, padding."""
    x, given = value(reader, node), node.attributes
    kernel = tuple(given["kernel_shape"])
    axes = len(kernel)
    require(node, x.order == CHANNELS and len(x.shape) == axes + 1 and axes <= 2, "images or sequences")
    require(node, not any(d != 1 for d in given.get("dilations", [])) and not given.get("ceil_mode", 0) and
            len(list(filter(None, node.outputs))) == 1, "no dilations, ceil_mode=0, one output")
    return x, kernel, tuple(given.get("strides", [1] * axes)), padding(node, axes)


IMAGES: dict[str, Callable[[Any, Node], None]] = {"Conv": convolution, "ConvTranspose": transposed, "MaxPool": max_pool}
