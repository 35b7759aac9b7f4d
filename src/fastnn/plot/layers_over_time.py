"""What `fastnn.Monitor` saw: every layer's figures over a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import checks
from ..callback_base import Callback
from .style import GREY, depth, dress, new_axes, panels, returned

GUIDE = 1e-3  # the size of an update relative to the weights (CS231n, Neural Networks Part 3)
BINS = 60


def gradient_norms(monitor: Any, *, ax: Any = None, of: str = "parameters") -> Any:
    """The norm of each layer's gradient over a training, on a logarithmic axis.

    Parameters
    ----------
    monitor : Monitor or mapping
        A `fastnn.Monitor` that has seen a training, or its ``data``.
    ax : Axes, optional
        To draw on.
    of : {"parameters", "pre-activations"}
        Of which the gradient is: the layer's weights and bias, or their sums (Nielsen's error delta).

    Returns
    -------
    Axes

    Examples
    --------
    >>> from fastnn import plot
    >>> data = {"moments": ["before the training", "epoch 0"], "layers": {"dense": {"gradient": [1.0, 0.5]}}}
    >>> plot.gradient_norms(data).get_yscale()
    'log'
    """
    figure = {"parameters": "gradient", "pre-activations": "delta"}[
        checks.choice("of", of, ("parameters", "pre-activations"))]
    ax = _lines(monitor, {figure: "-"}, ax)
    ax.set_yscale("log")
    return dress(ax, ax.get_xlabel(), f"norm of the gradient of the {of}", legend=True)


def update_ratios(monitor: Any, *, ax: Any = None) -> Any:
    """How far one step moves each layer's weights, relative to them, with the guide of 1e-3.

    Parameters
    ----------
    monitor : Monitor or mapping
        A `fastnn.Monitor` that has seen a training, or its ``data``.
    ax : Axes, optional
        To draw on.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from fastnn import plot
    >>> data = {"moments": ["before the training"], "layers": {"dense": {"update_ratio": [2e-3]}}}
    >>> plot.update_ratios(data).get_ylabel()
    'norm of an update / norm of the weights'
    """
    ax = _lines(monitor, {"update_ratio": "-"}, ax)
    ax.axhline(GUIDE, color=GREY, linestyle="--", linewidth=1.4, label="guide: 0.001")
    ax.set_yscale("log")
    return dress(ax, ax.get_xlabel(), "norm of an update / norm of the weights", legend=True)


def saturation(monitor: Any, *, ax: Any = None) -> Any:
    """The share of each layer's values on flat ends of its activation (solid), and of dead units (dotted).

    Parameters
    ----------
    monitor : Monitor or mapping
        A `fastnn.Monitor` that has seen a training, or its ``data``.
    ax : Axes, optional
        To draw on.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from fastnn import plot
    >>> figures = {"saturated": [0.1, 0.2], "dead": [0.0, 0.0]}
    >>> data = {"moments": ["before the training", "epoch 0"], "layers": {"dense": figures}}
    >>> len(plot.saturation(data).lines)
    2
    """
    ax = _lines(monitor, {"saturated": "-", "dead": ":"}, ax)
    ax.set_ylim(-0.03, 1.03)
    return dress(ax, ax.get_xlabel(), "share", legend=True)


def histograms(monitor: Any, layer: str | None = None, *, of: str = "activations", ax: Any = None) -> Any:
    """How a layer's activations or gradients are distributed, over a training.

    Parameters
    ----------
    monitor : Monitor or mapping
        A `fastnn.Monitor` with histograms that has seen a training, or its ``data``.
    layer : str, optional
        The layer's name; by default all, a panel each.
    of : {"activations", "gradients"}
        The layer's outputs, or the gradient of its pre-activations.
    ax : Axes or array of Axes, optional
        As many as there are panels.

    Returns
    -------
    Axes, or an array where there are several panels

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import plot
    >>> seen = {"counts": np.ones((2, 4)), "edges": np.tile(np.linspace(-1, 1, 5), (2, 1))}
    >>> data = {"moments": ["before the training", "epoch 0"], "layers": {"dense": {"activations": seen}}}
    >>> plot.histograms(data, "dense").get_ylabel()
    'activations'
    """
    checks.choice("of", of, ("activations", "gradients"))
    data = _data(monitor)
    having = {name: figures[of] for name, figures in data["layers"].items() if of in figures}
    if not having:
        raise ValueError("monitor: expected histograms, got none; make it with fnn.Monitor(histograms=True)")
    if layer is not None:
        having = {layer: checks.lookup("layer", layer, having)}
    axes = panels(ax, len(having), 3.6 if len(having) == 1 else 2.1)
    x, x_label = _time(data)
    around = np.append(x - _half(x), x[-1] + _half(x)[-1])
    from matplotlib.colors import PowerNorm

    for panel, (name, seen) in zip(axes, having.items(), strict=True):
        edges, shares = rebinned(np.asarray(seen["counts"], float), np.asarray(seen["edges"], float))
        mesh = panel.pcolormesh(around, edges, shares.T, cmap="Blues", norm=PowerNorm(0.5, 0))
        panel.figure.colorbar(mesh, ax=panel, label="share")
        dress(panel, x_label if panel is axes[-1] else "", of, name)
        panel.grid(False)
    return returned(axes)


def rebinned(counts: np.ndarray, edges: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """Histograms with edges of their own on common ones: edges (bins + 1,) and shares (looks, bins).

    Values count as spread evenly inside a bin. The outermost half percent of all looks is left out.

    Examples
    --------
    >>> edges, shares = rebinned(np.array([[2.0, 2.0], [4.0, 0.0]]), np.array([[0, 1, 2.0], [0, 2, 4.0]]), 2)
    >>> shares.round(1).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    below = np.cumsum(np.pad(counts, ((0, 0), (1, 0))), axis=1)
    below /= np.maximum(below[:, -1:], 1)
    grid = np.unique(edges)
    pooled = np.mean([np.interp(grid, e, b) for e, b in zip(edges, below, strict=True)], axis=0)
    low = grid[np.searchsorted(pooled, 0.005, side="right") - 1]
    high = grid[min(int(np.searchsorted(pooled, 0.995, side="left")), len(grid) - 1)]
    common = np.linspace(low, high, bins + 1)
    return common, np.array([np.diff(np.interp(common, e, b)) for e, b in zip(edges, below, strict=True)])


def _lines(monitor: Any, figures: Mapping[str, str], ax: Any) -> Any:
    """A line for each layer and figure that is not NaN throughout, the layers from dark to light."""
    data = _data(monitor)
    ax = new_axes(ax)
    x, x_label = _time(data)
    layers = data["layers"]
    for i, (name, seen) in enumerate(layers.items()):
        for figure, style in figures.items():
            values = np.asarray(seen[figure], float)
            if np.isfinite(values).any():
                label = name if len(figures) == 1 else f"{name}, {figure}"
                ax.plot(x, values, linestyle=style, label=label, markevery=max(1, len(x) // 15),
                        **depth(i, len(layers)))
    ax.set_xlabel(x_label)
    return ax


def _data(monitor: Any) -> Mapping[str, Any]:
    data = getattr(monitor, "data", None) if isinstance(monitor, Callback) else monitor
    if not isinstance(data, Mapping) or not data.get("moments"):
        raise ValueError("monitor: expected a fnn.Monitor that has seen a training, got "
                         f"{checks.describe(monitor)}; pass it to fit as a callback first")
    return data


def _time(data: Mapping[str, Any]) -> tuple[np.ndarray, str]:
    """When each look was, and in what unit; the first is before the training."""
    last = data["moments"][-1]
    if last.startswith("step"):
        return np.array([0, *(int(moment.split()[1]) for moment in data["moments"][1:])], float), "step"
    return np.arange(len(data["moments"]), dtype=float), "epoch"


def _half(x: np.ndarray) -> np.ndarray:
    """Half of the way to the point before."""
    return 0.5 * np.diff(x, prepend=2 * x[0] - x[1]) if len(x) > 1 else np.array([0.5])
