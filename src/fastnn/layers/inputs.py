"""Layers that normalise the inputs of a network: Standardize, MinMax, RowNormalize, PCAWhitening.

They stand before every layer with weights, so that training sends no gradient through them; the gradient of
the inputs passes all the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from .. import checks
from ..program import Builder, Operand
from .base import Layer, Vectors


class Rows(Protocol):
    """What `AdaptedLayer.statistics` reads: an array, or something that gives arrays when sliced."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


CONSTANT = 1e-12  # a feature whose spread is less of its size does not vary, it is rounded


class InputLayer(Layer):
    """What every layer of this file is: a function of the inputs alone; no training goes through it."""

    reads_unpadded = True

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        return self.input_gradient(builder, dy) if need_dx else None

    def input_gradient(self, builder: Builder, dy: Operand) -> Operand:
        """Emit what makes the gradient of the layer's input from that of its output."""
        raise NotImplementedError


class AdaptedLayer(InputLayer):
    """An input layer with numbers that `fit` takes from its training rows the first time it runs."""

    def statistics(self, rows: Rows, block: int = 4096) -> dict[str, np.ndarray]:
        """The persistent arrays for these rows, samples as they reach the layer, read `block` at a time."""
        raise NotImplementedError

    def input_gradient(self, builder: Builder, dy: Operand) -> Operand:
        dx = builder.arena(dy.shape)
        builder.emit("standardize_backward", dy, builder.persistent_array(self.persistent["scale"]), dx)
        return dx

    def blocks(self, rows: Rows, block: int) -> Iterator[np.ndarray]:
        """The rows as float64 (n, features), `block` at a time; an error names one that is not finite."""
        for start in range(0, len(rows), block):
            part = np.array(rows[start:start + block], np.float64).reshape(-1, math.prod(self.input_shape))
            checks.check_finite(part, "X", first_row=start)
            yield part


class Standardize(AdaptedLayer):
    """y = (x - mean) / deviation, with the training set's numbers.

    `fit` takes the mean and the standard deviation of its training rows the first time it runs; they are
    saved with the model and used for every later row. A feature that never varies becomes zero. The layer
    stands first in a model (a Flatten may come before it).

    Parameters
    ----------
    per_feature : bool
        Each feature by its own mean and deviation; otherwise all by one, which suits the pixels of an image:
        the rare ink of the margins would weigh most.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.Standardize(), fnn.Dense(1)], input_shape=(2,))
    >>> model.compile("sgd", loss="squared_error")
    >>> history = model.fit([[1.0, 10.0], [3.0, 30.0]], [0.0, 1.0], verbose=0)
    >>> model.state_dict()["standardize.mean"]
    array([ 2., 20.], dtype=float32)
    """

    def __init__(self, *, per_feature: bool = True, name: str | None = None) -> None:
        super().__init__(name)
        self.per_feature = checks.boolean("per_feature", per_feature)

    def get_config(self) -> dict[str, object]:
        return {"per_feature": self.per_feature, **super().get_config()}

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        self.input_shape = self.output_shape = shape
        n = math.prod(shape)
        self.persistent = {"mean": vectors.persistent.add(f"{self.name}.mean", (n,)),
                           "scale": vectors.persistent.add(f"{self.name}.scale", (n,)),
                           "adapted": vectors.persistent.add(f"{self.name}.adapted", (1,))}

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"scale": np.ones(self.persistent["scale"].shape)}

    def statistics(self, rows: Rows, block: int = 4096) -> dict[str, np.ndarray]:
        """Mean and 1 / deviation of the rows' features, in float64, reading `block` rows at a time.

        Blocks are combined by their means and squared deviations (Chan, Golub and LeVeque 1983).
        """
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for part in self.blocks(rows, block):
            part_mean = part.mean(axis=0)
            delta, total = part_mean - mean, count + len(part)
            squares = squares + ((part - part_mean) ** 2).sum(axis=0) \
                + delta * delta * (count * len(part) / total)
            mean = mean + delta * (len(part) / total)
            count = total
        if not self.per_feature:
            overall = np.mean(mean)
            squares = np.full_like(squares, np.mean(squares + count * (mean - overall) ** 2))
            mean = np.full_like(mean, overall)
        deviation = np.sqrt(squares / count)
        constant = deviation <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
        scale = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
        return {"mean": mean, "scale": scale, "adapted": np.ones(1)}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(x.shape)
        operands = (builder.persistent_array(self.persistent[k]) for k in ("mean", "scale"))
        builder.emit("standardize", x, *operands, y)
        return y


class MinMax(AdaptedLayer):
    """y = low + (x - min) (high - low) / (max - min): each feature of the training set fills a range.

    `fit` takes minimum and maximum of its training rows the first time it runs; they are saved with the model
    and used for every later row, which may lie outside the range. A feature that never varies becomes zero.
    The layer stands before every layer with weights.

    Parameters
    ----------
    low, high : float
        The range, low < high.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> layers = [fnn.MinMax(), fnn.Dense(1, use_bias=False)]
    >>> model = fnn.Sequential(layers, input_shape=(1,), dtype="float64")
    >>> model.compile("sgd", loss="squared_error")
    >>> history = model.fit([[10.0], [30.0], [20.0]], [0.0, 1.0, 0.5], verbose=0)
    >>> model.layers[1].weight[...] = 1.0
    >>> model.predict([[10.0], [25.0], [50.0]]).ravel()
    array([0.  , 0.75, 2.  ])
    """

    def __init__(self, low: float = 0.0, high: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.low, self.high = checks.finite_float("low", low), checks.finite_float("high", high)
        if not (math.isfinite(self.high - self.low) and self.low < self.high):
            raise ValueError(f"low, high: expected finite numbers, low < high, got {low!r} and {high!r}")

    def get_config(self) -> dict[str, object]:
        return {"low": self.low, "high": self.high, **super().get_config()}

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        self.input_shape = self.output_shape = shape
        n = math.prod(shape)
        self.persistent = {"zero": vectors.persistent.add(f"{self.name}.zero", (n,)),
                           "scale": vectors.persistent.add(f"{self.name}.scale", (n,)),
                           "adapted": vectors.persistent.add(f"{self.name}.adapted", (1,))}

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"scale": np.ones(self.persistent["scale"].shape)}

    def statistics(self, rows: Rows, block: int = 4096) -> dict[str, np.ndarray]:
        """What becomes zero, and the scale: y = (x - zero) scale."""
        least, most = np.array(np.inf), np.array(-np.inf)
        for part in self.blocks(rows, block):
            least, most = np.minimum(least, part.min(axis=0)), np.maximum(most, part.max(axis=0))
        spread = most - least
        constant = spread <= CONSTANT * np.maximum(np.abs(least), np.abs(most))
        scale = np.where(constant, 0.0, (self.high - self.low) / np.where(constant, 1.0, spread))
        zero = least - self.low / (self.high - self.low) * spread
        return {"zero": zero, "scale": scale, "adapted": np.ones(1)}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(x.shape)
        operands = (builder.persistent_array(self.persistent[k]) for k in ("zero", "scale"))
        builder.emit("standardize", x, *operands, y)
        return y


class RowNormalize(InputLayer):
    """Each sample divided by its norm: y_i = x_i / |x_i|; a sample of zeros stays.

    Nothing is taken from the training set. The layer stands before every layer with weights.

    Parameters
    ----------
    norm : {"l2", "l1"}
        The root of the sum of squares, or the sum of absolute values.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.RowNormalize()], input_shape=(2,), dtype="float64")
    >>> model.predict([[3.0, 4.0], [0.0, 0.0]]).round(6)
    array([[0.6, 0.8],
           [0. , 0. ]])
    """

    def __init__(self, norm: str = "l2", *, name: str | None = None) -> None:
        super().__init__(name)
        self.order = checks.lookup("norm", norm, {"l1": 1, "l2": 2})
        self.norm = norm

    def get_config(self) -> dict[str, object]:
        return {"norm": self.norm, **super().get_config()}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(x.shape)
        builder.emit("row_normalize", x, y, order=self.order)
        builder.saved[self] = x
        return y

    def input_gradient(self, builder: Builder, dy: Operand) -> Operand:
        dx = builder.arena(dy.shape)
        builder.emit("row_normalize_backward", dy, builder.saved[self], dx, order=self.order)
        return dx


class PCAWhitening(AdaptedLayer):
    """y = (x - mean) U / sqrt(lambda + epsilon): the training set's features, uncorrelated, of variance 1.

    U holds the eigenvectors of the training rows' covariance matrix, lambda its eigenvalues, the largest
    first. `fit` takes them from its training rows the first time it runs; they are saved with the model and
    used for every later row. Samples of any shape become rows of `n_components` features. The layer stands
    before every layer with weights.

    Parameters
    ----------
    n_components : int, optional
        How many directions are kept, those of the largest variance; by default as many as there are features.
    epsilon : float
        Added to the variances: directions that hardly vary are noise, which whitening would blow up.
    name : str, optional
        The layer's name in the model.

    Notes
    -----
    Source: CS231n, "Neural Networks Part 2: Setting up the Data". The covariance divides by the number of
    rows; of an eigenvector and its negative, the one whose largest entry is positive.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> X = np.random.default_rng(0).normal(size=(500, 2)) @ [[2.0, 1.0], [0.0, 0.5]] + 3.0
    >>> model = fnn.Sequential([fnn.PCAWhitening(), fnn.Dense(2)], input_shape=(2,), dtype="float64")
    >>> model.compile("sgd", loss="squared_error")
    >>> history = model.fit(X, X, verbose=0)
    >>> model.layers[1].weight[...], model.layers[1].bias[...] = np.eye(2), 0.0
    >>> np.allclose(np.cov(model.predict(X).T, ddof=0), np.eye(2), atol=1e-3)
    True
    """

    def __init__(self, n_components: int | None = None, epsilon: float = 1e-5, *,
                 name: str | None = None) -> None:
        super().__init__(name)
        self.n_components = n_components if n_components is None else \
            checks.positive_int("n_components", n_components)
        self.epsilon = checks.positive_float("epsilon", epsilon, allow_zero=True)

    def get_config(self) -> dict[str, object]:
        return {"n_components": self.n_components, "epsilon": self.epsilon, **super().get_config()}

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        n = math.prod(shape)
        kept = n if self.n_components is None else self.n_components
        if kept > n:
            raise ValueError(f"layer {self.name!r}: n_components must be at most the {n} features of "
                             f"a sample, got {kept}")
        self.input_shape, self.output_shape = shape, (kept,)
        self.persistent = {"mean": vectors.persistent.add(f"{self.name}.mean", (n,)),
                           "scale": vectors.persistent.add(f"{self.name}.scale", (n,)),
                           "directions": vectors.persistent.add(f"{self.name}.directions", (n, kept)),
                           "adapted": vectors.persistent.add(f"{self.name}.adapted", (1,))}

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        n, kept = self.persistent["directions"].shape
        return {"scale": np.ones(n), "directions": np.eye(n, kept)}

    def statistics(self, rows: Rows, block: int = 4096) -> dict[str, np.ndarray]:
        """Mean and U / sqrt(lambda + epsilon) of the rows, in float64."""
        n, kept = self.persistent["directions"].shape
        count, mean, products = 0, np.zeros(n), np.zeros((n, n))
        for part in self.blocks(rows, block):
            part_mean = part.mean(axis=0)
            centred, delta, total = part - part_mean, part_mean - mean, count + len(part)
            products += centred.T @ centred + np.outer(delta, delta) * (count * len(part) / total)
            mean = mean + delta * (len(part) / total)
            count = total
        variances, directions = np.linalg.eigh(products / count)
        variances, directions = variances[::-1][:kept], directions[:, ::-1][:, :kept]
        largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[np.newaxis], axis=0)
        directions = directions * np.where(largest < 0, -1.0, 1.0)
        deviations = np.sqrt(np.maximum(variances, 0.0) + self.epsilon)
        nothing = deviations <= CONSTANT * max(1.0, float(np.abs(mean).max()))
        scaled = np.where(nothing, 0.0, directions / np.where(nothing, 1.0, deviations))
        return {"mean": mean, "scale": np.ones(n), "directions": scaled, "adapted": np.ones(1)}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        centred, y = builder.arena(x.shape), builder.arena(("B", *self.output_shape))
        mean, scale, directions = (builder.persistent_array(self.persistent[k])
                                   for k in ("mean", "scale", "directions"))
        builder.emit("standardize", x, mean, scale, centred)
        builder.emit("dense_forward", centred, directions, None, y, None, activation="identity", alpha=0.0)
        return y

    def input_gradient(self, builder: Builder, dy: Operand) -> Operand:
        dx = builder.arena(("B", math.prod(self.input_shape)))
        directions = builder.persistent_array(self.persistent["directions"])
        builder.emit("dense_backward_input", dy, directions, None, dx, activation="identity")
        return dx
