"""`fastnn.diagnose`: a few steps on a copy of a model, and what they say about it in words and numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .. import bundles, checks
from ..bundles import Bundle
from ..divergence import DivergenceError
from ..history import History
from ..inference import adapt
from ..model import Model
from ..schedules import Schedule
from ..training import fit
from . import rules  # noqa: F401  (registers them)
from .findings import Evidence, Finding, Outcome, as_plain, examine
from .measuring import (
    PROBE_ROWS,
    SCALARS,
    LayerFigures,
    Measurement,
    Probe,
    checked,
    counted_rows,
    sample_rows,
)


@dataclass(frozen=True, repr=False, eq=False)
class Diagnosis:
    """What `diagnose` found; prints as a table of the layers and the findings.

    Attributes
    ----------
    findings : list of Finding
        The worst first; empty for a healthy network.
    measurements : list of Measurement
        The network at the start and after the steps, layer by layer. Without the second where the steps
        diverged.
    expected_loss : float
        That of a network whose last layer says nothing: ln C for C classes.
    outcome : Outcome
        The loss before and after the steps, at the model's learning rate, a tenth and ten times it.
    rows : int
        How many rows were looked at.

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn.data import load_digits
    >>> X, y = load_digits()
    >>> layers = [fnn.Dense(32, "sigmoid", kernel_initializer="standard_normal"), fnn.Dense(10, "softmax")]
    >>> model = fnn.Sequential([fnn.Flatten(), fnn.Standardize(), *layers], input_shape=(8, 8))
    >>> model.compile(fnn.SGD(0.1))
    >>> diagnosis = fnn.diagnose(model, X, y)
    >>> [(finding.name, finding.layer) for finding in diagnosis.findings]
    [('saturated_units', 'dense')]
    """

    findings: list[Finding]
    measurements: list[Measurement]
    expected_loss: float
    outcome: Outcome
    rows: int

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def names(self) -> list[str]:
        """The findings' names."""
        return [finding.name for finding in self.findings]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, which JSON can hold."""
        plain = [{name: v for name, v in vars(m).items() if name != "layers"}
                 | {"layers": [{"name": la.name} | {s: getattr(la, s) for s in SCALARS} for la in m.layers]}
                 for m in self.measurements]
        return as_plain({"healthy": self.healthy, "findings": [asdict(f) for f in self.findings],
                         "expected_loss": self.expected_loss, "outcome": self.outcome._asdict(),
                         "measurements": plain})

    def __str__(self) -> str:
        o = self.outcome
        return "\n".join([
            layer_table(self.measurements[-1]),
            f"loss at the start {self.measurements[0].data_loss:.4g}, of a network that says nothing "
            f"{self.expected_loss:.4g}; after {o.steps} steps {_loss(o.after)}, at a tenth of the learning "
            f"rate {_loss(o.tenth)}, at ten times it {_loss(o.tenfold)}",
            "", findings_text(self.findings)])

    __repr__ = __str__


def diagnose(model: Model, X: Any, y: Any, *, sample_weight: Any = None, batch_size: int = 32,
             steps: int = 50, history: History | None = None) -> Diagnosis:
    """Find out why a network does not learn, or would not learn well.

    Looks at every layer on up to 512 rows, takes a few steps and looks again, each time at the activations,
    the gradients and the size of the steps; takes the same steps at a tenth and at ten times the learning
    rate. All on copies: the model, its optimizer's state and its counters stay as they are, bit for bit.

    Parameters
    ----------
    model : Model
        Compiled; fresh or trained. Where there are several outputs, gradients are compared with the largest
        of their layers'.
    X, y, sample_weight : array_like
        As `fit` takes them; the training data.
    batch_size : int
        Rows of a step, as for `fit`.
    steps : int
        How many.
    history : History, optional
        Of the training so far, where the rules on whole trainings (overfitting, a rising loss) are to look at it.

    Returns
    -------
    Diagnosis
        ``findings``, which name the layer, the figure, the threshold, why it hurts and what to try; print it
        for these and a table of the layers.

    Raises
    ------
    ValueError
        If the model has no parameters, or X and y do not fit it.

    Notes
    -----
    The rules with their thresholds and sources are ``fastnn.diagnostics.RULES``; `fastnn.Monitor` applies
    them during a training.

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn.data import load_digits
    >>> X, y = load_digits()
    >>> layers = [fnn.Flatten(), fnn.Standardize(), fnn.Dense(32, "relu"), fnn.Dense(10, "softmax")]
    >>> model = fnn.Sequential(layers, input_shape=(8, 8))
    >>> model.compile(fnn.SGD(0.1), loss="cross_entropy")
    >>> fnn.diagnose(model, X, y).healthy
    True
    >>> model.compile(fnn.SGD(1e-5), loss="cross_entropy")
    >>> fnn.diagnose(model, X, y).names()
    ['small_updates', 'small_updates', 'learning_rate_low']
    """
    batch_size, steps = checks.positive_int("batch_size", batch_size), checks.positive_int("steps", steps)
    if history is not None and not isinstance(history, History):
        raise TypeError(f"history: expected what fit returned, got {checks.describe(history)}")
    X, y, weight = checked(model, X, y, sample_weight)
    patient = model.copy()
    adapt(patient, X)
    sample = sample_rows(model, X, y, weight, PROBE_ROWS)
    probe = Probe(patient, *sample, batch_size)
    uninformed = probe.uninformed_loss()
    measurements = [probe.measure()]
    fresh = patient.update_count == 0
    tenth, tenfold = (_scaled(patient, factor) for factor in (0.1, 10.0))
    before = _evaluate(patient, sample)
    ended = [_train(m, X, y, weight, batch_size, steps, sample) for m in (patient, tenth, tenfold)]
    outcome = Outcome(steps, before, *(loss for loss, _ in ended))
    if math.isfinite(outcome.after):
        measurements.append(probe.measure())
    moments = ["at the start", f"after {steps} steps"][:len(measurements)]
    evidence = Evidence(patient, measurements, moments, uninformed, sample[1], fresh, probe.curvatures,
                        outcome, ended[0][1], {} if history is None else history.history)
    return Diagnosis(examine(evidence), measurements, uninformed, outcome, len(sample[0]))


class _Times(Schedule):
    """Another schedule's rates times a factor, with its momenta."""

    def __init__(self, schedule: Schedule, factor: float) -> None:
        self.schedule, self.factor = schedule, factor

    def rates(self, updates: np.ndarray) -> np.ndarray:
        return self.factor * self.schedule.rates(updates)

    def momenta(self, updates: np.ndarray) -> np.ndarray | None:
        return self.schedule.momenta(updates)


def _scaled(model: Model, factor: float) -> Model:
    """A copy that learns at so many times the rate."""
    other = model.copy()
    assert other.optimizer is not None
    rate = other.optimizer.learning_rate
    if isinstance(rate, Schedule):
        other.optimizer.learning_rate = _Times(rate, factor)
    elif callable(rate):
        other.optimizer.learning_rate = _times(rate, factor)
    else:
        other.optimizer.learning_rate = factor * rate
    return other


def _times(rate: Callable[[int], float], factor: float) -> Callable[[int], float]:
    return lambda update: factor * rate(update)


def _train(model: Model, X: Bundle, y: Bundle, weight: np.ndarray | None, batch_size: int,
           steps: int, sample: tuple) -> tuple[float, DivergenceError | None]:
    """Take some steps; the loss on the sample then, infinite where they diverge, and how they did."""
    rng = np.random.default_rng([model.seed, 4])
    counted = counted_rows(X, weight)
    batch = min(batch_size, len(counted))
    whole = len(counted) // batch * batch  # rows of full batches, in a new order each time round
    rounds = [rng.permutation(counted)[:whole] for _ in range(-(-steps * batch // whole))]
    rows = np.concatenate(rounds)[:steps * batch]
    try:
        fit(model, bundles.take(X, rows), bundles.take(y, rows), batch, shuffle=False, verbose=0,
            sample_weight=bundles.take(weight, rows))
    except DivergenceError as error:
        return math.inf, error
    loss = _evaluate(model, sample)
    return loss if math.isfinite(loss) else math.inf, None


def _evaluate(model: Model, sample: tuple) -> float:
    X, y, weight = sample
    return model.evaluate(X, y, sample_weight=weight)["loss"]


def _loss(loss: float) -> str:
    return f"{loss:.4g}" if math.isfinite(loss) else "divergence"


# ---- words and tables ----

def findings_text(findings: Sequence[Finding]) -> str:
    """All findings in words, or that there are none."""
    if not findings:
        return "healthy: none of the rules found anything"
    return "\n".join([f"{len(findings)} finding{'s' if len(findings) > 1 else ''}", *map(str, findings)])


def layer_table(measurement: Measurement) -> str:
    """The figures of every layer, in one line each."""
    header = ("layer", "activation", "weight std", "z mean", "z std", "y mean", "y std", "saturated", "dead",
              "delta", "ratio", "gradient", "update/weight")
    rows: list[Sequence[str]] = [header]
    above = math.nan
    for layer in reversed(measurement.layers):
        rows.insert(1, _row(layer, layer.delta / above if above else math.nan))
        above = layer.delta if len(layer.shape) > 1 else above
    return as_table(rows, left=2)


def _row(layer: LayerFigures, ratio: float) -> Sequence[str]:
    cells = [(layer.weight_std, ".3g"), (layer.pre_mean, ".3g"), (layer.pre_std, ".3g"), (layer.mean, ".3g"),
             (layer.std, ".3g"), (layer.saturated, ".0%"), (layer.dead, ".0%"), (layer.delta, ".2e"),
             (ratio, ".2g"), (layer.gradient, ".2e"), (layer.update_ratio, ".1e")]
    return layer.name, layer.activation, *("-" if math.isnan(v) else f"{v:{spec}}" for v, spec in cells)


def as_table(rows: Sequence[Sequence[str]], left: int) -> str:
    """Cells in columns, the first `left` of them words that stand at the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) if i < left else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
                     for row in rows)
