"""How layers of sequences are written in C; rows as in c_layers.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..layers import GRU, LSTM, Bidirectional, Embedding, Layer, Masking, SimpleRNN, TimeDistributed
from .c_layers import ROWS, copied, nothing


def recurrent(c: Any, layer: Any, *places: str) -> None:
    """A loop over the steps, on states that are outputs where these are wanted."""
    if layer.stateful:
        raise ValueError(f"layer {c.layer.name!r}: the state of a stateful layer cannot be written in C; make it "
                         "with return_state=True and call it on [x, states], so that they come in and go out")
    c.layer = layer
    n, (time, n_in) = layer.units, layer.input_shape
    n_out = 1 + layer.n_states * layer.return_state
    _, *starts = inputs = places[:-n_out]
    y, *states = places[-n_out:]
    if not states:
        states = [c.room(n) if layer.return_sequences else y, *(c.room(n) for _ in range(layer.n_states - 1))]
    for i, state in enumerate(states):
        if starts:
            c.call("copy", 1, n, n, 0, starts[i], state)
        else:
            c.call("zeros", n, state)
    every = y if layer.return_sequences else "0"
    arrays = [c.constant(name) for name in ("weight", "recurrent_weight", "bias")]
    settings = time, n_in, n, int(layer.reverse)
    if isinstance(layer, GRU):
        c.call("gru", c.settings((*settings, int(layer.reset_after))), inputs[0], *arrays, c.constant("recurrent_bias"),
               c.mask, *states, c.room(4 * n), every)
    elif isinstance(layer, LSTM):
        c.call("lstm", c.settings(settings), inputs[0], *arrays, c.mask, *states, c.room(4 * n), every)
    else:
        c.call("rnn", c.settings(settings), inputs[0], *arrays, c.mask, c.activation(layer.choice),
               f"(real){layer.choice.alpha!r}", *states, c.room(n), every)
    if not layer.return_sequences and states[0] != y:
        c.call("copy", 1, n, n, 0, states[0], y)


def bidirectional(c: Any, layer: Any, *places: str) -> None:
    """Both layers, their outputs merged step by step."""
    n_out = 1 + 2 * layer.forward_layer.n_states * layer.forward_layer.return_state
    (x, *starts), (y, *states) = places[:-n_out], places[-n_out:]
    n, half, first = layer.forward_layer.units, len(states) // 2, len(starts) // 2
    rows = math.prod(layer.forward_layer.output_shape) // n
    parts = [c.room(rows * n) for _ in range(2)]
    ways = (starts[:first], states[:half]), (starts[first:], states[half:])
    for one, part, (before, after) in zip(layer.both, parts, ways, strict=True):
        recurrent(c, one, x, *before, part, *after)
    for i, part in enumerate(parts):
        if layer.merge == "concat":
            c.call("copy", rows, n, 2 * n, i * n, part, y)
        elif i == 0:
            c.call("copy", 1, rows * n, rows * n, 0, part, y)
        else:
            c.call("multiply" if layer.merge == "mul" else "add", rows * n, part, y)
    if layer.merge == "ave":
        c.call("scale", rows * n, "(real)0.5", y)


def time_distributed(c: Any, layer: Any, x: str, y: str) -> None:
    """The layer inside, for each step."""
    inside, (time, n_in), n_out = layer.layer, layer.input_shape, layer.output_shape[-1]
    write = ROWS[type(inside)]
    if write is nothing:
        copied(c, layer, x, y)
        return
    c.layer, lines, c.lines = inside, c.lines, []
    write(c, inside, f"{x} + t * {n_in}", f"{y} + t * {n_out}")
    c.lines = [*lines, f"for (int t = 0; t < {time}; t++) {{", *(f"    {line}" for line in c.lines), "}"]


def embedding(c: Any, layer: Any, x: str, y: str) -> None:
    """Rows of a table."""
    time, n = layer.output_shape
    c.call("embedding", time, n, x, c.constant("weight"), y)
    if layer.mask_zero:
        c.call("token_mask", time, x, c.mask_for(time))


def masking(c: Any, layer: Any, x: str, y: str) -> None:
    """The sequence itself; steps whose features all are the value do not count."""
    copied(c, layer, x, y)
    time, n = layer.input_shape
    c.call("step_mask", time, n, f"(real){layer.mask_value!r}", x, c.mask_for(time))


SEQUENCES: dict[type[Layer], Callable[..., None]] = {
    SimpleRNN: recurrent, LSTM: recurrent, GRU: recurrent, Bidirectional: bidirectional,
    TimeDistributed: time_distributed, Masking: masking, Embedding: embedding,
}
