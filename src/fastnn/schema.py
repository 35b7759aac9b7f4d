"""What ops there are: the schema of each, and the decorator that registers a NumPy kernel as the op."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class OpSchema:
    """What an op is: operand names, settings, who owns what in a team, and its cost.

    `lanes` names the operands that are images in lanes. `by_row` and `owned` name operands of which a thread
    touches only its own rows (``fnn_own_rows``) or its own region (``fnn_own``); between two ops that own an
    array alike no barrier is needed. `private` names outputs that only the ops of one family read: what their
    pad lanes hold is their own affair. `flops` counts floating-point operations, given the operands' shapes by
    name and each setting that is a whole number as a shape of one.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    optional: frozenset[str]
    dims: tuple[str, ...]
    scalars: tuple[str, ...]
    by_row: frozenset[str]
    owned: frozenset[str]
    flops: Callable[[dict[str, tuple[int, ...]]], int]
    kernel: Callable[..., object]
    in_place: bool
    optimizer: bool
    lanes: frozenset[str]
    private: frozenset[str]

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of all operands, in their order."""
        return self.inputs + self.outputs


OPS: dict[str, OpSchema] = {}


def op(operands: str, *, dims: str = "", scalars: str = "", by_row: str = "", owned: str = "",
       lanes: str = "", private: str = "", flops: Callable[[dict[str, tuple[int, ...]]], int], in_place: bool = False,
       optimizer: bool = False) -> Callable:
    """Register the decorated NumPy kernel as the op of its name; `operands` reads as in ``csrc/ops.def``.

    `in_place` ops read their outputs before writing them; an `optimizer` moves parameters along gradients.
    """

    def register(kernel: Callable) -> Callable:
        inputs, outputs = ([n.strip("?") for n in side.split()] for side in operands.split("->"))
        optional = frozenset(n.strip("?") for n in operands.split() if n.endswith("?"))
        OPS[kernel.__name__] = OpSchema(
            kernel.__name__, tuple(inputs), tuple(outputs), optional, tuple(dims.split()),
            tuple(scalars.split()), frozenset(by_row.split()), frozenset(owned.split()), flops, kernel,
            in_place, optimizer, frozenset(lanes.split()), frozenset(private.split()))
        return kernel

    return register
