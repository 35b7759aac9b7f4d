"""How layers of sequences are written to ONNX; rows as in onnx_layers.py.

A recurrent layer is the operator of its name. Where steps are masked, or a SimpleRNN has an activation that RNN does
not, it is a Scan, which has one step written out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers import (
    ELU,
    GRU,
    LSTM,
    Activation,
    BatchNorm,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    GaussianNoise,
    HardSigmoid,
    Layer,
    LayerNorm,
    LeakyReLU,
    Masking,
    PReLU,
    SimpleRNN,
    TimeDistributed,
)
from .onnx_activations import element_by_element
from .onnx_emitter import Emitter, Value
from .onnx_layers import Exporter
from .orders import SAMPLES, STEPS

PLAIN = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid"}  # activations that RNN has
BY_STEP = (Dense, Activation, LeakyReLU, ELU, HardSigmoid, PReLU, Dropout, GaussianNoise, LayerNorm, BatchNorm)

# ONNX's order of gates, as columns of fastnn's: LSTM i o f c, of i f g o; GRU z r h, as here.
GATES: dict[type, tuple[int, ...]] = {SimpleRNN: (0,), LSTM: (0, 3, 1, 2), GRU: (0, 1, 2)}


def gates_first(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Columns gate by gate in another order, as rows: (n, gates units) becomes (gates units, n).

    Examples
    --------
    >>> gates_first(np.array([[1, 2, 3, 4]]), (0, 3, 1, 2)).ravel()
    array([1, 4, 2, 3])
    """
    parts = np.split(array, len(order), axis=-1)
    return np.concatenate([parts[i] for i in order], axis=-1).T


def recurrent(g: Emitter, layer: Any, x: Value, *starts: Value) -> Any:
    """The operator, or a Scan; its outputs as the layer has them."""
    if layer.stateful:
        raise ValueError(f"layer {g.layer!r}: ONNX keeps no state from one run to the next; make the layer with "
                         "return_state=True and call it on [x, states], so that the states are inputs and outputs")
    plain = x.mask is None and (type(layer) is not SimpleRNN or layer.choice.name in PLAIN)
    y, *states = (as_operator if plain else as_scan)(g, layer, x, [start.names[SAMPLES] for start in starts])
    steps = (layer.input_shape[0], layer.units)
    first = Value(steps, y, STEPS) if layer.return_sequences else Value((layer.units,), states[0])
    return (first, *(Value((layer.units,), s) for s in states)) if layer.return_state else first


def as_operator(g: Emitter, layer: Any, x: Value, starts: list[str]) -> list[str]:
    """RNN, LSTM or GRU: y (time, n, units), h, and c of an LSTM."""
    order, units = GATES[type(layer)], layer.units
    arrays: dict[str, Any] = {name: g.array(layer, name)
                              for name in ("weight", "recurrent_weight", "bias", "recurrent_bias")}
    constants = [g.constant(gates_first(arrays[name], order)[np.newaxis], name) for name in list(arrays)[:2]]
    bias = ""
    if arrays["bias"] is not None:
        recurrent_bias = np.zeros(len(order) * units)
        if arrays["recurrent_bias"] is not None:
            recurrent_bias[-units:] = arrays["recurrent_bias"]
        both = [gates_first(arrays["bias"][np.newaxis], order).ravel(), recurrent_bias]
        bias = g.constant(np.concatenate(both)[np.newaxis], "bias")
    first = [g.op("Unsqueeze", start, g.constant([0], "axis")) for start in starts]
    kind = {SimpleRNN: "RNN", LSTM: "LSTM", GRU: "GRU"}[type(layer)]
    settings: dict[str, Any] = {"hidden_size": units, "direction": "reverse" if layer.reverse else "forward"}
    if kind == "RNN":
        settings["activations"] = [PLAIN[layer.choice.name]]
    if kind == "GRU":
        settings["linear_before_reset"] = int(layer.reset_after)
    y, *states = g.op(kind, g.in_order(x, STEPS), *constants, *([bias, "", *first] if bias or first else []),
                      outputs=1 + layer.n_states, **settings)
    return [g.op("Squeeze", y, g.constant([1], "axis")),
            *(g.op("Squeeze", state, g.constant([0], "axis")) for state in states)]


def as_scan(g: Emitter, layer: Any, x: Value, starts: list[str]) -> list[str]:
    """The same; the state stays as it was where a step does not count."""
    z = projected(g, g.in_order(x, STEPS), g.array(layer, "weight"), g.array(layer, "bias"))
    if not starts:
        rows = g.op("Shape", g.in_order(x, SAMPLES), start=0, end=1)
        shape = g.op("Concat", rows, g.constant([layer.units], "units"), axis=0)
        starts = [g.op("ConstantOfShape", shape)] * layer.n_states
    sequences = [z]
    if x.mask is not None:
        sequences.append(of_steps(g, x.mask))
    kind, helper = g.onnx.TensorProto, g.onnx.helper
    with g.body() as nodes:
        before = [g.name(f"{g.layer}/state") for _ in starts]
        z_step, mask_step = g.name(f"{g.layer}/z"), g.name(f"{g.layer}/mask")
        after = STEP[type(layer)](g, layer, z_step, *before)
        if x.mask is not None:
            after = [g.op("Where", mask_step, new, old) for new, old in zip(after, before, strict=True)]
        after = [g.op("Identity", value) for value in (*after, after[0])]  # the last is y
    taken = [*before, z_step, *([mask_step] if x.mask is not None else [])]
    inputs = [helper.make_tensor_value_info(name, kind.BOOL if name == mask_step else kind.FLOAT, None)
              for name in taken]
    outputs = [helper.make_tensor_value_info(name, kind.FLOAT, None) for name in after]
    way = int(layer.reverse)
    *states, y = g.op("Scan", *starts, *sequences, outputs=len(starts) + 1, num_scan_inputs=len(sequences),
                      body=helper.make_graph(nodes, f"{g.layer}.step", inputs, outputs),
                      scan_input_directions=[way] * len(sequences), scan_output_directions=[way])
    return [y, *states]


def projected(g: Emitter, steps: str, weight: Any, bias: Any) -> str:
    """x W + b of all steps."""
    z = g.op("MatMul", steps, g.constant(weight, "weight"))
    return z if bias is None else g.op("Add", z, g.constant(bias, "bias"))


def of_steps(g: Emitter, mask: str) -> str:
    """A mask (n, time) as (time, n, 1)."""
    return g.op("Unsqueeze", g.op("Transpose", mask, perm=[1, 0]), g.constant([2], "axis"))


def rnn_step(g: Emitter, layer: Any, z: str, h: str) -> list[str]:
    """f(z + h U)."""
    total = g.op("Add", z, g.op("MatMul", h, g.constant(g.array(layer, "recurrent_weight"), "recurrent_weight")))
    return [element_by_element(g, layer.choice, total)]


def lstm_step(g: Emitter, layer: Any, z: str, h: str, c: str) -> list[str]:
    """c' = f c + i g, h' = o tanh(c')."""
    total = g.op("Add", z, g.op("MatMul", h, g.constant(g.array(layer, "recurrent_weight"), "recurrent_weight")))
    i, f, new, o = g.op("Split", total, axis=1, outputs=4)
    i, f, o = (g.op("Sigmoid", gate) for gate in (i, f, o))
    cell = g.op("Add", g.op("Mul", f, c), g.op("Mul", i, g.op("Tanh", new)))
    return [g.op("Mul", o, g.op("Tanh", cell)), cell]


def gru_step(g: Emitter, layer: Any, z: str, h: str) -> list[str]:
    """h' = z h + (1 - z) n."""
    weight, bias, n = g.array(layer, "recurrent_weight"), g.array(layer, "recurrent_bias"), layer.units
    assert weight is not None
    zx, rx, nx = g.op("Split", z, axis=1, outputs=3)
    zh, rh = g.op("Split", g.op("MatMul", h, g.constant(weight[:, :2 * n], "recurrent_weight")), axis=1, outputs=2)
    update, reset = g.op("Sigmoid", g.op("Add", zx, zh)), g.op("Sigmoid", g.op("Add", rx, rh))
    last = g.constant(weight[:, 2 * n:], "recurrent_weight_n")
    if layer.reset_after:
        nh = g.op("MatMul", h, last)
        nh = nh if bias is None else g.op("Add", nh, g.constant(bias, "recurrent_bias"))
        nh = g.op("Mul", reset, nh)
    else:
        nh = g.op("MatMul", g.op("Mul", reset, h), last)
    new = g.op("Tanh", g.op("Add", nx, nh))
    return [g.op("Add", new, g.op("Mul", update, g.op("Sub", h, new)))]


STEP: dict[type, Callable[..., list[str]]] = {SimpleRNN: rnn_step, LSTM: lstm_step, GRU: gru_step}


def bidirectional(g: Emitter, layer: Any, x: Value, *starts: Value) -> Any:
    """Both layers, their outputs merged step by step."""
    half = len(starts) // 2
    results = [recurrent(g, one, x, *own)
               for one, own in zip(layer.both, (starts[:half], starts[half:]), strict=True)]
    (a, *states), (b, *more) = (r if isinstance(r, tuple) else (r,) for r in results)
    names = [value.names[value.order] for value in (a, b)]
    if layer.merge == "concat":
        y = g.op("Concat", *names, axis=-1)
    else:
        y = g.op("Mul" if layer.merge == "mul" else "Add", *names)
        y = g.op("Mul", y, g.constant(0.5, "half")) if layer.merge == "ave" else y
    merged = Value(layer.output_shape, y, a.order)
    return (merged, *states, *more) if states else merged


def time_distributed(g: Emitter, layer: Any, x: Value) -> Value:
    """The layer inside, on the last axis; one that does not work on that alone, on steps as rows."""
    assert g.export is not None
    export = g.export(layer.layer)
    if isinstance(layer.layer, BY_STEP):
        return export(g, layer.layer, x)
    name = g.in_order(x, SAMPLES)
    rows = export(g, layer.layer, Value(x.shape[1:], g.op("Reshape", name, g.constant([-1, *x.shape[1:]], "rows"))))
    shape = g.op("Concat", g.op("Shape", name, start=0, end=2), g.constant([*rows.shape], "features"), axis=0)
    return Value((x.shape[0], *rows.shape), g.op("Reshape", rows.names[SAMPLES], shape))


def masking(g: Emitter, layer: Any, x: Value) -> Value:
    """The sequence itself; steps whose features all are the value do not count."""
    name = g.in_order(x, SAMPLES)
    other = g.op("Not", g.op("Equal", name, g.constant(np.float32(layer.mask_value), "value")))
    counts = g.op("ReduceMax", g.op("Cast", other, to=g.onnx.TensorProto.FLOAT), axes=[2], keepdims=0)
    return Value(x.shape, name, mask=g.op("Cast", counts, to=g.onnx.TensorProto.BOOL))


def embedding(g: Emitter, layer: Any, x: Value) -> Value:
    """Rows of a table."""
    tokens = x.names[SAMPLES]
    y = g.op("Gather", g.constant(g.array(layer, "weight"), "weight"), tokens, axis=0)
    return Value(layer.output_shape, y, mask=padding_mask(g, tokens) if layer.mask_zero else None)


def padding_mask(g: Emitter, tokens: str) -> str:
    """True where a token is not 0."""
    return g.op("Not", g.op("Equal", tokens, g.constant([0], "padding")))


SEQUENCES: dict[type[Layer], Exporter] = {
    SimpleRNN: recurrent, LSTM: recurrent, GRU: recurrent, Bidirectional: bidirectional,
    TimeDistributed: time_distributed, Masking: masking, Embedding: embedding,
}
