"""What every loss is."""

from __future__ import annotations

from typing import Any

from .. import checks
from ..activations import ACTIVATIONS, ROW_ACTIVATIONS
from ..program import Builder, Operand


class Loss:
    """A loss: what a row of outputs costs, averaged over the rows of a step or summed.

    With "mean" the loss of a step is ``sum_i w_i L_i / sum_i w_i``, w the rows' weights (sample weight times
    class weight, 0 for a row whose label is ignored; 1 each where nothing is given), as PyTorch has it. Keras
    divides by the number of rows instead; there a step on heavier rows is longer. With "sum" it is
    ``sum_i w_i L_i``: b rows pull b times as hard, so SGD wants a learning rate b times smaller for the same
    step, a smaller last batch makes a smaller step, and penalties and clipping weigh less against the
    gradient; Adam and its kin divide the factor out again. What `fit` reports is then the sum over an epoch's
    rows, what `evaluate` returns the sum over all rows.

    A subclass sets `name` and emits its ops; `op` and `target_kind` only where the defaults do not fit. It
    trains, is copied and pickled like the others, but a file holds registered losses only.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        How the loss of a step comes from those of its rows.

    Attributes
    ----------
    name : str
        The registered name.
    ignore_label : int or None
        Rows with this label count neither in the loss nor in metrics.

    Examples
    --------
    A loss of existing ops, sum_j (y_j - t_j)^2:

    >>> import fastnn as fnn
    >>> class SumOfSquares(fnn.Loss):
    ...     name = "sum_of_squares"
    ...     def emit(self, builder, output, target, weight, fused, *, gradient):
    ...         dy = builder.arena(output.shape) if gradient else None
    ...         row_loss = builder.arena(("B",), "float64")
    ...         builder.emit("squared_error", output, target, weight, dy, row_loss, factor=1.0)
    ...         builder.losses.append((row_loss, weight))
    ...         return output, dy
    >>> model = fnn.Sequential([fnn.Dense(2, kernel_initializer="zeros")], input_shape=(1,))
    >>> model.compile(loss=SumOfSquares())
    >>> model.evaluate([[1.0], [1.0]], [[3.0, 1.0], [0.0, 0.0]])
    {'loss': 5.0}
    >>> model.compile(loss=SumOfSquares(reduction="sum"))
    >>> model.evaluate([[1.0], [1.0]], [[3.0, 1.0], [0.0, 0.0]])
    {'loss': 10.0}
    """

    name = ""
    reduction = "mean"
    ignore_label: int | None = None

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = checks.choice("reduction", reduction, ("mean", "sum"))

    def op(self, activation: str, n_out: int) -> str | None:
        """The op that takes the final activation's input in place of its output, None if there is none.

        Raises
        ------
        ValueError
            If the loss does not go with the activation.
        """
        return None

    def target_kind(self, activation: str, n_out: int) -> str:
        """What the targets are: a kind of `fastnn.checks.as_targets`."""
        return "rows"

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        """Emit the loss's ops.

        Parameters
        ----------
        builder : Builder
            Takes the ops; the row losses go to ``builder.losses``.
        output, target : Operand
            (B, n_out); the target (B,) where it is labels. Of sequences each step in time is a row.
        weight : Operand, optional
            (B,) float64.
        fused : str, optional
            What `op` said: then `output` is the final activation's input.
        gradient : bool
            Whether the gradient is wanted.

        Returns
        -------
        y : Operand
            The network's output, as metrics see it; nobody reads it unless ``builder.stores_outputs``.
        dy : Operand or None
            The gradient of `output`.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"reduction": self.reduction}

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"


class OutputsLoss(Loss):
    """A loss whose row is a sum over its outputs, or their mean.

    Parameters
    ----------
    outputs : {"sum", "mean"}
        How the loss of a row comes from those of its outputs.
    reduction : {"mean", "sum"}
        See `Loss`.
    """

    def __init__(self, *, outputs: str, reduction: str) -> None:
        super().__init__(reduction=reduction)
        self.outputs = checks.choice("outputs", outputs, ("sum", "mean"))

    def factor(self, n_out: int) -> float:
        """What a row's sum is multiplied by."""
        return 1.0 / n_out if self.outputs == "mean" else 1.0

    def get_config(self) -> dict[str, Any]:
        return {"outputs": self.outputs, **super().get_config()}


def emit_loss(builder: Builder, op: str, output: Operand, target: Operand, weight: Operand | None, *,
              gradient: bool, **settings: Any) -> Operand | None:
    """A loss of the outputs as they stand; returns their gradient."""
    dy = builder.arena(output.shape) if gradient else None
    row_loss = builder.arena(output.shape[:1], "float64")
    builder.emit(op, output, target, weight, dy, row_loss, **settings)
    builder.losses.append((row_loss, weight))
    return dy


def emit_fused(builder: Builder, op: str, logits: Operand, target: Operand, weight: Operand | None, *,
               gradient: bool, **settings: Any) -> tuple[Operand, Operand | None]:
    """A loss that has the final activation inside; returns its output and the gradient of its input."""
    y = builder.arena(logits.shape)
    dlogits = builder.arena(logits.shape) if gradient else None
    row_loss = builder.arena(logits.shape[:1], "float64")
    builder.emit(op, logits, target, weight, y, dlogits, row_loss, **settings)
    builder.losses.append((row_loss, weight))
    return y, dlogits


def emit_shown(builder: Builder, activation: str, x: Operand) -> Operand:
    """What metrics see of x: the activation's output, computed only where somebody looks."""
    if not builder.stores_outputs or not activation:
        return x
    y = builder.arena(x.shape)
    builder.emit("activation_forward", x, y, activation=activation)
    return y


def check_range(loss: str, activation: str, bounds: tuple[float, float]) -> None:
    """Refuse a final activation that gives values the loss is not defined for; a user's own is trusted."""
    low, high = bounds
    known = {name: row.range for name, row in ACTIVATIONS.items()}
    known |= {name: row.range for name, row in ROW_ACTIVATIONS.items()}
    fitting = [name for name, (least, most) in known.items() if low <= least and most <= high]
    if activation in known and activation not in fitting:
        raise ValueError(f"loss: {loss} expects outputs between {low:g} and {high:g}, but {activation!r} "
                         f"gives others; end the model with {', '.join(map(repr, fitting))}")
