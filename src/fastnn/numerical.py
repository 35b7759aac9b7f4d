"""Derivatives of functions by finite differences, with what is known of their errors.

`numerical_derivative` differentiates a function of one number, `numerical_gradient` a function of an array
entry by entry with it, `directional_derivative` along a direction.

Source: Ridders (1982) and Press et al., Numerical Recipes, 5.7, for extrapolated central differences;
Moré and Wild (2011), Estimating computational noise, for measuring rounding errors by differences.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

MAX_HALVINGS = 16    # of the step: 1e-3 ends at 3e-8
SIGNIFICANT = 20.0   # disagreement of differences, in units of rounding error, that is no accident


class Derivative(NamedTuple):
    """What finite differences say about one derivative.

    Attributes
    ----------
    value : float
        The derivative.
    doubt : float
        How much differences at neighbouring steps disagree: as small as `rounding` where the function is
        smooth, about as large as the change of slope where it has a kink.
    rounding : float
        The error of `value` that the rounding errors of the function cause.
    """

    value: float
    doubt: float
    rounding: float


def numerical_derivative(phi: Callable[[float], float], at: float, step: float = 1e-3,
                         noise: float | None = None) -> Derivative:
    """Derivative of a function of one number, by central differences whose step finds itself.

    From three steps h, 2h, 4h come two central differences free of their h^2 error (Richardson) and the
    gaps between right and left one-sided differences. A smooth function's two central differences agree, and
    its gaps are a h + b h^3, so a combination of the three vanishes. A kink between the points or at
    `at` spoils one or the other. The step is halved until both agree to rounding: then the kink, if there was
    one near by, is outside. Where they never agree, the kink is at `at` itself, and `doubt` tells.

    Parameters
    ----------
    phi : callable
        The function.
    at : float
        Where to differentiate.
    step : float
        The first, widest step, relative to max(1, abs(at)).
    noise : float, optional
        Rounding error of one value of `phi`; by default half a unit in the last place.

    Returns
    -------
    Derivative

    Examples
    --------
    >>> derivative = numerical_derivative(np.sin, 0.0)
    >>> round(derivative.value, 10)
    1.0
    >>> numerical_derivative(abs, 0.0).doubt
    2.0
    """
    middle = float(phi(at))
    if noise is None:
        noise = 0.5 * float(np.spacing(abs(middle)))  # at least: the other values have theirs
    h = step * max(1.0, abs(at))
    best = Derivative(np.nan, np.inf, 0.0)
    central: list[float] = []
    gap: list[float] = []
    for _ in range(MAX_HALVINGS):
        right, left = at + h, at - h
        up, down = float(phi(right)), float(phi(left))
        central.append((up - down) / (right - left))
        gap.append((up - middle) / (right - at) - (middle - down) / (at - left))
        h /= 2
        if len(central) < 3:
            continue
        coarse, value = ((4 * c - twice) / 3 for twice, c in zip(central[-3:], central[-2:], strict=False))
        doubt = abs(value - coarse) + abs(16 * gap[-1] - 10 * gap[-2] + gap[-3]) / 7
        rounding = max(noise, 0.5 * float(np.spacing(max(abs(up), abs(down))))) / (right - at)
        if doubt + rounding < best.doubt + best.rounding:
            best = Derivative(value, doubt, rounding)
        agreed = best.doubt <= max(SIGNIFICANT * best.rounding, 1e-10 * abs(best.value))
        if agreed or rounding > best.doubt:
            break
    return best


def numerical_gradient(f: Callable[[], float], x: np.ndarray,
                       indices: Iterable[tuple[int, ...]] | None = None, step: float = 1e-3,
                       noise: float | None = None) -> list[Derivative]:
    """Derivatives of ``f()`` with respect to entries of `x`, which `f` reads.

    Parameters
    ----------
    f : callable
        Takes nothing, returns a float.
    x : numpy.ndarray
        float64, writable, a view if need be. Its entries are changed and put back.
    indices : iterable of tuples, optional
        Which entries; by default all.
    step, noise : float
        See `numerical_derivative`.

    Returns
    -------
    list of Derivative
        One for each index.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> [round(d.value, 8) for d in numerical_gradient(lambda: x[0] * x[1] ** 3, x)]
    [8.0, 12.0]
    """
    def derivative(index: tuple[int, ...]) -> Derivative:
        original = float(x[index])

        def phi(value: float) -> float:
            x[index] = value
            return f()

        try:
            return numerical_derivative(phi, original, step, noise)
        finally:
            x[index] = original

    return [derivative(index) for index in (np.ndindex(x.shape) if indices is None else indices)]


@contextmanager
def along(f: Callable[[], float], arrays: Sequence[np.ndarray],
          direction: Sequence[np.ndarray]) -> Iterator[Callable[[float], float]]:
    """``f()`` over the distance that the arrays, which it reads, are moved; in the end they are put back."""
    originals = [array.copy() for array in arrays]

    def phi(t: float) -> float:
        for array, original, v in zip(arrays, originals, direction, strict=True):
            array[...] = original + t * v
        return f()

    try:
        yield phi
    finally:
        for array, original in zip(arrays, originals, strict=True):
            array[...] = original


def directional_derivative(f: Callable[[], float], x: np.ndarray, direction: np.ndarray, step: float = 1e-3,
                           noise: float | None = None) -> Derivative:
    """Derivative of ``f()`` as `x`, which `f` reads, moves along a direction: a few calls whatever x's size.

    Parameters
    ----------
    f, x
        As for `numerical_gradient`.
    direction : numpy.ndarray
        Of x's shape, usually of length 1.
    step, noise : float
        See `numerical_derivative`.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> round(directional_derivative(lambda: x[0] * x[1] ** 3, x, np.array([0.6, 0.8])).value, 8)
    14.4
    """
    with along(f, [x], [direction]) as phi:
        return numerical_derivative(phi, 0.0, step, noise)


def rounding_noise(f: Callable[[], float], parameters: list[np.ndarray], step: float,
                   points: int = 9) -> float:
    """Standard deviation of the rounding error of ``f()`` a step away, where differences are taken.

    The parameters move by a few units in the last place at a time. Over so short a way f is a straight line,
    and what second differences remain is rounding; those of noise have 6 times its variance.
    """
    originals = [parameter.copy() for parameter in parameters]
    values = []
    try:
        for point in range(points):
            for parameter, original in zip(parameters, originals, strict=True):
                parameter[...] = original * (1 + step + point * 2.0 ** -50)
            values.append(f())
    finally:
        for parameter, original in zip(parameters, originals, strict=True):
            parameter[...] = original
    measured = float(np.sqrt(np.mean(np.diff(values, 2) ** 2) / 6))
    return max(measured, 0.5 * float(np.spacing(np.max(np.abs(values)))))
