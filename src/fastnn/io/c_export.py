"""A model as one C header."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._version import __version__
from ..activations import Choice
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
    ZeroPadding2D,
)
from ..layers.tensor import Tensor
from ..model import Model
from .atomic import replacing
from .c_functions import FORMULAS, FUNCTIONS


def export_c(model: Model, path: str | os.PathLike, name: str | None = None) -> None:
    """Write a dense or small convolutional model as one C99 header: its weights, and a function that predicts.

    Parameters
    ----------
    model : Model
        Layers in a row or a graph, of those that docs/exchange.md lists.
    path : path-like
        The header; what was there is replaced.
    name : str, optional
        How everything in it begins; by default the file's name without its ending. ``net.h`` has
        ``void net_predict(const float *x, float *y)``, one sample at a time.

    Raises
    ------
    ValueError
        If there is a layer that cannot be written, or the number of steps in time is not known.
    """
    stem = os.path.splitext(os.path.basename(os.fsdecode(path)))[0] if name is None else name
    prefix = re.sub(r"\W", "_", stem, flags=re.ASCII)
    if not prefix or prefix[0].isdigit():
        raise ValueError(f"name: expected one that C allows, such as 'net', got {stem!r}")
    text = Writer(model, prefix).text()
    with replacing(path) as file:
        file.write(text.encode("ascii"))


class Writer:
    """Collects what the header has: functions, arrays, and the lines of predict.

    Values lie in one array `work`, each in a place that is free while the value is needed.
    """

    def __init__(self, model: Model, prefix: str) -> None:
        self.model, self.prefix = model, prefix
        self.arrays = model._numbers.all_arrays()
        self.functions: dict[str, str] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.lines: list[str] = []
        self.layer: Any = None
        self.size = 0  # of work
        self.used: dict[Tensor, int] = {}  # how often a value is still read
        self.places: dict[str, tuple[int, int]] = {}  # where values in work begin and end, by name
        self.owners: dict[str, int] = {}  # how many tensors are the value of a name
        self.names: dict[Tensor, str] = {}

    # ---- what layers call ----

    def array(self, name: str) -> np.ndarray | None:
        """A parameter or persistent array of the layer; None where it has none of that name."""
        segment = (self.layer.segments | self.layer.persistent).get(name)
        return None if segment is None else self.arrays[segment.name]

    def constant(self, name: str, array: np.ndarray | None = None) -> str:
        """The name of an array in C: one of the layer's, or this one; 0 where there is none."""
        array = self.array(name) if array is None else array
        if array is None:
            return "0"
        full = re.sub(r"\W", "_", f"{self.prefix}_{self.layer.name}_{name}", flags=re.ASCII)
        while full in self.constants and self.constants[full] is not array and \
                not np.array_equal(self.constants[full], array):
            full += "_"
        self.constants[full] = array
        return full

    def call(self, function: str, *arguments: object) -> None:
        """A line of predict."""
        self.functions.setdefault(function, FUNCTIONS[function])
        self.lines.append(f"{self.prefix}_{function}({', '.join(map(str, arguments))});")

    def settings(self, values: tuple[int, ...]) -> str:
        """Whole numbers as an array."""
        return f"(const int[]){{{', '.join(map(str, values))}}}"

    def activate(self, choice: Choice, shape: tuple[int, ...], y: str) -> None:
        """f(y) in place."""
        n = math.prod(shape)
        if choice.functions is not None:
            raise ValueError(f"layer {self.layer.name!r}: its activation is a Python function, which C cannot call; "
                             f"expected one of {', '.join(FORMULAS)}")
        if choice.name in ("softmax", "log_softmax"):
            width = shape[-1] if len(shape) <= 2 else n
            self.call("softmax", n // width, width, int(choice.name == "log_softmax"), y)
        elif choice.name != "identity":
            text = FUNCTIONS["activation"].replace("ACTIVATION", choice.name)
            self.functions[choice.name] = text.replace("FORMULA", FORMULAS[choice.name])
            self.lines.append(f"{self.prefix}_{choice.name}({n}, (real){choice.alpha!r}, {y});")

    # ---- the walk ----

    def _place(self, tensor: Tensor) -> str:
        """A free place in work for a value."""
        n, start = math.prod(map(int, tensor.shape)), 0  # type: ignore[arg-type]
        for first, end in sorted(self.places.values()):
            if start + n <= first:
                break
            start = max(start, end)
        self.size = max(self.size, start + n)
        name = f"work + {start}" if start else "work"
        self.places[name] = start, start + n
        return name

    def _release(self, tensor: Tensor) -> None:
        """One reader less; the place of a value that nobody reads any more is free."""
        self.used[tensor] -= 1
        if not self.used[tensor]:
            name = self.names[tensor]
            self.owners[name] -= 1
            if not self.owners[name]:
                self.places.pop(name, None)

    def _walk(self, inputs: list[str], outputs: list[str]) -> None:
        graph = self.model._graph
        self.used = dict(graph.n_uses)
        for tensor, name in zip(graph.inputs, inputs, strict=True):
            if None in tensor.shape:
                raise ValueError(f"input {tensor.name or name!r}: expected samples of known size, got {tensor.shape}; "
                                 "give input_shape the number of steps in time")
            self.names[tensor], self.owners[name] = name, 1
        for node in graph.nodes:
            layer, y = node.layer, node.outputs[0]
            self.layer, xs = layer, [self.names[tensor] for tensor in node.inputs]
            if type(layer) not in WRITERS:
                raise ValueError(f"layer {layer.name!r}: nobody has said how {type(layer).__name__} is written in C; "
                                 f"expected one of {', '.join(cls.__name__ for cls in WRITERS)}")
            write = WRITERS[type(layer)]
            self.names[y] = xs[0] if write is nothing else self._place(y)
            self.owners[self.names[y]] = self.owners.get(self.names[y], 0) + 1 if write is nothing else 1
            self.lines.append(f"/* {layer.name} ({type(layer).__name__}): {y.shape} */")
            write(self, layer, *xs, self.names[y])
            for tensor in node.inputs:
                self._release(tensor)
        for tensor, name in zip(graph.outputs, outputs, strict=True):
            n = math.prod(map(int, tensor.shape))  # type: ignore[arg-type]
            self.call("copy", 1, n, n, 0, self.names[tensor], name)

    def text(self) -> str:
        """The header."""
        model, graph, prefix = self.model, self.model._graph, self.prefix
        inputs = ["x"] if len(graph.inputs) == 1 else [f"x_{_identifier(name)}" for name in model.input_names]
        outputs = ["y"] if len(graph.outputs) == 1 else [f"y_{_identifier(name)}" for name in model.output_names]
        self._walk(inputs, outputs)
        real = "float" if model.dtype == np.float32 else "double"
        parameters = ", ".join([*(f"const {real} *{name}" for name in inputs),
                                *(f"{real} *{name}" for name in outputs)])
        shapes = [f"{name}: {tensor.shape}"
                  for name, tensor in zip([*inputs, *outputs], [*graph.inputs, *graph.outputs], strict=True)]
        body = [f"    {line}" for line in self.lines]
        work = [f"    {real} work[{self.size}];"] if any("work" in line for line in body) else []
        text = "\n".join([
            f"/* A network, written by fastnn {__version__}. One sample at a time, arrays in C order:",
            " *", f" *     void {prefix}_predict({parameters});", " *",
            *(f" * {shape}" for shape in shapes),
            f" * It needs math.h alone, and {self.size} numbers on the stack. */", "",
            f"#ifndef {prefix.upper()}_H", f"#define {prefix.upper()}_H", "", "#include <math.h>",
            *("".join(self.functions.values()).rstrip().split("\n")), "",
            *(line for name, array in self.constants.items() for line in _array(real, name, array)),
            f"static inline void {prefix}_predict({parameters})", "{", *work, *body, "}", "", "#endif", ""])
        text = re.sub(r"\breal\b", real, text.replace("NET_", f"{prefix}_"))
        return text.replace("@", "f" if real == "float" else "")


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def _array(real: str, name: str, array: np.ndarray) -> Iterator[str]:
    """The lines of a constant: digits enough to give the same number back."""
    digits, letter = (9, "f") if real == "float" else (17, "")
    numbers = [f"{v:.{digits}g}" for v in np.asarray(array).ravel().tolist()]
    numbers = [(v if set(v) & set(".e") else f"{v}.0") + letter for v in numbers]
    yield f"static const {real} {name}[{len(numbers)}] = {{"
    for i in range(0, len(numbers), 8):
        yield f"    {', '.join(numbers[i:i + 8])},"
    yield "};"
    yield ""


# ---- layers ----


def dense(c: Writer, layer: Any, x: str, y: str) -> None:
    """Each step of a sequence is a row."""
    n_in, rows = layer.input_shape[-1], math.prod(layer.input_shape[:-1])
    c.call("dense", rows, n_in, layer.units, x, c.constant("weight"), c.constant("bias"), y)
    c.activate(layer.choice, layer.output_shape, y)


def convolution(function: str) -> Callable[..., None]:
    """Convolutions, of sequences as images of height 1."""
    def write(c: Writer, layer: Any, x: str, y: str) -> None:
        told = layer.settings()
        s = (*layer.image, *layer.result, *(told[name] for name in (
            "kernel_y", "kernel_x", "stride_y", "stride_x", "pad_y", "pad_x", "dilation_y", "dilation_x", "groups")))
        c.call(function, c.settings(s), x, c.constant("weight"), c.constant("bias"), y)
        c.activate(layer.choice, layer.output_shape, y)
    return write


def pool(function: str) -> Callable[..., None]:
    """Pooling by windows."""
    def write(c: Writer, layer: Any, x: str, y: str) -> None:
        told = layer.window.settings(layer.image[:2])
        s = (*layer.image, *layer.result[:2], *(told[name] for name in (
            "kernel_y", "kernel_x", "stride_y", "stride_x", "pad_y", "pad_x")))
        c.call(function, c.settings(s + ((int(layer.count_padding),) if function == "average_pool" else ())), x, y)
    return write


def global_pool(function: str) -> Callable[..., None]:
    """A window as large as the image or the sequence."""
    def write(c: Writer, layer: Any, x: str, y: str) -> None:
        h, w, n = (1, *layer.input_shape)[-3:]
        s = (h, w, n, 1, 1, h, w, h, w, 0, 0)
        c.call(function, c.settings(s + ((0,) if function == "average_pool" else ())), x, y)
    return write


def frame(sign: int) -> Callable[..., None]:
    """Pixels added or taken away at the sides: windows of one pixel, some of them beyond the image."""
    def write(c: Writer, layer: Any, x: str, y: str) -> None:
        (above, _), (left, _) = layer.padding if sign > 0 else layer.cropping
        s = (*layer.input_shape, *layer.output_shape[:2], 1, 1, 1, 1, sign * above, sign * left)
        c.call("max_pool", c.settings(s), x, y)
    return write


def copied(c: Writer, layer: Any, x: str, y: str) -> None:
    """The value itself, in its own place."""
    n = math.prod(layer.input_shape)
    c.call("copy", 1, n, n, 0, x, y)


def activation(c: Writer, layer: Any, x: str, y: str) -> None:
    """Of a copy."""
    copied(c, layer, x, y)
    c.activate(layer.choice, layer.input_shape, y)


def prelu(c: Writer, layer: Any, x: str, y: str) -> None:
    """A slope for each feature, or each channel."""
    alpha = c.array("alpha")
    assert alpha is not None
    c.call("prelu", math.prod(layer.input_shape), alpha.size, x, c.constant("alpha"), y)


def batch_norm(c: Writer, layer: Any, x: str, y: str) -> None:
    """The running statistics folded into a scale and a shift."""
    arrays = {name: c.array(name) for name in ("gamma", "beta", "running_mean", "running_variance")}
    wide = {name: np.asarray(a, np.float64) for name, a in arrays.items() if a is not None}
    scale = wide.get("gamma", 1.0) / np.sqrt(wide["running_variance"] + layer.epsilon)
    shift = wide.get("beta", 0.0) - scale * wide["running_mean"]
    n = layer.input_shape[-1]
    c.call("scale_shift", math.prod(layer.input_shape) // n, n, x, c.constant("scale", scale),
           c.constant("shift", shift), y)


def layer_norm(c: Writer, layer: Any, x: str, y: str) -> None:
    """Over as many values as gamma and beta have."""
    total = math.prod(layer.input_shape)
    n = layer.input_shape[-1] if layer.per_pixel else total
    c.call("layer_norm", total // n, n, f"(real){layer.epsilon!r}", x, c.constant("gamma"), c.constant("beta"), y)


def standardize(c: Writer, layer: Any, x: str, y: str) -> None:
    """(x - mean) scale; of MinMax, (x - zero) scale."""
    c.call("standardize", math.prod(layer.input_shape), x, *map(c.constant, list(layer.persistent)[:2]), y)


def row_normalize(c: Writer, layer: Any, x: str, y: str) -> None:
    """x / |x|."""
    c.call("row_normalize", math.prod(layer.input_shape), layer.order, x, y)


def pca_whitening(c: Writer, layer: Any, x: str, y: str) -> None:
    """x U' - mean U', the product taken once, here."""
    mean, directions = (np.asarray(c.array(name), np.float64) for name in ("mean", "directions"))
    c.call("dense", 1, *directions.shape, x, c.constant("directions"), c.constant("shift", -mean @ directions), y)


def merge(function: str) -> Callable[..., None]:
    """The first copied, the others added or multiplied."""
    def write(c: Writer, layer: Any, *places: str) -> None:
        *xs, y = places
        copied(c, layer, xs[0], y)
        for x in xs[1:]:
            c.call(function, math.prod(layer.input_shape), x, y)
    return write


def concatenate(c: Writer, layer: Any, *places: str) -> None:
    """Columns side by side."""
    *xs, y = places
    first, width = 0, layer.output_shape[-1]
    for x, n in zip(xs, layer.widths, strict=True):
        c.call("copy", math.prod(layer.output_shape[:-1]), n, width, first, x, y)
        first += n


def nothing(c: Writer, layer: Any, x: str, y: str) -> None:
    """What acts in training alone, or only reshapes: the same numbers in the same place."""


WRITERS: dict[type[Layer], Callable[..., None]] = {
    Dense: dense, Activation: activation, LeakyReLU: activation, ELU: activation, HardSigmoid: activation, PReLU: prelu,
    Conv1D: convolution("conv"), Conv2D: convolution("conv"), DepthwiseConv2D: convolution("conv"),
    ConvTranspose2D: convolution("conv_transpose"), MaxPool1D: pool("max_pool"), MaxPool2D: pool("max_pool"),
    BatchNorm: batch_norm, LayerNorm: layer_norm,
    AveragePool1D: pool("average_pool"), AveragePool2D: pool("average_pool"),
    GlobalAveragePool1D: global_pool("average_pool"), GlobalAveragePool2D: global_pool("average_pool"),
    GlobalMaxPool1D: global_pool("max_pool"), GlobalMaxPool2D: global_pool("max_pool"),
    ZeroPadding2D: frame(1), Cropping2D: frame(-1),
    **dict.fromkeys([Flatten, Reshape, Dropout, GaussianNoise, RandomFlip, RandomShift, RandomRotation], nothing),
    Standardize: standardize, MinMax: standardize, RowNormalize: row_normalize, PCAWhitening: pca_whitening,
    Add: merge("add"), Multiply: merge("multiply"), Concatenate: concatenate,
}
