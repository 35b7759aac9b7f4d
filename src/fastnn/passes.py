"""Passes over the ops of a Program: fusion, and where a team of threads must meet."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from .image_passes import fuse_images, readers
from .program import OPS, Builder, Kind, Op, Phase, Program, Space

TAKE_SLOPES = ("dense_backward_input", "conv_backward_input", "conv_transpose_backward_input")
MAX_STATES = 3  # state arrays of an optimizer, as in csrc/optimizer.inc


def finish(builder: Builder, *, fuse_update: bool = True) -> Program:
    """The Program of what was emitted; `fuse_update` takes the optimizer's step inside the gradient's op."""
    probed = {a.place() for a in builder.probes.values()}
    ops = fuse_slopes(fuse_images(builder.ops, probed))
    if fuse_update:
        ops = fuse_updates(ops)
    ops = mark_barriers(ops)
    blockable = not any(o.name in ("dense_backward_update", "lazy_update") for o in ops)
    return Program(tuple(ops), builder.parameters, builder.persistent, builder.n_slots, blockable,
                   builder.sums_rows, builder.probes, builder.time)


def fuse_slopes(ops: list[Op]) -> list[Op]:
    """Put the slope of the activation below into the op that passes a gradient down.

    An op that makes an input's gradient followed by activation_backward on its result becomes one op, where
    nothing else reads the result in between.
    """
    result: list[Op] = []
    for o in ops:
        if o.name == "activation_backward" and o.kind is Kind.NATIVE:
            dy, f, dz = o.operands
            assert dy is not None and f is not None and dz is not None
            at = next((i for i, other in enumerate(result) if any(a.place() == dy.place() for a in other.writes)), None)
            if at is not None and _takes_slope(result[at]) and len(readers(ops, dy)) == 1:
                like = result[at].writes[0]  # images, where the slope saw a matrix
                f, dz = (replace(like, slot=a.slot, space=a.space, offset=a.offset, index=a.index) for a in (f, dz))
                settings = tuple({**dict(result[at].settings), **dict(o.settings)}.items())
                result[at] = replace(result[at], operands=(*result[at].operands[:2], f, dz), settings=settings)
                continue
        result.append(o)
    return result


def _takes_slope(o: Op) -> bool:
    return o.name in TAKE_SLOPES and o.kind is Kind.NATIVE and not o.accumulate and o.operand("f") is None


def fuse_updates(ops: list[Op]) -> list[Op]:
    """Take the optimizer's step where the gradient is made.

    dense_backward_parameters and the optimizer's steps on its gradients become one op, where nothing else
    reads or writes those gradients. The result is the same bit for bit.
    """
    touched: dict[tuple, int] = {}
    for o in ops:
        for a in {a for a in o.operands if a is not None and a.space is Space.GRADIENT}:
            touched[a.place()] = touched.get(a.place(), 0) + 1
    steps = {o.reads[0].place(): o for o in ops if o.kind is Kind.NATIVE and OPS[o.name].optimizer}
    result: list[Op] = []
    gone: set[int] = set()
    for o in ops:
        if o.name == "dense_backward_parameters" and not o.accumulate:
            gradients = o.writes
            updates = [steps[a.place()] for a in gradients if a.place() in steps]
            alike = len(updates) == len(gradients) and len({(u.name, u.settings) for u in updates}) == 1
            if alike and all(touched[a.place()] == 2 for a in gradients) and not _read_later(ops, o, updates):
                operands = list(o.operands[:2])
                for u in updates:
                    operands += [*u.operands[1:], *(None,) * (2 + MAX_STATES - len(u.operands))]
                operands += [None] * (len(OPS["dense_backward_update"].operands) - len(operands))
                settings = (("optimizer", updates[0].name), *updates[0].settings)
                result.append(Op("dense_backward_update", tuple(operands), settings, Phase.UPDATE, o.layer,
                                 n_inputs=2))
                gone.update(id(u) for u in updates)
                continue
        if id(o) not in gone:
            result.append(o)
    return result


def _read_later(ops: list[Op], o: Op, updates: list[Op]) -> bool:
    """Whether an op between `o` and the updates reads a parameter that they change."""
    changed = {u.writes[0].place() for u in updates}
    last = max(ops.index(u) for u in updates)
    between = (other for other in ops[ops.index(o) + 1:last] if other not in updates)
    return any(a.place() in changed for other in between for a in other.reads)


def mark_barriers(ops: list[Op]) -> list[Op]:
    """Mark the ops before which a team must meet.

    Those touch what another thread may have written, or write what another may still read, since the last
    meeting.
    """
    result: list[Op] = []
    since: dict[tuple[int, int, int], list[_Access]] = {}
    for o in ops:
        accesses = [(a.place(), _Access(i >= o.n_inputs, o.ownership(a), a.shape))
                    for i, a in enumerate(o.operands) if a is not None]
        if any(earlier.conflicts(later) for place, later in accesses for earlier in since.get(place, ())):
            o = replace(o, barrier=True)
            since = {}
        for place, access in accesses:
            since.setdefault(place, []).append(access)
        result.append(o)
    return result


class _Access(NamedTuple):
    """How an op touches an array: whether it writes it, and which part of it is a thread's own."""

    written: bool
    ownership: str
    shape: tuple[int | str, ...]

    def conflicts(self, later: _Access) -> bool:
        """Whether a thread may touch what another has written, or write what another may still read."""
        alike = self.ownership and self.ownership == later.ownership and self.shape == later.shape
        return (self.written or later.written) and not alike
