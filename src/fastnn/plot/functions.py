"""Activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..activations import ACTIVATIONS, ROW_ACTIVATIONS, choose
from ..diagnostics.flatness import FLAT, flatness, slopes
from .style import dress, line, new_axes


def activation(activation: Any, span: tuple[float, float] = (-6.0, 6.0), *, ax: Any = None) -> Any:
    """An activation, its derivative, and where it is saturated: where the slope is below 6% of the steepest.

    Parameters
    ----------
    activation : str, layer or (f, df)
        As a layer takes it; not softmax, which is of whole rows.
    span : tuple of float
        From where to where.
    ax : Axes, optional
        To draw on.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from fastnn import plot
    >>> ax = plot.activation("sigmoid")
    >>> [line.get_label() for line in ax.lines]
    ['sigmoid, f(z)', "its derivative, f'(z)"]
    """
    choice = choose("activation", activation)
    if choice.name in ROW_ACTIVATIONS:
        raise ValueError(f"activation: expected one that works element by element, got {choice.name!r}, "
                         "which is of whole rows")
    if not isinstance(span, (tuple, list)) or len(span) != 2:
        raise TypeError(f"span: expected the two ends, got {checks.describe(span)}")
    low, high = (checks.finite_float("span", end) for end in span)
    z = np.linspace(low, high, 601)
    if choice.functions is not None:
        y = np.asarray(choice.functions[0](z))
    else:
        y = ACTIVATIONS[choice.name].function(z, choice.alpha)
    slope = slopes(choice, z, y)
    slope = np.ones_like(z) if slope is None else slope
    ax = new_axes(ax)
    flat = np.abs(slope) < FLAT * flatness(choice).steepest
    if flat.any():
        # bounds of the runs of flat points
        ends = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(int), [0]])))
        for i, (start, stop) in enumerate(zip(ends[::2], ends[1::2], strict=True)):
            ax.axvspan(z[start], z[stop - 1], facecolor="0.93", edgecolor="0.75", hatch="//", linewidth=0,
                       label="saturated" if i == 0 else None)
    ax.plot(z, y, label=f"{choice.name}, f(z)", **line(0))
    ax.plot(z, slope, label="its derivative, f'(z)", **line(1))
    return dress(ax, "z", "f(z), f'(z)", legend=True)
