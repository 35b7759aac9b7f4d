"""The gradient checker: finite differences in float64 against backpropagation.

`numerical_derivative` differentiates a function of one number, `numerical_gradient` a function of an
array entry by entry with it, `check_gradients` compares a model's gradients with that.

Source: Ridders (1982) and Press et al., Numerical Recipes, 5.7, for extrapolated central differences;
Moré and Wild (2011), Estimating computational noise, for measuring rounding errors by differences.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from . import checks

MAX_HALVINGS = 16    # of the step: 1e-3 ends at 3e-8
SIGNIFICANT = 20.0   # disagreement of differences, in units of rounding error, that is no accident
SMALL_MODEL = 2000   # parameters up to which all are checked by default
SAMPLES = 100        # of each tensor of a larger model


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


@dataclass(frozen=True)
class TensorCheck:
    """The check of one parameter tensor.

    Attributes
    ----------
    name, shape
        Of the tensor.
    checked : int
        Entries compared, those at kinks among them.
    kinks : int
        Entries at which the loss has no derivative, found by its one-sided differences; not judged.
    error : float
        ``|g - n| / (|g| + |n|)`` in Euclidean norms over the entries judged, g from backpropagation and n
        from differences. Where both are so small that rounding decides, the divisor is a floor instead.
    worst_index : tuple of int
        The entry judged with the largest relative error, None where none was judged.
    worst_error, analytic, numeric : float
        Its relative error, its value by backpropagation and by differences.
    passed : bool
        Whether some entry was judged and `error` is within the tolerance.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    kinks: int
    error: float
    worst_index: tuple[int, ...] | None
    worst_error: float
    analytic: float
    numeric: float
    passed: bool


@dataclass(frozen=True, repr=False)
class GradientCheck:
    """What `check_gradients` found; prints as a table.

    Attributes
    ----------
    tensors : list of TensorCheck
        One for each parameter tensor.
    loss : float
        The loss at the parameters checked.
    tolerance : float
        The largest relative error that passes.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(2, "sigmoid")], input_shape=(3,))
    >>> model.compile(loss="squared_error")
    >>> result = fnn.check_gradients(model, np.eye(3), [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> result.passed, result.failed, [tensor.name for tensor in result.tensors]
    (True, [], ['dense.weight', 'dense.bias'])
    >>> result.worst.error < result.tolerance
    True
    """

    tensors: list[TensorCheck]
    loss: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every tensor passed."""
        return all(tensor.passed for tensor in self.tensors)

    @property
    def failed(self) -> list[str]:
        """Names of the tensors that did not pass."""
        return [tensor.name for tensor in self.tensors if not tensor.passed]

    @property
    def worst(self) -> TensorCheck:
        """The tensor with the largest error; not-a-number counts as largest."""
        return max(self.tensors, key=lambda tensor: np.inf if np.isnan(tensor.error) else tensor.error)

    def __str__(self) -> str:
        judged = sum(tensor.checked - tensor.kinks for tensor in self.tensors)
        kinks = sum(tensor.kinks for tensor in self.tensors)
        title = (f"Gradient check {'passed' if self.passed else 'FAILED'}: {judged} entries of "
                 f"{len(self.tensors)} tensors compared, {kinks} at kinks left out, loss {self.loss:.6g}, "
                 f"tolerance {self.tolerance:.1e}")
        rows = [("tensor", "shape", "checked", "kinks", "error", "worst entry", "its error",
                 "backpropagation", "differences", "")]
        for t in self.tensors:
            verdict = "ok" if t.passed else "FAILED" if t.worst_index is not None else "only kinks"
            worst = ("-",) * 4 if t.worst_index is None else (
                str(list(t.worst_index)), f"{t.worst_error:.1e}", f"{t.analytic:.9e}", f"{t.numeric:.9e}")
            rows.append((t.name, str(t.shape), str(t.checked), str(t.kinks), f"{t.error:.1e}", *worst,
                         verdict))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        left = (0, 1, 9)  # columns of words; numbers go to the right
        lines = ("  ".join(cell.ljust(width) if i in left else cell.rjust(width)
                           for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
                 for row in rows)
        return "\n".join((title, *lines))

    __repr__ = __str__


def check_gradients(model: Any, X: Any, y: Any, sample_weight: Any = None, *, step: float = 1e-3,
                    tolerance: float = 1e-7, samples: int | None = None, seed: int = 0) -> GradientCheck:
    """Compare a model's gradients by backpropagation with finite differences of its loss.

    Works on a float64 copy; the model itself is not touched. A few rows do, and fewer rows mean fewer
    kinks near by.

    Parameters
    ----------
    model : Sequential
        Compiled: the loss is part of what is checked.
    X, y : array-like
        Samples and targets, all used at once.
    sample_weight : array-like, optional
        One weight per row.
    step : float
        The widest step of the differences, relative to max(1, abs(parameter)). It shrinks by itself
        where the loss is strongly curved or has a kink near by, see `numerical_derivative`.
    tolerance : float
        Largest relative error of a tensor that passes.
    samples : int, optional
        Entries checked per tensor: half of them those with the largest gradients, the others drawn at
        random. By default all in a model of up to 2,000 parameters, else 100.
    seed : int
        Of the draw.

    Returns
    -------
    GradientCheck
        With ``passed``; print it for the table.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(4, "tanh"), fnn.Dense(3, "softmax")], input_shape=(5,), seed=0)
    >>> model.compile(loss="cross_entropy")
    >>> X = np.random.default_rng(0).standard_normal((8, 5))
    >>> fnn.check_gradients(model, X, np.arange(8) % 3).passed
    True
    """
    step = checks.positive_float("step", step)
    tolerance = checks.positive_float("tolerance", tolerance)
    seed = checks.positive_int("seed", seed, minimum=0)
    copy = model.copy(dtype="float64")
    bound = copy.bind(X, y, sample_weight)
    parameters = copy.named_parameters()
    if not parameters:
        raise ValueError("model must have parameters to check the gradients of, got none; "
                         "add a layer such as Dense")
    if samples is None:
        small = sum(parameter.size for parameter in parameters.values()) <= SMALL_MODEL
        samples = SMALL_MODEL if small else SAMPLES
    samples = checks.positive_int("samples", samples)
    loss = bound.loss()
    if not np.isfinite(loss):
        raise ValueError(f"the model's loss is {loss}, which has no gradient; use smaller weights or inputs")
    gradients = {name: np.array(gradient) for name, gradient in bound.gradients().items()}
    noise = _rounding_noise(bound.loss, list(parameters.values()), step)
    tensors = []
    for number, (name, gradient) in enumerate(gradients.items()):
        parameter = parameters[name]
        indices = _sample(gradient, samples, np.random.default_rng([seed, number]))
        numeric = numerical_gradient(bound.loss, parameter, indices, step, noise)
        tensors.append(_compare(name, gradient, indices, numeric, tolerance))
    return GradientCheck(tensors, loss, tolerance)


def _sample(gradient: np.ndarray, samples: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """At most `samples` indices: half the largest entries, where errors show, and half at random."""
    chosen = np.arange(gradient.size)
    if gradient.size > samples:
        order = np.argsort(-np.abs(gradient), axis=None, kind="stable")
        large, others = np.split(order, [samples // 2])
        chosen = np.sort(np.concatenate([large, rng.choice(others, samples - samples // 2, replace=False)]))
    return list(zip(*(axis.tolist() for axis in np.unravel_index(chosen, gradient.shape)), strict=True))


def _rounding_noise(f: Callable[[], float], parameters: list[np.ndarray], step: float,
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


def _compare(name: str, gradient: np.ndarray, indices: list[tuple[int, ...]], numeric: list[Derivative],
             tolerance: float) -> TensorCheck:
    analytic = np.array([gradient[index] for index in indices])
    value, doubt, rounding = np.array(numeric).T
    # An entry sits at a kink where differences stay in disagreement by more than their rounding and more than
    # the comparison can bear. That is said without a look at the analytic value: no error hides here.
    scale = np.sqrt(np.nanmean(value ** 2)) if np.isfinite(value).any() else 0.0
    kink = ~((doubt <= SIGNIFICANT * rounding) | (doubt <= tolerance * scale))
    # Below this, the rounding of the differences alone would exceed the tolerance.
    floor = SIGNIFICANT * rounding / tolerance
    difference = np.abs(analytic - value)
    relative = difference / np.maximum(np.abs(analytic) + np.abs(value), floor)
    judged = np.flatnonzero(~kink)
    counts = len(indices), int(kink.sum())
    if not judged.size:
        return TensorCheck(name, gradient.shape, *counts, np.nan, None, np.nan, np.nan, np.nan, False)

    def norm(v: np.ndarray) -> float:
        return float(np.linalg.norm(v[judged]))

    error = norm(difference) / max(norm(analytic) + norm(value), norm(floor))
    worst = judged[np.argmax(np.nan_to_num(relative[judged], nan=np.inf))]
    return TensorCheck(name, gradient.shape, *counts, error, indices[worst], float(relative[worst]),
                       float(analytic[worst]), float(value[worst]), bool(error <= tolerance))
