"""An ONNX graph as read: its nodes as plain data, constants folded, decompositions put back together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from .onnx_activations import DECOMPOSED
from .onnx_emitter import Emitter, Value
from .onnx_pooling import largest_of_steps, mean_of_steps
from .onnx_sequences import masking, of_steps, padding_mask, projected

MATCHED = "fastnn."  # how the kinds begin of nodes that stand for several
COMMUTE = ("Add", "Mul")
WITH_STATES = {"RNN", "LSTM", "GRU", "Scan"}


@dataclass(frozen=True)
class Pattern:
    """Several nodes that are one thing.

    Attributes
    ----------
    write : callable
        Of an emitter and the names of its variables: writes the nodes, returns the name of what they give, or several.
    variables : tuple of str
        Values that it is a function of.
    captured : tuple of str
        Constants of the layer that may be anything.
    """

    write: Callable[..., Any]
    variables: tuple[str, ...] = ("x",)
    captured: tuple[str, ...] = ()


def _row_normalize(order: int) -> Callable[[Emitter, str], str]:
    def write(g: Emitter, x: str) -> str:
        norm = g.op(f"ReduceL{order}", x, axes=[1], keepdims=1)
        return g.op("Div", x, g.op("Max", norm, g.constant(np.finfo(np.float32).tiny)))
    return write


def _pool(export: Callable[..., Value]) -> Callable[[Emitter, str, str], str]:
    def write(g: Emitter, x: str, mask: str) -> str:
        y = export(g, SimpleNamespace(output_shape=(1,)), Value((1, 1), x, mask=mask))
        return y.names[y.order]
    return write


def _step_mask(g: Emitter, x: str) -> str | None:
    return masking(g, SimpleNamespace(mask_value=0.0), Value((1, 1), x)).mask


# How things are written that are one, and the kind of the node that stands for them.
PATTERNS: dict[str, Pattern] = {
    **{MATCHED + name: Pattern(write) for name, write in DECOMPOSED.items() if name != "hard_tanh"},  # one node: Clip
    MATCHED + "row_normalize_l1": Pattern(_row_normalize(1)), MATCHED + "row_normalize_l2": Pattern(_row_normalize(2)),
    MATCHED + "mean_of_steps": Pattern(_pool(mean_of_steps), ("x", "mask")),
    MATCHED + "largest_of_steps": Pattern(_pool(largest_of_steps), ("x", "mask")),
    MATCHED + "token_mask": Pattern(padding_mask),
    MATCHED + "step_mask": Pattern(_step_mask, captured=("value",)),
}
# What goes into a Scan that is a recurrent layer: the steps times a matrix; the mask.
PROJECTIONS = [Pattern(lambda g, x, bias=bias: projected(g, x, np.zeros(1), np.ones(1) if bias else None),
                       captured=("weight", "bias") if bias else ("weight",)) for bias in (True, False)]
MASK_OF_STEPS = Pattern(of_steps)


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
    outside : dict of str to ndarray, optional
        Constants of the graph around it.
    """

    def __init__(self, graph: Any, onnx: Any, outside: Mapping[str, np.ndarray] | None = None) -> None:
        self.onnx = onnx
        self.constants = dict(outside or {})
        self.constants |= {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
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
            elif node.kind == "ConstantOfShape" and takers.get(node.outputs[0], set()) <= WITH_STATES and not (
                    "value" in node.attributes and onnx.numpy_helper.to_array(node.attributes["value"]).any()):
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
        drawn = {kind: (pattern, Drawn(pattern, self.onnx)) for kind, pattern in PATTERNS.items()}
        together = {}
        for node in nodes:
            if node.kind == "Scan":
                together[node.outputs[0]] = self._scan(node)
            for kind, (pattern, picture) in drawn.items():
                bound = picture.match(self, node.outputs[0], {})
                if bound is not None:
                    arrays = {name: self.constants[bound[name]] for name in pattern.captured}
                    together[node.outputs[0]] = Node(kind, node.name, [bound[v] for v in pattern.variables],
                                                     node.outputs, arrays)
                    break
        self.maker |= {name: node for node in together.values() for name in node.outputs if name}

    def _scan(self, node: Node) -> Node:
        """A Scan over steps times a matrix, that and the mask a part of it: its inputs are the steps, the mask or "",
        and the first states. Any other stays as it is."""
        steps = node.attributes.get("num_scan_inputs", 0)
        states, sequences = node.inputs[:-steps], node.inputs[-steps:]
        mask = Drawn(MASK_OF_STEPS, self.onnx).match(self, sequences[1], {}) if steps == 2 else {"x": ""}
        for pattern in PROJECTIONS if steps in (1, 2) and mask else ():
            found = Drawn(pattern, self.onnx).match(self, sequences[0], {})
            if found is not None and mask:
                arrays = {name: self.constants[found[name]] for name in pattern.captured}
                return Node(MATCHED + "Scan", node.name, [found["x"], mask["x"], *states], node.outputs,
                            {**node.attributes, **arrays})
        return node


class Drawn:
    """The nodes of a pattern, to be found again."""

    def __init__(self, pattern: Pattern, onnx: Any, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        g = Emitter(dict(arrays or {}), onnx)
        results = pattern.write(g, *pattern.variables)
        self.results = [results] if isinstance(results, str) else list(results)
        self.free = {*pattern.variables, *pattern.captured}
        self.constants = g.constants
        self.made = {name: Node(p.op_type, "", list(p.input), list(p.output),
                                {a.name: _attribute(a, onnx) for a in p.attribute})
                     for p in g.nodes for name in p.output}

    def match(self, nodes: Nodes, got: str, bound: dict[str, str], result: int = 0) -> dict[str, str] | None:
        """What its variables and captured constants are, if the value `got` is made as it makes a result; or None."""
        return self._match(nodes, self.results[result], got, bound)

    def _match(self, nodes: Nodes, wanted: str, got: str, bound: dict[str, str]) -> dict[str, str] | None:
        free = wanted.removeprefix(".")  # names of a layer without one
        if free in self.free:
            fits = bound.get(free, got) == got and (got in nodes.constants) == (wanted in self.constants)
            return {**bound, free: got} if fits else None
        if wanted in self.constants:
            constant = nodes.constants.get(got)
            same = constant is not None and constant.size == 1 and \
                np.allclose(constant.astype(np.float64), self.constants[wanted], rtol=1e-5, atol=0)
            return bound if same else None
        pattern, node = self.made[wanted], nodes.maker.get(got)
        if node is None or node.kind != pattern.kind or len(node.inputs) != len(pattern.inputs) or \
                node.attributes != pattern.attributes or node.outputs.index(got) != pattern.outputs.index(wanted):
            return None
        for inputs in [node.inputs, node.inputs[::-1]][:1 + (node.kind in COMMUTE)]:
            found: dict[str, str] | None = bound
            for w, g in zip(pattern.inputs, inputs, strict=True):
                found = None if found is None else self._match(nodes, w, g, found)
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
