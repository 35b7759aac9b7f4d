"""Losses: what training makes small. Each emits its op, fused with the final activation it belongs to."""

from __future__ import annotations

from . import checks
from .program import Builder, Operand


class Loss:
    """A loss: the mean over the rows of a step, weighted by the sample weights where given.

    A subclass sets `name` and emits its ops; `op` and `target_kind` only where the defaults do not fit.

    Attributes
    ----------
    name : str
        The registered name.

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
    >>> model.evaluate([[1.0]], [[3.0, 1.0]])
    {'loss': 10.0}
    """

    name = ""

    def op(self, activation: str, n_out: int) -> str | None:
        """The op that takes the final activation's input in place of its output, None if there is none.

        Raises
        ------
        ValueError
            If the loss does not go with the activation.
        """
        return None

    def target_kind(self, activation: str, n_out: int) -> str:
        """What the targets are: "labels_or_rows", "binary" or "rows" (see `fastnn.checks.as_targets`)."""
        return "rows"

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        """Emit the loss's ops.

        Parameters
        ----------
        builder : Builder
            Takes the ops; the row losses go to ``builder.losses``.
        output, target : Operand
            (B, n_out); the target (B,) where it is labels.
        weight : Operand, optional
            (B,) float64.
        fused : str, optional
            What `op` said: then `output` is the final activation's input.
        gradient : bool
            Whether the gradient is wanted.

        Returns
        -------
        y : Operand
            The network's output.
        dy : Operand or None
            The gradient of `output`.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, object]:
        """The constructor's arguments."""
        return {}


class CrossEntropy(Loss):
    """-sum_j t_j log y_j after softmax (log-likelihood); after sigmoid the sum of binary cross-entropies.

    After sigmoid that is -sum_j (t_j log y_j + (1 - t_j) log(1 - y_j)). Fused with the activation: the
    gradient of its input is y - t, exact where y is 0 or 1.

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

    Examples
    --------
    A network that does not know yet says 1/2 of each of two classes; its loss is log 2:

    >>> import fastnn as fnn
    >>> layers = [fnn.Dense(2, "softmax", kernel_initializer="zeros")]
    >>> model = fnn.Sequential(layers, input_shape=(3,))
    >>> model.compile(loss=fnn.CrossEntropy())
    >>> round(model.evaluate([[1.0, 2.0, 3.0]], [1])["loss"], 4)
    0.6931
    """

    name = "cross_entropy"

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = checks.boolean("from_logits", from_logits)

    def op(self, activation: str, n_out: int) -> str | None:
        if self.from_logits and activation == "identity":
            return "softmax_cross_entropy" if n_out > 1 else "sigmoid_cross_entropy"
        fused = {"softmax": "softmax_cross_entropy", "log_softmax": "softmax_cross_entropy",
                 "sigmoid": "sigmoid_cross_entropy"}.get(activation)
        if fused is None or self.from_logits:
            raise ValueError(
                f"loss: cross_entropy expects the last layer's activation to be 'softmax' or 'sigmoid', got "
                f"{activation!r}; with CrossEntropy(from_logits=True) it expects none at all")
        return fused

    def target_kind(self, activation: str, n_out: int) -> str:
        return "labels_or_rows" if self.op(activation, n_out) == "softmax_cross_entropy" else "binary"

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        assert fused is not None
        y = builder.arena(output.shape)
        dlogits = builder.arena(output.shape) if gradient else None
        row_loss = builder.arena(("B",), "float64")
        builder.emit(fused, output, target, weight, y, dlogits, row_loss)
        builder.losses.append((row_loss, weight))
        return y, dlogits

    def get_config(self) -> dict[str, object]:
        return {"from_logits": self.from_logits}


class SquaredError(Loss):
    """The quadratic cost: 1/2 sum_j (y_j - t_j)^2 of each row, averaged over the rows.

    Nielsen, chapter 1; also scikit-learn's ``squared_error`` for one output. Its gradient is y - t.
    Targets: numbers, ``(n, n_out)``, or ``(n,)`` with one output.

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
        dy = builder.arena(output.shape) if gradient else None
        row_loss = builder.arena(("B",), "float64")
        factor = self.factor(int(output.shape[-1]))
        builder.emit("squared_error", output, target, weight, dy, row_loss, factor=factor)
        builder.losses.append((row_loss, weight))
        return output, dy


class MeanSquaredError(SquaredError):
    """The mean over outputs and rows of (y_j - t_j)^2, as Keras and PyTorch have it.

    Its gradient is 2 (y - t) / n_out. Targets: as for `SquaredError`.

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


LOSSES: dict[str, type[Loss]] = {cls.name: cls for cls in (CrossEntropy, SquaredError, MeanSquaredError)}
ALIASES = {"mse": "mean_squared_error", "quadratic": "squared_error", "log_likelihood": "cross_entropy"}


def get(loss: str | Loss) -> Loss:
    """A loss from its name or an alias, with its default settings, or the loss itself.

    Examples
    --------
    >>> get("mse").name
    'mean_squared_error'
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise TypeError(f"loss: expected a name or a fastnn Loss, got {type(loss).__name__}")
    return checks.lookup("loss", ALIASES.get(loss, loss), LOSSES)()
