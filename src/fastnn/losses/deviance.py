"""The Poisson deviance, fused with the exponential."""

from __future__ import annotations

from ..program import Builder, Operand
from .base import Loss, emit_fused


class PoissonDeviance(Loss):
    """Half the Poisson deviance, sum_j t_j log(t_j / y_j) - t_j + y_j: for counts, after "exponential".

    scikit-learn's ``loss="poisson"``. Fused with the exponential: the gradient of its input is y - t.
    Targets: numbers of at least 0, ``(n, n_out)``, or ``(n,)`` with one output.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        Over the rows, see `Loss`.

    Examples
    --------
    >>> import fastnn as fnn
    >>> layers = [fnn.Dense(1, "exponential", kernel_initializer="zeros")]
    >>> model = fnn.Sequential(layers, input_shape=(1,))
    >>> model.compile(loss=fnn.PoissonDeviance())
    >>> model.evaluate([[1.0], [1.0]], [1.0, 0.0])
    {'loss': 0.5}
    """

    name = "poisson_deviance"

    def op(self, activation: str, n_out: int) -> str | None:
        if activation != "exponential":
            raise ValueError("loss: poisson_deviance expects the last layer's activation to be "
                             f"'exponential', got {activation!r}")
        return "poisson_deviance"

    def target_kind(self, activation: str, n_out: int) -> str:
        return "counts"

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        assert fused is not None
        return emit_fused(builder, fused, output, target, weight, gradient=gradient)
