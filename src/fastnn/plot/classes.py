"""What a model says of its samples: classes, boundaries, numbers; samples in two dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks, classified
from ..checks_arrays import as_any_array
from .style import COLOURS, GREY, MARKERS, dress, finite_numbers, names_of_classes, new_axes, whole_numbers


def decision_boundary(model: Any, X: Any, y: Any, *, ax: Any = None, resolution: int = 200,
                      names: tuple[str, str] = ("feature 0", "feature 1")) -> Any:
    """What a classifier of two features says everywhere: the surer, the stronger the colour.

    Parameters
    ----------
    model : Sequential, or with a ``predict``
        One output for two classes, or one for each class.
    X, y : array_like, shapes (n, 2) and (n,)
        Samples and labels, drawn as points.
    ax : Axes, optional
        To draw on.
    resolution : int
        Points along each axis.
    names : (str, str)
        Of the features.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn import plot
    >>> model = fnn.Sequential([fnn.Dense(2, "softmax")], input_shape=(2,), seed=0)
    >>> ax = plot.decision_boundary(model, np.eye(2), [0, 1], resolution=20)
    >>> ax.get_xlabel()
    'feature 0'
    """
    checks.having("model", model, "predict", "a model")
    X, y = finite_numbers("X", X), whole_numbers("y", y).ravel()
    resolution = checks.positive_int("resolution", resolution, minimum=2)
    checks.check_same_length(len(X), y, "y")
    if not isinstance(names, (tuple, list)) or len(names) != 2:
        raise TypeError(f"names: expected two, got {checks.describe(names)}")
    if X.ndim != 2 or X.shape[1] != 2:
        raise ValueError(f"X: expected two features, shape (n, 2), got {X.shape}")
    ax = new_axes(ax, height=4.4)
    low, high = X.min(axis=0), X.max(axis=0)
    margin = 0.08 * (high - low)
    sides = [np.linspace(a, b, resolution) for a, b in zip(low - margin, high + margin, strict=True)]
    mesh = np.stack([g.ravel() for g in np.meshgrid(*sides)], axis=1)
    given = np.asarray(model.predict(mesh), float)
    if given.ndim == 1 or given.shape[1] == 1:
        given = np.stack([1 - given.ravel(), given.ravel()], axis=1)
    said, sure = given.argmax(axis=1), given.max(axis=1)
    n = given.shape[1]
    from matplotlib.colors import to_rgb

    strength = 0.12 + 0.4 * (np.clip(sure, 1 / n, 1) - 1 / n) / (1 - 1 / n)
    tints = np.array([to_rgb(COLOURS[i % len(COLOURS)]) for i in range(n)])[said]
    shades = 1 - strength[:, None] * (1 - tints)
    extent = (sides[0][0], sides[0][-1], sides[1][0], sides[1][-1])
    ax.imshow(shades.reshape(resolution, resolution, 3), extent=extent, origin="lower", aspect="auto",
              interpolation="bilinear")
    for i in range(n if n > 2 else 1):
        # the border of a class: where it leads the best of the others by nothing
        lead = given[:, i] - np.delete(given, i, axis=1).max(axis=1)
        if lead.min() < 0 < lead.max():
            ax.contour(*sides, lead.reshape(resolution, resolution), levels=[0.0], colors="black",
                       linewidths=1.4)
    _groups(ax, X, y, size=18, edge="white")
    dress(ax, *names, legend=True)
    ax.get_legend().set_title("class", {"size": "small"})
    ax.get_legend().set_frame_on(True)
    ax.grid(False)
    return ax


def confusion_matrix(y_true: Any, y_pred: Any, *, labels: Any = None, ax: Any = None) -> Any:
    """How many samples of each class were taken for which; shades are shares of the true class.

    Parameters
    ----------
    y_true : array_like, shape (n,)
        Labels from 0 on.
    y_pred : array_like, shape (n,) or (n, n_classes)
        Labels, or what a model predicts.
    labels : sequence of str, optional
        Names of the classes; by default their numbers.
    ax : Axes, optional
        To draw on.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from fastnn import plot
    >>> ax = plot.confusion_matrix([0, 0, 1], [0, 1, 1])
    >>> [text.get_text() for text in ax.texts], ax.get_title()
    (['1', '1', '1'], '2 of 3 right (66.7%)')
    """
    true, said = whole_numbers("y_true", y_true).ravel(), finite_numbers("y_pred", y_pred)
    n = said.shape[1] if said.ndim == 2 and said.shape[1] > 1 else 0
    if n or not (said == said.astype(int)).all():
        said = classified.decisions(said)
    checks.check_same_length(len(true), said, "y_pred")
    counts = classified.confusion(true, said, max(n, len(labels) if isinstance(labels, (tuple, list)) else 0))
    n = len(counts)
    names = names_of_classes(labels, n - 1) or [str(i) for i in range(n)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(5.2, 1.8 + 0.36 * n)
    ax = new_axes(ax, height=side, width=max(4.0, 1.15 * side))
    drawn = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, j in zip(*np.nonzero(counts), strict=True):
        ax.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize="small",
                color="white" if shares[i, j] > 0.5 else "black")
    ax.set_xticks(range(n), names, rotation=0 if max(map(len, names)) < 4 else 90)
    ax.set_yticks(range(n), names)
    ax.figure.colorbar(drawn, ax=ax, label="share of the true class", shrink=0.85)
    right = int(np.trace(counts))
    dress(ax, "predicted class", "true class",
          f"{right} of {len(true)} right ({right / max(1, len(true)):.1%})")
    ax.grid(False)
    return ax


def predictions(y_true: Any, y_pred: Any, *, ax: Any = None) -> Any:
    """Predicted numbers against true ones; on the line they are equal.

    Parameters
    ----------
    y_true, y_pred : array_like
        Numbers, as many of both.
    ax : Axes, optional
        To draw on.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from fastnn import plot
    >>> plot.predictions([1.0, 2.0], [1.1, 1.9]).get_title()
    'root mean square error 0.1'
    """
    true, said = finite_numbers("y_true", y_true).ravel(), finite_numbers("y_pred", y_pred).ravel()
    checks.check_same_length(len(true), said, "y_pred")
    ax = new_axes(ax, height=4.4, width=4.8)
    ends = [min(true.min(), said.min()), max(true.max(), said.max())]
    ax.plot(ends, ends, color=GREY, linestyle="--", linewidth=1.4, label="predicted = true")
    ax.scatter(true, said, s=10, color=COLOURS[0], alpha=min(1.0, max(0.15, 300 / len(true))), linewidths=0)
    ax.set_aspect("equal", adjustable="datalim")
    error = float(np.sqrt(np.mean((said - true) ** 2)))
    return dress(ax, "true", "predicted", f"root mean square error {error:.3g}", legend=True)


def residuals(y_true: Any, y_pred: Any, *, ax: Any = None, bins: int = 30) -> Any:
    """How far predicted numbers are from the true ones: a histogram of predicted minus true.

    Parameters
    ----------
    y_true, y_pred : array_like
        Numbers, as many of both.
    ax : Axes, optional
        To draw on.
    bins : int
        Of the histogram.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from fastnn import plot
    >>> plot.residuals([1.0, 2.0], [1.5, 2.0]).get_title()
    'mean 0.25, standard deviation 0.25'
    """
    true, said = finite_numbers("y_true", y_true).ravel(), finite_numbers("y_pred", y_pred).ravel()
    checks.check_same_length(len(true), said, "y_pred")
    errors = said - true
    ax = new_axes(ax)
    ax.hist(errors, checks.positive_int("bins", bins), color=COLOURS[0], edgecolor="white", linewidth=0.5)
    ax.axvline(0, color=GREY, linestyle="--", linewidth=1.4)
    return dress(ax, "predicted - true", "rows", f"mean {errors.mean():.3g}, standard deviation {errors.std():.3g}")


def calibration(y_true: Any, y_pred: Any, *, ax: Any = None, bins: int = 10) -> Any:
    """Whether a classifier is as sure as it is right: the share of right answers among those it is so sure of.

    On the line the two are equal; below it the network is too sure. The size of a point tells how many rows
    it stands for.

    Parameters
    ----------
    y_true : array_like, shape (n,)
        Labels from 0 on.
    y_pred : array_like, shape (n,) or (n, n_classes)
        Probabilities: of class 1, or of each class.
    ax : Axes, optional
        To draw on.
    bins : int
        Into which how sure it is, from 0 to 1, is divided.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from fastnn import plot
    >>> plot.calibration([0, 1, 1, 1], [[0.1, 0.9], [0.1, 0.9], [0.1, 0.9], [0.2, 0.8]]).get_title()
    'expected calibration error 22.5%'
    """
    y_pred = finite_numbers("y_pred", y_pred)
    y_true = whole_numbers("y_true", y_true, max(2, y_pred.shape[1] if y_pred.ndim > 1 else 0)).ravel()
    checks.check_same_length(len(y_true), y_pred, "y_pred")
    table = classified.calibration(y_true, y_pred, checks.positive_int("bins", bins))
    ax = new_axes(ax, height=4.4, width=4.8)
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.4, label="as sure as right")
    ax.plot(table.sure, table.right, color=COLOURS[0], linewidth=1.2)
    ax.scatter(table.sure, table.right, s=12 + 160 * table.rows / table.rows.max(), color=COLOURS[0],
               label="the network", zorder=3)
    ax.set_xlim(-0.03, 1.03)
    ax.set_ylim(-0.03, 1.03)
    return dress(ax, "how sure it is", "share that is right", f"expected calibration error {table.error:.1%}",
                 legend=True)


def embedding(X: Any, y: Any = None, *, labels: Any = None, ax: Any = None) -> Any:
    """Samples in two dimensions: along the two directions of largest variance (PCA).

    Parameters
    ----------
    X : array_like, shape (n, ...)
        Samples, or what a layer makes of them.
    y : array_like, shape (n,), optional
        Labels.
    labels : sequence of str, optional
        Names of the classes; by default their numbers.
    ax : Axes, optional
        To draw on.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from fastnn import plot
    >>> from fastnn.data import load_digits
    >>> X, y = load_digits()
    >>> plot.embedding(X, y).get_xlabel()
    'first component (14.9% of the variance)'
    """
    X = finite_numbers("X", X)
    X = X.reshape(len(X), -1)
    if y is not None:
        y = as_any_array(y, "y", f"labels of shape ({len(X)},)")
        if y.shape != (len(X),) or y.dtype.kind not in "biufUS":
            raise ValueError(f"y must be labels of shape ({len(X)},), got {checks.describe(y)}")
        if labels is not None:
            labels = names_of_classes(labels, int(whole_numbers("y", y).max()))
    if min(X.shape) < 2:
        raise ValueError(f"X: expected at least two samples of two features, got shape {X.shape}")
    centred = X - X.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    vectors = vectors[:, [-1, -2]]
    largest = vectors[np.abs(vectors).argmax(axis=0), [0, 1]]
    vectors = vectors * np.sign(largest)  # else the sign would be chance
    at = centred @ vectors
    shares = values[[-1, -2]] / values.sum()
    ax = new_axes(ax, height=4.6)
    y = np.zeros(len(X), int) if y is None else y
    groups = _groups(ax, at, y, size=14, alpha=0.6)
    if len(groups) > 1:
        from matplotlib.patheffects import withStroke

        for label in groups:
            ax.text(*np.median(at[y == label], axis=0), str(label if labels is None else labels[int(label)]),
                    fontsize="large", fontweight="bold", ha="center", va="center",
                    path_effects=[withStroke(linewidth=3, foreground="white")])
    return dress(ax, f"first component ({shares[0]:.1%} of the variance)",
                 f"second component ({shares[1]:.1%} of the variance)")


def _groups(ax: Any, points: np.ndarray, y: np.ndarray, size: float, edge: str = "none",
            alpha: float = 1.0) -> list[Any]:
    """Points with the colour and the marker of their class."""
    classes = np.unique(y).tolist()
    for i, label in enumerate(classes):
        ax.scatter(*points[y == label].T, s=size, color=COLOURS[i % len(COLOURS)],
                   marker=MARKERS[i % len(MARKERS)], edgecolors=edge, linewidths=0.5, alpha=alpha,
                   label=str(label))
    return classes
