"""The gradient checker: finite differences in float64 against backpropagation.

`check_gradients` compares a model's gradients with derivatives of its loss (`fastnn.numerical`), tensor by
tensor.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from . import bundles, checks
from .inference import bound_twice, named_inputs
from .numerical import (
    SIGNIFICANT,
    Derivative,
    directional_derivative,
    numerical_gradient,
    rounding_noise,
)

SMALL_MODEL = 2000   # entries of all tensors up to which every one is checked by default
SAMPLES = 100        # of each tensor of a larger model
DRAWS = 3            # of a random change of all numbers, to see what rounding does to a gradient


@dataclass(frozen=True)
class TensorCheck:
    """The check of one tensor's gradient, of one part of the loss.

    Attributes
    ----------
    name, shape
        Of the parameter tensor; "X" for the inputs.
    part : {"data", "penalty", "total", "step"}
        What was differentiated: the mean over the rows; what regularizers add; the sum of both, as training
        has it, where there is a penalty. "step" is no derivative: it compares what plain SGD at rate 1 takes
        from the parameter, after the optimizer's clipping, with the gradient clipped by the formula, and with
        zero where the parameter is frozen.
    checked : int
        Entries (or directions) compared, those at kinks among them.
    kinks : int
        Entries at which the loss has no derivative, found by its one-sided differences; not judged.
    error : float
        ``|g - n| / (|g| + |n|)`` in Euclidean norms over the entries judged, g from backpropagation and n
        from differences. Where both are so small that rounding decides, the divisor is a floor instead.
    tolerance : float
        The largest error that passes: what was asked for, and the rounding errors of backpropagation itself.
    worst_index : tuple of int
        The entry (or the direction's number) judged with the largest relative error, None where none was.
    worst_error, analytic, numeric : float
        Its relative error, its value by backpropagation and by differences.
    passed : bool
        Whether some entry was judged and `error` is within the tolerance.
    """

    name: str
    part: str
    shape: tuple[int, ...]
    checked: int
    kinks: int
    error: float
    tolerance: float
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
        One for each tensor and part of the loss.
    data_loss, penalty : float
        The two parts of the loss at the parameters checked.
    tolerance : float
        The largest relative error that passes, rounding apart.
    dtype : str
        Of the backpropagation that was checked.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(2, "sigmoid")], input_shape=(3,))
    >>> model.compile(loss="squared_error")
    >>> result = fnn.check_gradients(model, np.eye(3), [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> result.passed, result.failed, [tensor.name for tensor in result.part("data")]
    (True, [], ['dense.weight', 'dense.bias', 'X'])
    >>> result.worst.error < result.tolerance
    True
    """

    tensors: list[TensorCheck]
    data_loss: float
    penalty: float
    tolerance: float
    dtype: str

    @property
    def loss(self) -> float:
        """The whole loss."""
        return self.data_loss + self.penalty

    @property
    def passed(self) -> bool:
        """Whether every tensor passed."""
        return all(tensor.passed for tensor in self.tensors)

    @property
    def failed(self) -> list[str]:
        """Names of the tensors that did not pass."""
        return list(dict.fromkeys(tensor.name for tensor in self.tensors if not tensor.passed))

    @property
    def worst(self) -> TensorCheck:
        """The tensor whose error is largest beside its tolerance; not-a-number counts as largest."""
        return max(self.tensors, key=lambda t: np.inf if np.isnan(t.error) else t.error / t.tolerance)

    def part(self, part: str) -> list[TensorCheck]:
        """The rows of one part: "data", "penalty", "total" or "step"."""
        return [tensor for tensor in self.tensors if tensor.part == part]

    def plot(self, **settings: Any) -> Any:
        """Draw the errors: `fastnn.plot.gradient_check`, which has the settings."""
        from . import plot  # pictures stand above
        return plot.gradient_check(self, **settings)

    def __str__(self) -> str:
        judged = sum(tensor.checked - tensor.kinks for tensor in self.tensors)
        kinks = sum(tensor.kinks for tensor in self.tensors)
        losses = f"loss {self.data_loss:.6g}" + (f" and penalty {self.penalty:.6g}" if self.penalty else "")
        names = {tensor.name for tensor in self.tensors}
        verdict = "passed" if self.passed else "FAILED"
        title = (f"Gradient check of {self.dtype} {verdict}: {judged} values of {len(names)} tensors "
                 f"compared, {kinks} at kinks left out, {losses}")
        rows = [("tensor", "part", "shape", "checked", "kinks", "error", "tolerance", "worst entry",
                 "its error", "backpropagation", "differences", "")]
        for t in self.tensors:
            verdict = "ok" if t.passed else "FAILED" if t.worst_index is not None else "only kinks"
            worst = ("-",) * 4 if t.worst_index is None else (
                str(list(t.worst_index)), f"{t.worst_error:.1e}", f"{t.analytic:.9e}", f"{t.numeric:.9e}")
            rows.append((t.name, t.part, str(t.shape), str(t.checked), str(t.kinks), f"{t.error:.1e}",
                         f"{t.tolerance:.1e}", *worst, verdict))
        return "\n".join([title, *table(rows, left=(0, 1, 2, 11))])

    __repr__ = __str__


def table(rows: Sequence[tuple[str, ...]], left: tuple[int, ...]) -> list[str]:
    """The rows as aligned lines; the columns `left` hold words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) if i in left else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
            for row in rows]


class _Settings(NamedTuple):
    step: float
    tolerance: float
    floor: float
    samples: int
    directions: int | None
    seed: int


class _Part(NamedTuple):
    """A part of the loss: its value as a function of arrays that can be moved, and its gradient for each."""

    name: str
    loss: Callable[[], float]
    gradients: dict[str, np.ndarray]
    rounding: dict[str, float]  # norm of the rounding errors that a gradient may have
    noise: float  # rounding error of a value of the loss


def check_gradients(model: Any, X: Any, y: Any, sample_weight: Any = None, *, dtype: Any = "float64",
                    step: float = 1e-3, tolerance: float = 1e-7, floor: float = 1e-12,
                    samples: int | None = None, directions: int | None = None, inputs: bool = True,
                    seed: int = 0) -> GradientCheck:
    """Compare a model's gradients by backpropagation with finite differences of its loss.

    Each parameter tensor that is trained, and the inputs: the loss of the data and the penalties of
    regularizers apart, then their sum, and the step that comes of it. Works on a copy; the model itself is
    not touched. A few rows do, and fewer rows mean fewer kinks near by.

    Parameters
    ----------
    model : Model
        Compiled: the loss is part of what is checked.
    X, y : array-like
        Samples and targets, all used at once.
    sample_weight : array-like, optional
        One weight per row.
    dtype : {"float64", "float32"}
        Of the backpropagation. The differences are taken in float64 at the same numbers.
    step : float
        The widest step of the differences, relative to max(1, abs(parameter)). It shrinks by itself
        where the loss is strongly curved or has a kink near by, see `fastnn.numerical`.
    tolerance : float
        Largest relative error of a tensor that passes, beside rounding.
    floor : float
        Two gradients (of a tensor, by norm) that differ by less count as equal, however small they are.
    samples : int, optional
        Entries checked per tensor: half of them those with the largest gradients, the others drawn at
        random. By default all where there are up to 2,000, inputs included, else 100.
    directions : int, optional
        Move each tensor as a whole along so many random directions instead, and compare derivatives along
        them: the cost does not grow with the number of parameters. An error in any entry shows, not where.
    inputs : bool
        Check the gradient of the inputs too, whose name is "X".
    seed : int
        Of the draws.

    Returns
    -------
    GradientCheck
        With ``passed``; print it for the table.

    Notes
    -----
    Random layers hold their mask and their noise: they draw what the next step of training would.

    What rounding may do to backpropagation is measured: rounding errors act as changes of the numbers that
    enter by less than epsilon times the length of the longest sum (Higham, "Accuracy and Stability of
    Numerical Algorithms", 3.1). So all parameters, inputs and targets are changed at random by one epsilon of
    `dtype`, three times; the largest change of a tensor's gradient, and an epsilon of the gradient of its
    layer, times that length, add to its tolerance. In float64 that is far below 1e-7; in float32 it decides.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(4, "tanh"), fnn.Dense(3, "softmax")], input_shape=(5,), seed=0)
    >>> model.compile(loss="cross_entropy")
    >>> X = np.random.default_rng(0).standard_normal((8, 5))
    >>> fnn.check_gradients(model, X, np.arange(8) % 3).passed
    True
    >>> fnn.check_gradients(model, X, np.arange(8) % 3, dtype="float32", directions=4).passed
    True
    """
    if samples is not None and directions is not None:
        raise ValueError("samples: expected without directions, got both")
    step = checks.positive_float("step", step)
    tolerance = checks.positive_float("tolerance", tolerance)
    floor = checks.positive_float("floor", floor, allow_zero=True)
    seed = checks.seed(seed)
    inputs = checks.boolean("inputs", inputs)
    judged, exact = bound_twice(model, checks.float_dtype("dtype", dtype), X, y, sample_weight)
    parameters = exact.model.named_parameters()
    if not parameters:
        raise ValueError("model must have parameters to check the gradients of, got none; "
                         "add a layer such as Dense")
    data_loss = exact.loss("data")
    if not np.isfinite(data_loss):
        raise ValueError(f"the model's loss is {data_loss}, which has no gradient; "
                         "use smaller weights or inputs")
    tensors = {name: parameters[name] for name in exact.gradients()} | (named_inputs(exact, exact.X) if inputs else {})
    if samples is None:
        samples = SMALL_MODEL if sum(a.size for a in tensors.values()) <= SMALL_MODEL else SAMPLES
    settings = _Settings(step, tolerance, floor, checks.positive_int("samples", samples),
                         None if directions is None else
                         checks.positive_int("directions", directions, maximum=10 ** 6), seed)
    data, penalty, total = (_part(part, judged, exact, parameters, inputs, settings)
                            for part in ("data", "penalty", ""))
    steps = judged.step()
    clipped = judged.model.optimizer.clipping.clipped({name: g for name, g in total.gradients.items()
                                                       if name in parameters})
    rows = []
    for number, (name, array) in enumerate(tensors.items()):
        rng = np.random.default_rng([seed, number])
        if settings.directions is None:
            where: Any = _sample(data.gradients[name], settings.samples, rng)
        else:
            where = _directions(array.shape, settings.directions, rng)
        numeric = _derivatives(data, array, where, settings)
        rows.append(_compare(data, name, where, numeric, settings))
        if name in judged.penalised:
            of_penalty = _derivatives(penalty, array, where, settings)
            both = [Derivative(*np.add(a, b)) for a, b in zip(numeric, of_penalty, strict=True)]
            rows += [_compare(penalty, name, where, of_penalty, settings),
                     _compare(total, name, where, both, settings)]
        if name in steps:
            rows.append(_compare_step(name, steps[name], clipped[name], parameters[name], total, settings))
    rows += [_compare_step(name, steps[name], np.zeros(w.shape), w, total, settings)
             for name, w in parameters.items() if name in steps and name not in tensors]
    return GradientCheck(rows, data_loss, exact.loss("penalty"), tolerance, judged.model.dtype.name)


def _part(part: str, judged: Any, exact: Any, parameters: dict[str, np.ndarray], inputs: bool,
          settings: _Settings) -> _Part:
    def gradients(bound: Any) -> dict[str, np.ndarray]:
        got = {name: np.array(g, np.float64) for name, g in bound.gradients(part).items()}
        if inputs:
            found = named_inputs(bound, bound.X if part == "penalty" else bound.input_gradient())
            got |= {name: np.zeros(g.shape) if part == "penalty" else np.array(g, np.float64)
                    for name, g in found.items()}
        return got

    def loss() -> float:
        return exact.loss(part)

    samples = *bundles.parts(exact.X), *bundles.parts(exact.y)
    moved = [a for a in (*parameters.values(), *samples) if a.dtype.kind == "f"]
    epsilon = float(np.finfo(judged.model.dtype).eps)
    longest = max(n for a in moved for n in a.shape)
    rng, plain = np.random.default_rng(settings.seed), gradients(exact)
    changes = dict.fromkeys(plain, 0.0)
    originals = [a.copy() for a in moved]
    for _ in range(DRAWS):
        for a, original in zip(moved, originals, strict=True):
            a[...] = original * (1 + epsilon * rng.choice([-1.0, 1.0], a.shape))
        for name, g in gradients(exact).items():
            changes[name] = max(changes[name], float(np.linalg.norm(g - plain[name])))
    for a, original in zip(moved, originals, strict=True):
        a[...] = original
    layer = {name: name.rpartition(".")[0] for name in plain}
    size = dict.fromkeys(layer.values(), 0.0)  # a bias before BatchNorm sums up what its weights do, to zero
    for name, g in plain.items():
        size[layer[name]] += float(np.nan_to_num(np.linalg.norm(g)))  # not-a-number fails by itself
    rounding = {name: longest * (changes[name] + epsilon * size[layer[name]]) for name in plain}
    noise = rounding_noise(loss, list(parameters.values()), settings.step)
    return _Part(part or "total", loss, gradients(judged), rounding, noise)


def _sample(gradient: np.ndarray, samples: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """At most `samples` indices: half the largest entries, where errors show, and half at random."""
    chosen = np.arange(gradient.size)
    if gradient.size > samples:
        order = np.argsort(-np.abs(gradient), axis=None, kind="stable")
        large, others = np.split(order, [samples // 2])
        chosen = np.sort(np.concatenate([large, rng.choice(others, samples - samples // 2, replace=False)]))
    return list(zip(*(axis.tolist() for axis in np.unravel_index(chosen, gradient.shape)), strict=True))


def _directions(shape: tuple[int, ...], n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Random directions of length 1."""
    drawn = rng.standard_normal((n, *shape))
    return [v / np.linalg.norm(v) for v in drawn]


def _derivatives(part: _Part, array: np.ndarray, where: list, settings: _Settings) -> list[Derivative]:
    """The part's derivatives for entries of an array, or along directions."""
    if settings.directions is None:
        return numerical_gradient(part.loss, array, where, settings.step, part.noise)
    return [directional_derivative(part.loss, array, v, settings.step, part.noise) for v in where]


def _compare(part: _Part, name: str, where: list, numeric: list[Derivative],
             settings: _Settings) -> TensorCheck:
    gradient, rounding_of_gradient = part.gradients[name], part.rounding[name]
    if settings.directions is None:
        indices, analytic = where, np.array([gradient[index] for index in where])
    else:
        indices, analytic = [(i,) for i in range(len(where))], np.array([np.vdot(gradient, v) for v in where])
        # A random direction sees of any vector 1 / sqrt(size), four times that hardly ever.
        rounding_of_gradient *= np.sqrt(len(where)) * min(1.0, 4 / np.sqrt(gradient.size))
    value, doubt, rounding = np.array(numeric).T
    # An entry sits at a kink where differences stay in disagreement by more than their rounding and more than
    # the comparison can bear. That is said without a look at the analytic value: no error hides here.
    scale = np.sqrt(np.nanmean(value ** 2)) if np.isfinite(value).any() else 0.0
    kink = ~((doubt <= SIGNIFICANT * rounding) | (doubt <= settings.tolerance * scale))
    return _judge(name, part.name, gradient.shape, indices, analytic, value, kink, SIGNIFICANT * rounding,
                  rounding_of_gradient, settings)


def _compare_step(name: str, taken: np.ndarray, expected: np.ndarray, parameter: np.ndarray, total: _Part,
                  settings: _Settings) -> TensorCheck:
    """What a step takes from a parameter, against the clipped gradient: every entry, no differences."""
    epsilon = float(np.finfo(taken.dtype).eps)
    of_subtraction = epsilon * np.maximum(np.abs(parameter), np.abs(expected)).ravel()
    rounding = total.rounding.get(name, 0.0)
    if not expected.any():  # frozen, for one: then no bit may change
        of_subtraction, rounding, settings = 0 * of_subtraction, 0.0, settings._replace(floor=0.0)
    return _judge(name, "step", taken.shape, None, taken.ravel().astype(np.float64), expected.ravel(),
                  np.zeros(taken.size, bool), of_subtraction, rounding, settings)


def _judge(name: str, part: str, shape: tuple[int, ...], indices: list[tuple[int, ...]] | None,
           analytic: np.ndarray, numeric: np.ndarray, kink: np.ndarray, rounding: np.ndarray,
           rounding_of_gradient: float, settings: _Settings) -> TensorCheck:
    """`rounding` is what the numeric values may be off by, each; the analytic ones together by the other.

    `indices` None: all there are.
    """
    tolerance = settings.tolerance
    # Below this, the rounding of the differences alone would exceed the tolerance.
    floor = np.maximum(rounding, settings.floor / max(1.0, np.sqrt(len(analytic)))) / tolerance
    floor = np.maximum(floor, 1e-100)  # two zeros are equal
    difference = np.abs(analytic - numeric)
    relative = difference / np.maximum(np.abs(analytic) + np.abs(numeric), floor)
    judged = np.flatnonzero(~kink)
    counts = len(analytic), int(kink.sum())
    if not judged.size:
        return TensorCheck(name, part, shape, *counts, np.nan, tolerance, None, np.nan, np.nan, np.nan, False)

    def norm(v: np.ndarray) -> float:
        return float(np.linalg.norm(v[judged]))

    divisor = max(norm(analytic) + norm(numeric), norm(floor))
    error, allowed = norm(difference) / divisor, tolerance + rounding_of_gradient / divisor
    worst = judged[np.argmax(np.nan_to_num(relative[judged], nan=np.inf))]
    at = tuple(int(i) for i in np.unravel_index(worst, shape)) if indices is None else indices[worst]
    return TensorCheck(name, part, shape, *counts, error, allowed, at, float(relative[worst]),
                       float(analytic[worst]), float(numeric[worst]), bool(error <= allowed))
