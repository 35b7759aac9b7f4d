"""A network as a graph: what each layer is, the shapes between them, where the parameters are."""

from __future__ import annotations

import math
from typing import Any

from .. import checks
from .style import GREY, WIDTH, new_axes

ROW = 0.62  # inches


def network(model: Any, *, ax: Any = None) -> Any:
    """The layers of a network, the shape of a sample between them, and their parameters.

    A layer stands below all that it takes; one that is called several times is drawn at each call.

    Parameters
    ----------
    model : Sequential or Model
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
    ['input', '(n, 5)', 'dense: Dense, tanh', '18 parameters']
    """
    graph = checks.having("model", model, "_graph", "a fastnn model")._graph
    rows = levels(graph)
    places = _places(rows)
    widest = max(map(len, rows))
    ax = new_axes(ax, height=0.6 + ROW * 1.15 * len(rows), width=WIDTH + 1.5 * max(0, widest - 2))
    arrow = {"arrowstyle": "-|>", "color": GREY, "shrinkA": 9, "shrinkB": 10}
    small = {"fontsize": "small" if widest < 3 else "x-small"}
    for name, tensor in zip(model.input_names, graph.inputs, strict=True):
        x, y = places[tensor]
        ax.text(x, y, name, ha="center", va="center", bbox={"boxstyle": "square,pad=0.35", "facecolor": "white",
                                                            "edgecolor": GREY}, **small)
        ax.text(x + 0.02, y + 0.5, _shape(tensor.shape), va="center", color="0.3", **small)
    total, seen = 0, set()
    for node in graph.nodes:
        layer, (x, y) = node.layer, places[node]
        for tensor in node.inputs:
            start = places[tensor.node or tensor]
            passes = y - start[1] > 1 and start[0] == x  # by a row in between: around it
            bent = {"connectionstyle": "arc3,rad=0.7"} if passes else {}
            ax.annotate("", (x, y), start, arrowprops=arrow | bent, zorder=1)
        n = sum(math.prod(s.shape) for s in layer.segments.values())
        words = f"{layer.name}: {type(layer).__name__}"
        words += f", {layer.activation}" * (layer.activation != "identity")
        words += ", frozen" * bool(n and not layer.trainable) + ", shared" * (layer in seen)
        total += 0 if layer in seen else n
        seen.add(layer)
        box = {"boxstyle": "round,pad=0.35", "edgecolor": "black", "linewidth": 0.9,
               "facecolor": "#DCE9F5" if n else "white"}
        ax.text(x, y, words, ha="center", va="center", bbox=box, **small)
        if n and len(rows[y]) == 1:
            ax.text(0.99, y, f"{n:,} parameters", ha="right", va="center", fontsize="small")
        if len(node.outputs) == 1:
            ax.text(x + 0.02, y + 0.5, _shape(node.outputs[0].shape), va="center", color="0.3", **small)
    for tensor in graph.outputs:
        x, y = places[tensor.node or tensor]
        ax.annotate("", (x, y + 0.85), (x, y), arrowprops=arrow | {"shrinkB": 0})
    ax.set_xlim(0, 1)
    ax.set_ylim(len(rows) - 0.1, -0.5)
    ax.set_axis_off()
    ax.set_title(f"{total:,} parameters, {model.dtype}", fontsize="medium")
    return ax


def levels(graph: Any) -> list[list[Any]]:
    """Inputs and calls by the length of the longest way from an input.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.Input((4,))
    >>> model = fnn.Model(x, fnn.Add()([x, fnn.Dense(4)(x)]))
    >>> [len(row) for row in levels(model._graph)]
    [1, 1, 1]
    """
    level = dict.fromkeys(graph.inputs, 0)
    for node in graph.nodes:
        level[node] = 1 + max((level[tensor.node or tensor] for tensor in node.inputs), default=0)
    rows: list[list[Any]] = [[] for _ in range(1 + max(level.values()))]
    for thing, i in level.items():
        rows[i].append(thing)
    return rows


def _places(rows: list[list[Any]]) -> dict[Any, tuple[float, int]]:
    """Where each stands: side by side in its row, in the order of what they take."""
    places: dict[Any, tuple[float, int]] = {}
    for y, row in enumerate(rows):
        def wish(thing: Any) -> float:
            above = [places[tensor.node or tensor][0] for tensor in getattr(thing, "inputs", ())]
            return sum(above) / len(above) if above else 0.5

        ordered = sorted(row, key=wish)
        for i, thing in enumerate(ordered):
            places[thing] = ((i + 1) / (len(row) + 1), y)
    return places


def _shape(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join(['n', *('time' if n is None else str(n) for n in shape)])})"
