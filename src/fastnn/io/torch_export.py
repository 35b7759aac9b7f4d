"""A model as a PyTorch module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import checks
from ..activations import Choice
from ..layers import (
    ELU,
    GRU,
    LSTM,
    Activation,
    AveragePool1D,
    BatchNorm,
    Bidirectional,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePool1D,
    GlobalMaxPool1D,
    HardSigmoid,
    Layer,
    LayerNorm,
    LeakyReLU,
    MaxPool1D,
    MaxPool2D,
    MinMax,
    PReLU,
    Reshape,
    SimpleRNN,
    Standardize,
    TimeDistributed,
)
from ..layers.noise import RandomLayer
from ..layers.tensor import Tensor
from ..model import Model
from .onnx_images import pads_of, transposed_cuts
from .onnx_sequences import BY_STEP
from .orders import CHANNELS, SAMPLES, Read, permutation, places_of, require
from .torch_more_export import MORE

# Layers of sequences whose modules want channels second, and those that want them last.
IN_CHANNELS = (Conv1D, MaxPool1D, BatchNorm, AveragePool1D, GlobalAveragePool1D, GlobalMaxPool1D)

IN_SAMPLES = (Dense, Flatten, LayerNorm, SimpleRNN, LSTM, GRU, Bidirectional, TimeDistributed, Reshape)


def to_torch(model: Model) -> Any:
    """Make a PyTorch module of a model of layers in a row: the same layers, with its weights.

    Parameters
    ----------
    model : Model
        Layers in a row, of those that docs/exchange.md lists.

    Returns
    -------
    torch.nn.Sequential
        In ``eval()``, in the model's dtype. It predicts what the model does, of images in PyTorch's order,
        (n, channels, height, width); sequences are (n, channels, time) where the model begins with a layer that
        PyTorch has so (a Conv1d), otherwise (n, time, features). ``train()`` brings dropout and batch statistics.

    Raises
    ------
    ImportError
        Without PyTorch.
    ValueError
        If there is a layer that PyTorch has no module for; it is named.

    See Also
    --------
    from_torch : The way back.

    Examples
    --------
    >>> import numpy as np, torch, fastnn as fnn
    >>> layers = [fnn.Conv2D(4, 3, activation="relu"), fnn.MaxPool2D(2), fnn.Flatten(), fnn.Dense(10, "softmax")]
    >>> model = fnn.Sequential(layers, input_shape=(28, 28, 1))
    >>> module = fnn.to_torch(model)
    >>> X = np.random.default_rng(0).random((5, 28, 28, 1), np.float32)
    >>> result = module(torch.from_numpy(X).permute(0, 3, 1, 2)).detach().numpy()
    >>> bool(abs(model.predict(X) - result).max() < 1e-5)
    True
    """
    torch = require("torch")
    graph = checks.known_model(model)._graph
    if not graph.is_chain:
        raise ValueError("model: expected layers in a row; a graph with branches goes to other programs by fnn.to_onnx")
    writer = Writer(model, torch)
    for node in graph.nodes:
        layer = writer.layer = node.layer
        if type(layer) not in WRITERS:
            raise ValueError(f"layer {layer.name!r}: PyTorch has no module for {type(layer).__name__}; leave it out, "
                             "or use fnn.to_onnx")
        writer.value = writer.value or writer.first(node.inputs[0])
        WRITERS[type(layer)](writer, layer)
        writer.value = Read(node.outputs[0], writer.value.order, writer.value.places)
    return torch.nn.Sequential(*writer.modules).to(getattr(torch, model.dtype.name)).eval()


class Writer:
    """Takes the modules, one layer after the other.

    Attributes
    ----------
    value : Read
        What the last module gives.
    """

    def __init__(self, model: Model, torch: Any) -> None:
        self.model, self.torch, self.nn = model, torch, torch.nn
        self.arrays = model._numbers.all_arrays()
        self.modules: list[Any] = []
        self.value: Any = None
        self.layer: Any = None

    def first(self, tensor: Tensor) -> Read:
        """The input, in PyTorch's order."""
        care = next((la for la in self.model.layers if isinstance(la, (*IN_CHANNELS, *IN_SAMPLES))), None)
        second = len(tensor.shape) == 3 or len(tensor.shape) == 2 and isinstance(care, IN_CHANNELS)
        return Read(tensor, CHANNELS if second else SAMPLES)

    def array(self, name: str) -> Any:
        """A parameter or persistent array of the layer, None where it has none of that name."""
        segment = (self.layer.segments | self.layer.persistent).get(name)
        return None if segment is None else self.arrays[segment.name]

    def add(self, module: Any, **arrays: Any) -> None:
        """A module, with its arrays."""
        state = {name: self.torch.tensor(np.ascontiguousarray(a)) for name, a in arrays.items() if a is not None}
        module.load_state_dict({**module.state_dict(), **state})
        self.modules.append(module)

    def in_order(self, order: str) -> None:
        """Bring the value's axes in an order."""
        x = self.value
        if len(x.shape) > 1 and x.order != order:
            from .torch_modules import Permute
            self.modules.append(Permute(permutation(len(x.shape) + 1, x.order, order)))
            self.value = Read(x.tensor, order)

    def activate(self, choice: Choice) -> None:
        """The module of an activation."""
        if choice.name == "identity":
            return
        if choice.name not in ACTIVATIONS:
            raise ValueError(f"layer {self.layer.name!r}: PyTorch has no module for the activation {choice.name!r}; "
                             f"expected one of {', '.join(ACTIVATIONS)}")
        if choice.name == "hard_sigmoid" and abs(choice.alpha - 1 / 6) > 1e-7:
            raise ValueError(f"layer {self.layer.name!r}: PyTorch has hard_sigmoid with alpha=1/6 alone, got "
                             f"{choice.alpha}")
        self.modules.append(ACTIVATIONS[choice.name](self.nn, choice.alpha))


ACTIVATIONS: dict[str, Callable[[Any, float], Any]] = {
    "relu": lambda nn, alpha: nn.ReLU(), "sigmoid": lambda nn, alpha: nn.Sigmoid(), "tanh": lambda nn, alpha: nn.Tanh(),
    "selu": lambda nn, alpha: nn.SELU(), "silu": lambda nn, alpha: nn.SiLU(), "mish": lambda nn, alpha: nn.Mish(),
    "softsign": lambda nn, alpha: nn.Softsign(), "hard_tanh": lambda nn, alpha: nn.Hardtanh(),
    "softplus": lambda nn, alpha: nn.Softplus(), "hard_sigmoid": lambda nn, alpha: nn.Hardsigmoid(),
    "leaky_relu": lambda nn, alpha: nn.LeakyReLU(alpha), "elu": lambda nn, alpha: nn.ELU(alpha),
    "gelu": lambda nn, alpha: nn.GELU(), "gelu_tanh": lambda nn, alpha: nn.GELU(approximate="tanh"),
    "softmax": lambda nn, alpha: nn.Softmax(-1), "log_softmax": lambda nn, alpha: nn.LogSoftmax(-1),
}


def dense(w: Writer, layer: Any) -> None:
    """W transposed, its columns in the order of PyTorch's features."""
    w.in_order(SAMPLES)
    weight, bias, x = w.array("weight"), w.array("bias"), w.value
    if x.places is not None:
        weight = weight[x.places]
    w.add(w.nn.Linear(*weight.shape, bias=layer.use_bias), weight=weight.T, bias=bias)
    w.value = Read(x.tensor, SAMPLES)
    w.activate(layer.choice)


def activation(w: Writer, layer: Any) -> None:
    """Of rows, over the last axis."""
    if not layer.choice.elementwise and layer.choice.functions is None:
        w.in_order(SAMPLES)
        if len(layer.input_shape) > 2:
            raise ValueError(f"layer {layer.name!r}: PyTorch has no softmax over all of an image; put a Flatten layer "
                             "before it")
    w.activate(layer.choice)


def convolution(w: Writer, layer: Any) -> None:
    """W (kernel..., channels / groups, filters) becomes (filters, channels / groups, kernel...)."""
    w.in_order(CHANNELS)
    axes, zeros = layer.axes, padded(w, layer, 0.0)
    cls = w.nn.Conv1d if axes == 1 else w.nn.Conv2d
    w.add(cls(layer.input_shape[-1], layer.output_shape[-1], layer.kernel_size, layer.strides, zeros,
              layer.dilation_rate, layer.groups, layer.use_bias),
          weight=np.moveaxis(w.array("weight"), (-1, -2), (0, 1)), bias=w.array("bias"))
    w.activate(layer.choice)


def padded(w: Writer, layer: Any, value: float) -> tuple[int, ...]:
    """The padding of a module; where it is not the same at both ends, a module of its own before it."""
    axes = layer.axes
    pads = pads_of(layer.window, layer.input_shape[:-1])
    before, after = pads[:axes], pads[axes:]
    spans = [axis.span for axis in ([layer.window.y, layer.window.x][2 - axes:])]
    if before == after and (value == 0.0 or all(2 * n <= span for n, span in zip(before, spans, strict=True))):
        return tuple(before)
    sides = [n for pair in zip(before[::-1], after[::-1], strict=True) for n in pair]  # PyTorch: last axis first
    w.modules.append((w.nn.ConstantPad1d if axes == 1 else w.nn.ConstantPad2d)(tuple(sides), value))
    return (0,) * axes


def transposed(w: Writer, layer: Any) -> None:
    """W (kernel..., filters / groups, channels) becomes (channels, filters / groups, kernel...)."""
    w.in_order(CHANNELS)
    pads, lacking = transposed_cuts(layer)
    before, after = pads[:2], pads[2:]
    # PyTorch cuts alike at both ends, after it has added output_padding at the end; else a module cuts
    more = [b - a + n for b, a, n in zip(before, after, lacking, strict=True)]
    fits = all(0 <= n < max(s, d) for n, s, d in zip(more, layer.strides, layer.dilation_rate, strict=True))
    w.add(w.nn.ConvTranspose2d(layer.input_shape[-1], layer.output_shape[-1], layer.kernel_size, layer.strides,
                               before if fits else 0, more if fits else lacking, layer.groups, layer.use_bias,
                               layer.dilation_rate),
          weight=np.moveaxis(w.array("weight"), (-1, -2), (0, 1)), bias=w.array("bias"))
    if not fits:
        w.modules.append(w.nn.ConstantPad2d((-before[1], -after[1], -before[0], -after[0]), 0.0))
    w.activate(layer.choice)


def max_pool(w: Writer, layer: Any) -> None:
    """Around the image never the largest."""
    w.in_order(CHANNELS)
    zeros = padded(w, layer, -np.inf)
    w.modules.append((w.nn.MaxPool1d if layer.axes == 1 else w.nn.MaxPool2d)(layer.pool_size, layer.strides, zeros))


def batch_norm(w: Writer, layer: Any) -> None:
    """PyTorch's momentum is 1 minus fastnn's; gamma and beta come together."""
    w.in_order(CHANNELS)
    n, axes = layer.input_shape[-1], len(layer.input_shape)
    cls, affine = w.nn.BatchNorm2d if axes == 3 else w.nn.BatchNorm1d, layer.center or layer.scale
    order = w.value.places if w.value.places is not None else slice(None)
    arrays = {"weight": w.array("gamma"), "bias": w.array("beta"), "running_mean": w.array("running_mean"),
              "running_var": w.array("running_variance")}
    w.add(cls(n, layer.epsilon, 1 - layer.momentum, affine=affine),
          **{name: a[order] for name, a in arrays.items() if a is not None})


def layer_norm(w: Writer, layer: Any) -> None:
    """Over the last axis, or over all of an image."""
    unordered(w, layer)
    w.in_order(SAMPLES if layer.per_pixel else CHANNELS)
    gamma, beta = w.array("gamma"), w.array("beta")
    shape = layer.input_shape[-1:]
    if not layer.per_pixel:
        h, width, c = layer.input_shape
        shape = c, h, width
        gamma, beta = (None if a is None else a.transpose(2, 0, 1) for a in (gamma, beta))
    w.add(w.nn.LayerNorm(shape, layer.epsilon, elementwise_affine=layer.center or layer.scale), weight=gamma, bias=beta)


def prelu(w: Writer, layer: Any) -> None:
    """A slope for each feature of rows; of images one a channel."""
    alpha, x = w.array("alpha"), w.value
    if len(x.shape) == 1:
        alpha = alpha if x.places is None else alpha[x.places]
    else:
        w.in_order(CHANNELS)
        n = x.shape[-1]
        by_channel = np.reshape(alpha, (-1, n))
        if np.ptp(by_channel, 0).any():
            raise ValueError(f"layer {layer.name!r}: PyTorch has one slope a channel, here each pixel or step has its "
                             "own; put a Flatten layer before the PReLU")
        alpha = by_channel[0]
    w.add(w.nn.PReLU(alpha.size), weight=alpha)


def unordered(w: Writer, layer: Layer) -> None:
    """Refuse a layer that wants the features of a flattened image in fastnn's order."""
    if w.value.places is not None:
        raise ValueError(f"layer {layer.name!r}: expected a Dense after the Flatten of an image, whose features "
                         "PyTorch has in another order")


def flatten(w: Writer, layer: Any) -> None:
    """Channels first where a Dense comes soon, whose weights can follow."""
    x, layers = w.value, w.model.layers
    if len(x.shape) == 1:
        return
    after = [la for la in layers[layers.index(layer) + 1:] if not isinstance(la, (Activation, RandomLayer, BatchNorm))]
    soft = any(la.choice.name in ("softmax", "log_softmax") for la in layers if type(la) is Activation)
    if x.order == CHANNELS and not (after and isinstance(after[0], Dense) and not soft):
        w.in_order(SAMPLES)
    places = places_of(x) if w.value.order == CHANNELS else None
    w.modules.append(w.nn.Flatten())
    w.value = Read(x.tensor, SAMPLES, places)


def dropout(w: Writer, layer: Any) -> None:
    """The rate is p."""
    w.modules.append(w.nn.Dropout(layer.rate))


def scale_shift(w: Writer, layer: Any) -> None:
    """(x - mean) scale, a module of ours."""
    from .torch_modules import ScaleShift
    x = w.value
    unordered(w, layer)
    axes = [i - 1 for i in permutation(len(x.shape) + 1, SAMPLES, x.order)[1:]]
    mean, scale = (w.torch.tensor(w.array(name).reshape(x.shape).transpose(axes))
                   for name in list(layer.persistent)[:2])
    w.modules.append(ScaleShift(mean, scale))


def time_distributed(w: Writer, layer: Any) -> None:
    """The layer inside, which works on the last axis."""
    if not isinstance(layer.layer, BY_STEP) or type(layer.layer) not in WRITERS:
        raise ValueError(f"layer {layer.name!r}: PyTorch has no module for {type(layer.layer).__name__} step by step")
    WRITERS[type(layer.layer)](w, layer.layer)


WRITERS: dict[type[Layer], Callable[[Any, Any], None]] = {
    Dense: dense, Activation: activation, LeakyReLU: activation, ELU: activation, HardSigmoid: activation,
    Conv1D: convolution, Conv2D: convolution, DepthwiseConv2D: convolution, ConvTranspose2D: transposed,
    MaxPool1D: max_pool, MaxPool2D: max_pool, BatchNorm: batch_norm, LayerNorm: layer_norm, PReLU: prelu,
    Flatten: flatten, Dropout: dropout, Standardize: scale_shift, MinMax: scale_shift,
    TimeDistributed: time_distributed, **MORE,
}
