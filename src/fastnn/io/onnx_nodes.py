"""An ONNX graph as read: its nodes as plain data, constants folded, decompositions put back together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .onnx_activations import DECOMPOSED
from .onnx_emitter import Emitter

MATCHED = "fastnn."  # how the kinds begin of nodes that stand for several
COMMUTE = ("Add", "Mul")


def _row_normalize(order: int) -> Callable[[Emitter, str], str]:
    def write(g: Emitter, x: str) -> str:
        norm = g.op(f"ReduceL{order}", x, axes=[1], keepdims=1)
        return g.op("Div", x, g.op("Max", norm, g.constant(np.finfo(np.float32).tiny)))
    return write


# Several nodes that are one thing: how they are written, and the kind of the node that stands for them.
PATTERNS: dict[str, Callable[[Emitter, str], str]] = {
    **{MATCHED + name: write for name, write in DECOMPOSED.items() if name != "hard_tanh"},  # one node: Clip
    MATCHED + "row_normalize_l1": _row_normalize(1), MATCHED + "row_normalize_l2": _row_normalize(2),
}


@dataclass
class Node:
    """One node."""

    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"node {self.name or self.outputs[0]!r} ({self.kind.removeprefix(MATCHED)})"


class Nodes:
    """The nodes that the outputs depend on, in order, and the constants.

    Parameters
    ----------
    graph : onnx.GraphProto
        The graph.
    onnx : module
        The package.
    """

    def __init__(self, graph: Any, onnx: Any) -> None:
        self.onnx = onnx
        self.constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.outputs = [output.name for output in graph.output]
        takers: dict[str, set[str]] = {}  # kinds of nodes by the values that they take
        for proto in graph.node:
            for name in proto.input:
                takers.setdefault(name, set()).add(proto.op_type)
        nodes = []
        for proto in graph.node:
            node = Node(proto.op_type, proto.name, list(proto.input), list(proto.output),
                        {a.name: _attribute(a, onnx) for a in proto.attribute})
            if proto.domain not in ("", "ai.onnx"):
                raise ValueError(f"{node}: expected operators of the standard domain, got one of {proto.domain!r}")
            if node.kind == "Constant" and "value" in node.attributes:
                self.constants[node.outputs[0]] = onnx.numpy_helper.to_array(node.attributes["value"])
            elif node.kind == "ConstantOfShape" and takers.get(node.outputs[0], set()) <= {"RNN", "LSTM", "GRU"} and \
                    not ("value" in node.attributes and onnx.numpy_helper.to_array(node.attributes["value"]).any()):
                self.constants[node.outputs[0]] = np.zeros(1, np.float32)  # the states that a sequence starts from
            elif node.kind == "Identity" and node.inputs[0] in self.constants:
                self.constants[node.outputs[0]] = self.constants[node.inputs[0]]
            else:
                nodes.append(node)
        self.maker = {name: node for node in nodes for name in node.outputs if name}
        self._put_together(nodes)
        wanted = set(self.outputs)
        self.nodes: list[Node] = []
        for node in reversed(nodes):
            node = self.maker[node.outputs[0]]
            if wanted & set(node.outputs):
                wanted |= set(node.inputs)
                self.nodes.append(node)
        self.nodes.reverse()
        self.uses = Counter([*(name for node in self.nodes for name in node.inputs if name), *self.outputs])
        self.users: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(filter(None, node.inputs)):
                self.users.setdefault(name, []).append(node)

    def only_user(self, name: str) -> Node | None:
        """The node that alone sees a value, and once."""
        return self.users[name][0] if self.uses[name] == 1 and name in self.users else None

    def constant(self, name: str) -> np.ndarray | None:
        """The array of a constant; None of anything else."""
        return self.constants.get(name)

    def _put_together(self, nodes: list[Node]) -> None:
        """Let one node stand for each pattern: the one that ended it."""
        scratch = {}
        for kind, write in PATTERNS.items():
            emitter = Emitter({}, self.onnx)
            last = write(emitter, "x")
            made = {name: Node(p.op_type, "", list(p.input), list(p.output),
                               {a.name: _attribute(a, self.onnx) for a in p.attribute})
                    for p in emitter.nodes for name in p.output}
            scratch[kind] = last, made, emitter.constants
        for node in nodes:
            for kind, (last, made, constants) in scratch.items():
                bound = self._match(made, constants, last, node.outputs[0], {})
                if bound is not None:
                    self.maker[node.outputs[0]] = Node(kind, node.name, [bound["x"]], node.outputs)
                    break

    def _match(self, made: dict[str, Node], constants: dict[str, np.ndarray], wanted: str, got: str,
               bound: dict[str, str]) -> dict[str, str] | None:
        """What "x" is if the value `got` is made as the pattern makes `wanted`; None if it is not."""
        if wanted == "x":
            return {"x": got} if bound.get("x", got) == got and got not in self.constants else None
        if wanted in constants:
            constant = self.constants.get(got)
            same = constant is not None and constant.size == 1 and \
                np.allclose(constant.astype(np.float64), constants[wanted], rtol=1e-5, atol=0)
            return bound if same else None
        pattern, node = made[wanted], self.maker.get(got)
        if node is None or node.kind != pattern.kind or len(node.inputs) != len(pattern.inputs) or \
                node.attributes != pattern.attributes:
            return None
        for inputs in [node.inputs, node.inputs[::-1]][:1 + (node.kind in COMMUTE)]:
            found: dict[str, str] | None = bound
            for w, g in zip(pattern.inputs, inputs, strict=True):
                found = None if found is None else self._match(made, constants, w, g, found)
            if found is not None:
                return found
        return None


def _attribute(proto: Any, onnx: Any) -> Any:
    value = onnx.helper.get_attribute_value(proto)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (list, tuple)):
        return [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value]
    return value
