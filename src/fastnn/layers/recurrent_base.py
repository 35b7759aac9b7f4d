"""What recurrent layers have in common: sequences and states in and out, weights, backward through time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import checks, initializers
from ..initializers import Initializer
from ..program import Builder, Operand
from ..regularizers import Regularizer, config, get_regularizer
from .base import Layer, Vectors

States = tuple[Operand | None, ...]


class Recurrent(Layer):
    """What `SimpleRNN`, `LSTM` and `GRU` are: a state that goes from step to step through a sequence.

    Takes samples of shape ``(time, features)``, gives the state after the last step, ``(units,)``, or that
    after every step, ``(time, units)``. Called on a list ``[x, h0]`` of a graph (the LSTM: ``[x, h0, c0]``)
    it starts from those states, of shape ``(units,)``, in place of zeros.

    Parameters
    ----------
    units : int
        Size of the state.
    return_sequences : bool
        Give the state after every step.
    return_state : bool
        Give the last state too, as further outputs: h, and c of an LSTM.
    reverse : bool
        Work from the last step to the first. ``y[t]`` stays at its place t, and the last state is that of
        step 0. (Keras's ``go_backwards`` turns y around as well.)
    stateful : bool
        Start each batch from where the one before ended, row by row; ``model.reset_states()`` sets the state
        to zeros. Wants `batch_size`, and ``shuffle=False`` in `fit`.
    batch_size : int, optional
        Rows of every batch of a stateful layer.
    bptt_steps : int, optional
        Truncated backpropagation through time: no gradient of the state goes back across a multiple of so
        many steps, counted in the order of the work. All steps, where None.
    use_bias : bool
        Whether the biases are there.
    kernel_initializer, recurrent_initializer : str or Initializer
        How each gate's part of `weight` (n_in, units) and `recurrent_weight` (units, units) starts; "identity"
        for the latter is the start that Le, Jaitly and Hinton (2015) gave ReLU units.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties.
    name : str, optional
        The layer's name in the model.

    Notes
    -----
    Where a step is masked (`fastnn.Masking`, ``Embedding(mask_zero=True)``) the state stays as it was, and the
    output repeats it; so the last state of a sequence that was padded at its end is that of its own last step.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.SimpleRNN(3)], input_shape=(5, 2), seed=0)
    >>> model.predict(np.ones((4, 5, 2))).shape
    (4, 3)
    """

    layouts = ("time",)
    takes_many = True
    gates: tuple[str, ...] = ("",)  # in the order of their columns
    n_states = 1
    prefix = ""  # of the arrays' names, where two layers are one (Bidirectional)

    def __init__(self, units: int, *, return_sequences: bool = False, return_state: bool = False,
                 reverse: bool = False, stateful: bool = False, batch_size: int | None = None,
                 bptt_steps: int | None = None, use_bias: bool = True,
                 kernel_initializer: str | Initializer = "glorot_uniform",
                 recurrent_initializer: str | Initializer = "orthogonal",
                 kernel_regularizer: str | Regularizer | dict | None = None,
                 recurrent_regularizer: str | Regularizer | dict | None = None,
                 bias_regularizer: str | Regularizer | dict | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.units = checks.positive_int("units", units)
        self.return_sequences = checks.boolean("return_sequences", return_sequences)
        self.return_state = checks.boolean("return_state", return_state)
        self.reverse = checks.boolean("reverse", reverse)
        self.stateful = checks.boolean("stateful", stateful)
        self.batch_size = None if batch_size is None else checks.positive_int("batch_size", batch_size)
        if self.stateful != (self.batch_size is not None):
            raise ValueError(f"batch_size: expected a number with stateful=True and none without, got "
                             f"stateful={stateful}, batch_size={batch_size}")
        self.bptt_steps = None if bptt_steps is None else checks.positive_int("bptt_steps", bptt_steps)
        self.use_bias = checks.boolean("use_bias", use_bias)
        for argument, value in (("kernel_initializer", kernel_initializer),
                                ("recurrent_initializer", recurrent_initializer)):
            initializers.get(argument, value)
        self.kernel_initializer, self.recurrent_initializer = kernel_initializer, recurrent_initializer
        self.kernel_regularizer = get_regularizer("kernel_regularizer", kernel_regularizer)
        self.recurrent_regularizer = get_regularizer("recurrent_regularizer", recurrent_regularizer)
        self.bias_regularizer = get_regularizer("bias_regularizer", bias_regularizer)

    @property
    def across_rows(self) -> bool:  # type: ignore[override]
        return self.stateful

    @property
    def state_rows(self) -> int | None:  # type: ignore[override]
        return self.batch_size

    # ---- arrays ----

    def build(self, shape: tuple, vectors: Vectors) -> None:
        shapes = shape if isinstance(shape[0], tuple) else (shape,)
        x, *starts = shapes
        if len(x) != 2:
            raise ValueError(f"layer {self.name!r}: {type(self).__name__} expects samples of shape (time, features), "
                             f"got {x}; put an Embedding before it for tokens, or a Reshape")
        if starts and (len(starts) != self.n_states or any(s != (self.units,) for s in starts)):
            raise ValueError(f"layer {self.name!r}: expected {self.n_states} initial states of shape ({self.units},) "
                             f"after the sequence, got {', '.join(map(str, starts))}")
        self.input_shape = x
        self.output_shape = (x[0], self.units) if self.return_sequences else (self.units,)
        columns = len(self.gates) * self.units

        def add(name: str, shape: tuple[int, ...], regularizer: Regularizer | None) -> None:
            self.segments[name] = vectors.parameters.add(f"{self.name}.{self.prefix}{name}", shape,
                                                         regularizer=regularizer)

        self.segments = {}
        add("weight", (x[1], columns), self.kernel_regularizer)
        add("recurrent_weight", (self.units, columns), self.recurrent_regularizer)
        if self.use_bias:
            for name, n in self.biases().items():
                add(name, (n,), self.bias_regularizer)
        self.persistent = {}
        for name in "hc"[:self.n_states] if self.stateful else "":
            self.persistent[f"state_{name}"] = vectors.persistent.add(
                f"{self.name}.{self.prefix}state_{name}", (self.batch_size or 0, self.units))

    def biases(self) -> dict[str, int]:
        """Names of the biases, and their sizes."""
        return {"bias": len(self.gates) * self.units}

    @property
    def output_shapes(self) -> tuple:
        return (self.output_shape, *[(self.units,)] * (self.n_states * self.return_state))

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        n_in, n = self.input_shape[1], self.units
        kernel = initializers.get("kernel_initializer", self.kernel_initializer)
        recurrent = initializers.get("recurrent_initializer", self.recurrent_initializer)
        return {"weight": np.hstack([kernel(rng, (n_in, n), n_in, n) for _ in self.gates]),
                "recurrent_weight": np.hstack([recurrent(rng, (n, n), n, n) for _ in self.gates])}

    def parameters(self, builder: Builder, *names: str) -> list[Operand | None]:
        """The arrays of these names as operands, None for those that are not there."""
        return [builder.parameter(self.segments[name]) if name in self.segments else None for name in names]

    # ---- forward ----

    def forward(self, builder: Builder, x: Operand | tuple[Operand, ...], *,  # type: ignore[override]
                activate: bool = True) -> Any:
        x, *starts = x if isinstance(x, tuple) else (x,)
        first: list[Operand | None] = list(starts) or [self._carried(builder, i) for i in range(self.n_states)]
        y = builder.arena(("BT", self.units))
        wanted = self.return_state or not self.return_sequences or self.stateful
        last = [builder.arena(("B", self.units)) if wanted else None for _ in range(self.n_states)]
        kept = self.emit_forward(builder, x, first, y, last)
        if self.stateful and (builder.updates or not builder.training):
            for segment, state in zip(self.persistent.values(), last, strict=True):
                builder.emit("copy_columns", state, replace(builder.persistent_array(segment), shape=("B", self.units)),
                             count=self.units)
        builder.saved[self] = x, first, bool(starts), y, kept
        result = (y if self.return_sequences else last[0], *last[:self.n_states * self.return_state])
        return result if self.return_state else result[0]

    def _carried(self, builder: Builder, i: int) -> Operand | None:
        """A stateful layer's state from the batch before; a copy, for the backward, of what the forward replaces."""
        if not self.stateful:
            return None
        segment = list(self.persistent.values())[i]
        state = builder.arena(("B", self.units))
        builder.emit("copy_columns", replace(builder.persistent_array(segment), shape=("B", self.units)), state,
                     count=self.units)
        return state

    def emit_forward(self, builder: Builder, x: Operand, first: list[Operand | None], y: Operand,
                     last: list[Operand | None]) -> Any:
        """Emit the forward op; what it returns, `emit_backward` gets back."""
        raise NotImplementedError

    # ---- backward ----

    def backward(self, builder: Builder, dy: Any, *, need_dx: bool) -> Any:
        x, first, given, y, kept = builder.saved[self]
        dys: list[Operand | None] = list(dy) if isinstance(dy, tuple) else [dy]
        main, dlast = dys[0], [*dys[1:], *[None] * self.n_states][:self.n_states]
        if not self.return_sequences:  # the output is the last state
            dlast[0], main = self.total_of(builder, main, dlast[0]), None
        dstart = [builder.arena(("B", self.units)) if given and need_dx else None for _ in range(self.n_states)]
        dz = self.emit_backward(builder, main, dlast, first, y, kept, dstart)
        gates = replace(dz, shape=("BT", len(self.gates) * self.units))
        dx = None
        if need_dx:
            dx = builder.arena(x.shape)
            builder.emit("dense_backward_input", gates, builder.parameter(self.segments["weight"]), None, dx,
                         activation="identity")
        if builder.trains(self.segments["weight"]):
            bias = builder.gradient(self.segments["bias"]) if self.use_bias else None
            builder.emit("dense_backward_parameters", x, gates, builder.gradient(self.segments["weight"]), bias)
            self.emit_recurrent_gradient(builder, y, first[0], dz)
        return (dx, *dstart) if given else dx

    @staticmethod
    def total_of(builder: Builder, a: Operand | None, b: Operand | None) -> Operand | None:
        """The sum of two gradients; the other one where there is only one."""
        if a is None or b is None:
            return a if b is None else b
        total = builder.like(a)
        builder.emit("add", a, b, total)
        return total

    def emit_backward(self, builder: Builder, dy: Operand | None, dlast: list[Operand | None],
                      first: list[Operand | None], y: Operand, kept: Any, dstart: list[Operand | None]) -> Operand:
        """Emit the backward op; returns the gradient of the gates' sums, those of x's product first."""
        raise NotImplementedError

    def emit_recurrent_gradient(self, builder: Builder, y: Operand, h0: Operand | None, dz: Operand) -> None:
        """Emit the gradient of `recurrent_weight`."""
        builder.emit("recurrent_backward_parameters", y, h0, dz, builder.gradient(self.segments["recurrent_weight"]),
                     reverse=int(self.reverse))

    @property
    def through_time(self) -> dict[str, Any]:
        """The settings of a backward op."""
        return {"reverse": int(self.reverse), "bptt": self.bptt_steps or 0}

    def get_config(self) -> dict[str, object]:
        rare = {"reverse": False, "stateful": False, "batch_size": None, "bptt_steps": None}
        given = {name: getattr(self, name) for name, usual in rare.items() if getattr(self, name) != usual}
        return {"units": self.units, "return_sequences": self.return_sequences, "return_state": self.return_state,
                **given, "use_bias": self.use_bias,
                "kernel_initializer": initializers.config(self.kernel_initializer),
                "recurrent_initializer": initializers.config(self.recurrent_initializer),
                **{name: config(getattr(self, name)) for name in (
                    "kernel_regularizer", "recurrent_regularizer", "bias_regularizer")}, **super().get_config()}


def rows_carried(layers: Iterable[Layer]) -> int | None:
    """Rows of every batch, where layers carry a state from one to the next."""
    return next((layer.state_rows for layer in layers if layer.state_rows), None)


def check_carried(layers: Iterable[Layer], n: int, batch: int, shuffle: bool = False) -> None:
    """Refuse rows between which no state can be carried."""
    if (rows := rows_carried(layers)) and (n % rows or batch != rows or shuffle):
        raise ValueError(f"a layer of the model is stateful: expected batches of {rows} rows, a whole number of them, "
                         f"in order; got {n} rows, batch_size={batch}, shuffle={shuffle}")
