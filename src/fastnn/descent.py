"""Any function of a few numbers, minimised by any optimizer: what the paths of optimizers are drawn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import checks
from .checks_arrays import as_numbers
from .layers import Dense
from .sequential import Sequential
from .training import train_on_batch


@dataclass(frozen=True)
class Descent:
    """The way of an optimizer.

    Attributes
    ----------
    points : numpy.ndarray, shape (steps + 1, n)
        Where it was, from the start on.
    values : numpy.ndarray, shape (steps + 1,)
        The function there.

    Examples
    --------
    >>> Descent(np.array([[1.0], [0.5]]), np.array([1.0, 0.25])).points.shape
    (2, 1)
    """

    points: np.ndarray
    values: np.ndarray


def descend(function: Callable[[np.ndarray], tuple[float, Any]], start: Any, optimizer: Any = "sgd",
            steps: int = 100) -> Descent:
    """Minimise a function of a few numbers with an optimizer, in float64, step by step.

    Parameters
    ----------
    function : callable
        f(w) -> (value, gradient), with w and the gradient of shape (n,).
    start : array_like, shape (n,)
        Where to begin.
    optimizer : str or Optimizer
        As `compile` takes it.
    steps : int
        How many.

    Returns
    -------
    Descent
        All points and values.

    Raises
    ------
    DivergenceError
        When a value stops being finite.

    Examples
    --------
    >>> import fastnn as fnn
    >>> def bowl(w):
    ...     return w @ w, 2 * w
    >>> way = fnn.descend(bowl, [1.0, -2.0], fnn.SGD(0.25), steps=2)
    >>> way.points.tolist(), way.values.tolist()
    ([[1.0, -2.0], [0.5, -1.0], [0.25, -0.5]], [5.0, 1.25, 0.3125])
    """
    if not callable(function):
        raise TypeError("function: expected one of an array that gives (value, gradient), got "
                        f"{checks.describe(function)}")
    start = as_numbers(start, "start", "finite numbers of shape (n,)", "give it numbers").astype(np.float64)
    if start.ndim != 1 or not start.size or not np.isfinite(start).all():
        raise ValueError(f"start: expected finite numbers, shape (n,), got shape {start.shape}")
    steps = checks.positive_int("steps", steps, minimum=0)

    def loss(output: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = function(output[0].copy())
        return np.array([value], np.float64), np.asarray(gradient, np.float64)[None]

    # one layer without a bias on the sample 1: its output is its weights
    layer = Dense(len(start), use_bias=False)
    model = Sequential([layer], (1,), "float64")
    model.compile(optimizer, loss)
    layer.weight[0] = start
    points, values = np.empty((steps + 1, len(start))), np.empty(steps + 1)
    ones, ignored = np.ones((1, 1)), np.zeros((1, len(start)))
    for i in range(steps):
        points[i] = layer.weight[0]
        values[i] = train_on_batch(model, ones, ignored)["loss"]
    points[-1] = layer.weight[0]
    values[-1] = function(points[-1].copy())[0]
    return Descent(points, values)
