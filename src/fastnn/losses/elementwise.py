"""Losses that are a sum over a row's outputs: `Elementwise` by name, and a class for each known one."""

from __future__ import annotations

from typing import Any

from .. import checks
from ..elementwise_losses import ELEMENTWISE_LOSSES
from ..program import Builder, Operand
from .base import OutputsLoss, check_range, emit_loss, emit_shown


class Elementwise(OutputsLoss):
    """The mean, or the sum, of l(y_j, t_j) over the outputs of a row, l by name.

    Every row of `fastnn.elementwise_losses.ELEMENTWISE_LOSSES` that is a loss of outputs as they stand is
    known to `compile` by its name too; the others are what `Focal` and `Poisson` are made of.

    Parameters
    ----------
    loss : str
        The row's name.
    outputs : {"mean", "sum"}
        Over the outputs of a row: "mean" as in Keras and PyTorch.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.
    **parameters : float
        The row's parameters, where the defaults do not suit.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1, kernel_initializer="zeros")], input_shape=(1,))
    >>> model.compile(loss=fnn.losses.Elementwise("smooth_l1", beta=2.0))
    >>> model.evaluate([[1.0], [1.0]], [2.0, 1.0])  # 1 and 1/4
    {'loss': 0.625}
    """

    shown = ""  # the activation that metrics see the outputs through

    def __init__(self, loss: str, *, outputs: str = "mean", reduction: str = "mean",
                 **parameters: float) -> None:
        super().__init__(outputs=outputs, reduction=reduction)
        rows = {name: row for name, row in ELEMENTWISE_LOSSES.items() if not row.of}
        self.row = checks.lookup("loss", loss, rows)
        self.row.settings(parameters)
        self.name = loss
        self.parameters = {name: float(parameters.get(name, default))
                           for name, default in self.row.parameters.items()}

    def op(self, activation: str, n_out: int) -> str | None:
        if activation in self.row.fused:
            return "elementwise_loss"
        check_range(self.name, activation, self.row.range)
        return None

    def target_kind(self, activation: str, n_out: int) -> str:
        return self.row.targets

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        row, parameters, shown = self.row, self.parameters, self.shown
        if fused:
            (shown, name), = self.row.fused.items()
            row, parameters = ELEMENTWISE_LOSSES[name], {}
        a, b = row.settings(parameters)
        dy = emit_loss(builder, "elementwise_loss", output, target, weight, gradient=gradient, loss=row.name,
                       a=a, b=b, factor=self.factor(int(output.shape[-1])))
        return emit_shown(builder, shown, output), dy

    def get_config(self) -> dict[str, Any]:
        return {**self.parameters, **super().get_config()}

    def __repr__(self) -> str:
        text = super().__repr__()
        return text if type(self) is not Elementwise else text.replace("(", f"({self.name!r}, ", 1)


class AbsoluteError(Elementwise):
    """|y - t|, the mean over the outputs: the error itself, which few large ones do not rule. Laplace 1774.

    Its slope is the sign of y - t, 0 at 0; Keras's ``mean_absolute_error``, PyTorch's ``L1Loss``.

    Parameters
    ----------
    outputs : {"mean", "sum"}
        Over the outputs of a row.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Examples
    --------
    Targets: numbers, ``(n, n_out)``, or ``(n,)`` with one output.

    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1, kernel_initializer="zeros")], input_shape=(1,))
    >>> model.compile(loss="absolute_error")
    >>> model.evaluate([[1.0], [1.0]], [2.0, -1.0])
    {'loss': 1.5}
    """

    def __init__(self, *, outputs: str = "mean", reduction: str = "mean") -> None:
        super().__init__("absolute_error", outputs=outputs, reduction=reduction)


class Huber(Elementwise):
    """e^2 / 2 up to |e| = delta, from there on delta (|e| - delta / 2), e = y - t. Huber 1964.

    Squared for small errors, absolute for large ones; the same in PyTorch and Keras. Divided by delta it is
    `SmoothL1`.

    Parameters
    ----------
    delta : float
        Where the parabola becomes a straight line; above 0.
    outputs : {"mean", "sum"}
        Over the outputs of a row.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Examples
    --------
    Targets: numbers, ``(n, n_out)``, or ``(n,)`` with one output.

    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1, kernel_initializer="zeros")], input_shape=(1,))
    >>> model.compile(loss=fnn.Huber(delta=2.0))
    >>> model.evaluate([[1.0], [1.0]], [1.0, 4.0])  # 1/2 and 2 (4 - 1)
    {'loss': 3.25}
    """

    def __init__(self, delta: float = 1.0, *, outputs: str = "mean", reduction: str = "mean") -> None:
        super().__init__("huber", outputs=outputs, reduction=reduction,
                         delta=checks.positive_float("delta", delta))


class SmoothL1(Elementwise):
    """e^2 / (2 beta) up to |e| = beta, |e| - beta / 2 beyond: Huber's loss divided by delta. Girshick 2015.

    PyTorch's ``SmoothL1Loss``: its slope for large errors is 1 whatever beta is.

    Parameters
    ----------
    beta : float
        Where the parabola becomes a straight line; above 0.
    outputs : {"mean", "sum"}
        Over the outputs of a row.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Examples
    --------
    Targets: numbers, ``(n, n_out)``, or ``(n,)`` with one output.

    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1, kernel_initializer="zeros")], input_shape=(1,))
    >>> model.compile(loss=fnn.SmoothL1(beta=2.0))
    >>> model.evaluate([[1.0], [1.0]], [1.0, 4.0])  # 1/4 and 4 - 1
    {'loss': 1.625}
    """

    def __init__(self, beta: float = 1.0, *, outputs: str = "mean", reduction: str = "mean") -> None:
        super().__init__("smooth_l1", outputs=outputs, reduction=reduction,
                         beta=checks.positive_float("beta", beta))


class LogCosh(Elementwise):
    """log cosh(y - t): half the square of small errors, |y - t| - log 2 of large ones, smooth between.

    Its slope is tanh(y - t). Green 1990; the same in Keras, but right to the last digits near 0.

    Parameters
    ----------
    outputs : {"mean", "sum"}
        Over the outputs of a row.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Examples
    --------
    Targets: numbers, ``(n, n_out)``, or ``(n,)`` with one output.

    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1, kernel_initializer="zeros")], input_shape=(1,))
    >>> model.compile(loss="log_cosh")
    >>> round(model.evaluate([[1.0]], [100.0])["loss"], 4)  # 100 - log 2
    99.3069
    """

    def __init__(self, *, outputs: str = "mean", reduction: str = "mean") -> None:
        super().__init__("log_cosh", outputs=outputs, reduction=reduction)


class Quantile(Elementwise):
    """max(q e, (q - 1) e), e = t - y: least where y is the q-quantile of t. Koenker and Bassett 1978.

    The pinball loss of scikit-learn. Its slope is -q where y is too small, 1 - q where it is too large.

    Parameters
    ----------
    q : float
        Between 0 and 1; 1/2 is half the absolute error, whose minimum is the median.
    outputs : {"mean", "sum"}
        Over the outputs of a row.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Examples
    --------
    Targets: numbers, ``(n, n_out)``, or ``(n,)`` with one output.

    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1, kernel_initializer="zeros")], input_shape=(1,))
    >>> model.compile(loss=fnn.Quantile(0.75))
    >>> model.evaluate([[1.0], [1.0]], [2.0, -2.0])  # 1.5 and 0.5
    {'loss': 1.0}
    """

    def __init__(self, q: float = 0.5, *, outputs: str = "mean", reduction: str = "mean") -> None:
        q = checks.positive_float("q", checks.fraction("q", q))
        super().__init__("quantile", outputs=outputs, reduction=reduction, q=q)


class Poisson(Elementwise):
    """y - t log(y + epsilon): the negative log-likelihood of a count t whose mean is y, without log t!.

    After "exponential" it is fused with it, exp(z) - t z, the gradient of z being y - t; then epsilon plays
    no part. Other activations must give no negative values: "softplus", for one.

    Parameters
    ----------
    log_input : bool
        The network ends without an activation and its outputs are log y, PyTorch's default. `predict` gives
        them as they are; metrics see y.
    epsilon : float
        At least 0: 1e-8 as in PyTorch, where Keras has 1e-7.
    outputs : {"mean", "sum"}
        Over the outputs of a row; "mean" as in Keras and PyTorch.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Examples
    --------
    Targets: numbers of at least 0, ``(n, n_out)``, or ``(n,)`` with one output.

    >>> import fastnn as fnn
    >>> layers = [fnn.Dense(1, "exponential", kernel_initializer="zeros")]
    >>> model = fnn.Sequential(layers, input_shape=(1,))
    >>> model.compile(loss="poisson")
    >>> model.evaluate([[1.0], [2.0]], [3, 0])  # y = 1
    {'loss': 1.0}
    """

    def __init__(self, log_input: bool = False, epsilon: float = 1e-8, *, outputs: str = "mean",
                 reduction: str = "mean") -> None:
        super().__init__("poisson", outputs=outputs, reduction=reduction,
                         epsilon=checks.positive_float("epsilon", epsilon, allow_zero=True))
        self.log_input = checks.boolean("log_input", log_input)

    def op(self, activation: str, n_out: int) -> str | None:
        if not self.log_input:
            return super().op(activation, n_out)
        if activation != "identity":
            raise ValueError(f"loss: Poisson(log_input=True) expects a last layer without activation, got "
                             f"{activation!r}; end with 'exponential' and leave log_input out")
        return "elementwise_loss"

    def get_config(self) -> dict[str, Any]:
        return {"log_input": self.log_input, **super().get_config()}


class Hinge(Elementwise):
    """max(0, 1 - t y), t being -1 or 1 and y a score: the soft-margin SVM's loss. Cortes and Vapnik 1995.

    A score above 0 means 1; metrics see its sigmoid, so that they decide there too. For one of several
    classes there is `MultiClassHinge`.

    Parameters
    ----------
    outputs : {"mean", "sum"}
        Over the outputs of a row; "mean" as in Keras.
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Examples
    --------
    Targets: -1 and 1, or 0 and 1 (as in Keras 0 means -1), ``(n, n_out)``, or ``(n,)`` with one output.

    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1, kernel_initializer="ones", use_bias=False)], input_shape=(1,))
    >>> model.compile(loss=fnn.Hinge(), metrics=["accuracy"])
    >>> model.evaluate([[0.25], [0.5]], [1, 0])  # 3/4, and 3/2 on the wrong side
    {'loss': 1.125, 'accuracy': 0.5}
    """

    shown = "sigmoid"

    def __init__(self, *, outputs: str = "mean", reduction: str = "mean") -> None:
        super().__init__("hinge", outputs=outputs, reduction=reduction)


class SquaredHinge(Elementwise):
    """max(0, 1 - t y)^2: the L2-SVM's loss, without the kink. Tang 2013; the same in Keras.

    Parameters
    ----------
    outputs, reduction
        As for `Hinge`, as are the targets and what metrics see.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1, kernel_initializer="ones", use_bias=False)], input_shape=(1,))
    >>> model.compile(loss=fnn.SquaredHinge())
    >>> model.evaluate([[0.5], [0.5]], [1, -1])
    {'loss': 1.25}
    """

    shown = "sigmoid"

    def __init__(self, *, outputs: str = "mean", reduction: str = "mean") -> None:
        super().__init__("squared_hinge", outputs=outputs, reduction=reduction)
