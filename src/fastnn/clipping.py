"""Clipping of gradients, between the backward pass and the optimizer's step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from . import checks
from .program import Builder, Operand, Segment


class Clipping:
    """How an optimizer limits gradients (of loss and penalties) before its step: at most one of three ways.

    The keyword arguments of every `fastnn.Optimizer`, named as in Keras.

    Parameters
    ----------
    clipnorm : float, optional
        Each parameter array's gradient g is scaled to this Euclidean norm where it is longer:
        ``g clipnorm / |g|``.
    clipvalue : float, optional
        Each element is limited to [-clipvalue, clipvalue].
    global_clipnorm : float, optional
        All gradients are scaled by one factor where the norm of all together is above this (Pascanu, Mikolov
        and Bengio 2013); the direction stays.

    Raises
    ------
    ValueError
        If more than one is given, or one is not above 0.

    Notes
    -----
    A norm is summed in double precision in an order that depends on shapes alone. ``model.bind`` shows the
    gradients before clipping; `check_gradients` holds those to differences, and what is clipped to `clipped`.

    Examples
    --------
    The gradient is (-30, -40), its norm 50; clipped to 1 it is (-0.6, -0.8):

    >>> import fastnn as fnn
    >>> unit = fnn.Dense(1, use_bias=False, kernel_initializer="zeros")
    >>> model = fnn.Sequential([unit], input_shape=(2,), dtype="float64")
    >>> model.compile(fnn.SGD(1.0, global_clipnorm=1.0), loss="squared_error")
    >>> model.train_on_batch([[3.0, 4.0]], [10.0])["loss"]
    50.0
    >>> unit.weight.round(6)
    array([[0.6],
           [0.8]])
    """

    def __init__(self, clipnorm: float | None = None, clipvalue: float | None = None,
                 global_clipnorm: float | None = None) -> None:
        given = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        self.limits = {name: checks.positive_float(name, value) for name, value in given.items()
                       if value is not None}
        if len(self.limits) > 1:
            raise ValueError(f"{' and '.join(self.limits)}: expected at most one way of clipping, "
                             f"got {len(self.limits)}; leave the others None")

    def emit(self, builder: Builder, segments: Sequence[Segment]) -> None:
        """Emit the clipping of the gradients of parameter arrays, all that are trained."""
        gradients = [builder.row_gradients[segment.name][1] if segment.name in builder.row_gradients else
                     builder.gradient(segment) for segment in segments]
        for name, limit in self.limits.items():
            if name == "clipvalue":
                for gradient in gradients:
                    builder.emit("clip_value", gradient, limit=limit)
                continue
            row_sums: list[Operand] = []
            for gradient in gradients:
                n_rows = gradient.shape[0] if len(gradient.shape) > 1 else 1
                row_sums.append(builder.arena((n_rows,), "float64"))
                builder.emit("row_squares", gradient, row_sums[-1])
            totals: list[Operand] = []
            for row_sum in row_sums:
                before = totals[-1] if totals and name == "global_clipnorm" else None
                totals.append(builder.arena((1,), "float64"))
                builder.emit("norm_square", row_sum, before, totals[-1])
            if name == "global_clipnorm":
                totals = totals[-1:] * len(totals)
            for gradient, total in zip(gradients, totals, strict=True):
                builder.emit("clip_norm", total, gradient, limit=limit)

    def clipped(self, gradients: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What becomes of gradients, by the formula in float64.

        Examples
        --------
        >>> import numpy as np
        >>> Clipping(clipvalue=1.0).clipped({"w": np.array([3.0, -0.5])})
        {'w': array([ 1. , -0.5])}
        """
        wide = {name: np.asarray(g, np.float64) for name, g in gradients.items()}
        if (limit := self.limits.get("clipvalue")) is not None:
            return {name: np.clip(g, -limit, limit) for name, g in wide.items()}
        norms = {name: float(np.linalg.norm(g)) for name, g in wide.items()}
        if "global_clipnorm" in self.limits:
            norms = dict.fromkeys(norms, math.hypot(*norms.values()))
        longest = next(iter(self.limits.values()), math.inf)
        return {name: g * (longest / norms[name]) if norms[name] > longest else g for name, g in wide.items()}

    def get_config(self) -> dict[str, float]:
        """The arguments that were given."""
        return dict(self.limits)
