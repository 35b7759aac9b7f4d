"""A graph of layers: the order of their calls, and the walks that emit them forward and backward."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from . import checks
from .layers import InputLayer, Layer
from .layers.base import Vectors, name_layers
from .layers.tensor import Node, Shape, Tensor
from .operands import Operand, check_size
from .program import Builder, Phase


class Graph:
    """Calls of layers from input tensors to output tensors.

    Attributes
    ----------
    inputs, outputs : tuple of Tensor
        As given.
    nodes : list of Node
        Every call that an output depends on, each after those that it depends on.
    layers : list of Layer
        The layers, each once, in the order of their first calls.
    """

    def __init__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.nodes = _ordered(self.inputs, self.outputs)
        self.layers = list(dict.fromkeys(node.layer for node in self.nodes))
        self.n_uses: dict[Tensor, int] = {}
        for tensor in (*(t for node in self.nodes for t in node.inputs), *self.outputs):
            self.n_uses[tensor] = self.n_uses.get(tensor, 0) + 1

    @classmethod
    def of_chain(cls, layers: Sequence[Layer], shape: Shape) -> Graph:
        """Layers in a row."""
        first = value = Tensor(shape)
        for layer in layers:
            value, *_ = Node(layer, (value,), False, ((),)).outputs
        return cls([first], [value])

    def build(self, vectors: Vectors) -> None:
        """Name the layers, give each its arrays, and tensors their shapes.

        Raises
        ------
        ValueError
            If the layers do not fit together.
        """
        name_layers(self.layers)
        built: dict[Layer, tuple[Shape, ...]] = {}
        for node in self.nodes:
            layer, shapes = node.layer, tuple(tensor.shape for tensor in node.inputs)
            if isinstance(layer, InputLayer) and any(below.layer.segments for below in self._below(node)):
                raise ValueError(f"layers: {layer!r} must come before every layer with weights")
            if layer not in built:
                layer.build(shapes if node.many else shapes[0], vectors)  # type: ignore[arg-type]
                built[layer] = shapes
            elif built[layer] != shapes:
                raise ValueError(f"layer {layer.name!r} is shared, so every call must have the same shapes; "
                                 f"expected {built[layer]}, got {shapes}")
            if len(node.outputs) != len(layer.output_shapes):
                raise ValueError(f"layer {layer.name!r}: expected one output in a row of layers, got "
                                 f"{len(layer.output_shapes)}; call such layers on tensors (fastnn.Model)")
            for tensor, shape in zip(node.outputs, layer.output_shapes, strict=True):
                check_size(f"layer {layer.name!r}: output", shape)
                tensor.shape = shape

    def _below(self, node: Node) -> Iterable[Node]:
        """The calls that a call depends on."""
        return _ordered(self.inputs, node.inputs)

    @property
    def is_chain(self) -> bool:
        """Whether the layers are in a row: each called once, on what the one before gave."""
        return len(self.inputs) == len(self.outputs) == 1 and len(self.layers) == len(self.nodes) and all(
            not node.many and len(node.outputs) == 1 and self.n_uses[node.inputs[0]] == 1 for node in self.nodes)

    def up_to(self, *tensors: Tensor) -> Graph:
        """The part that these tensors depend on."""
        return Graph(self.inputs, tensors)

    def final(self, i: int) -> Layer | None:
        """The layer whose activation a loss may take over: nobody else sees the i-th output."""
        node = self.outputs[i].node
        alone = node is not None and self.n_uses[self.outputs[i]] == 1 and len(node.outputs) == 1
        return node.layer if alone and node is not None else None


def _ordered(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[Node]:
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Tensor, bool]] = [(tensor, False) for tensor in reversed(outputs)]
    while stack:  # depth first, without recursion: chains may be long
        tensor, expanded = stack.pop()
        node = tensor.node
        if tensor in inputs:
            continue
        if node is None:
            raise ValueError(f"inputs: expected every Input that an output depends on; {tensor!r} is missing")
        if expanded:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((tensor, True))
            stack += [(below, False) for below in reversed(node.inputs)]
    return order


class Walk:
    """Emits a graph into one Program: forward once, then backward.

    Parameters
    ----------
    graph : Graph
        What is emitted.
    builder : Builder
        Takes the ops.
    differentiates_inputs : bool
        Whether the gradient must reach the inputs.
    """

    def __init__(self, graph: Graph, builder: Builder, differentiates_inputs: bool = False) -> None:
        self.graph, self.builder = graph, builder
        self.live = dict.fromkeys(graph.inputs, differentiates_inputs)  # a gradient must reach it
        for node in graph.nodes:
            own = any(map(builder.trains, node.layer.segments.values()))
            alive = builder.differentiates and (own or any(self.live[tensor] for tensor in node.inputs))
            self.live |= dict.fromkeys(node.outputs, alive)
        self.values: dict[Tensor, Operand] = {}
        self.saved: dict[Node, dict] = {}
        self.gradients: dict[Tensor, Operand] = {}

    @property
    def differentiates(self) -> bool:
        """Whether there is anything that a gradient must reach."""
        return any(self.live[tensor] for tensor in self.graph.outputs)

    def forward(self, fused: Iterable[Tensor] = ()) -> None:
        """All calls; those of `fused` tensors without their last activation, which the loss contains."""
        b, fused = self.builder, set(fused)
        b.phase, differentiates = Phase.FORWARD, b.differentiates
        for node in self.graph.nodes:
            layer = node.layer
            b.layer, b.saved = layer.name, self.saved.setdefault(node, {})
            b.differentiates = differentiates and self.live[node.outputs[0]]
            inputs = self._converted(node)
            x = inputs if node.many else inputs[0]
            results = layer.forward(b, x, activate=node.outputs[0] not in fused)  # type: ignore[arg-type]
            mask = b.mask_of(inputs[0])
            for tensor, y in zip(node.outputs, results if isinstance(results, tuple) else (results,), strict=True):
                self.values[tensor] = y
                if mask is not None and layer.keeps_mask and y.layout == "time" and b.mask_of(y) is None:
                    b.set_mask(y, mask)
            b.probe("output", self.values[node.outputs[0]])
        b.differentiates = differentiates

    def _converted(self, node: Node) -> tuple[Operand, ...]:
        """The call's inputs, each in a layout that its layer takes."""
        takes = node.layer.layouts
        layouts = {self.values[t].layout for t in node.inputs if len(t.shape) > 1}
        wanted = takes[0] if len(layouts) != 1 or not layouts & set(takes) else layouts.pop()
        return tuple(self.value_in(tensor, wanted) for tensor in node.inputs)

    def value_in(self, tensor: Tensor, layout: str) -> Operand:
        """A tensor's value in a layout."""
        return in_layout(self.builder, self.values[tensor], tensor.shape, layout)

    def add_gradient(self, tensor: Tensor, dy: Operand | None) -> None:
        """Gradients that flow in from several places add up."""
        if dy is None or not self.live[tensor]:
            return
        b, before = self.builder, self.gradients.get(tensor)
        if before is not None:
            dy = in_layout(b, dy, tensor.shape, before.layout)
            total = b.like(before)
            b.emit("add", before, dy, total)
            dy = total
        self.gradients[tensor] = dy

    def backward(self) -> None:
        """All calls that a gradient passes, in reverse; `gradients` then holds those of the inputs."""
        b = self.builder
        b.phase = Phase.BACKWARD
        for node in reversed(self.graph.nodes):
            dys = tuple(self.gradients.pop(tensor, None) for tensor in node.outputs)
            if not self.live[node.outputs[0]] or all(dy is None for dy in dys):
                continue
            b.layer, b.saved = node.layer.name, self.saved[node]
            dys = tuple(dy if dy is None else in_layout(b, dy, tensor.shape, self.values[tensor].layout)
                        for tensor, dy in zip(node.outputs, dys, strict=True))
            need_dx = any(self.live[tensor] for tensor in node.inputs)
            dx = node.layer.backward(b, dys if len(dys) > 1 else dys[0], need_dx=need_dx)  # type: ignore[arg-type]
            for tensor, gradient in zip(node.inputs, dx if isinstance(dx, tuple) else (dx,), strict=True):
                self.add_gradient(tensor, gradient)


def in_layout(b: Builder, x: Operand, shape: Shape, layout: str) -> Operand:
    """The value of samples of that shape in a layout; converted where it is in another one."""
    if x.layout == layout or len(shape) == 1:
        return x
    if "rows" not in (x.layout, layout):
        x = in_layout(b, x, shape, "rows")
    if None in shape:
        raise ValueError(f"layer {b.layer!r} must know the number of steps in time, got samples of shape {shape}; "
                         "give input_shape a number in place of None")
    sizes = [int(n) for n in shape if n is not None]
    if layout == "time":
        b.set_time(sizes[0])
        y = b.arena(("BT", math.prod(sizes[1:])))
    elif layout == "lanes":
        y = b.arena(("B", *[1] * (3 - len(sizes)), *sizes), layout="lanes")
    else:
        y = b.arena(("B", math.prod(sizes)))
    beyond: dict[str, Any] = {"gradient": int(b.phase is Phase.BACKWARD)} if layout == "lanes" else {}
    b.emit(f"{x.layout}_to_{layout}", x, y, **beyond)
    return y


def tensors_of(name: str, given: Any) -> list[Tensor]:
    """The tensors of a list, or one alone; anything else is refused."""
    tensors = [given] if isinstance(given, Tensor) else given
    if not isinstance(tensors, (list, tuple)) or not tensors or \
            not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise TypeError(f"{name}: expected tensors, such as fastnn.Input((4,)) or a layer called on one gives, "
                        f"got {checks.describe(given)}")
    if len(set(tensors)) < len(tensors):
        raise ValueError(f"{name}: expected different tensors, got one twice")
    return list(tensors)


def named(given: list[str], base: str) -> list[str]:
    """The names given; "input", "input_1", ... where there is none."""
    names: list[str] = []
    for name in given:
        i = 0
        while not name or name in names:
            name, i = (f"{base}_{i}" if i else base), i + 1
        names.append(name)
    return names
