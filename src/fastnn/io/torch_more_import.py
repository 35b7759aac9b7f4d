"""PyTorch's modules of sequences, average and global pooling, and group norm as layers."""

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
    Dropout,
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
)
from .onnx_sequence_readers import columns
from .orders import CHANNELS, SAMPLES
from .torch_more_export import GATES


def state(module: Any) -> dict[str, np.ndarray]:
    """The module's own arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def pair(value: Any, axes: int) -> tuple[int, ...]:
    """A setting for each axis."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes


def recurrent(reader: Any, module: Any) -> None:
    """Each layer of the stack; the output after every step."""
    stack(reader, module, sequences=True)


def last_or_all(reader: Any, module: Any) -> None:
    """What `to_torch` makes."""
    stack(reader, module.rnn, module.sequences)


def stack(reader: Any, module: Any, sequences: bool) -> None:
    """Layers on each other, in one direction or both."""
    cls: Any = {"RNN": SimpleRNN, "LSTM": LSTM, "GRU": GRU}[type(module).__name__]
    reader.require(reader.value.order == SAMPLES and len(reader.value.shape) == 2 and module.batch_first and
                   not getattr(module, "proj_size", 0), "batch_first=True, no proj_size, sequences (n, time, features)")
    arrays = state(module)
    for level in range(module.num_layers):
        last = level == module.num_layers - 1
        settings: dict[str, Any] = {"return_sequences": sequences or not last, "use_bias": module.bias}
        if cls is SimpleRNN:
            settings["activation"] = module.nonlinearity
        layer: Layer = cls(module.hidden_size, **settings)
        given = of_direction(arrays, cls, f"_l{level}", module)
        if module.bidirectional:
            layer = Bidirectional(layer)  # type: ignore[arg-type]
            back = of_direction(arrays, cls, f"_l{level}_reverse", module)
            given = {f"forward_{k}": a for k, a in given.items()} | {f"backward_{k}": a for k, a in back.items()}
        reader.add(layer, given, order=SAMPLES)
        if module.dropout and not last:
            reader.add(Dropout(module.dropout))


def of_direction(arrays: dict[str, np.ndarray], cls: Any, ending: str, module: Any) -> dict[str, np.ndarray]:
    """The arrays of one layer in one direction; two biases add up, but in a GRU's last gate."""
    order, n = GATES[cls], module.hidden_size
    made = {"weight": columns(arrays[f"weight_ih{ending}"], order),
            "recurrent_weight": columns(arrays[f"weight_hh{ending}"], order)}
    if module.bias:
        first, second = arrays[f"bias_ih{ending}"], arrays[f"bias_hh{ending}"]
        if cls is GRU:
            made["recurrent_bias"] = second[-n:]
            second = np.concatenate([second[:-n], np.zeros(n, second.dtype)])
        made["bias"] = columns((first + second)[:, np.newaxis], order)[0]
    return made


def embedding(reader: Any, module: Any) -> None:
    """A table of the same shape; a row of padding is a row like others."""
    reader.require(len(reader.value.shape) == 1 and not reader.layers and module.max_norm is None,
                   "tokens (n, time) as the inputs, max_norm=None")
    reader.add(Embedding(module.num_embeddings, module.embedding_dim), state(module), order=SAMPLES)


def average_pool(reader: Any, module: Any) -> None:
    """Zeros around count unless told."""
    axes = int(type(module).__name__[-2])
    reader.require(not module.ceil_mode and getattr(module, "divisor_override", None) is None and
                   reader.value.order == CHANNELS, "ceil_mode=False, no divisor_override, channels second")
    kernel, strides = (pair(v, axes) for v in (module.kernel_size, module.stride))
    cls: Any = AveragePool2D if axes == 2 else AveragePool1D
    padded = reader.around is not None
    reader.add(cls(kernel, strides, reader.padding(module, axes, 0.0),
                   count_padding=bool(module.count_include_pad or padded)))


def mean(reader: Any, module: Any) -> None:
    """What `to_torch` makes."""
    global_pool(reader, module.largest)


def adaptive(reader: Any, module: Any) -> None:
    """AdaptiveAvgPool2d(1) and its like, with the Flatten behind."""
    name, axes = type(module).__name__, int(type(module).__name__[-2])
    flat = reader.modules and type(reader.modules[0][1]).__name__ == "Flatten"
    reader.require(set(pair(module.output_size, axes)) == {1} and bool(flat), "output_size=1, and a Flatten behind it")
    reader.modules.pop(0)
    global_pool(reader, "Max" in name)


def global_pool(reader: Any, largest: bool) -> None:
    """Of images or sequences."""
    reader.require(reader.value.order == CHANNELS, "channels second")
    axes = len(reader.value.shape) - 1
    layers = {(1, False): GlobalAveragePool1D, (1, True): GlobalMaxPool1D, (2, False): GlobalAveragePool2D,
              (2, True): GlobalMaxPool2D}
    reader.add(layers[axes, largest](), order=SAMPLES)


def unflatten(reader: Any, module: Any) -> None:
    """Values in fastnn's order: a Permute comes before layers that want channels second."""
    x = reader.value
    reader.require(module.dim == 1 and len(x.shape) == 1 and x.places is None, "dim=1, behind rows")
    reader.add(Reshape(tuple(module.unflattened_size)), order=SAMPLES)


def up_sampling(reader: Any, module: Any) -> None:
    """By whole factors."""
    factors = pair(module.scale_factor, 2)
    reader.require(module.scale_factor is not None and all(f == int(f) for f in factors) and not module.align_corners
                   and module.mode in ("nearest", "bilinear"), "whole scale factors, nearest or bilinear, "
                   "align_corners=False")
    reader.add(UpSampling2D((int(factors[0]), int(factors[1])), module.mode))


def group_norm(reader: Any, module: Any) -> None:
    """GroupNorm; InstanceNorm2d is as many groups as channels."""
    instance = type(module).__name__ == "InstanceNorm2d"
    reader.require(len(reader.value.shape) == 3 and reader.value.order == CHANNELS and
                   not (instance and module.track_running_stats), "images, no running statistics")
    names = {"weight": "gamma", "bias": "beta"}
    reader.add(GroupNorm(-1 if instance else module.num_groups, module.eps, center=module.affine, scale=module.affine),
               {names[name]: array for name, array in state(module).items()})


MORE: dict[str, Callable[[Any, Any], None]] = {
    "RNN": recurrent, "LSTM": recurrent, "GRU": recurrent, "Recurrent": last_or_all, "Embedding": embedding,
    "AvgPool1d": average_pool, "AvgPool2d": average_pool, "Mean": mean,
    **dict.fromkeys(["AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d"], adaptive),
    "Unflatten": unflatten, "Upsample": up_sampling, "GroupNorm": group_norm, "InstanceNorm2d": group_norm,
}
