"""Weights and samples as images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks
from .style import grid_shape, names_of_classes, new_axes, numbers, whole_numbers


def weights(model: Any, n: int = 32, *, shape: tuple[int, ...] | None = None, ax: Any = None) -> Any:
    """The weights of the first layer as images, one for each unit or filter: black below 0, white above.

    Parameters
    ----------
    model : Sequential or array_like
        A model whose samples are images, or weights (features, units) or (height, width, channels, filters).
    n : int
        How many, at the most; those with the largest norms.
    shape : (height, width) or (height, width, channels), optional
        Of an image, where the model's samples do not tell; of several channels the mean is shown.
    ax : Axes, optional
        To draw on.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn import plot
    >>> model = fnn.Sequential([fnn.Flatten(), fnn.Dense(6, "relu")], input_shape=(8, 8))
    >>> plot.weights(model).images[0].get_array().shape
    (17, 26)
    """
    n, shape = checks.positive_int("n", n), _sizes(shape)
    if hasattr(model, "layers"):
        matrices = [layer.weight for layer in model.layers if "weight" in layer.segments and layer.weight.ndim > 1]
        if not matrices:
            raise ValueError("model: expected a layer with weights, such as Dense, got none")
        array = matrices[0]
        shape = shape or (model.input_shape if len(model.input_shape) > 1 else None)
    else:
        array = numbers("model", model)
    images = np.moveaxis(np.asarray(array, float), -1, 0)
    if images.ndim == 2:
        images = images.reshape(len(images), *_image_shape(images.shape[1], shape))
    if images.ndim == 4:
        images = images.mean(axis=3)
    if images.ndim != 3:
        raise ValueError(f"model: expected weights of 2 or 4 axes, got shape {array.shape}")
    order = np.argsort(-np.linalg.norm(images, axis=(1, 2)), kind="stable")[:n]
    rows, columns = grid_shape(len(order))
    ax = new_axes(ax, height=min(8.0, 0.5 + 5.4 * rows * images.shape[1] / (columns * images.shape[2])))
    limit = float(np.abs(images[order]).max()) or 1.0
    drawn = ax.imshow(mosaic(images[np.sort(order)], columns), cmap="gray", vmin=-limit, vmax=limit,
                      interpolation="nearest")
    ax.figure.colorbar(drawn, ax=ax, label="weight", shrink=0.8)
    ax.set_axis_off()
    return ax


def worst_errors(model: Any, X: Any, y: Any, n: int = 12, *, shape: tuple[int, ...] | None = None,
                 labels: Any = None, ax: Any = None) -> Any:
    """The images that a classifier gets wrong and is surest of, worst first.

    Parameters
    ----------
    model : Sequential
        A classifier of images.
    X, y : array_like
        Images and their labels.
    n : int
        How many, at the most.
    shape : (height, width) or (height, width, channels), optional
        Of an image, where the samples are rows.
    labels : sequence of str, optional
        Names of the classes; by default their numbers.
    ax : Axes, optional
        To draw on.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn import plot
    >>> from fastnn.data import load_digits
    >>> X, y = load_digits()
    >>> model = fnn.Sequential([fnn.Flatten(), fnn.Dense(10, "softmax")], input_shape=(8, 8), seed=0)
    >>> ax = plot.worst_errors(model, X, y, n=8)
    >>> len(ax.images), len(ax.texts)
    (8, 8)
    """
    n, shape = checks.positive_int("n", n), _sizes(shape)
    X, y = numbers("X", X), whole_numbers("y", y).ravel()
    checks.check_same_length(len(X), y, "y")
    given = checks.having("model", model, "predict", "a model").predict(X)
    said = given.argmax(axis=1) if given.shape[1] > 1 else (given[:, 0] > 0.5).astype(int)
    both = given if given.shape[1] > 1 else np.concatenate([1 - given, given], axis=1)
    every = np.arange(len(y))
    wrong = np.flatnonzero(said != y)
    doubt = both[every, y.astype(int)]
    worst = wrong[np.argsort(doubt[wrong], kind="stable")][:n]
    rows, columns = grid_shape(max(1, len(worst)), columns=6)
    pitch = 1.36  # of the rows, in images: below each are two lines
    ax = new_axes(ax, height=0.4 + 1.36 * rows)
    names = names_of_classes(labels, both.shape[1] - 1) or [str(i) for i in range(both.shape[1])]
    for i, row in enumerate(worst):
        image = X[row].reshape(_image_shape(X[row].size, shape or X.shape[1:]))
        top, left = divmod(i, columns)
        up = -pitch * top
        ax.imshow(image.squeeze(), cmap="gray_r", extent=(left, left + 0.86, up - 0.86, up),
                  interpolation="nearest")
        text = f"{names[int(y[row])]}, said {names[said[row]]}\n{both[row, said[row]]:.0%} sure"
        ax.text(left + 0.43, up - 0.9, text, ha="center", va="top", fontsize="x-small")
    ax.set_xlim(-0.05, columns - 0.1)
    ax.set_ylim(-pitch * rows, 0.05)
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.set_title(f"{len(wrong)} of {len(y)} wrong ({len(wrong) / len(y):.1%})", fontsize="medium")
    return ax


def mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """Images (n, height, width) side by side in rows, NaN between them.

    Examples
    --------
    >>> mosaic(np.ones((3, 1, 1)), 2)
    array([[ 1., nan,  1.],
           [nan, nan, nan],
           [ 1., nan, nan]])
    """
    n, height, width = images.shape
    rows = -(-n // columns)
    whole = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for i, image in enumerate(images):
        top, left = divmod(i, columns)
        whole[top * (height + 1):, left * (width + 1):][:height, :width] = image
    return whole


def _sizes(shape: Any) -> tuple[int, ...] | None:
    """The user's shape of an image, or None."""
    return None if shape is None else checks.shape_tuple("shape", shape)


def _image_shape(size: int, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape given if it fits, or a square."""
    if shape and len(shape) in (2, 3) and math.prod(shape) == size:
        return tuple(shape)
    side = math.isqrt(size)
    if (shape and len(shape) > 1) or side * side != size:
        raise ValueError(f"shape: expected (height, width) or (height, width, channels) of {size} numbers, "
                         f"got {shape}")
    return side, side
