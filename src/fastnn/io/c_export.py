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
from ..layers import Layer
from ..layers.tensor import Tensor
from ..model import Model
from .atomic import replacing
from .c_functions import FORMULAS, FUNCTIONS
from .c_layers import ROWS, nothing
from .c_sequence_functions import NEEDS, OF_SEQUENCES
from .c_sequences import SEQUENCES

WRITERS: dict[type[Layer], Callable[..., None]] = {**ROWS, **SEQUENCES}
TEXTS = {**FUNCTIONS, **OF_SEQUENCES}


def export_c(model: Model, path: str | os.PathLike, name: str | None = None) -> None:
    """Write a small model as one C99 header: its weights, and a function that predicts.

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
        self.masks: dict[Tensor, str] = {}  # of sequences: 0 for the steps that do not count
        self.mask = self.new_mask = "0"  # of the layer's input, and what it makes of its output
        self.rooms: list[str] = []  # places of the layer alone

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
        for needed in (*NEEDS.get(function, ()), function):
            self.functions.setdefault(needed, TEXTS[needed])
        self.lines.append(f"{self.prefix}_{function}({', '.join(map(str, arguments))});")

    def settings(self, values: tuple[int, ...]) -> str:
        """Whole numbers as an array."""
        return f"(const int[]){{{', '.join(map(str, values))}}}"

    def room(self, n: int) -> str:
        """A place in work for n numbers, as long as the layer is at work."""
        self.rooms.append(self._place(n))
        return self.rooms[-1]

    def mask_for(self, steps: int) -> str:
        """A place for the mask of the layer's output; it is kept."""
        self.new_mask = self._place(steps)
        return self.new_mask

    def activate(self, choice: Choice, shape: tuple[int, ...], y: str) -> None:
        """f(y) in place."""
        n = math.prod(shape)
        if choice.name in ("softmax", "log_softmax"):
            width = shape[-1] if len(shape) <= 2 else n
            self.call("softmax", n // width, width, int(choice.name == "log_softmax"), y)
        elif choice.name != "identity":
            self.lines.append(f"{self.activation(choice)}({n}, (real){choice.alpha!r}, {y});")

    def activation(self, choice: Choice) -> str:
        """The function of an activation element by element; 0 for none."""
        if choice.functions is not None:
            raise ValueError(f"layer {self.layer.name!r}: its activation is a Python function, which C cannot call; "
                             f"expected one of {', '.join(FORMULAS)}")
        if choice.name == "identity":
            return "0"
        text = FUNCTIONS["activation"].replace("ACTIVATION", choice.name)
        self.functions[choice.name] = text.replace("FORMULA", FORMULAS[choice.name])
        return f"{self.prefix}_{choice.name}"

    # ---- the walk ----

    def _place(self, n: int) -> str:
        """A free place in work for n numbers."""
        start = 0
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
            layer = self.layer = node.layer
            xs, ys = [self.names[tensor] for tensor in node.inputs], []
            if type(layer) not in WRITERS:
                raise ValueError(f"layer {layer.name!r}: nobody has said how {type(layer).__name__} is written in C; "
                                 f"expected one of {', '.join(cls.__name__ for cls in WRITERS)}")
            write = WRITERS[type(layer)]
            for y in node.outputs:
                same = write is nothing
                ys.append(xs[0] if same else self._place(math.prod(map(int, y.shape))))  # type: ignore[arg-type]
                self.names[y] = ys[-1]
                self.owners[ys[-1]] = self.owners.get(ys[-1], 0) + 1 if same else 1
            self.lines.append(f"/* {layer.name} ({type(layer).__name__}): {node.outputs[0].shape} */")
            self.mask = self.new_mask = self.masks.get(node.inputs[0], "0")
            write(self, layer, *xs, *ys)
            if self.new_mask != self.mask or layer.keeps_mask and "time" in layer.layouts:
                self.masks |= {y: self.new_mask for y in node.outputs if len(y.shape) == 2}
            while self.rooms:
                del self.places[self.rooms.pop()]
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
        kinds = ["int" if model._compiled.tokens(tensor) else real for tensor in graph.inputs]
        parameters = ", ".join([*(f"const {kind} *{name}" for kind, name in zip(kinds, inputs, strict=True)),
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
