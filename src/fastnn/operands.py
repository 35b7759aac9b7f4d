"""Where the arrays of a Program live: operands, and the segments of parameter vectors."""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np

DType = np.dtype | type | str  # what np.dtype takes, as it is used here

PAD = 16  # elements: the last axis of every array inside is padded to whole vectors of any instruction set
ALIGN = 64  # bytes
MOST_PIXELS = 2 ** 20  # of a size or a distance of windows: products of a few of them are no overflow
MOST_NUMBERS = 2 ** 40  # of an array, or of a layer's output for a sample: bytes of a few of them are no overflow
# Bytes left free between the arrays of one block of memory, in a core that looks for accesses out of bounds
# (csrc/guard.h): one array's end is not another's beginning then.
GUARD = -(-int(os.environ.get("FASTNN_GUARD", "0")) // ALIGN) * ALIGN


class Space(IntEnum):
    """Where an operand lives; ``BOUND + i`` is the i-th array that the caller binds."""

    NONE, PARAMETER, GRADIENT, OPTIMIZER_STATE, PERSISTENT, ARENA, WORKSPACE, CONSTANT, BOUND = range(9)


def resolve(shape: Sequence[int | str], batch: int, time: int = 1) -> tuple[int, ...]:
    """The shape with the symbols replaced."""
    sizes = {"B": batch, "T": time, "BT": batch * time, "LANES": -(-batch // PAD)}
    return tuple(sizes[n] if isinstance(n, str) else n for n in shape)


def padded(n: int) -> int:
    """`n` elements in whole vectors."""
    return -(-n // PAD) * PAD


def leading_dimension(n: int, itemsize: int) -> int:
    """Elements from row to row: whole vectors, and off the powers of two that make rows collide in cache."""
    ld = padded(n)
    return ld + PAD if ld * itemsize % 2048 == 0 else ld


def strides_of(shape: Sequence[int | str], dtype: np.dtype) -> tuple[int, ...]:
    """Strides in elements of an array inside, with its last axis padded."""
    strides = [1]
    for n in map(int, reversed(shape[1:])):
        strides.append(strides[-1] * n if len(strides) > 1 else leading_dimension(n, dtype.itemsize))
    return tuple(reversed(strides))


@dataclass(frozen=True)
class Operand:
    """An array of a Program.

    `offset` counts bytes in its space; in the arena `slot` stands for it until planned. `strides` count
    elements. `index` is the number of a bound array. `layout` is how a step's samples lie in the arena:

    - "rows", ``("B", n)``: a sample is a row, an image of (h, w, c) flattened in C order;
    - "time", ``("BT", n)``: row t B + b, so that all of a step in time is contiguous;
    - "lanes", ``("B", h, w, c)``: images, in the core `PAD` of them innermost, [B / 16][h][w][c][16], which
      gives whole vectors for any number of channels. The numpy backend has a plain array in their place.
    """

    space: Space
    dtype: np.dtype
    shape: tuple[int | str, ...]
    strides: tuple[int, ...]
    offset: int = 0
    slot: int = -1
    index: int = 0
    layout: str = "rows"

    def flat(self) -> Operand:
        """An array of lanes as a matrix, for ops that work element by element; others as they are."""
        if self.layout != "lanes":
            return self
        return replace(self, shape=("LANES", self.strides[0]), strides=(self.strides[0], 1), layout="rows")

    def size(self, rows: int, time: int = 1) -> int:
        """Elements of memory, in whole vectors."""
        if self.layout == "lanes":
            return -(-rows // PAD) * self.strides[0]
        if len(self.shape) == 1:
            return padded(*resolve(self.shape, rows, time))
        return math.prod(resolve(self.shape[:-1], rows, time)) * self.strides[-2]

    def place(self) -> tuple[int, int, int]:
        """What two operands share exactly if they are the same memory."""
        return int(self.space) + self.index, self.slot, self.offset


@dataclass(frozen=True)
class Segment:
    """One array of a parameter vector: `offset` and strides in elements."""

    name: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    trainable: bool = True  # False: no training moves it; a whole layer is frozen by ``layer.trainable``
    rate_factor: float = 1.0
    decay_factor: float = 1.0
    regularizer: Any = None  # emits the penalty on the array (fastnn.regularizers)
    constraint: Any = None  # emits what puts the array right after an update
    since: int = 0  # updates before it was trained, where it was frozen at first: its optimizer state is that new

    def view(self, vector: np.ndarray) -> np.ndarray:
        """The segment's logical array as a view into `vector`."""
        return np.lib.stride_tricks.as_strided(
            vector[self.offset:], self.shape, tuple(s * vector.itemsize for s in self.strides))

    @property
    def n_elements(self) -> int:
        """Elements of memory."""
        return padded(self.shape[0] * self.strides[0])

    def operand(self, space: Space, dtype: np.dtype, base: int = 0) -> Operand:
        """The segment as a matrix (of more axes, all but the last are its rows), as an operand in a vector
        that begins `base` elements into its space."""
        shape, strides = self.shape, self.strides
        if len(shape) > 2:
            shape, strides = (math.prod(shape[:-1]), shape[-1]), strides[-2:]
        return Operand(space, dtype, shape, strides, (base + self.offset) * dtype.itemsize)


class Layout:
    """Segments packed into one vector, each 64-byte aligned for either dtype."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self.segments: dict[str, Segment] = {}
        self.size = GUARD // dtype.itemsize

    def add(self, name: str, shape: tuple[int, ...], **settings) -> Segment:
        """Append a segment; `settings` are its other fields."""
        check_size(name, shape)
        strides = strides_of(shape, self.dtype)
        return self._append(Segment(name, shape, strides, self.size, **settings))

    def _append(self, segment: Segment) -> Segment:
        self.size += segment.n_elements + GUARD // self.dtype.itemsize
        self.segments[segment.name] = segment
        return segment

    def without(self, frozen: Collection[str]) -> Layout:
        """The layout of all segments but those of these names; itself where there are none."""
        if not frozen:
            return self
        rest = Layout(self.dtype)
        for name, s in self.segments.items():
            if name not in frozen:
                rest._append(replace(s, offset=rest.size))
        return rest

    def starting(self, since: Mapping[str, int]) -> Layout:
        """The layout with these numbers of updates before arrays were trained; 0 for the others."""
        other = Layout(self.dtype)
        other.size = self.size
        other.segments = {name: replace(s, since=since.get(name, 0)) for name, s in self.segments.items()}
        return other

    def zeros(self) -> np.ndarray:
        """A vector of this layout, all zero."""
        return aligned_zeros(self.size, self.dtype)

    def views(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Every segment's array in `vector`, by name."""
        return {name: segment.view(vector) for name, segment in self.segments.items()}


def check_size(name: str, shape: tuple[int | None, ...]) -> None:
    """Refuse what no machine has room for, before its sizes overflow."""
    if math.prod(n or 1 for n in shape) > MOST_NUMBERS:
        raise ValueError(f"{name} must have at most 2**{MOST_NUMBERS.bit_length() - 1} numbers, got shape "
                         f"{reprlib.repr(shape)}")


def aligned_zeros(size: int, dtype: DType) -> np.ndarray:
    """A 64-byte aligned vector of zeros.

    Raises
    ------
    MemoryError
        If there is no room for it.
    """
    dtype = np.dtype(dtype)
    bytes_ = size * dtype.itemsize + ALIGN
    try:
        raw = np.zeros(bytes_, np.uint8)
    except (MemoryError, ValueError):  # what NumPy says of more than there are addresses
        raise MemoryError(f"no room for {bytes_ / 2 ** 30:,.0f} GiB: the layers are too wide, or there are too many "
                          "rows or steps in a batch") from None
    start = -raw.ctypes.data % ALIGN
    return raw[start:start + size * dtype.itemsize].view(dtype)
