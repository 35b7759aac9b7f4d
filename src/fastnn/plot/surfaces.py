"""Surfaces of two numbers: paths of optimizers, and the loss around a solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import checks
from .style import COLOURS, dress, line, new_axes


def optimizer_paths(function: Callable[..., Any], paths: Mapping[str, Any], *, ax: Any = None,
                    bounds: tuple[float, float, float, float] | None = None, levels: int = 18,
                    names: tuple[str, str] = ("$w_1$", "$w_2$")) -> Any:
    """The ways of optimizers over a surface, with its lines of equal height.

    Parameters
    ----------
    function : callable
        f(w) of w (2,): its value, or (value, gradient) as `fastnn.descend` takes it.
    paths : mapping of str to array_like (steps, 2)
        The points that each went through; ``fnn.descend(...).points``.
    ax : Axes, optional
        To draw on.
    bounds : (left, right, bottom, top), optional
        What is shown; by default the paths and some margin.
    levels : int
        How many lines.
    names : (str, str)
        Of the axes.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn import plot
    >>> def bowl(w):
    ...     return w @ w, 2 * w
    >>> paths = {"SGD": fnn.descend(bowl, [1.0, 2.0], fnn.SGD(0.1), steps=20).points}
    >>> [line.get_label() for line in plot.optimizer_paths(bowl, paths).lines][0]
    'SGD'
    """
    paths = {label: np.asarray(path, float) for label, path in paths.items()}
    ax = new_axes(ax, height=4.2)
    if bounds is None:
        every = np.concatenate(list(paths.values()))
        low, high = every.min(axis=0), every.max(axis=0)
        margin = 0.12 * np.maximum(high - low, 1e-9)
        bounds = (low[0] - margin[0], high[0] + margin[0], low[1] - margin[1], high[1] + margin[1])
    a, b = np.linspace(*bounds[:2], 121), np.linspace(*bounds[2:], 121)
    heights = np.array([[_value(function(np.array([u, v]))) for u in a] for v in b])
    # lines of equal steps in the root of the height: they show a valley's floor as well as its walls
    roots = np.sqrt(heights - heights.min())
    # without smooth edges, which would be most of a file
    ax.contour(a, b, roots, levels=levels, colors="0.78", linewidths=0.7, antialiased=False)
    for i, (label, path) in enumerate(paths.items()):
        ax.plot(*path.T, label=label, **(line(i) | {"linewidth": 1.6}))
        ax.plot(*path[-1], "o", color=COLOURS[i % len(COLOURS)], markersize=6)
    start = next(iter(paths.values()))[0]
    ax.plot(*start, "k*", markersize=11, label="start")
    ax.set_xlim(bounds[:2])
    ax.set_ylim(bounds[2:])
    dress(ax, *names, legend=True)
    ax.grid(False)
    return ax


def loss_surface(model: Any, X: Any, y: Any, *, span: float = 1.0, resolution: int = 25, seed: int = 0,
                 ax: Any = None) -> Any:
    """The loss around a model's parameters, along two random directions.

    Each unit's part of a direction is as long as the unit's weights (Li et al. 2018, Visualizing the Loss
    Landscape of Neural Nets), so that 1 on an axis is a change as large as the weights. Biases stay.

    Parameters
    ----------
    model : Sequential
        Compiled; it is not changed.
    X, y : array_like
        The samples of the loss.
    span : float
        How far to each side.
    resolution : int
        Points along each axis; the loss is computed so many times squared.
    seed : int
        Of the directions.
    ax : Axes, optional
        To draw on.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn import plot
    >>> model = fnn.Sequential([fnn.Dense(3, "softmax")], input_shape=(5,), seed=0)
    >>> model.compile()
    >>> plot.loss_surface(model, np.eye(5), np.arange(5) % 3, resolution=5).get_xlabel()
    'first direction (1: as long as the weights)'
    """
    resolution = checks.positive_int("resolution", resolution, minimum=2)
    span = checks.positive_float("span", span)
    copy = checks.having("model", model, "bind", "a fastnn model").copy(dtype="float64")
    bound = copy.bind(X, y)
    parameters = copy.named_parameters()
    origin = {name: array.copy() for name, array in parameters.items()}
    rng = np.random.default_rng(checks.seed(seed))
    first, second = ({name: _direction(w, rng) for name, w in origin.items()} for _ in range(2))
    at = np.linspace(-span, span, resolution)
    losses = np.empty((resolution, resolution))
    for i, v in enumerate(at):
        for j, u in enumerate(at):
            for name, array in parameters.items():
                array[...] = origin[name] + u * first[name] + v * second[name]
            losses[i, j] = bound.loss()
    ax = new_axes(ax, height=4.4)
    drawn = ax.contourf(at, at, losses, levels=20, cmap="viridis")
    ax.contour(at, at, losses, levels=20, colors="white", linewidths=0.4)
    ax.figure.colorbar(drawn, ax=ax, label="loss")
    ax.plot(0, 0, "w*", markersize=13, markeredgecolor="black", label="the model")
    ax.set_aspect("equal")
    dress(ax, "first direction (1: as long as the weights)", "second direction", legend=True)
    ax.get_legend().set_frame_on(True)
    ax.grid(False)
    return ax


def _direction(w: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Normal numbers, each unit's scaled to the length of its weights; zeros for a bias."""
    if w.ndim < 2:
        return np.zeros_like(w)
    drawn = rng.standard_normal(w.shape)
    inputs = tuple(range(w.ndim - 1))
    sizes = np.sqrt((drawn ** 2).sum(axis=inputs, keepdims=True))
    return drawn * np.sqrt((w ** 2).sum(axis=inputs, keepdims=True)) / sizes


def _value(result: Any) -> float:
    return float(result[0] if isinstance(result, tuple) else result)
