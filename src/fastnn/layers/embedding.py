"""Tokens to rows of a table."""

from __future__ import annotations

import numpy as np

from .. import checks, initializers
from ..initializers import Initializer
from ..program import Builder, Operand
from ..regularizers import Constraint, Regularizer, config, get_constraint, get_regularizer
from .base import Layer, Vectors


class Embedding(Layer):
    """y_t = W[token_t]: each token, a whole number, has a row of a table.

    Takes samples of shape ``(time,)`` of whole numbers below `tokens`, gives ``(time, units)``.

    Parameters
    ----------
    tokens : int
        How many different tokens there are: 0 to ``tokens - 1``.
    units : int
        Numbers a token.
    mask_zero : bool
        Token 0 fills sequences up to one length: its steps are masked, see `fastnn.Masking`.
    lazy : bool
        Training steps only on the rows that a batch names; what that means for each optimizer stands in
        `fastnn.optimizers`. A step then costs the same for any number of tokens. A table with a regularizer or a
        constraint, or one that a graph uses twice, takes dense steps.
    initializer : str or Initializer
        How W (tokens, units) starts.
    regularizer : str or Regularizer, optional
        The penalty on W.
    constraint : str or Constraint, optional
        What W fulfils after every update.
    name : str, optional
        The layer's name in the model.

    Attributes
    ----------
    weight : numpy.ndarray, shape (tokens, units)
        W, a writable view, once the layer is in a model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Embedding(10, 2)], input_shape=(3,))
    >>> model.layers[0].weight[7] = 1, 2
    >>> model.predict([[7, 7, 7]])
    array([[[1., 2.],
            [1., 2.],
            [1., 2.]]], dtype=float32)
    """

    layouts = ("time",)
    takes_tokens = True

    def __init__(self, tokens: int, units: int, *, mask_zero: bool = False, lazy: bool = False,
                 initializer: str | Initializer = "uniform", regularizer: str | Regularizer | dict | None = None,
                 constraint: str | Constraint | dict | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.tokens, self.units = checks.positive_int("tokens", tokens), checks.positive_int("units", units)
        self.n_tokens = self.tokens
        self.mask_zero, self.lazy = checks.boolean("mask_zero", mask_zero), checks.boolean("lazy", lazy)
        initializers.get("initializer", initializer)
        self.initializer = initializer
        self.regularizer = get_regularizer("regularizer", regularizer)
        self.constraint = get_constraint("constraint", constraint)

    @property
    def across_rows(self) -> bool:  # type: ignore[override]
        return self.lazy  # the rows that a step names are known once all of it was seen

    def build(self, shape: tuple, vectors: Vectors) -> None:
        if len(shape) != 1:
            raise ValueError(f"layer {self.name!r}: Embedding expects samples of shape (time,), whole numbers, "
                             f"got {shape}")
        self.input_shape, self.output_shape = shape, (shape[0], self.units)
        self.segments = {"weight": vectors.parameters.add(
            f"{self.name}.weight", (self.tokens, self.units), regularizer=self.regularizer,
            constraint=self.constraint)}

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        initializer = initializers.get("initializer", self.initializer)
        return {"weight": initializer(rng, (self.tokens, self.units), self.tokens, self.units)}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(("BT", self.units))
        builder.emit("embedding_forward", x, builder.parameter(self.segments["weight"]), y)
        if self.mask_zero:
            mask = builder.arena(("BT",))
            builder.emit("token_mask", x, mask)
            builder.set_mask(y, mask)
        builder.saved[self] = x
        segment = self.segments["weight"]
        builder.lookups[segment.name] = builder.lookups.get(segment.name, 0) + 1
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        segment, token = self.segments["weight"], builder.saved[self]
        if not builder.trains(segment):
            return None
        if not (self.lazy and builder.updates) or self.regularizer or self.constraint or \
                builder.lookups[segment.name] > 1:
            builder.emit("embedding_backward", token, dy, builder.gradient(segment))
            return None
        rows, place = (builder.arena(("BT",), np.int64) for _ in range(2))
        gradient = builder.arena(("BT", self.units))
        builder.emit("distinct_tokens", token, rows, place)
        builder.emit("embedding_backward_rows", place, dy, gradient)
        builder.row_gradients[segment.name] = rows, gradient
        return None

    def get_config(self) -> dict[str, object]:
        return {"tokens": self.tokens, "units": self.units, "mask_zero": self.mask_zero, "lazy": self.lazy,
                "initializer": initializers.config(self.initializer), "regularizer": config(self.regularizer),
                "constraint": config(self.constraint), **super().get_config()}
