"""The Program: a flat list of ops over one arena, which both backends run.

An `Op` names a kernel, its operands, its settings and its phase. An `Operand` says where an array lives
(`Space`), its dtype, its shape in numbers and in the symbols ``"B"`` (rows of a block), ``"T"`` (steps in
time), ``"BT"`` and ``"LANES"``, its strides and its layout. A `Program` is immutable; `Program.plan` lays the
arena out for a largest number of rows, and a backend's ``Run`` owns the memory of one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from .operands import ALIGN, GUARD, PAD, DType, Layout, Operand, Segment, Space, resolve, strides_of
from .operands import aligned_zeros as aligned_zeros
from .schema import OPS as OPS
from .schema import OpSchema as OpSchema
from .schema import op as op


def kept(cache: dict, key: Any, make: Callable[[], Any], most: int) -> Any:
    """``cache[key]``, made where it is missing; the oldest go where there are more than `most`.

    Threads may share the cache. There is no lock, which a fork in another thread would leave held.

    Examples
    --------
    >>> squares = {}
    >>> [kept(squares, i, lambda: i * i, most=2) for i in (1, 2, 3, 3)], squares
    ([1, 4, 9, 9], {2: 4, 3: 9})
    """
    try:
        return cache[key]
    except KeyError:
        value = cache.setdefault(key, make())
    for old in list(cache)[:-most]:
        cache.pop(old, None)
    return value


KEPT_SIZES = 64  # of blocks, whose plans are kept


class Phase(IntEnum):
    """The part of a step that an op belongs to, in the order of the parts."""

    GATHER, FORWARD, LOSS, BACKWARD, TRANSFORM, UPDATE = range(6)


class Kind(IntEnum):
    """Who runs an op: the backend, Python between two native segments, or several processes together."""

    NATIVE, HOST, COLLECTIVE = range(3)


@dataclass(frozen=True)
class Op:
    """One record of a Program.

    `operands` follow the schema's order, None where absent; `function` is what a host op calls with the
    operands as arrays; `layer` is the name of the layer it came from.
    """

    name: str
    operands: tuple[Operand | None, ...]
    settings: tuple[tuple[str, object], ...]
    phase: Phase
    layer: str = ""
    accumulate: bool = False
    kind: Kind = Kind.NATIVE
    barrier: bool = False
    function: Callable[..., None] | None = None
    n_inputs: int = 0

    @property
    def reads(self) -> list[Operand]:
        """The operands whose values matter: inputs, and outputs that are added to or changed in place."""
        in_place = self.accumulate or (self.kind is Kind.NATIVE and OPS[self.name].in_place)
        return [o for i, o in enumerate(self.operands) if o is not None and (i < self.n_inputs or in_place)]

    @property
    def writes(self) -> list[Operand]:
        """The operands that get new values."""
        return [o for o in self.operands[self.n_inputs:] if o is not None]

    def operand(self, name: str) -> Operand | None:
        """The operand of a name of the schema."""
        return self.operands[OPS[self.name].operands.index(name)]

    def ownership(self, operand: Operand) -> str:
        """How a team shares the operand inside this op: "rows", "region" or "" (read or written across)."""
        if self.kind is not Kind.NATIVE:
            return ""
        schema = OPS[self.name]
        names = [n for n, o in zip(schema.operands, self.operands, strict=True) if o == operand]
        if all(n in schema.by_row for n in names):
            return "rows"
        return "region" if all(n in schema.owned for n in names) else ""

    def flops(self, rows: int, time: int = 1) -> int:
        """Floating-point operations on `rows` rows; those of a host op are not known."""
        if self.kind is not Kind.NATIVE:
            return 0
        names = OPS[self.name].operands
        shapes: dict[str, tuple[int, ...]] = {name: (value,) for name, value in self.settings if isinstance(value, int)}
        shapes |= {name: resolve(o.shape, rows, time)
                   for name, o in zip(names, self.operands, strict=True) if o is not None}
        return int(OPS[self.name].flops(shapes))


@dataclass(frozen=True)
class Plan:
    """Byte offset of each arena slot, and the arena's size, for at most `rows` rows a block."""

    rows: int
    offsets: tuple[int, ...]
    size: int


@dataclass(frozen=True, eq=False)
class Program:
    """An immutable list of ops.

    `parameters` and `persistent` describe the vectors they run on. `blockable`: a step's rows may be run a
    block at a time, adding up gradients. `sums_rows`: a step's loss is the sum over its rows, not their mean.
    `probes`: arena operands by layer and role that are left alone until the block ends, for ``Run.view``.
    `time`: steps in time, 0 where nothing is a sequence, None where the input says.
    """

    ops: tuple[Op, ...]
    parameters: Layout
    persistent: Layout
    n_slots: int
    blockable: bool = True
    sums_rows: bool = False
    probes: Mapping[tuple[str, str], Operand] = field(default_factory=dict)
    time: int | None = 0
    cache: dict = field(default_factory=dict, repr=False, compare=False)  # plans
    packed: dict = field(default_factory=dict, repr=False, compare=False)  # the native backend's records

    @property
    def n_forward(self) -> int:
        """How many ops come before the backward ones."""
        return next((i for i, o in enumerate(self.ops) if o.phase >= Phase.BACKWARD), len(self.ops))

    def plan(self, rows: int, time: int = 1) -> Plan:
        """Lay the arena out: slots whose lives do not overlap may share bytes. First fit, largest first.

        A life counts in stretches between barriers: within one, threads are at different ops.
        """
        return kept(self.cache, (rows, time), lambda: self._plan(rows, time), KEPT_SIZES)

    def _plan(self, rows: int, time: int) -> Plan:
        sizes, first, last = [0] * self.n_slots, [len(self.ops)] * self.n_slots, [-1] * self.n_slots
        stretch = 0
        for o in self.ops:
            stretch += o.barrier
            for a in (a for a in o.operands if a is not None and a.space is Space.ARENA):
                bytes_ = a.size(rows, time) * a.dtype.itemsize
                sizes[a.slot] = max(sizes[a.slot], -(-bytes_ // ALIGN) * ALIGN + GUARD)
                first[a.slot] = min(first[a.slot], stretch)
                last[a.slot] = max(last[a.slot], stretch)
        for a in self.probes.values():
            last[a.slot] = stretch
        offsets = [0] * self.n_slots
        placed: list[int] = []
        for slot in sorted(range(self.n_slots), key=lambda s: (-sizes[s], s)):
            at = GUARD
            for other in sorted(placed, key=lambda s: offsets[s]):
                lives_together = first[slot] <= last[other] and first[other] <= last[slot]
                end = offsets[other] + sizes[other]
                if lives_together and at < end and offsets[other] < at + sizes[slot]:
                    at = end
            offsets[slot] = at
            placed.append(slot)
        size = max((offsets[s] + sizes[s] for s in range(self.n_slots)), default=0)
        return Plan(rows, tuple(offsets), size)

    def cost(self, rows: int, time: int = 1) -> list[tuple[Op, int, int]]:
        """(op, floating-point operations, bytes moved) for each op on `rows` rows."""
        return [(o, o.flops(rows, time), sum(math.prod(resolve(a.shape, rows, time)) * a.dtype.itemsize
                                             for a in o.reads + o.writes)) for o in self.ops]

    def flops(self, rows: int, time: int = 1) -> int:
        """Floating-point operations on `rows` rows."""
        return sum(o.flops(rows, time) for o in self.ops)


class Builder:
    """Collects the ops of one Program; layers and losses emit into it."""

    def __init__(self, parameters: Layout, persistent: Layout, *, training: bool,
                 differentiates: bool | None = None, trained: Layout | None = None) -> None:
        self.parameters, self.persistent = parameters, persistent
        self.trained = parameters if trained is None else trained  # of gradients and optimizer state
        self.training = training  # layers behave as in training
        self.differentiates = training if differentiates is None else differentiates  # backward ops follow
        self.probing = False  # what `probe` is given is kept
        self.probes: dict[tuple[str, str], Operand] = {}
        self.n_instances = 0  # of ops that draw random numbers
        self.dtype = parameters.dtype
        self.ops: list[Op] = []
        self.made_gradients: set[tuple[int, int, int]] = set()  # of parameters, by ops of the backward phase
        self.n_slots = 0
        self.time: int | None = 0  # steps; 0: nothing is a sequence, None: as many as the input has
        self.masks: dict[tuple[int, int, int], Operand] = {}
        self.lookups: dict[str, int] = {}  # how often the forward looks rows of a parameter up
        self.row_gradients: dict[str, tuple[Operand, Operand]] = {}  # of lazy steps
        self.phase = Phase.FORWARD
        self.layer = ""
        self.saved: dict = {}  # what a layer's backward needs of its forward
        self.losses: list[tuple[Operand, Operand | None]] = []  # (row_loss, weight) to be summed,
        self.loss_factors: list[float] = []  # each times this
        self.updates = False  # statistics that layers keep of their batches follow this one,
        self.anew = False  # and forget those before
        self.sums_rows = False  # the loss of a step is that sum; else divided by the sum of the weights
        self.stores_outputs = False  # somebody wants to see what the network says

    def arena(self, shape: tuple[int | str, ...], dtype: DType | None = None,
              layout: str = "rows") -> Operand:
        """A new array of the arena, of the model's dtype unless told otherwise."""
        dtype = np.dtype(self.dtype if dtype is None else dtype)
        self.n_slots += 1
        strides = strides_of(shape, dtype)
        if shape[0] == "BT":
            layout = "time"
        if layout == "lanes":
            h, w, c = (int(n) for n in shape[1:])
            strides = h * w * c * PAD, w * c * PAD, c * PAD, PAD
        return Operand(Space.ARENA, dtype, shape, strides, slot=self.n_slots - 1, layout=layout)

    def like(self, operand: Operand) -> Operand:
        """A new array of the arena, of an operand's shape and layout."""
        return self.arena(operand.shape, operand.dtype, operand.layout)

    def mask_of(self, x: Operand) -> Operand | None:
        """The mask ("BT",) of a value in time: 1 for the steps that a sequence has, else 0; None: it has all."""
        return self.masks.get(x.place())

    def set_mask(self, y: Operand, mask: Operand) -> None:
        """Say which steps in time of a value count."""
        self.masks[y.place()] = mask

    def set_time(self, steps: int | None) -> None:
        """Say how many steps in time there are; None: as many as the input has.

        Raises
        ------
        ValueError
            If another layer says otherwise.
        """
        if self.time not in (0, steps):
            raise ValueError(f"layer {self.layer!r}: expected {self.time} steps in time, which the layers before "
                             f"it have, got {steps}; all recurrent layers of a model see the same number of steps")
        self.time = steps

    def probe(self, role: str, operand: Operand) -> None:
        """Let a run that looks inside see an operand: the layer's "output", "pre_activation" or "delta", the
        gradient of that."""
        if self.probing and operand.space is Space.ARENA:
            self.probes[self.layer, role] = operand

    def instance(self) -> int:
        """The number of a new op that draws random numbers: the same in all Programs that train the model."""
        self.n_instances += 1
        return self.n_instances - 1

    def bound(self, index: int, shape: tuple[int | str, ...], dtype: DType) -> Operand:
        """The array that the caller binds as number `index`."""
        width = math.prod(int(n) for n in shape[1:] if n != "T")
        strides = (width, 1) if "T" not in shape else (0, width, 1)  # the core asks the array for the first
        return Operand(Space.BOUND, np.dtype(dtype), shape, strides[:len(shape)], index=index)

    def parameter(self, segment: Segment) -> Operand:
        """A parameter array."""
        return segment.operand(Space.PARAMETER, self.dtype)

    def persistent_array(self, segment: Segment) -> Operand:
        """An array that steps keep and training does not move along a gradient."""
        return segment.operand(Space.PERSISTENT, self.dtype)

    def trains(self, segment: Segment) -> bool:
        """Whether training moves a parameter array: only then has it a gradient and optimizer state."""
        return segment.name in self.trained.segments

    def gradient(self, segment: Segment) -> Operand:
        """The gradient of a parameter array that is trained."""
        if not self.trains(segment):
            raise ValueError(f"{segment.name} is frozen, it has no gradient; ask builder.trains first")
        return self.trained.segments[segment.name].operand(Space.GRADIENT, self.dtype)

    def state(self, segment: Segment, index: int) -> Operand:
        """The `index`-th optimizer state array of a parameter that is trained."""
        trained = self.trained.segments[segment.name]
        return trained.operand(Space.OPTIMIZER_STATE, self.dtype, index * self.trained.size)

    def emit(self, name: str, *operands: Operand | None, accumulate: bool = False, **settings: Any) -> None:
        """Append the op `name`; trailing operands that are absent may be left out.

        Arrays of lanes reach an op that knows nothing of them as matrices. A gradient of a parameter that an
        earlier op made is added to: the parameter is used twice.

        Raises
        ------
        ValueError
            If an operand that the op needs is missing, or it has no such setting.
        """
        schema = OPS[name]
        missing = len(schema.operands) - len(operands)
        operands += (None,) * missing
        for operand_name, operand in zip(schema.operands, operands, strict=True):
            if operand is None and operand_name not in schema.optional:
                raise ValueError(f"op {name}: operand {operand_name} is missing")
        operands = tuple(o if o is None or n in schema.lanes else o.flat()
                         for n, o in zip(schema.operands, operands, strict=True))
        made = {o.place() for o in operands[len(schema.inputs):]
                if o is not None and o.space is Space.GRADIENT and self.phase is Phase.BACKWARD}
        accumulate = accumulate or bool(made & self.made_gradients)
        self.made_gradients |= made
        known = {**dict.fromkeys(schema.dims, 0), **dict.fromkeys(schema.scalars, 0.0)}
        if unknown := set(settings) - set(known):
            raise ValueError(f"op {name} has no setting {sorted(unknown)}")
        self.ops.append(Op(name, operands, tuple({**known, **settings}.items()), self.phase, self.layer,
                           accumulate, n_inputs=len(schema.inputs)))

    def emit_host(self, function: Callable[..., None], inputs: Sequence[Operand], outputs: Sequence[Operand],
                  kind: Kind = Kind.HOST) -> None:
        """A step that Python runs: ``function(*inputs, *outputs)`` on arrays, outputs written in place."""
        name = getattr(function, "__name__", "host")
        operands = tuple(o.flat() for o in (*inputs, *outputs))
        self.ops.append(Op(name, operands, (), self.phase, self.layer, kind=kind, function=function,
                           n_inputs=len(inputs)))
