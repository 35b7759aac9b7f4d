"""A network as a graph: what each layer is, the shapes between them, where the parameters are."""

from __future__ import annotations

import math
from typing import Any

from .style import GREY, new_axes


def network(model: Any, *, ax: Any = None) -> Any:
    """The layers of a network in their order, with the shape of a sample between them and their parameters.

    Parameters
    ----------
    model : Sequential
        Compiled or not.
    ax : Axes, optional
        To draw on.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn import plot
    >>> model = fnn.Sequential([fnn.Dense(3, "tanh"), fnn.Dense(2, "softmax")], input_shape=(5,))
    >>> [words for text in plot.network(model).texts if (words := text.get_text())][:4]
    ['input: (n, 5)', 'dense: Dense, tanh', '(n, 3)', '18 parameters']
    """
    layers = model.layers
    ax = new_axes(ax, height=0.5 + 0.62 * (len(layers) + 1))
    arrow = {"arrowstyle": "-|>", "color": GREY, "shrinkA": 0, "shrinkB": 0}
    total = 0
    ax.text(0.5, 0, f"input: {_shape(model.input_shape)}", ha="center", va="center")
    for i, layer in enumerate(layers, start=1):
        n = sum(math.prod(s.shape) for s in layer.segments.values())
        total += n
        activation = layer.activation
        words = f"{layer.name}: {type(layer).__name__}" + f", {activation}" * (activation != "identity")
        words += "" if layer.trainable or not n else ", frozen"
        box = {"boxstyle": "round,pad=0.35", "edgecolor": "black", "linewidth": 0.9,
               "facecolor": "#DCE9F5" if n else "white"}
        ax.annotate("", (0.5, i - 0.24), (0.5, i - 0.74), arrowprops=arrow)
        ax.text(0.5, i, words, ha="center", va="center", bbox=box)
        ax.text(0.53, i + 0.5, _shape(layer.output_shape), va="center", fontsize="small", color="0.3")
        if n:
            ax.text(0.98, i, f"{n:,} parameters", ha="right", va="center", fontsize="small")
    last = len(layers)
    ax.annotate("", (0.5, last + 0.76), (0.5, last + 0.26), arrowprops=arrow)
    ax.set_xlim(0, 1)
    ax.set_ylim(last + 0.8, -0.4)
    ax.set_axis_off()
    ax.set_title(f"{total:,} parameters, {model.dtype}", fontsize="medium")
    return ax


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['n', *map(str, shape)])})"
