"""Metrics by name: the registry of metric_functions.py, and what else `compile` takes as a metric."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import checks
from .metric_functions import (
    accuracy,
    binary_accuracy,
    f1,
    mae,
    mse,
    precision,
    r2,
    recall,
    roc_auc,
    top_k_accuracy,
)

__all__ = ["METRICS", "Metric", "TopK", "accuracy", "binary_accuracy", "f1", "mae", "mse", "precision", "r2",
           "evaluate_all", "recall", "resolve", "resolve_all", "roc_auc", "top_k_accuracy"]


@dataclass(frozen=True)
class Metric:
    """A named function of (targets, outputs).

    Parameters
    ----------
    name : str
        What logs and history call it.
    function : callable
        Takes targets and outputs, returns a number.
    larger_is_better : bool, optional
        None where nobody said.
    aliases : tuple of str
        Other names that `resolve` knows.

    Examples
    --------
    >>> largest_error = Metric("largest_error", lambda t, y: abs(t - y).max(), larger_is_better=False)
    >>> largest_error(np.array([1.0, 2.0]), np.array([1.5, 2.0]))
    0.5
    """

    name: str
    function: Callable[[Any, Any], Any]
    larger_is_better: bool | None = None
    aliases: tuple[str, ...] = ()

    @property
    def doc(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    @property
    def registered(self) -> bool:
        """Whether `resolve` finds this metric by its name, so that a file can hold it."""
        return self.name in METRICS and METRICS[self.name] == self or isinstance(self.function, _TopKAccuracy)

    def __call__(self, targets: Any, outputs: Any) -> float:
        value = self.function(targets, outputs)
        if type(value) is not float:
            array = np.asarray(value)
            if array.size != 1 or array.dtype.kind not in "biuf":
                raise TypeError(f"metric {self.name!r}: expected the function to return one number, "
                                f"got {checks.describe(value)}; try the mean over the rows")
            value = float(array.item())
        return value


def TopK(k: int = 5) -> Metric:
    """The metric `top_k_accuracy` with another k, called "top_<k>_accuracy" in the logs.

    Parameters
    ----------
    k : int
        How many guesses each row has.

    Returns
    -------
    Metric

    Examples
    --------
    >>> TopK(2)([2, 0], [[0.1, 0.2, 0.7], [0.2, 0.5, 0.3]])
    0.5
    """
    k = checks.positive_int("k", k)
    return Metric(f"top_{k}_accuracy", _TopKAccuracy(k), True)


@dataclass(frozen=True)
class _TopKAccuracy:
    """The share of rows whose class is among the k largest outputs."""

    k: int

    def __call__(self, targets: Any, outputs: Any) -> float:
        return top_k_accuracy(targets, outputs, self.k)


METRICS: dict[str, Metric] = {metric.name: metric for metric in (
    Metric("accuracy", accuracy, True, ("acc", "categorical_accuracy", "sparse_categorical_accuracy")),
    Metric("top_k_accuracy", top_k_accuracy, True, ("top_k", "top_k_categorical_accuracy")),
    Metric("binary_accuracy", binary_accuracy, True),
    Metric("precision", precision, True),
    Metric("recall", recall, True),
    Metric("f1", f1, True, ("f1_score",)),
    Metric("roc_auc", roc_auc, True, ("auc", "roc_auc_score")),
    Metric("mae", mae, False, ("mean_absolute_error",)),
    Metric("mse", mse, False, ("mean_squared_error",)),
    Metric("r2", r2, True, ("r2_score",)),
)}
_ALIASES = {alias: metric for metric in METRICS.values() for alias in metric.aliases}
_BY_FUNCTION = {metric.function: metric for metric in METRICS.values()}


def resolve(metric: str | Metric | Callable[[Any, Any], Any]) -> Metric:
    """The metric of a name, an alias or a function.

    Parameters
    ----------
    metric : str, Metric or callable
        A name of the registry ("top_3_accuracy" and the like too), a `Metric`, or any function of (targets,
        outputs) that returns a number; its name is the function's.

    Returns
    -------
    Metric

    Examples
    --------
    >>> resolve("acc").name, resolve("top_3_accuracy").name
    ('accuracy', 'top_3_accuracy')
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if top := re.fullmatch(r"top_([1-9]\d*)(_accuracy)?", metric):
            return TopK(int(top[1]))
        return _ALIASES.get(metric) or checks.lookup("metric", metric, METRICS)
    if isinstance(metric, type) or not callable(metric):
        raise TypeError(f"metric: expected a name, a Metric or a function of (targets, outputs), "
                        f"got {checks.describe(metric)}; names: {', '.join(map(repr, METRICS))}")
    if isinstance(metric, functools.partial):
        known = _BY_FUNCTION.get(metric.func)
        name = getattr(metric.func, "__name__", type(metric.func).__name__)
        return Metric(name, metric, known.larger_is_better if known else None)
    try:
        known = _BY_FUNCTION.get(metric)
    except TypeError:  # an object that has no hash
        known = None
    return known or Metric(getattr(metric, "__name__", type(metric).__name__).strip("<>"), metric)


def evaluate_all(metrics: Iterable[Metric], targets: Any, outputs: Any) -> dict[str, float]:
    """Every metric by name, over the rows whose label is not ignored (-1); NaN where no row is left.

    Examples
    --------
    >>> labels, outputs = np.array([1, -1]), np.array([[0.2, 0.8], [0.3, 0.7]])
    >>> evaluate_all([resolve("accuracy")], labels, outputs)
    {'accuracy': 1.0}
    """
    metrics = list(metrics)
    if metrics and targets.ndim == 1 and targets.dtype == np.int64 and targets.min(initial=0) < 0:
        counts = targets >= 0
        targets, outputs = targets[counts], outputs[counts]
    if not len(outputs):
        return {metric.name: float("nan") for metric in metrics}
    return {metric.name: metric(targets, outputs) for metric in metrics}


def resolve_all(metrics: Any) -> list[Metric]:
    """The metrics of a list, or of one alone; refuses two of the same name.

    Examples
    --------
    >>> [metric.name for metric in resolve_all(["acc", "f1"])]
    ['accuracy', 'f1']
    """
    if metrics is None:
        return []
    if isinstance(metrics, (str, bytes, np.ndarray, Metric)) or not isinstance(metrics, Iterable):
        metrics = [metrics]
    found = [resolve(metric) for metric in metrics]
    names = [metric.name for metric in found]
    for i, name in enumerate(names):
        if name in names[:i] or name == "loss":
            twice = "used twice" if name in names[:i] else "taken by the loss itself"
            raise ValueError(f"metrics: expected different names, got {name!r}, which is {twice}; "
                             "give it another with fastnn.metrics.Metric(name, function)")
    return found
