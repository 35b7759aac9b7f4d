"""What the ONNX operators of pooling, frames, enlarging and instance norm become."""

from __future__ import annotations

from collections.abc import Callable
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
    Reshape,
    UpSampling2D,
    ZeroPadding2D,
)
from .onnx_image_readers import pooling
from .onnx_nodes import Node
from .onnx_readers import constant, optional, require, short, value
from .onnx_readers import reshape as rows_or
from .onnx_scan_readers import require_mask
from .orders import CHANNELS, SAMPLES, Read


def image(reader: Any, node: Node) -> Read:
    """The value, an image with its channels first."""
    x = value(reader, node)
    require(node, x.order == CHANNELS and len(x.shape) == 3 and None not in x.shape, "images, their channels first")
    return x


def average_pool(reader: Any, node: Node) -> None:
    """AveragePool of images or sequences."""
    x, kernel, strides, zeros = pooling(reader, node)
    counted = bool(node.attributes.get("count_include_pad", 0))
    layer: Layer = AveragePool2D(kernel, strides, zeros, count_padding=counted) if len(kernel) == 2 else \
        AveragePool1D(kernel[0], strides[0], zeros, count_padding=counted)
    reader.call(layer, x, node)


def global_pool(reader: Any, node: Node) -> None:
    """GlobalAveragePool and GlobalMaxPool of images: a row, as what comes after them takes it for."""
    layer = GlobalAveragePool2D() if node.kind == "GlobalAveragePool" else GlobalMaxPool2D()
    reader.call(layer, image(reader, node), node, SAMPLES)


def over_steps(reader: Any, node: Node) -> None:
    """ReduceMean and ReduceMax over the steps of sequences."""
    x, given = value(reader, node), node.attributes
    axes = given.get("axes") if "axes" in given else optional(reader, node, 1, "axes")
    steps = axes is not None and list(axes) in ([1], [-2]) and not given.get("keepdims", 1)
    require(node, steps and x.order == SAMPLES and len(x.shape) == 2, "the steps of sequences, keepdims=0")
    require_mask(reader, node, x)
    reader.call(GlobalAveragePool1D() if node.kind == "ReduceMean" else GlobalMaxPool1D(), x, node, SAMPLES)


def pad(reader: Any, node: Node) -> None:
    """Pad of images with zeros."""
    x, pads, fill = image(reader, node), constant(reader, node, 1, "pads"), optional(reader, node, 2, "value")
    zeros = node.attributes.get("mode", "constant") == "constant" and (fill is None or not fill.any())
    require(node, zeros and len(pads) == 8 and not pads[[0, 1, 4, 5]].any() and pads.min() >= 0 and
            not (len(node.inputs) > 3 and node.inputs[3]), "zeros around images")
    above, left, below, right = (int(n) for n in pads[[2, 3, 6, 7]])
    reader.call(ZeroPadding2D(((above, below), (left, right))), x, node)


def crop(reader: Any, node: Node) -> None:
    """Slice of rows and columns of images."""
    x = image(reader, node)
    starts, ends, axes, steps = (optional(reader, node, i, what)
                                 for i, what in enumerate(("starts", "ends", "axes", "steps"), start=1))
    assert starts is not None and ends is not None
    places = list(range(len(starts))) if axes is None else [int(a) % 4 for a in axes]
    require(node, set(places) <= {2, 3} and (steps is None or (steps == 1).all()), "neighbouring rows and columns")
    sides = {2: (0, 0), 3: (0, 0)}
    for axis, start, end in zip(places, starts, ends, strict=True):
        n = int(x.shape[axis - 2])  # type: ignore[arg-type]
        first, last, _ = slice(int(start), int(end)).indices(n)
        sides[axis] = first, n - last
    reader.call(Cropping2D((sides[2], sides[3])), x, node)


def resize(reader: Any, node: Node) -> None:
    """Resize of images by whole factors."""
    x, given, scales = image(reader, node), node.attributes, optional(reader, node, 2, "scales")
    mode, at = given.get("mode", "nearest"), given.get("coordinate_transformation_mode", "half_pixel")
    nearest = mode == "nearest" and at == "asymmetric" and given.get("nearest_mode", "round_prefer_floor") == "floor"
    require(node, nearest or mode == "linear" and at == "half_pixel", "the nearest pixel (asymmetric, floor), or "
            "linear with half_pixel")
    factors = None if scales is None else np.asarray(scales)
    require(node, factors is not None and len(factors) == 4 and (factors[:2] == 1).all() and
            bool((factors == np.round(factors)).all()), "whole factors of height and width")
    assert factors is not None
    reader.call(UpSampling2D((int(factors[2]), int(factors[3])), "nearest" if nearest else "bilinear"), x, node)


def instance_norm(reader: Any, node: Node) -> None:
    """InstanceNormalization of images."""
    x = image(reader, node)
    arrays = {"gamma": constant(reader, node, 1, "scale"), "beta": constant(reader, node, 2, "bias")}
    reader.call(GroupNorm(-1, short(node.attributes.get("epsilon", 1e-5))), x, node, arrays=arrays)


def reshape(reader: Any, node: Node) -> None:
    """A Flatten or Reshape layer; group norm, where groups of channels become one channel each for instance norm."""
    x, shape = value(reader, node), constant(reader, node, 1, "shape").tolist()
    if x.order == CHANNELS and len(x.shape) == 3 and len(shape) == 3:
        group_norm(reader, node, x, shape)
    elif len(shape) > 2 and shape[0] in (0, -1) and x.order == SAMPLES and x.places is None:
        reader.call(Reshape(tuple(shape[1:])), x, node, SAMPLES)
    else:
        rows_or(reader, node)


def group_norm(reader: Any, node: Node, x: Read, shape: list[int]) -> None:
    """The instance norm of groups of channels, and back to the image."""
    def next_of(before: Node, kind: str) -> Node:
        users = reader.nodes.users.get(before.outputs[0], ())
        require(node, len(users) == 1 and users[0].kind == kind, "InstanceNormalization of groups and a Reshape back")
        return users[0]

    norm = next_of(node, "InstanceNormalization")
    back = next_of(norm, "Reshape")
    h, w, c = x.shape
    restored = constant(reader, back, 1, "shape").tolist()[1:] == [c, h, w]
    require(node, shape[0] in (0, -1) and shape[2] == -1 and restored and
            (constant(reader, norm, 1, "scale") == 1).all() and not constant(reader, norm, 2, "bias").any(),
            "InstanceNormalization of groups by 1 and 0, and a Reshape back")
    layer = GroupNorm(shape[1], short(norm.attributes.get("epsilon", 1e-5)), center=False, scale=False)
    reader.call(layer, x, node, output=back.outputs[0])
    reader.done |= {norm.outputs[0], back.outputs[0]}


POOLING: dict[str, Callable[[Any, Node], None]] = {
    "AveragePool": average_pool, "GlobalAveragePool": global_pool, "GlobalMaxPool": global_pool,
    "ReduceMean": over_steps, "ReduceMax": over_steps, "Pad": pad, "Slice": crop, "Resize": resize,
    "InstanceNormalization": instance_norm, "Reshape": reshape,
}
