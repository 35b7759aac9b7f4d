"""How all pictures look: sizes, colours and line styles, and the way from a picture to a small file."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import checks
from ..checks_arrays import as_numbers
from ..page import UNSEEN

WIDTH, HEIGHT = 6.0, 3.6  # inches: 600 pixels at 100 dots an inch, where text of 10 points is well read
DPI = 150  # of files
MOST_LABELS = 1000  # that a picture has room for
GREY = "0.45"
# Okabe and Ito 2008, without the yellow, which is lost on white; each with a line and a marker of its own.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (12, 2)), (0, (1, 4)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


def numbers(name: str, value: Any) -> np.ndarray:
    """`value` as an array of floats with at least one row."""
    array = as_numbers(value, name, "an array of numbers", "give it numbers").astype(float)
    if not array.size:
        raise ValueError(f"{name} must be an array of numbers with at least one row, got shape {array.shape}")
    return array


def finite_numbers(name: str, value: Any) -> np.ndarray:
    """`numbers` without NaN and infinities."""
    array = numbers(name, value)
    checks.check_finite(array, name)
    return array


def names_of_classes(labels: Any, most: int) -> list[str] | None:
    """Names for labels up to `most`, or None for none."""
    if labels is None:
        return None
    labels = labels.tolist() if isinstance(labels, np.ndarray) else labels
    if not isinstance(labels, (tuple, list)) or len(labels) <= most:
        raise ValueError(f"labels: expected the names of {most + 1} classes, got {checks.describe(labels)}")
    return [str(label) for label in labels[:most + 1]]


def whole_numbers(name: str, value: Any, n: int = MOST_LABELS) -> np.ndarray:
    """`value` as an array of labels of `n` classes."""
    array = numbers(name, value)
    with np.errstate(invalid="ignore"):
        wrong = ~(array == np.floor(array)) | (array < 0) | (array >= n)
    if wrong.any():
        raise ValueError(f"{name} must be labels from 0 to {n - 1}, got {array[wrong][0]:g}")
    return array.astype(int)


def pyplot() -> Any:
    """matplotlib.pyplot, imported on use."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError('fastnn.plot needs matplotlib: pip install "fastnn-cpu[plot]"') from error
    return pyplot


def figure(rows: int = 1, columns: int = 1, width: float = WIDTH, height: float | None = None) -> Any:
    """A figure that no window ever shows, with its Axes: for programs that write files.

    Parameters
    ----------
    rows, columns : int
        Of Axes.
    width, height : float, optional
        Inches; by default 6, and 3.6 for each row.

    Returns
    -------
    Axes, or an array of them
        ``ax.figure`` is the figure.

    Examples
    --------
    >>> from fastnn import plot
    >>> left, right = plot.figure(columns=2)
    >>> left.figure is right.figure
    True
    """
    pyplot()  # says what is missing
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, HEIGHT * rows if height is None else height), layout="constrained")
    FigureCanvasAgg(made)
    return made.subplots(rows, columns)


def new_axes(ax: Any, height: float = HEIGHT, width: float = WIDTH) -> Any:
    """The Axes given, or those of a new figure."""
    return panels(ax, 1, height, width)[0]


def panels(ax: Any, n: int, height: float = 2.6, width: float = WIDTH) -> list[Any]:
    """The Axes given (n of them, or one), or those of a new figure, below each other."""
    if ax is None:
        pyplot_ = pyplot()
        _, made = pyplot_.subplots(n, 1, figsize=(width, height * n), layout="constrained", squeeze=False)
        return list(made[:, 0])
    found = list(np.ravel(ax))
    if len(found) != n:
        raise ValueError(f"ax: expected {n} Axes, got {len(found)}")
    return found


def returned(axes: list[Any]) -> Any:
    """What a call gives back: the Axes, or an array where there are several."""
    return axes[0] if len(axes) == 1 else np.array(axes, object)


def dress(ax: Any, x: str = "", y: str = "", title: str = "", legend: bool = False) -> Any:
    """Labels, a faint grid, no frame at the top and on the right."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title:
        ax.set_title(title, fontsize="medium")
    ax.grid(True, color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    if x in ("epoch", "step", "update"):
        from matplotlib.ticker import MaxNLocator

        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if legend:
        many = len(ax.get_legend_handles_labels()[0]) > 8
        ax.legend(fontsize="x-small" if many else "small", ncols=2 if many else 1, edgecolor="none", framealpha=0.8)
    return ax


def colour(i: int) -> str:
    """The i-th colour.

    Examples
    --------
    >>> from fastnn import plot
    >>> plot.colour(0)
    '#0072B2'
    """
    return COLOURS[i % len(COLOURS)]


def line(i: int) -> dict[str, Any]:
    """Colour and style of the i-th line of a picture."""
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[i % len(LINES)], "linewidth": 1.8}


def point(i: int) -> dict[str, Any]:
    """Colour and marker of the i-th group of points."""
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}


def depth(i: int, n: int) -> dict[str, Any]:
    """The i-th of n lines in an order, such as layers: from dark to light, with markers."""
    from matplotlib import colormaps

    return {"color": colormaps["viridis"](0.88 * i / max(1, n - 1)), "marker": MARKERS[i % len(MARKERS)],
            "markersize": 4, "linewidth": 1.6}


def grid_shape(n: int, columns: int | None = None) -> tuple[int, int]:
    """Rows and columns for n images."""
    columns = min(n, columns or round(math.sqrt(1.6 * n)))
    return -(-n // columns), columns


def save(ax: Any, path: str | os.PathLike[str], colours: int = 64) -> None:
    """Write the figure of some Axes to a small PNG: a palette, 900 pixels wide.

    Parameters
    ----------
    ax : Axes, array of Axes, or Figure
        What a plot function returned.
    path : path-like
        The file.
    colours : int
        Of the palette.

    Examples
    --------
    >>> from fastnn import plot
    >>> plot.save(plot.activation("relu"), "relu.png")
    """
    pyplot()
    from io import BytesIO

    from PIL import Image  # matplotlib brings it

    first = np.ravel(ax)[0]
    drawn = first if hasattr(first, "savefig") else first.figure
    buffer = BytesIO()
    drawn.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    with Image.open(buffer) as image:
        flat = image.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
        flat.save(path, format="png", optimize=True)


@contextmanager
def plain_text() -> Iterator[None]:
    """Text drawn in this block means itself: a dollar sign begins no formula, a missing glyph is no warning."""
    import warnings

    pyplot()  # says what is missing
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def svg(ax: Any) -> str:
    """The figure of some Axes as a small SVG without background, the same for the same data.

    Text stays text, and clouds of points become pixels.
    """
    from io import StringIO

    import matplotlib

    drawn = np.ravel(ax)[0].figure
    for text in drawn.findobj(matplotlib.text.Text):
        text.set_text(UNSEEN.sub("\ufffd", text.get_text()))
    for axes in drawn.axes:
        for axis in (axes.xaxis, axes.yaxis):
            shown = [text.get_text() for text in axis.get_ticklabels()]
            if any(map(UNSEEN.search, shown)):
                axis.set_ticks(axis.get_ticklocs(), [UNSEEN.sub("\ufffd", text) for text in shown])
        for image in axes.images:
            image.set_interpolation("none")  # its own pixels, however large it is shown
        for points in axes.collections:
            points.set_rasterized(len(points.get_offsets()) > 300 or hasattr(points, "get_coordinates"))  # a colour bar
    buffer = StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fastnn"}):
        drawn.savefig(buffer, format="svg", dpi=DPI, transparent=True,
                      metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    made = buffer.getvalue()
    made = re.sub(r"<!--.*?-->|<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>", "", made, flags=re.DOTALL)
    made = re.sub(r"font-family: [^;\"]*", "font-family: 'DejaVu Sans', Verdana, sans-serif", made)
    made = re.sub(r' d="([^"]*)"', lambda path: f' d="{_rounded(path[1])}"', made)
    made = re.sub(r' style="([^"]*)"', lambda style: re.sub("([:;]) ", r"\1", style[0]), made)
    return re.sub(r">\s+<", "><", made).strip()


def _rounded(path: str) -> str:
    """A path of SVG in hundredths of a point."""
    numbers = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), path)
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", " ".join(numbers.split()))
