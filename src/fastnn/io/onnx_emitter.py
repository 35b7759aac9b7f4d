"""The ONNX graph while it grows: nodes, constants, and values in the order of axes that an operator wants."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..layers import Layer
from ..layers.tensor import Shape
from .orders import SAMPLES, permutation

OPSET, IR_VERSION = 17, 8

class Value:
    """A value of the graph: the shape of a sample in fastnn's order, and its name in each order that there is.

    `mask` is the name of booleans (n, time), False for the steps that do not count; None where all do.
    """

    def __init__(self, shape: Shape, name: str, order: str = SAMPLES, mask: str | None = None) -> None:
        self.shape, self.names, self.mask = shape, {order: name}, mask

    @property
    def order(self) -> str:
        """The order that it was made in."""
        return next(iter(self.names))


class Emitter:
    """Takes the nodes of a graph; what `EXPORTERS` of a layer write to.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Those of the model, by name.
    onnx : module
        The package.
    export : callable, optional
        From a layer to the function that writes it, for layers that have others inside.

    Attributes
    ----------
    layer : str
        The layer whose nodes come next; their names begin with it.
    """

    def __init__(self, arrays: dict[str, np.ndarray], onnx: Any, export: Any = None) -> None:
        self.arrays, self.onnx, self.export = arrays, onnx, export
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.taken: set[str] = set()
        self.layer = ""

    def name(self, wanted: str) -> str:
        """A name that is not taken yet."""
        name, i = wanted, 0
        while name in self.taken:
            i += 1
            name = f"{wanted}_{i}"
        self.taken.add(name)
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; returns its output's name, or a tuple where there are several. "" is an input left out."""
        node = self.name(f"{self.layer}/{kind}")
        names = [node] if outputs == 1 else [self.name(f"{node}.{i}") for i in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, names, name=node, **attributes))
        return names[0] if outputs == 1 else tuple(names)

    def constant(self, value: Any, name: str = "constant") -> str:
        """An array that comes with the file: float32, or int64 if it is of whole numbers."""
        array = np.asarray(value)
        array = np.ascontiguousarray(array, np.int64 if array.dtype.kind in "iu" else
                                     np.bool_ if array.dtype.kind == "b" else np.float32).reshape(array.shape)
        full = f"{self.layer}.{name}"
        for known in (k for k in self.constants if k == full or k.startswith(f"{full}_")):
            if self.constants[known].dtype == array.dtype and np.array_equal(self.constants[known], array):
                return known
        full = self.name(full)
        self.constants[full] = array
        return full

    def array(self, layer: Layer, name: str) -> np.ndarray | None:
        """A layer's parameter or persistent array; None where it has none of that name."""
        segment = (layer.segments | layer.persistent).get(name)
        return None if segment is None else self.arrays[segment.name]

    def in_order(self, value: Value, order: str) -> str:
        """The value's name in an order; transposed, the first time that it is asked for."""
        if order not in value.names:
            rank = len(value.shape) + 1
            if rank == 2:
                value.names[order] = value.names[value.order]
            elif SAMPLES in (order, value.order):
                axes = permutation(rank, value.order, order)
                value.names[order] = self.op("Transpose", value.names[value.order], perm=axes)
            else:
                self.in_order(value, SAMPLES)
                value.names[order] = self.op("Transpose", value.names[SAMPLES], perm=permutation(rank, SAMPLES, order))
        return value.names[order]

    def map(self, value: Value, function: Callable[[str], str]) -> Value:
        """A function of each element: in whatever order the value is."""
        return Value(value.shape, function(value.names[value.order]), value.order)

    @contextmanager
    def body(self) -> Any:
        """Nodes of this block go to the list that it gives: the body of a Scan."""
        outer, self.nodes = self.nodes, []
        try:
            yield self.nodes
        finally:
            self.nodes = outer
