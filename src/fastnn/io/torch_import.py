"""A model from a PyTorch module."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..activations import Choice
from ..layers import (
    Activation,
    BatchNorm,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Cropping2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    Layer,
    LayerNorm,
    MaxPool1D,
    MaxPool2D,
    PReLU,
    Standardize,
    ZeroPadding2D,
)
from ..layers.tensor import Input
from ..layers.tensor import input_shape as shape_of_input
from ..sequential import Sequential
from .orders import CHANNELS, SAMPLES, Read, permutation, places_of, require
from .torch_more_import import MORE, pair, state

CARE = ("Conv1d", "MaxPool1d", "BatchNorm1d", "AvgPool1d", "Mean", "AdaptiveAvgPool1d", "AdaptiveMaxPool1d",
        "ConstantPad1d")  # of sequences, those that have channels second


def from_torch(module: Any, input_shape: tuple[int | None, ...], dtype: Any = None) -> Sequential:
    """Take over a PyTorch module: the same layers, with its weights.

    Parameters
    ----------
    module : torch.nn.Sequential or torch.nn.Module
        Layers in a row, of those that docs/exchange.md lists; Sequentials may be inside each other.
    input_shape : tuple of int
        Of one sample in fastnn's order: (features,), (height, width, channels), (time, features).
    dtype : {"float32", "float64"}, optional
        Of the model; by default that of the module's parameters.

    Returns
    -------
    Sequential
        It predicts what the module does in ``eval()``, of samples in fastnn's order: images (n, height, width,
        channels), where PyTorch has (n, channels, height, width). The same goes for sequences before ``Conv1d``.

    Raises
    ------
    ImportError
        Without PyTorch.
    ValueError
        If there is a module that fastnn has no layer for; it is named.

    See Also
    --------
    to_torch : The way there.

    Notes
    -----
    An activation behind a Linear or a convolution becomes that layer's own. Weights behind a Flatten are put in
    the order that images have here.

    Examples
    --------
    >>> import torch, fastnn as fnn
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    ...                              torch.nn.Flatten(), torch.nn.Linear(4 * 13 * 13, 10), torch.nn.Softmax(1))
    >>> model = fnn.from_torch(module, (28, 28, 1))
    >>> X = torch.rand(5, 1, 28, 28)
    >>> expected = module(X).detach().numpy()
    >>> bool(abs(model.predict(X.numpy().transpose(0, 2, 3, 1)) - expected).max() < 1e-5)
    True
    """
    torch = require("torch")
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    shape = shape_of_input("input_shape", input_shape)
    modules = list(_flat(module, torch))
    cares = [m for _, m in modules if type(m).__name__ in (
        *CARE, "Linear", "LayerNorm", "Flatten", "Permute", "RNN", "LSTM", "GRU", "Recurrent")]
    first = len(shape) == 3 or len(shape) == 2 and bool(cares) and type(cares[0]).__name__ in CARE
    reader = Reader(modules, Read(Input(shape), CHANNELS if first else SAMPLES))
    while reader.modules:
        reader.take()
    if reader.around is not None:
        reader.frame()
    if reader.value.places is not None:
        raise ValueError("module: expected a Linear after the Flatten of an image, whose channels are first in PyTorch "
                         "and last in fastnn")
    if not reader.layers:
        raise ValueError("module: expected at least one layer, got none")
    parameters = [p for p in module.parameters() if p.is_floating_point()]
    double = bool(parameters) and parameters[0].dtype == torch.float64
    model = Sequential(reader.layers, shape, dtype or ("float64" if double else "float32"))
    views = model._numbers.all_arrays()
    for layer, arrays in reader.arrays:
        for name, array in arrays.items():
            segment = (layer.segments | layer.persistent)[name]
            views[segment.name][...] = np.reshape(array, segment.shape)
    return model


def _flat(module: Any, torch: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The modules of nested Sequentials in their order, with their names."""
    if isinstance(module, torch.nn.Sequential):
        for child, inner in module._modules.items():  # named_children leaves out what is there twice
            yield from _flat(inner, torch, f"{name}.{child}" if name else child)
    elif type(module).__name__ not in ("Identity",):
        yield name, module


class Reader:
    """Takes one module after the other.

    Attributes
    ----------
    modules : list of (str, Module)
        Those that are left.
    value : Read
        What the last one gives.
    """

    def __init__(self, modules: list[tuple[str, Any]], value: Read) -> None:
        self.modules, self.value = modules, value
        self.layers: list[Layer] = []
        self.arrays: list[tuple[Layer, dict[str, np.ndarray]]] = []
        self.name = ""
        self.around: tuple[tuple[tuple[int, int], ...], float] | None = None  # pixels and value of a padding module

    def take(self) -> None:
        """Read the next module."""
        self.name, module = self.modules.pop(0)
        kind = type(module).__name__
        if kind not in READERS:
            raise ValueError(f"module {self.name or kind!r}: fastnn has no layer for {kind}; expected one of "
                             f"{', '.join(READERS)}")
        if self.around is not None and kind not in PADDED:
            self.frame()
        READERS[kind](self, module)

    def add(self, layer: Layer, arrays: dict[str, np.ndarray] | None = None, places: np.ndarray | None = None,
            order: str | None = None) -> None:
        """One more layer, with its arrays."""
        self.value = Read(layer(self.value.tensor), order or self.value.order, places)
        self.layers.append(layer)
        self.arrays.append((layer, arrays or {}))

    def require(self, fulfilled: bool, what: str) -> None:
        """Refuse a module whose settings fastnn does not have."""
        if not fulfilled:
            raise ValueError(f"module {self.name!r}: expected {what}, which is all that fastnn has a layer for")

    def frame(self) -> None:
        """The padding module before as a layer of its own."""
        assert self.around is not None
        (sides, value), self.around = self.around, None
        self.require(value == 0 and len(sides) == 2, "padding of images with zeros")
        if min(map(min, sides)) < 0:
            self.require(max(map(max, sides)) <= 0, "pixels that are added, or taken away")
            self.add(Cropping2D(tuple((-a, -b) for a, b in sides)))
        else:
            self.add(ZeroPadding2D(sides))

    def padding(self, module: Any, axes: int, value: float) -> Any:
        """The padding of a module, with that of a padding module before it."""
        if isinstance(module.padding, str):
            self.require(self.around is None, "padding as numbers after a padding module")
            return module.padding
        zeros = tuple((n, n) for n in pair(module.padding, axes))
        if self.around is None:
            return zeros
        (sides, given), self.around = self.around, None
        self.require(given == value and not any(map(any, zeros)), f"a padding module of {value}, no padding behind it")
        return sides

    def ending(self, rows: bool) -> Choice | None:
        """The activation of the next module, to be its layer's own."""
        if not self.modules:
            return None
        module = self.modules[0][1]
        kind = type(module).__name__
        choice = ACTIVATIONS[kind](self, module) if kind in ACTIVATIONS else None
        if rows and kind in BY_ROW and module.dim in (1, -1):
            choice = Choice(BY_ROW[kind])
        if choice is not None:
            self.modules.pop(0)
        return choice


def weights(arrays: dict[str, np.ndarray], **renamed: np.ndarray) -> dict[str, np.ndarray]:
    """The weight as given, and the bias where there is one."""
    return renamed | ({"bias": arrays["bias"]} if "bias" in arrays else {})


# ---- activations: module to Choice ----


def _plain(name: str) -> Callable[[Any, Any], Choice]:
    return lambda reader, module: Choice(name)


def _hard_tanh(reader: Reader, module: Any) -> Choice:
    reader.require((module.min_val, module.max_val) == (-1, 1), "Hardtanh between -1 and 1")
    return Choice("hard_tanh")


def _softplus(reader: Reader, module: Any) -> Choice:
    reader.require(module.beta == 1, "Softplus with beta=1")
    return Choice("softplus")


ACTIVATIONS: dict[str, Callable[[Any, Any], Choice]] = {
    "ReLU": _plain("relu"), "Sigmoid": _plain("sigmoid"), "Tanh": _plain("tanh"), "SELU": _plain("selu"),
    "SiLU": _plain("silu"), "Mish": _plain("mish"), "Softsign": _plain("softsign"),
    "Hardtanh": _hard_tanh, "Softplus": _softplus,
    "Hardsigmoid": lambda reader, module: Choice("hard_sigmoid", 1 / 6),
    "LeakyReLU": lambda reader, module: Choice("leaky_relu", module.negative_slope),
    "ELU": lambda reader, module: Choice("elu", module.alpha),
    "GELU": lambda reader, module: Choice("gelu_tanh" if module.approximate == "tanh" else "gelu"),
}
BY_ROW = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}


def activation(reader: Reader, module: Any) -> None:
    """An Activation layer."""
    reader.add(Activation(ACTIVATIONS[type(module).__name__](reader, module)), places=reader.value.places)


def softmax(reader: Reader, module: Any) -> None:
    """Over the features of a row, or of each step."""
    rank, x = len(reader.value.shape) + 1, reader.value
    reader.require(x.places is None and x.order == SAMPLES and rank <= 3 and module.dim in (-1, rank - 1),
                   f"dim={rank - 1}, over the features of a row or of a step")
    reader.add(Activation(BY_ROW[type(module).__name__]))


# ---- modules to layers ----


def linear(reader: Reader, module: Any) -> None:
    """W transposed, its rows in the order of fastnn's features."""
    arrays, x = state(module), reader.value
    reader.require(x.order == SAMPLES and len(x.shape) <= 2, "rows, or sequences (n, time, features), before a Linear")
    reader.require(module.in_features == x.shape[-1], f"a Linear of {x.shape[-1]} features")
    weight = x.features(arrays["weight"].T)
    choice = reader.ending(rows=len(x.shape) == 1)
    reader.add(Dense(module.out_features, choice, use_bias=module.bias is not None), weights(arrays, weight=weight))


def convolution(reader: Reader, module: Any) -> None:
    """W (filters, channels / groups, kernel...) becomes (kernel..., channels / groups, filters)."""
    arrays, axes = state(module), len(module.kernel_size)
    reader.require(reader.value.order == CHANNELS, "channels second before a convolution")
    reader.require(module.padding_mode == "zeros", "padding_mode='zeros'")
    settings = {"strides": module.stride, "padding": reader.padding(module, axes, 0.0),
                "dilation_rate": module.dilation, "activation": reader.ending(rows=False),
                "use_bias": module.bias is not None}
    layer: Layer
    if axes == 1:
        layer = Conv1D(module.out_channels, module.kernel_size, groups=module.groups, **settings)
    elif module.groups == module.in_channels > 1:
        layer = DepthwiseConv2D(module.kernel_size, depth_multiplier=module.out_channels // module.groups, **settings)
    else:
        layer = Conv2D(module.out_channels, module.kernel_size, groups=module.groups, **settings)
    reader.add(layer, weights(arrays, weight=np.moveaxis(arrays["weight"], (0, 1), (-1, -2))))


def transposed(reader: Reader, module: Any) -> None:
    """W (channels, filters / groups, kernel...) becomes (kernel..., filters / groups, channels)."""
    arrays, cut = state(module), tuple((n, n) for n in module.padding)
    lacking = module.output_padding
    if any(lacking):  # PyTorch cuts less at the end: here, so much less that nothing is left to cut
        cut = tuple((before, after - more) for (before, after), more in zip(cut, lacking, strict=True))
        reader.require(all(after >= 0 for _, after in cut), "output_padding up to padding")
    if reader.modules and type(reader.modules[0][1]).__name__ == "ConstantPad2d" and max(
            sides := reader.modules[0][1].padding) <= 0:  # pixels taken away
        reader.modules.pop(0)
        pairs = zip(sides[2::-2], sides[3::-2], strict=True)
        cut = tuple((before - first, after - last) for (before, after), (first, last) in zip(cut, pairs, strict=True))
    layer = ConvTranspose2D(module.out_channels, module.kernel_size, module.stride, cut, module.dilation, module.groups,
                            reader.ending(rows=False), use_bias=module.bias is not None)
    reader.add(layer, weights(arrays, weight=np.moveaxis(arrays["weight"], (0, 1), (-1, -2))))


def max_pool(reader: Reader, module: Any) -> None:
    """Without dilation."""
    axes = int(type(module).__name__[-2])
    reader.require(not module.ceil_mode and set(pair(module.dilation, axes)) == {1} and not module.return_indices,
                   "ceil_mode=False, dilation=1, return_indices=False")
    kernel, strides = (pair(v, axes) for v in (module.kernel_size, module.stride))
    cls: Any = MaxPool2D if axes == 2 else MaxPool1D
    reader.add(cls(kernel, strides, reader.padding(module, axes, -math.inf)))


def pad(reader: Reader, module: Any) -> None:
    """Part of the layer behind it."""
    sides = module.padding
    pairs = tuple(zip(sides[::2], sides[1::2], strict=True))[::-1]  # PyTorch: the last axis first
    reader.around = pairs, float(getattr(module, "value", 0.0))


def batch_norm(reader: Reader, module: Any) -> None:
    """PyTorch's momentum is 1 minus fastnn's."""
    arrays, x = state(module), reader.value
    reader.require(module.track_running_stats and module.momentum is not None and
                   (len(x.shape) == 1 or x.order == CHANNELS), "running statistics with a momentum, channels second")
    names = {"weight": "gamma", "bias": "beta", "running_mean": "running_mean", "running_var": "running_variance"}
    reader.add(BatchNorm(1 - module.momentum, module.eps, center=module.affine, scale=module.affine, unbiased=True),
               {ours: x.features(arrays[name]) for name, ours in names.items() if name in arrays}, x.places)


def layer_norm(reader: Reader, module: Any) -> None:
    """Over the last axis, or over all of an image."""
    arrays, x, axes = state(module), reader.value, len(module.normalized_shape)
    image = axes == len(x.shape) == 3 and x.order == CHANNELS
    reader.require(image or x.order == SAMPLES and axes == 1, "a LayerNorm over the last axis, or over an image")
    names = {"weight": "gamma", "bias": "beta"}
    reader.add(LayerNorm(module.eps, (1, 2, 3) if image else -1, center="bias" in arrays, scale="weight" in arrays),
               {ours: arrays[name].transpose(1, 2, 0) if image else x.features(arrays[name])
                for name, ours in names.items() if name in arrays}, x.places)


def prelu(reader: Reader, module: Any) -> None:
    """One slope, or one a channel."""
    x, slopes = reader.value, state(module)["weight"]
    layer = PReLU()
    reader.add(layer, places=x.places)
    shape = [1 if n is None else n for n in x.shape]
    n = layer.segments["alpha"].shape[0]
    by_channel = x.features(slopes) if slopes.size > 1 else slopes
    reader.arrays[-1] = layer, {"alpha": np.broadcast_to(by_channel, shape if n > shape[-1] else (n,))}


def flatten(reader: Reader, module: Any) -> None:
    """Images count channels first."""
    x = reader.value
    reader.require(module.start_dim == 1 and module.end_dim in (-1, len(x.shape)), "start_dim=1 and end_dim=-1")
    if len(x.shape) > 1:
        reader.add(Flatten(), places=places_of(x) if x.order == CHANNELS else None, order=SAMPLES)


def dropout(reader: Reader, module: Any) -> None:
    """p is the rate."""
    reader.add(Dropout(module.p), places=reader.value.places)


def permute(reader: Reader, module: Any) -> None:
    """The same value, its axes in another order: what `to_torch` puts in."""
    x = reader.value
    orders = [order for order in (SAMPLES, CHANNELS)
              if permutation(len(x.shape) + 1, x.order, order) == tuple(module.axes)]
    reader.require(bool(orders), "channels brought to the front or back")
    reader.value = Read(x.tensor, orders[0], x.places)


def scale_shift(reader: Reader, module: Any) -> None:
    """A Standardize."""
    x, arrays = reader.value, state(module)
    rank = len(x.shape) + 1
    axes = [i - 1 for i in permutation(rank, x.order, SAMPLES)[1:]]
    reader.add(Standardize(), {"adapted": np.ones(1), **{name: arrays[name].transpose(axes)
                                                         for name in ("mean", "scale")}})


PADDED = ("Conv1d", "Conv2d", "MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d")
READERS: dict[str, Callable[[Any, Any], None]] = {
    "Linear": linear, "Conv1d": convolution, "Conv2d": convolution, "ConvTranspose2d": transposed,
    "MaxPool1d": max_pool, "MaxPool2d": max_pool, "BatchNorm1d": batch_norm, "BatchNorm2d": batch_norm,
    "LayerNorm": layer_norm, "PReLU": prelu, "Flatten": flatten, "Dropout": dropout,
    **dict.fromkeys(ACTIVATIONS, activation), **dict.fromkeys(BY_ROW, softmax),
    **dict.fromkeys(("ConstantPad1d", "ConstantPad2d", "ZeroPad1d", "ZeroPad2d"), pad),
    "Permute": permute, "ScaleShift": scale_shift, **MORE,
}
