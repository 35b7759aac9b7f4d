"""Where an activation is flat: there a unit does not learn."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..activations import ACTIVATIONS, Choice

FLAT = 0.06  # of the steepest slope: that of tanh at 0.97 (Karpathy, makemore 3, counts from there)


class Shape(NamedTuple):
    """How flat an activation is: its steepest slope (at most 1 counts) and how many of its ends are flat."""

    steepest: float
    flat_ends: int


def slopes(choice: Choice, z: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """f'(z) element by element; None for the identity and for activations of whole rows."""
    if choice.functions is not None:
        return np.asarray(choice.functions[1](z))
    if choice.name == "identity" or choice.name not in ACTIVATIONS:
        return None
    row = ACTIVATIONS[choice.name]
    return row.slope(y if row.derivative_of == "output" else z, choice.alpha)


@lru_cache(maxsize=64)
def flatness(choice: Choice) -> Shape:
    """Where an activation is flat, told by its slope alone, so that it holds for a user's own too.

    Examples
    --------
    >>> [flatness(Choice(name)).flat_ends for name in ("tanh", "relu", "identity")]
    [2, 1, 0]
    """
    z = np.concatenate([np.linspace(-3, 3, 601), [-1e3, 1e3]])
    with np.errstate(all="ignore"):
        y = ACTIVATIONS[choice.name].function(z, choice.alpha) if choice.name in ACTIVATIONS else z
        slope = slopes(choice, z, y)
    if slope is None:
        return Shape(1.0, 0)
    slope = np.abs(slope)
    steepest = min(1.0, float(np.nanmax(slope[:-2]))) or 1.0
    return Shape(steepest, int((slope[-2:] < FLAT * steepest).sum()))
