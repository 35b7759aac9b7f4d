"""Losses of whole rows: squared errors, the multi-class hinge, the cosine, and a function of yours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import checks
from ..checks_arrays import describe
from ..program import Builder, Operand
from .base import Loss, OutputsLoss, emit_loss
from .cross_entropy import as_ignore_label


class SquaredError(Loss):
    """The quadratic cost: 1/2 sum_j (y_j - t_j)^2 of each row, averaged over the rows.

    Nielsen, chapter 1; also scikit-learn's ``squared_error`` for one output. Its gradient is y - t.
    Targets: numbers, ``(n, n_out)``, or ``(n,)`` with one output.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1, kernel_initializer="zeros")], input_shape=(1,))
    >>> model.compile(loss=fnn.SquaredError())
    >>> model.evaluate([[1.0], [1.0]], [2.0, 0.0])
    {'loss': 1.0}
    """

    name = "squared_error"

    def factor(self, n_out: int) -> float:
        """What a row's sum of squares is multiplied by."""
        return 0.5

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        return output, emit_loss(builder, "squared_error", output, target, weight, gradient=gradient,
                                 factor=self.factor(int(output.shape[-1])))


class MeanSquaredError(SquaredError):
    """The mean over outputs and rows of (y_j - t_j)^2, as Keras and PyTorch have it.

    Its gradient is 2 (y - t) / n_out. Targets and parameters: as for `SquaredError`.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1, kernel_initializer="zeros")], input_shape=(1,))
    >>> model.compile(loss=fnn.MeanSquaredError())
    >>> model.evaluate([[1.0], [1.0]], [2.0, 0.0])
    {'loss': 2.0}
    """

    name = "mean_squared_error"

    def factor(self, n_out: int) -> float:
        return 1.0 / n_out


class MultiClassHinge(OutputsLoss):
    """sum over j != t of max(0, y_j - y_t + margin)^power: CS231n's SVM loss. Weston and Watkins 1999.

    y are scores, t is the row's class: it wants to be ahead of each other score by the margin.

    Parameters
    ----------
    margin : float
        Above 0.
    power : {1, 2}
        2 makes the squared hinge.
    variant : {"weston_watkins", "crammer_singer"}
        Whether all other scores count, or the largest alone (Crammer and Singer 2001), as in Keras's
        ``categorical_hinge``, which besides takes no less than 0 for the largest.
    ignore_label : int, optional
        As for `CrossEntropy`.
    outputs : {"sum", "mean"}
        "mean" divides a row's sum by the number of classes, as PyTorch's ``MultiMarginLoss`` does.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Examples
    --------
    Targets: labels ``(n,)`` or one-hot rows. CS231n's example, scores 13, -7 and 11 of which the first is
    right, with a margin of 10: max(0, -20 + 10) + max(0, -2 + 10).

    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Flatten()], input_shape=(3,))
    >>> model.compile(loss=fnn.MultiClassHinge(margin=10.0))
    >>> model.evaluate([[13.0, -7.0, 11.0]], [0])
    {'loss': 8.0}
    """

    name = "multi_class_hinge"

    def __init__(self, margin: float = 1.0, power: int = 1, variant: str = "weston_watkins", *,
                 ignore_label: int | None = None, outputs: str = "sum", reduction: str = "mean") -> None:
        super().__init__(outputs=outputs, reduction=reduction)
        self.margin = checks.positive_float("margin", margin)
        self.power = checks.positive_int("power", power, maximum=2)
        self.variant = checks.choice("variant", variant, ("weston_watkins", "crammer_singer"))
        self.ignore_label = as_ignore_label(ignore_label)

    def op(self, activation: str, n_out: int) -> str | None:
        if n_out == 1:
            raise ValueError("loss: multi_class_hinge expects an output for each class, got 1; for two "
                             "classes and one output there is 'hinge'")
        return None

    def target_kind(self, activation: str, n_out: int) -> str:
        return "labels"

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        return output, emit_loss(builder, self.name, output, target, weight, gradient=gradient,
                                 hardest=int(self.variant == "crammer_singer"), margin=self.margin,
                                 power=self.power, factor=self.factor(int(output.shape[-1])))

    def get_config(self) -> dict[str, Any]:
        return {"margin": self.margin, "power": self.power, "variant": self.variant,
                "ignore_label": self.ignore_label, **super().get_config()}


class CosineDistance(Loss):
    """offset - cos(y, t), the angle between a row and its target; their lengths do not matter.

    The cosine is y.t / (|y| |t|); with a row of zeros it is 0, without a gradient. Exact where both nearly
    point the same way.

    Parameters
    ----------
    offset : float
        1 by default: from 0 (same direction) to 2, as PyTorch's ``CosineEmbeddingLoss`` with label 1. With 0
        it is Keras's ``cosine_similarity``, from -1 to 1. The gradient is the same.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Examples
    --------
    Targets: numbers, ``(n, n_out)``.

    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Flatten()], input_shape=(2,))
    >>> model.compile(loss=fnn.CosineDistance())
    >>> model.evaluate([[3.0, 0.0], [3.0, 0.0]], [[0.0, 5.0], [2.0, 0.0]])
    {'loss': 0.5}
    """

    name = "cosine_distance"

    def __init__(self, offset: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.offset = checks.positive_float("offset", offset, allow_zero=True)

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        return output, emit_loss(builder, self.name, output, target, weight, gradient=gradient,
                                 offset=self.offset)

    def get_config(self) -> dict[str, Any]:
        return {"offset": self.offset, **super().get_config()}


class FunctionLoss(Loss):
    """A loss that is a Python function of yours; ``compile(loss=f)`` makes one.

    The function runs between two native segments, on either backend: slower than the others by what Python
    takes. Sample weights, class weights and the reduction are applied to what it returns. A model with it is
    copied, pickled where the function can be, but not saved to a file.

    Parameters
    ----------
    function : callable
        f(output, target) -> (value, gradient): `output` (B, n_out) in the model's dtype, `target` (B, n_out)
        or labels (B,), both read-only, B being a step's rows or some of them; `value` (B,) the loss of each
        row, not their mean, `gradient` (B, n_out) the derivative of each row's value for its own outputs.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Examples
    --------
    Targets: numbers, ``(n, n_out)``, or ``(n,)`` with one output; with several, labels ``(n,)`` come as they
    are.

    >>> import fastnn as fnn
    >>> def quartic(output, target):
    ...     error = output - target
    ...     return (error ** 4).sum(axis=1), 4 * error ** 3
    >>> model = fnn.Sequential([fnn.Dense(1, kernel_initializer="zeros")], input_shape=(1,))
    >>> model.compile(loss=quartic)
    >>> model.evaluate([[1.0], [1.0]], [2.0, 0.0])
    {'loss': 8.0}
    >>> fnn.check_gradients(model, [[1.0], [1.0]], [2.0, 0.5]).passed
    True
    """

    def __init__(self, function: Callable[..., Any], *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        if not callable(function):
            raise TypeError("function: expected a function of (output, target) that returns (value, "
                            f"gradient), got {describe(function)}")
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def target_kind(self, activation: str, n_out: int) -> str:
        return "labels_or_numbers"

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        row_loss = builder.arena(output.shape[:1], "float64")
        builder.losses.append((row_loss, weight))
        host = _Host(self.function, self.name)
        if not gradient:
            builder.emit_host(host, [output, target], [row_loss])
            return output, None
        own, dy = builder.arena(output.shape), builder.arena(output.shape)
        builder.emit_host(host, [output, target], [row_loss, own])
        builder.emit("weigh_rows", own, weight, dy)
        return output, dy

    def get_config(self) -> dict[str, Any]:
        return {"function": self.function, **super().get_config()}


class _Host:
    """The host op of a user's loss."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function, self.__name__ = function, name

    def __call__(self, output: np.ndarray, target: np.ndarray, row_loss: np.ndarray,
                 gradient: np.ndarray | None = None) -> None:
        output, target = output.view(), target.view()
        output.flags.writeable = target.flags.writeable = False
        result = self.function(output, target)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise TypeError(f"loss: expected {self.__name__} to return (value, gradient), got "
                            f"{describe(result)}")
        hint = "one number a row, neither summed nor averaged over the rows"
        for what, given, place, why in (("value", result[0], row_loss, hint),
                                        ("gradient", result[1], gradient, "one number an output")):
            if place is None:
                continue
            array = np.asarray(given)
            if array.shape != place.shape or array.dtype.kind not in "fiub":
                raise ValueError(f"loss: expected the {what} of {self.__name__} to have shape {place.shape}, "
                                 f"{why}, got {describe(given)}")
            place[...] = array
