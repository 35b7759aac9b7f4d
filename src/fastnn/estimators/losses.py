"""scikit-learn's losses where fastnn's own say something else."""

from __future__ import annotations

from ..losses import SquaredError
from ..program import Builder, Operand


class MeanOverOutputs(SquaredError):
    """1/2 mean_j (y_j - t_j)^2 with the gradient of 1/2 sum_j (y_j - t_j)^2.

    What scikit-learn reports and follows where there are several outputs.
    """

    name = "mean_over_outputs"

    def emit(self, builder: Builder, output: Operand, target: Operand, weight: Operand | None,
             fused: str | None, *, gradient: bool) -> tuple[Operand, Operand | None]:
        n_out = int(output.shape[-1])
        row_loss, row_sum = builder.arena(("B",), "float64"), builder.arena(("B",), "float64")
        builder.emit("squared_error", output, target, weight, None, row_loss, factor=0.5 / n_out)
        builder.losses.append((row_loss, weight))
        dy = builder.arena(output.shape) if gradient else None
        if dy is not None:
            builder.emit("squared_error", output, target, weight, dy, row_sum, factor=0.5)
        return output, dy
