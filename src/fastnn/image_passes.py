"""Passes over the ops on images: what can be done on the way is, and needs no memory of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from .activations import ACTIVATIONS
from .operands import Operand
from .program import Kind, Op

Place = tuple[int, int, int]


def fuse_images(ops: Sequence[Op], probed: Collection[Place] = ()) -> list[Op]:
    """All of them; the results are the same bit for bit.

    Parameters
    ----------
    ops : sequence of Op
        Of a Program, in order.
    probed : collection of places
        Of operands that somebody will look at.
    """
    if not any(o.name.startswith(("conv", "max_pool")) for o in ops):
        return list(ops)
    return spread_in_gradients(fuse_pools(pool_slopes(list(ops), probed), probed), probed)


def readers(ops: Sequence[Op], a: Operand) -> list[Op]:
    """The ops that read an array."""
    return [o for o in ops if any(b.place() == a.place() for b in o.reads)]


def writer(ops: Sequence[Op], a: Operand) -> Op:
    """The op that makes an array."""
    return next(o for o in ops if any(b.place() == a.place() for b in o.writes))


def is_native(o: Op, name: str) -> bool:
    """Whether it is that op of the backend, and overwrites what it makes."""
    return o.kind is Kind.NATIVE and o.name == name and not o.accumulate


def pool_slopes(ops: list[Op], probed: Collection[Place]) -> list[Op]:
    """Where a maximum's gradient goes to a map and then through the slope of the activation that made the map, it goes
    through the slope first: the maximum is the activation's output, and there are fewer of them."""
    for o in [o for o in ops if is_native(o, "max_pool_backward")]:
        dy, index, dx = o.operands
        assert dy is not None and index is not None and dx is not None
        after, pool = readers(ops, dx), writer(ops, index)
        if len(after) != 1 or not is_native(after[0], "activation_backward") or dx.place() in probed or overlap(o):
            continue
        slope, (x, y, _) = after[0], pool.operands
        _, f, dz = slope.operands
        assert x is not None and y is not None and f is not None and dz is not None
        if f.place() != x.place() or ACTIVATIONS[str(dict(slope.settings)["activation"])].derivative_of != "output":
            continue
        sloped = replace(dy, slot=dx.slot)  # in the room of the map, which nobody needs any more
        ops[ops.index(o)] = replace(slope, operands=(dy.flat(), y.flat(), sloped.flat()))
        ops[ops.index(slope)] = replace(o, operands=(sloped, index, replace(dx, slot=dz.slot)))
    return ops


def overlap(o: Op) -> bool:
    """Whether the windows of a pooling op have pixels in common."""
    s: dict[str, Any] = dict(o.settings)
    return s["stride_y"] < s["kernel_y"] or s["stride_x"] < s["kernel_x"]


def lie_apart_inside(o: Op, pooled: Operand, whole: Operand) -> bool:
    """Whether the windows of a pooling op neither overlap nor reach beyond the map."""
    s: dict[str, Any] = dict(o.settings)
    return not (overlap(o) or s["pad_y"] or s["pad_x"]) and all(
        (int(n) - 1) * s[f"stride_{axis}"] + s[f"kernel_{axis}"] <= int(most)
        for n, most, axis in zip(pooled.shape[1:3], whole.shape[1:3], "yx", strict=True))


def windows(o: Op) -> list[tuple[str, Any]]:
    """The windows of a pooling op, as ops on convolutions are told of them."""
    s = dict(o.settings)
    return [("pool_y", s["kernel_y"]), ("pool_x", s["kernel_x"]), ("pool_stride_y", s["stride_y"]),
            ("pool_stride_x", s["stride_x"])]


def fuse_pools(ops: list[Op], probed: Collection[Place]) -> list[Op]:
    """A convolution whose output only a pool reads does not store it."""
    for o in [o for o in ops if is_native(o, "max_pool_forward")]:
        x, y, index = o.operands
        assert x is not None and y is not None
        if not any(is_native(other, "conv_forward") and other.operand("y") == x for other in ops):
            continue
        conv = writer(ops, x)
        if not lie_apart_inside(o, y, x) or conv.operand("z") or len(readers(ops, x)) > 1 or x.place() in probed \
                or (index is not None and index.dtype.itemsize > 1):
            continue
        ops[ops.index(o)] = replace(conv, name="conv_pool_forward", operands=(*conv.operands[:3], y, index),
                                    settings=(*conv.settings, *windows(o)))
        ops.remove(conv)
    return ops


def spread_in_gradients(ops: list[Op], probed: Collection[Place]) -> list[Op]:
    """Where only a convolution's weights want the gradient of the map below a pool, it is not stored."""
    for o in [o for o in ops if is_native(o, "max_pool_backward")]:
        dy, index, dx = o.operands
        assert dy is not None and index is not None and dx is not None
        gradient, *sums = readers(ops, dx) or [o]
        if not is_native(gradient, "conv_backward_parameters") or any(a.name != "sum_chunks" for a in sums) \
                or not lie_apart_inside(o, dy, dx) or dx.place() in probed or index.dtype.itemsize > 1:
            continue
        settings = {**dict(gradient.settings), **dict(windows(o)), "map_y": dx.shape[1], "map_x": dx.shape[2]}
        ops[ops.index(gradient)] = replace(gradient, settings=tuple(settings.items()), operands=(
            gradient.operands[0], dy, index, *gradient.operands[3:]))
        for a in sums:  # which look at the number of images only
            ops[ops.index(a)] = replace(a, operands=(a.operands[0], dy, a.operands[2]))
        ops.remove(o)
    return ops
