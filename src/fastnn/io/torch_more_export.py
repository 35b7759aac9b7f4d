"""Layers of sequences, average and global pooling, frames and GroupNorm as modules of PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers import (
    GRU,
    LSTM,
    AveragePool1D,
    AveragePool2D,
    Bidirectional,
    Cropping2D,
    Embedding,
    GlobalAveragePool1D,
    GlobalAveragePool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GroupNorm,
    Layer,
    Reshape,
    SimpleRNN,
    UpSampling2D,
    ZeroPadding2D,
)
from .onnx_images import pads_of
from .onnx_sequences import gates_first
from .orders import CHANNELS, SAMPLES, Read

GATES = {SimpleRNN: (0,), LSTM: (0, 1, 2, 3), GRU: (1, 0, 2)}  # PyTorch's: i f g o as here, and r z n


def recurrent_arrays(w: Any, layer: Any, ending: str) -> dict[str, np.ndarray]:
    """Weights and biases of one direction by PyTorch's names; its second bias is 0 but for a GRU's last gate."""
    order, n = GATES[type(layer)], layer.units
    arrays = {name: w.arrays[segment.name] for name, segment in layer.segments.items()}
    made = {f"weight_ih_l0{ending}": gates_first(arrays["weight"], order),
            f"weight_hh_l0{ending}": gates_first(arrays["recurrent_weight"], order)}
    if "bias" in arrays:
        own = np.zeros(len(order) * n)
        if "recurrent_bias" in arrays:
            own[-n:] = arrays["recurrent_bias"]
        made |= {f"bias_ih_l0{ending}": gates_first(arrays["bias"][np.newaxis], order).ravel(),
                 f"bias_hh_l0{ending}": own}
    return made


def recurrent(w: Any, layer: Any) -> None:
    """One direction, or both."""
    from .torch_modules import Recurrent
    w.in_order(SAMPLES)
    both = layer.both if isinstance(layer, Bidirectional) else (layer,)
    one, name = both[0], layer.name
    reason = ("states in or out" if one.return_state or one.stateful else
              "a layer that reads backwards alone; use Bidirectional" if len(both) == 1 and one.reverse else
              "a merge other than 'concat'" if len(both) == 2 and layer.merge != "concat" else
              "a GRU with reset_after=False" if isinstance(one, GRU) and not one.reset_after else
              f"an RNN of {one.choice.name}, only tanh and relu" if isinstance(one, SimpleRNN) and
              one.choice.name not in ("tanh", "relu") else "")
    if reason:
        raise ValueError(f"layer {name!r}: PyTorch has no module for {reason}")
    settings = {"batch_first": True, "bias": one.use_bias, "bidirectional": len(both) == 2}
    if isinstance(one, SimpleRNN):
        settings["nonlinearity"] = one.choice.name
    cls = {SimpleRNN: w.nn.RNN, LSTM: w.nn.LSTM, GRU: w.nn.GRU}[type(one)]
    module = cls(one.input_shape[-1], one.units, **settings)
    arrays = recurrent_arrays(w, one, "")
    if len(both) == 2:
        arrays |= recurrent_arrays(w, both[1], "_reverse")
    state = {name: w.torch.tensor(np.ascontiguousarray(a)) for name, a in arrays.items()}
    module.load_state_dict(state)
    w.modules.append(Recurrent(module, one.return_sequences))


def embedding(w: Any, layer: Any) -> None:
    """A table of the same shape."""
    if layer.mask_zero:
        raise ValueError(f"layer {layer.name!r}: PyTorch has no masks; expected mask_zero=False, or use fnn.to_onnx")
    w.add(w.nn.Embedding(layer.tokens, layer.units), weight=w.array("weight"))
    w.value = Read(w.value.tensor, SAMPLES)


def average_pool(w: Any, layer: Any) -> None:
    """Zeros around the image count or do not."""
    w.in_order(CHANNELS)
    axes = layer.axes
    pads = pads_of(layer.window, layer.input_shape[:-1])
    if pads[:axes] != pads[axes:] or any(2 * n > k for n, k in zip(pads, layer.pool_size, strict=False)):
        if not layer.count_padding:
            raise ValueError(f"layer {layer.name!r}: PyTorch has no average pooling whose padding differs at the "
                             "ends and does not count; try another input size, or padding='valid'")
        sides = [n for pair in zip(pads[:axes][::-1], pads[axes:][::-1], strict=True) for n in pair]
        w.modules.append((w.nn.ConstantPad1d if axes == 1 else w.nn.ConstantPad2d)(tuple(sides), 0.0))
        pads = [0] * 2 * axes
    cls = w.nn.AvgPool1d if axes == 1 else w.nn.AvgPool2d
    w.modules.append(cls(layer.pool_size, layer.strides, tuple(pads[:axes]), count_include_pad=layer.count_padding))


def global_pool(largest: bool) -> Callable[[Any, Any], None]:
    """Of images and sequences."""
    def write(w: Any, layer: Any) -> None:
        from .torch_modules import Mean
        w.in_order(CHANNELS)
        w.modules.append(Mean(largest))
        w.value = Read(w.value.tensor, SAMPLES)
    return write


def frame(sign: int) -> Callable[[Any, Any], None]:
    """Pixels added, or, negative, taken away."""
    def write(w: Any, layer: Any) -> None:
        w.in_order(CHANNELS)
        (above, below), (left, right) = layer.padding if sign > 0 else layer.cropping
        w.modules.append(w.nn.ConstantPad2d(tuple(sign * n for n in (left, right, above, below)), 0.0))
    return write


def up_sampling(w: Any, layer: Any) -> None:
    """With align_corners=False."""
    w.in_order(CHANNELS)
    w.modules.append(w.nn.Upsample(scale_factor=tuple(map(float, layer.size)), mode=layer.interpolation))


def group_norm(w: Any, layer: Any) -> None:
    """gamma and beta come together."""
    w.in_order(CHANNELS)
    w.add(w.nn.GroupNorm(layer.groups, layer.input_shape[-1], layer.epsilon, affine=layer.center or layer.scale),
          weight=w.array("gamma"), bias=w.array("beta"))


def reshape(w: Any, layer: Any) -> None:
    """Values in fastnn's order."""
    w.in_order(SAMPLES)
    if w.value.places is not None:
        raise ValueError(f"layer {layer.name!r}: expected no Flatten of an image before a Reshape; leave it out")
    if len(layer.input_shape) > 1:
        w.modules.append(w.nn.Flatten())
    if len(layer.output_shape) > 1:
        w.modules.append(w.nn.Unflatten(1, layer.output_shape))
    w.value = Read(w.value.tensor, SAMPLES)


MORE: dict[type[Layer], Callable[[Any, Any], None]] = {
    **dict.fromkeys([SimpleRNN, LSTM, GRU, Bidirectional], recurrent), Embedding: embedding,
    AveragePool1D: average_pool, AveragePool2D: average_pool,
    GlobalAveragePool1D: global_pool(False), GlobalAveragePool2D: global_pool(False),
    GlobalMaxPool1D: global_pool(True), GlobalMaxPool2D: global_pool(True),
    ZeroPadding2D: frame(1), Cropping2D: frame(-1), UpSampling2D: up_sampling, GroupNorm: group_norm,
    Reshape: reshape,
}
