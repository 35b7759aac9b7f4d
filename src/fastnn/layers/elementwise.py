"""Layers without weights: Activation, Flatten, Standardize."""

from __future__ import annotations

import math

import numpy as np

from .. import checks
from ..program import Builder, Operand
from .base import Layer, Vectors, activation_name, emit_activation, emit_slope


class Activation(Layer):
    """y = f(x), element by element; "softmax" row by row.

    Parameters
    ----------
    activation : str
        Name of f, one of `fastnn.activations.ACTIVATIONS` or "softmax".
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Activation("relu")], input_shape=(2,))
    >>> model.predict([[-1.0, 2.0]])
    array([[0., 2.]], dtype=float32)
    """

    def __init__(self, activation: str, *, name: str | None = None) -> None:
        super().__init__(name)
        self._activation = activation_name("activation", activation)

    @property
    def activation(self) -> str:
        return self._activation

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        name = self.activation if activate else "identity"
        y = emit_activation(builder, name, x)
        builder.saved[self] = name, x, y
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        name, x, y = builder.saved[self]
        return emit_slope(builder, name, dy, x, y) if need_dx else None

    def get_config(self) -> dict[str, object]:
        return {"activation": self.activation, **super().get_config()}


class Flatten(Layer):
    """Samples of any shape as one row of features, in C order; costs nothing.

    Parameters
    ----------
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Flatten(), fnn.Dense(10)], input_shape=(8, 8))
    >>> model.layers[0].output_shape
    (64,)
    """

    emits = False

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        self.input_shape, self.output_shape = shape, (math.prod(shape),)

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        return x

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        return dy


class Standardize(Layer):
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

    reads_unpadded = True

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

    def statistics(self, rows: np.ndarray, block: int = 4096) -> dict[str, np.ndarray]:
        """Mean and 1 / deviation of the rows' features, in float64, reading `block` rows at a time.

        Blocks are combined by their means and squared deviations (Chan, Golub and LeVeque 1983).
        """
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for start in range(0, len(rows), block):
            part = np.array(rows[start:start + block], np.float64).reshape(-1, math.prod(self.input_shape))
            checks.check_finite(part, "X", first_row=start)
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

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        if need_dx:
            raise ValueError(f"layer {self.name!r}: Standardize must come before every layer with weights")
        return None
