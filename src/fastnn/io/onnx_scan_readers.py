"""What a Scan becomes that is a recurrent layer written out, and the masks that it and pooling over time look at."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..layers import GRU, LSTM, GlobalAveragePool1D, GlobalMaxPool1D, Masking, SimpleRNN
from ..masks import mask_source
from .onnx_nodes import MATCHED, Drawn, Node, Nodes, Pattern
from .onnx_readers import choice_of, require, value
from .onnx_sequences import gru_step, lstm_step
from .orders import SAMPLES, STEPS, Read


def require_mask(reader: Any, node: Node, x: Read, name: str = "") -> None:
    """Refuse a node that looks at another mask than its layer would."""
    mask = reader.masks.get(name) if name else None
    require(node, mask_source(x.tensor) is mask and (mask is not None or not name),
            "the mask of its sequence, which all that looks at masks shares")


def token_mask(reader: Any, node: Node) -> None:
    """Of an Embedding, which has read it (`onnx_sequence_readers.gather`)."""
    reader.masks[node.outputs[0]] = value(reader, node).tensor


def step_mask(reader: Any, node: Node) -> None:
    """A Masking layer; what comes after this node has its output in the place of the sequence."""
    x, number = value(reader, node), node.attributes["value"]
    require(node, x.order == SAMPLES and len(x.shape) == 2 and number.size == 1, "sequences and one number")
    reader.call(Masking(float(number.ravel()[0])), x, node, SAMPLES, output=node.inputs[0])
    reader.masks[node.outputs[0]] = reader.values[node.inputs[0]].tensor


def masked_pool(cls: type) -> Callable[[Any, Node], None]:
    """The mean or the largest of the steps that count."""
    def read(reader: Any, node: Node) -> None:
        x = value(reader, node)
        require(node, x.order == SAMPLES and len(x.shape) == 2, "sequences (n, time, features)")
        require_mask(reader, node, x, node.inputs[1])
        reader.call(cls(), x, node, SAMPLES)
    return read


class Cell(NamedTuple):
    """A layer's step, as it is written."""

    cls: type
    settings: dict[str, Any]
    pattern: Pattern


def _cell(cls: type, step: Callable[..., list[str]], states: str, captured: str, **settings: Any) -> Cell:
    names = captured.split()

    def write(g: Any, *variables: str) -> list[str]:
        g.arrays.update({name: np.ones((2, 6) if "weight" in name else 2) for name in names})
        segments = {name: SimpleNamespace(name=name) for name in names}
        return step(g, SimpleNamespace(segments=segments, persistent={}, units=2, **settings), *variables)

    return Cell(cls, settings, Pattern(write, ("z", *states.split()), tuple(names)))


CELLS = [
    _cell(LSTM, lstm_step, "h c", "recurrent_weight"),
    _cell(GRU, gru_step, "h", "recurrent_weight recurrent_weight_n recurrent_bias", reset_after=True),
    _cell(GRU, gru_step, "h", "recurrent_weight recurrent_weight_n", reset_after=True),
    _cell(GRU, gru_step, "h", "recurrent_weight recurrent_weight_n", reset_after=False),
]


def _sum(g: Any, z: str, h: str) -> str:
    """What a SimpleRNN's activation is of."""
    return g.op("Add", z, g.op("MatMul", h, g.constant(np.ones((2, 2)), "recurrent_weight")))


SUM = Pattern(_sum, ("z", "h"), ("recurrent_weight",))


def scan(reader: Any, node: Node) -> None:
    """A recurrent layer whose step is written out."""
    x, given = value(reader, node), node.attributes
    ways = {*given.get("scan_input_directions", [0]), *given.get("scan_output_directions", [0])}
    require(node, x.order == STEPS and len(ways) == 1 and not any(given.get("scan_input_axes", [])) and
            not any(given.get("scan_output_axes", [])), "sequences (time, n, features), read and written one way")
    require_mask(reader, node, x, node.inputs[1])
    layer, arrays = _layer(reader, node)
    starts = []
    for name in node.inputs[2:]:
        known = reader.nodes.constant(name)
        if known is None:
            starts.append(reader.values[name].tensor)
        require(node, known is None or not known.any(), "first states that are inputs, or zero")
    used = [reader.nodes.uses[name] > 0 for name in node.outputs]
    layer.return_sequences = used[-1]
    layer.return_state = any(used[1:-1]) or used[0] and used[-1]
    layer.reverse = ways == {1}
    layer.given_name = reader.layer_name(node)
    layer.name = layer.given_name or layer.name
    result = layer([x.tensor, *starts] if starts else x.tensor)
    reader.arrays.append((layer, {name: given[name] for name in ("weight", "bias") if name in given} | arrays))
    first, *states = result if isinstance(result, tuple) else (result,)
    for name, state in zip(node.outputs[:-1], states or [first], strict=bool(states)):
        reader.values[name] = Read(state, SAMPLES)
    reader.values[node.outputs[-1]] = Read(first, STEPS)


def _layer(reader: Any, node: Node) -> tuple[Any, dict[str, np.ndarray]]:
    """The layer that the body is a step of, and the arrays in the body."""
    graph, use_bias = node.attributes["body"], "bias" in node.attributes
    body = Nodes(graph, reader.nodes.onnx, reader.nodes.constants)
    taken, n_states = [entry.name for entry in graph.input], len(node.inputs) - 2
    states, masks = taken[:n_states], taken[n_states + 1:]
    after = [_new(body, name, masks, old) for name, old in zip(body.outputs, [*states, states[0]], strict=True)]
    bound = dict(zip(("z", "h", "c"), [taken[n_states], *states], strict=False))
    for cell in CELLS if after[0] == after[-1] else ():
        arrays = _found(cell.pattern, body, after[:-1], bound)
        if arrays is not None:
            if "recurrent_weight_n" in arrays:
                parts = arrays["recurrent_weight"], arrays.pop("recurrent_weight_n")
                arrays["recurrent_weight"] = np.concatenate(parts, axis=1)
            use_bias = use_bias or "recurrent_bias" in arrays
            return cell.cls(len(arrays["recurrent_weight"]), use_bias=use_bias, **cell.settings), arrays
    last = body.maker.get(after[0])
    choice = None if last is None else choice_of(SimpleNamespace(nodes=body), last)  # type: ignore[arg-type]
    total = after[0] if last is None or choice is None else last.inputs[0]
    arrays = _found(SUM, body, [total], bound) if after[0] == after[-1] else None
    require(node, arrays is not None, "the step of a SimpleRNN, LSTM or GRU as to_onnx writes it")
    assert arrays is not None
    return SimpleRNN(len(arrays["recurrent_weight"]), choice or "identity", use_bias=use_bias), arrays


def _found(pattern: Pattern, body: Nodes, results: list[str], known: dict[str, str]) -> dict[str, np.ndarray] | None:
    """The captured arrays of a pattern whose results these are; None if they are not."""
    if len(pattern.variables) != len(known):
        return None
    drawn, bound = Drawn(pattern, body.onnx), known
    for i, name in enumerate(results):
        found = drawn.match(body, name, bound, i)
        if found is None:
            return None
        bound = found
    return {name: body.constants[bound[name]] for name in pattern.captured}


def _new(body: Nodes, name: str, masks: list[str], old: str) -> str:
    """A state after the step, without the copy and the mask around it."""
    node = body.maker.get(name)
    while node is not None and node.kind == "Identity":
        name = node.inputs[0]
        node = body.maker.get(name)
    if masks and node is not None and node.kind == "Where" and node.inputs[::2] == [masks[0], old]:
        return node.inputs[1]
    return name if not masks else ""


SCANS: dict[str, Callable[[Any, Node], None]] = {
    MATCHED + "token_mask": token_mask, MATCHED + "step_mask": step_mask, MATCHED + "Scan": scan,
    MATCHED + "mean_of_steps": masked_pool(GlobalAveragePool1D),
    MATCHED + "largest_of_steps": masked_pool(GlobalMaxPool1D),
}
