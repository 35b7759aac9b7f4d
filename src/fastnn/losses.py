"""Losses: what training makes small. Each emits its op, fused with the final activation it belongs to."""

from __future__ import annotations

from . import checks
from .program import Builder, Operand


class Loss:
    """A loss: the mean over the rows of a step, weighted by the sample weights where given.

    Attributes
    ----------
    name : str
        The registered name.
    """

    name = ""

    def op(self, activation: str, n_out: int) -> str | None:
        """The op that takes the final activation's input in place of its output, None if there is none."""
        return None

    def target_kind(self, activation: str, n_out: int) -> str:
        """What the targets are: "labels_or_rows", "binary" or "rows" (see `fastnn.checks.as_targets`)."""
        return "rows"

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None, fused: str | None, *,
             gradient: bool) -> tuple[Operand, Operand | None]:
        """Emit the loss of `output` (logits where `fused`); return the network's output and the gradient."""
        raise NotImplementedError

    def get_config(self) -> dict[str, object]:
        return {}


class CrossEntropy(Loss):
    """-sum_j t_j log y_j after softmax (log-likelihood); after sigmoid the sum of binary cross-entropies.

    Fused with the activation: the gradient of its input is y - t, exact where y is 0 or 1.

    Parameters
    ----------
    from_logits : bool
        The network ends without an activation and its outputs are the logits: of a softmax with several
        outputs, of a sigmoid with one. `predict` gives them as they are; metrics see the probabilities.

    Notes
    -----
    Targets after softmax: integer labels ``(n,)``, one-hot rows or probability rows ``(n, n_out)``; after
    sigmoid: 0, 1 or probabilities, ``(n, n_out)``, or ``(n,)`` with one output. The loss of a row is
    summed over its outputs. Source: CS231n, "Linear classification"; Nielsen, chapter 3.
    """

    name = "cross_entropy"

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = checks.boolean("from_logits", from_logits)

    def op(self, activation: str, n_out: int) -> str | None:
        if self.from_logits and activation == "identity":
            return "softmax_cross_entropy" if n_out > 1 else "sigmoid_cross_entropy"
        fused = {"softmax": "softmax_cross_entropy", "sigmoid": "sigmoid_cross_entropy"}.get(activation)
        if fused is None or self.from_logits:
            raise ValueError(
                f"loss: cross_entropy expects the last layer's activation to be 'softmax' or 'sigmoid', got "
                f"{activation!r}; with CrossEntropy(from_logits=True) it expects none at all")
        return fused

    def target_kind(self, activation: str, n_out: int) -> str:
        return "labels_or_rows" if self.op(activation, n_out) == "softmax_cross_entropy" else "binary"

    def emit(self, builder, output, target, weight, fused, *, gradient):
        y = builder.arena(output.shape)
        dlogits = builder.arena(output.shape) if gradient else None
        row_loss = builder.arena(("B",), "float64")
        builder.emit(fused, output, target, weight, y, dlogits, row_loss)
        builder.losses.append((row_loss, weight))
        return y, dlogits

    def get_config(self):
        return {"from_logits": self.from_logits}


class SquaredError(Loss):
    """The quadratic cost: 1/2 sum_j (y_j - t_j)^2 of each row, averaged over the rows.

    Nielsen, chapter 1; also scikit-learn's ``squared_error`` for one output. Its gradient is y - t.
    """

    name = "squared_error"

    def factor(self, n_out: int) -> float:
        return 0.5

    def emit(self, builder, output, target, weight, fused, *, gradient):
        dy = builder.arena(output.shape) if gradient else None
        row_loss = builder.arena(("B",), "float64")
        builder.emit("squared_error", output, target, weight, dy, row_loss, factor=self.factor(output.shape[-1]))
        builder.losses.append((row_loss, weight))
        return output, dy


class MeanSquaredError(SquaredError):
    """The mean over outputs and rows of (y_j - t_j)^2, as Keras and PyTorch have it."""

    name = "mean_squared_error"

    def factor(self, n_out: int) -> float:
        return 1.0 / n_out


LOSSES: dict[str, type[Loss]] = {cls.name: cls for cls in (CrossEntropy, SquaredError, MeanSquaredError)}
ALIASES = {"mse": "mean_squared_error", "quadratic": "squared_error", "log_likelihood": "cross_entropy"}


def get(loss: str | Loss) -> Loss:
    """A loss from its name, or the loss itself."""
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise TypeError(f"loss: expected a name or a fastnn Loss, got {type(loss).__name__}")
    return checks.lookup("loss", ALIASES.get(loss, loss), LOSSES)()
