"""`fastnn.sanity_check`: what should hold of any network before hours are spent on training it."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import checks
from ..divergence import DivergenceError
from ..gradcheck import check_gradients
from ..inference import adapt
from ..initializers import Constant
from ..layers import Dense
from ..layers.noise import RandomLayer
from ..optimizers import Adam, Optimizer
from ..sequential import Sequential
from ..training import fit
from .measuring import PROBE_ROWS, Measurement, Probe, checked, sample_rows, usual_start
from .report import as_table

FEW = 20  # samples that must be learned by heart
PATIENCE = 20  # times EPOCHS full-batch steps in which that must happen
EPOCHS = 50
LEARNED = 0.05  # of the way from the loss of a network that says nothing to the least, what may be left
GRADIENT_ROWS, GRADIENT_SAMPLES = 8, 20  # of the gradient check, and of each tensor


@dataclass(frozen=True)
class SanityItem:
    """One of the checks.

    Attributes
    ----------
    name : str
        "initial loss", "regularization", "overfitting" or "gradients".
    passed : bool or None
        None where it does not apply.
    figure, expected : str
        What was found, and what was wanted.
    advice : str
        What to do where it failed.
    """

    name: str
    passed: bool | None
    figure: str
    expected: str
    advice: str = ""


@dataclass(frozen=True, repr=False)
class SanityReport:
    """What `sanity_check` found; prints as a table.

    Attributes
    ----------
    items : list of SanityItem
        One for each check.

    Examples
    --------
    >>> print(SanityReport([SanityItem("gradients", False, "error 0.1", "below 1e-07", "look at backward")]))
    check      result  found      expected
    gradients  FAILED  error 0.1  below 1e-07
    gradients: look at backward
    """

    items: list[SanityItem]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> list[str]:
        """Names of the checks that failed."""
        return [item.name for item in self.items if item.passed is False]

    def __getitem__(self, name: str) -> SanityItem:
        return {item.name: item for item in self.items}[name]

    def __str__(self) -> str:
        words = {True: "ok", False: "FAILED", None: "-"}
        rows = [("check", "result", "found", "expected")]
        rows += [(item.name, words[item.passed], item.figure, item.expected) for item in self.items]
        return "\n".join([as_table(rows, left=4), *(f"{item.name}: {item.advice}" for item in self.items
                                                    if item.passed is False)])

    __repr__ = __str__


def sanity_check(model: Sequential, X: Any, y: Any, *, sample_weight: Any = None) -> SanityReport:
    """Check what should hold of any network before its training: the list of CS231n.

    1. The loss at the start is that of a network that says nothing, ln C for C classes, within a factor of 2;
       of other targets than classes, at most 10 times that.
    2. Regularization raises the loss.
    3. 20 samples can be learned by heart, without regularization and dropout: of the way from the loss of 1
       to the least loss on their targets at most 5% is left, or every class is right and half of the way.
    4. The gradients agree with finite differences.

    A trained model is looked at with new weights, drawn by its seed. The model itself stays as it is.

    Parameters
    ----------
    model : Sequential
        Compiled.
    X, y, sample_weight : array_like
        As `fit` takes them.

    Returns
    -------
    SanityReport
        ``passed`` and ``failed``; prints as a table.

    Raises
    ------
    ValueError
        If the model has no parameters, or X and y do not fit it.

    Notes
    -----
    Source: CS231n, "Neural Networks Part 3", sanity checks; Karpathy 2019, "A Recipe for Training Neural
    Networks". For batches that repeat samples with other targets 3 fails, rightly.

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn.data import load_digits
    >>> X, y = load_digits()
    >>> layers = [fnn.Dense(16, "relu", kernel_regularizer="l2"), fnn.Dense(10, "softmax")]
    >>> model = fnn.Sequential([fnn.Flatten(), fnn.Standardize(), *layers], input_shape=(8, 8))
    >>> model.compile("adam")
    >>> fnn.sanity_check(model, X, y).passed
    True
    """
    checks.known_model(model)
    if len(model.input_names) > 1 or len(model.output_names) > 1:
        raise ValueError("model: expected one input and one output, got "
                         f"{len(model.input_names)} and {len(model.output_names)}; look at a part of it, see model.cut")
    X, y, weight = checked(model, X, y, sample_weight)
    subject = model.copy() if model.update_count == 0 else _changed(model, model.get_config())
    adapt(subject, X)
    sample = sample_rows(model, X, y, weight, PROBE_ROWS)
    probe = Probe(subject, *sample, 1)
    uninformed = probe.uninformed_loss()
    start = probe.measure()
    return SanityReport([_initial_loss(subject, start, uninformed), _regularization(start),
                         _overfitting(subject, sample), _gradients(subject, sample)])


def _changed(model: Sequential, config: dict[str, Any], optimizer: Optimizer | None = None) -> Sequential:
    """A new model of such a config, compiled like another; the weights are its own."""
    other = Sequential.from_config(config)
    other.compile(copy.deepcopy(optimizer or model.optimizer), copy.deepcopy(model.loss),  # type: ignore[arg-type]
                  list(model.metrics))
    return other


Sample = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # X, y, weight


def _initial_loss(model: Sequential, start: Measurement, uninformed: float) -> SanityItem:
    low, high = usual_start(model, uninformed)
    if not uninformed > 0:
        return SanityItem("initial loss", None, f"{start.data_loss:.4g}", "no expectation for this loss")
    return SanityItem(
        "initial loss", low <= start.data_loss <= high, f"{start.data_loss:.4g}",
        f"{low:.3g} to {high:.3g}, around {uninformed:.4g}",
        "smaller initial weights (glorot_uniform) and standardized inputs; fnn.diagnose tells more")


def _regularization(start: Measurement) -> SanityItem:
    if math.isnan(start.penalty):
        return SanityItem("regularization", None, "no regularizer", "a higher loss")
    return SanityItem("regularization", start.penalty > 0, f"{start.data_loss:.4g} to {start.loss:.4g}",
                      "a higher loss", "the penalty is zero: are all weights, or all its coefficients?")


def _overfitting(model: Sequential, sample: Sample) -> SanityItem:
    X, y, weight = sample[0][:FEW], sample[1][:FEW], None if sample[2] is None else sample[2][:FEW]
    least = _least(model, y, weight)
    most = Probe(model, X, y, weight, 1).uninformed_loss()
    if not most > least:  # that of one that says nothing tells nothing here
        most = model.evaluate(X, y, sample_weight=weight)["loss"]
    limit = least + LEARNED * (most - least)
    config = model.get_config()
    config["layers"] = [_free(layer) for layer, built in zip(config["layers"], model.layers, strict=True)
                        if not isinstance(built, RandomLayer)]
    wanted, passed, figure, steps = f"below {limit:.3g}", False, "", 0
    for optimizer in (model.optimizer, Adam()):
        subject = _changed(model, config, optimizer)
        subject.load_state_dict(model.state_dict())
        passed, loss, steps = _learns(subject, X, y, weight, limit, (least + most) / 2)
        figure = figure or f"loss {loss:.3g} after {steps} steps on {len(X)} samples"
        if passed:
            break
    if passed and optimizer is not model.optimizer:
        return SanityItem("overfitting", False, figure, wanted, "with Adam at its own rate the samples are "
                          "learned, so it is the optimizer: fnn.find_learning_rate suggests a rate")
    return SanityItem("overfitting", passed, figure, wanted, "not with Adam either: is the network too "
                      "small, are its units saturated or dead (fnn.diagnose), do X and y belong together?")


def _least(model: Sequential, y: np.ndarray, weight: np.ndarray | None) -> float:
    """The least loss on targets, found with a table of outputs, one row a sample; 0 for most losses."""
    last = getattr(model.layers[-1], "choice", None)
    outputs = Dense(model.output_shape[0], last, kernel_initializer=Constant(0.1))
    table, rows = Sequential([outputs], (len(y),), model.dtype), np.eye(len(y), dtype=model.dtype)
    table.compile(Adam(0.1), copy.deepcopy(model.loss))  # type: ignore[arg-type]
    try:
        fit(table, rows, y, len(y), PATIENCE * EPOCHS, sample_weight=weight, verbose=0)
    except DivergenceError:
        return 0.0
    return table.evaluate(rows, y, sample_weight=weight)["loss"]


def _free(layer: dict[str, Any]) -> dict[str, Any]:
    """A layer's config without penalties."""
    return {name: None if name.endswith("_regularizer") else value for name, value in layer.items()}


def _learns(model: Sequential, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None,
            limit: float, half: float) -> tuple[bool, float, int]:
    """Whether a model learns a few samples by heart; the loss and the steps taken."""
    loss, steps = model.evaluate(X, y, sample_weight=weight)["loss"], 0
    for _ in range(PATIENCE):
        try:
            fit(model, X, y, len(X), EPOCHS, sample_weight=weight, verbose=0)
        except DivergenceError:
            return False, math.inf, steps
        steps += EPOCHS
        loss = model.evaluate(X, y, sample_weight=weight)["loss"]
        if loss <= limit or loss <= half and _all_right(model, X, y):
            return True, loss, steps
    return False, loss, steps


def _all_right(model: Sequential, X: np.ndarray, y: np.ndarray) -> bool:
    """Whether every sample's class is the most probable one; not asked of other targets."""
    if model.target_kind not in ("labels_or_rows", "labels"):
        return False
    return bool((model.predict(X).argmax(axis=1) == (y if y.ndim == 1 else y.argmax(axis=1))).all())


def _gradients(model: Sequential, sample: Sample) -> SanityItem:
    few = (None if a is None else a[:GRADIENT_ROWS] for a in sample)
    result = check_gradients(model, *few, samples=GRADIENT_SAMPLES)
    judged = [tensor for tensor in result.tensors if tensor.worst_index is not None]
    wrong = [tensor.name for tensor in judged if not tensor.passed]
    worst = max((tensor.error for tensor in judged), default=math.nan)
    return SanityItem("gradients", not wrong, f"relative error {worst:.1e}", f"below {result.tolerance:.0e}",
                      f"the backward pass of {', '.join(wrong)} is wrong; fnn.check_gradients tells more")
