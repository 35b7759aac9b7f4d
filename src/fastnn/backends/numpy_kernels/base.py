"""What every NumPy kernel uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass
class Step:
    """What a kernel may know of the step it runs in (``fnn_step`` in ``csrc/fastnn.h``)."""

    index: np.ndarray | None = None
    row: int = 0
    update: int = 1
    rate: float = 0.0
    weight_sum: float = 1.0
    first_block: bool = True
    loss: float = 0.0
    bad_row: int = -1
    momentum: float | None = None
    seed: int = 0
    batch_row: int = 0
    time: int = 1


def elements(name: str, factor: int = 1) -> Callable:
    """`factor` floating-point operations for each element of an operand."""
    return lambda shapes: factor * int(np.prod(shapes[name]))


def product(rows: str, columns: str, inner: str) -> Callable:
    """The operations of a matrix product, by operands that have its three sizes."""
    return lambda shapes: 2 * shapes[rows][0] * shapes[columns][-1] * shapes[inner][-1]
