"""The rows of the catalogue for layers of sequences: what `fastnn.catalogue.Case` makes a small model of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .layers import (
    GRU,
    LSTM,
    Add,
    Bidirectional,
    Concatenate,
    Dense,
    Embedding,
    Flatten,
    Layer,
    Masking,
    SimpleRNN,
    TimeDistributed,
)
from .layers.tensor import Input, Tensor

N_OUT = 3
TOKENS = 9  # of an Embedding


def drawn_tokens(shape: tuple[int, ...]) -> Callable[[np.random.Generator, int], Any] | None:
    """What draws n samples of tokens and their labels, where samples are tokens."""
    if len(shape) > 1:
        return None
    return lambda rng, n: (rng.integers(0, TOKENS, (n, *shape)), rng.integers(0, N_OUT, n))


def _last() -> Dense:
    return Dense(N_OUT, "softmax")


def _encoder(kind: type, n_states: int) -> Callable[[], tuple[Tensor, Tensor]]:
    """A layer whose last states start another one, and whose output counts too."""
    def make() -> tuple[Tensor, Tensor]:
        x = Input((4, 5))
        h, *states = kind(6, return_state=True)(x)
        other = kind(6, return_state=True)([x, *states[:n_states]])
        return x, _last()(Add()([h, *other]))
    return make


def _both_ways() -> tuple[Tensor, Tensor]:
    x = Input((4, 5))
    y, *states = Bidirectional(GRU(3, return_sequences=True, return_state=True))(x)
    return x, _last()(Concatenate()([Flatten()(y), *states]))


def _both_ways_on(kind: type, n_states: int) -> Callable[[], tuple[Tensor, Tensor]]:
    """Both ways, from the states that both ways of another one end in."""
    def make() -> tuple[Tensor, Tensor]:
        x = Input((4, 5))
        h, *states = Bidirectional(kind(3, return_state=True))(x)
        other = Bidirectional(kind(3, return_state=True), "sum")([x, *states[:2 * n_states]])
        return x, _last()(Concatenate()([h, *other]))
    return make


def _looked_up_twice() -> tuple[Tensor, Tensor]:
    x, table = Input((4,)), Embedding(TOKENS, 5, lazy=True)
    return x, _last()(Flatten()(Add()([table(x), table(x)])))


# name, the layer it is about, what makes the layers, the shape of a sample; (time,) are tokens
SEQUENCES: tuple[tuple[str, type[Layer], Callable[[], Any], tuple[int, ...]], ...] = (
    ("simple-rnn", SimpleRNN, lambda: [SimpleRNN(17), _last()], (4, 5)),
    ("simple-rnn-gelu", SimpleRNN, lambda: [SimpleRNN(7, "gelu", return_sequences=True), Flatten(), _last()], (3, 5)),
    ("simple-rnn-reverse", SimpleRNN, lambda: [SimpleRNN(5, "relu", recurrent_initializer="identity", reverse=True),
                                               _last()], (4, 3)),
    ("simple-rnn-states", SimpleRNN, _encoder(SimpleRNN, 1), (4, 5)),
    ("lstm", LSTM, lambda: [LSTM(17), _last()], (4, 5)),
    ("lstm-stacked", LSTM, lambda: [LSTM(6, return_sequences=True), LSTM(5, return_sequences=True), Dense(4, "tanh"),
                                    Flatten(), _last()], (3, 5)),
    ("lstm-states", LSTM, _encoder(LSTM, 2), (4, 5)),
    ("lstm-masked", LSTM, lambda: [Embedding(TOKENS, 5, mask_zero=True), LSTM(6), _last()], (5,)),
    ("gru", GRU, lambda: [GRU(17), _last()], (4, 5)),
    ("gru-before", GRU, lambda: [GRU(7, reset_after=False, return_sequences=True), GRU(16, reset_after=False),
                                 _last()], (3, 5)),
    ("gru-states", GRU, _encoder(GRU, 1), (4, 5)),
    ("bidirectional", Bidirectional, _both_ways, (4, 5)),
    ("bidirectional-states", Bidirectional, _both_ways_on(GRU, 1), (4, 5)),
    ("bidirectional-states-lstm", Bidirectional, _both_ways_on(LSTM, 2), (4, 5)),
    *((f"bidirectional-{merge}", Bidirectional, lambda merge=merge: [Bidirectional(LSTM(6), merge), _last()], (4, 5))
      for merge in ("concat", "sum", "mul", "ave")),
    ("time-distributed", TimeDistributed, lambda: [TimeDistributed(Dense(7, "tanh")), Flatten(), _last()], (3, 5)),
    ("masking", Masking, lambda: [Masking(), GRU(6), _last()], (4, 2)),
    ("embedding", Embedding, lambda: [Embedding(TOKENS, 7), Flatten(), _last()], (3,)),
    ("embedding-lazy", Embedding, lambda: [Embedding(TOKENS, 5, lazy=True), SimpleRNN(6), _last()], (4,)),
    ("embedding-twice", Embedding, _looked_up_twice, (4,)),
)
