"""What the ONNX operators of sequences become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers import GRU, LSTM, Embedding, SimpleRNN
from .onnx_nodes import MATCHED, Node
from .onnx_readers import constant, optional, require, value
from .onnx_scan_readers import require_mask
from .onnx_sequences import GATES, PLAIN
from .orders import SAMPLES, STEPS, Read

HIDDEN, STATE = "hidden", "state"  # orders with an axis of directions: (time, 1, n, units), (1, n, units)


def recurrent(cls: Any) -> Callable[[Any, Node], None]:
    """RNN, LSTM or GRU in one direction."""
    def read(reader: Any, node: Node) -> None:
        x, given, order = value(reader, node), node.attributes, GATES[cls]
        weight, recurrent_weight = (constant(reader, node, i, what)[0] for i, what in ((1, "W"), (2, "R")))
        both, units = optional(reader, node, 3, "B"), recurrent_weight.shape[1]
        direction = given.get("direction", "forward")
        require(node, x.order == STEPS and direction in ("forward", "reverse") and not given.get("layout", 0) and
                "clip" not in given and not (len(node.inputs) > 4 and node.inputs[4]) and
                not any(node.inputs[7:]) and len(weight) == len(order) * units,
                "sequences (time, n, features), one direction, no sequence_lens, clip or peepholes")
        require_mask(reader, node, x)
        settings: dict[str, Any] = {"units": units, "reverse": direction == "reverse", "use_bias": both is not None}
        default = {SimpleRNN: ["Tanh"], LSTM: ["Sigmoid", "Tanh", "Tanh"], GRU: ["Sigmoid", "Tanh"]}[cls]
        functions = given.get("activations", default)
        if cls is SimpleRNN:
            names = {onnx: name for name, onnx in PLAIN.items()}
            require(node, functions[0] in names, f"an activation of {', '.join(names)}")
            settings["activation"] = names[functions[0]]
        else:
            require(node, functions == default, f"activations {default}")
        if cls is GRU:
            settings["reset_after"] = bool(given.get("linear_before_reset", 0))
        arrays = {"weight": columns(weight, order), "recurrent_weight": columns(recurrent_weight, order)}
        if both is not None:
            first, second = np.split(both[0], 2)
            if cls is GRU and settings["reset_after"]:
                first = np.concatenate([first[:-units] + second[:-units], first[-units:]])
                arrays["recurrent_bias"] = second[-units:]
            else:
                first = first + second
            arrays["bias"] = columns(first[:, np.newaxis], order)[0]
        call(reader, node, x, cls, settings, arrays)
    return read


def columns(rows: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Rows gate by gate in ONNX's order, as fastnn's columns."""
    parts = np.split(rows, len(order))
    return np.concatenate([parts[order.index(i)] for i in range(len(order))]).T


def call(reader: Any, node: Node, x: Read, cls: Any, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Call the layer on the sequence and the states that the file has; its outputs are those that are used."""
    starts = []
    for name in node.inputs[5:7]:
        given = reader.nodes.constant(name) if name else None
        if name and given is None:
            start = reader.values[name]
            require(node, start.order == STATE, "states of one direction")
            starts.append(start.tensor)
        elif given is not None:
            require(node, not given.any(), "states that are inputs, or zero")
    used = [bool(name) and reader.nodes.uses[name] > 0 for name in node.outputs]
    states = used[0] and any(used[1:]) or any(used[2:])
    layer = cls(return_sequences=used[0], return_state=states, **settings)
    layer.given_name = reader.layer_name(node)
    layer.name = layer.given_name or layer.name
    result = layer([x.tensor, *starts] if starts else x.tensor)
    reader.arrays.append((layer, arrays))
    first, *last = result if isinstance(result, tuple) else (result,)
    outputs = dict(zip(node.outputs[1:], [Read(s, STATE) for s in last] or [Read(first, STATE)], strict=False))
    reader.values |= {**outputs, node.outputs[0]: Read(first, HIDDEN)}


def squeeze(reader: Any, node: Node) -> None:
    """Without the axis of directions."""
    x, axes = value(reader, node), optional(reader, node, 1, "axes")
    known = {(HIDDEN, 1): STEPS, (STATE, 0): SAMPLES}
    order = known.get((x.order, int(axes[0]))) if axes is not None and len(axes) == 1 else None
    require(node, order is not None, "the axis of directions of a recurrent layer")
    reader.values[node.outputs[0]] = Read(x.tensor, order or SAMPLES)


def unsqueeze(reader: Any, node: Node) -> None:
    """Rows as the first state of a recurrent layer."""
    x, axes = value(reader, node), optional(reader, node, 1, "axes")
    require(node, axes is not None and list(axes) == [0] and len(x.shape) == 1 and x.places is None,
            "rows, to be states of a recurrent layer")
    reader.values[node.outputs[0]] = Read(x.tensor, STATE)


def gather(reader: Any, node: Node) -> None:
    """Rows of a table: an Embedding."""
    table = constant(reader, node, 0, "table")
    tokens = value(reader, node, 1)
    require(node, table.ndim == 2 and not node.attributes.get("axis", 0) and len(tokens.shape) == 1 and
            tokens.tensor.node is None, "rows of a table, for tokens (n, time)")
    masked = any(user.kind == MATCHED + "token_mask" for user in reader.nodes.users[node.inputs[1]])
    reader.call(Embedding(*table.shape, mask_zero=masked), tokens, node, SAMPLES, {"weight": table})


SEQUENCES: dict[str, Callable[[Any, Node], None]] = {
    "RNN": recurrent(SimpleRNN), "LSTM": recurrent(LSTM), "GRU": recurrent(GRU), "Squeeze": squeeze,
    "Unsqueeze": unsqueeze, "Gather": gather,
}
