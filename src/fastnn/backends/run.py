"""What a Run is on either backend: the memory of one call over a Program, and how a pass over rows goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..program import Operand, Program, Space


@dataclass
class Memory:
    """The vectors that Programs of one model share."""

    parameters: np.ndarray
    gradients: np.ndarray
    state: np.ndarray
    persistent: np.ndarray

    def vector(self, space: Space) -> np.ndarray:
        """The vector of a space."""
        return {Space.PARAMETER: self.parameters, Space.GRADIENT: self.gradients,
                Space.OPTIMIZER_STATE: self.state, Space.PERSISTENT: self.persistent}[space]


@dataclass(frozen=True)
class Halt:
    """Why a run came back before its last step.

    `reason` is "stopped", "nonfinite_input" (then `row` counts in the order of the pass) or "nonfinite_value"
    (then `op` is the op's number).
    """

    reason: str
    step: int
    op: int
    row: int


@dataclass
class Pass:
    """One walk over the bound rows: `batch` rows a step, `block` rows at a time within a step.

    `index` is the row order (None: as they stand), `row_weight` the weight of each bound row (None: 1),
    `rates` the learning rate, `momenta` the optimizer's beta1 (None: as its op says) and `losses` the place
    for the mean loss of each step, `update_count` the optimizer updates done before, `seed`
    the key of the random numbers that ops draw. With `epoch_rows` the pass is several epochs of so many
    rows each, whose orders stand one after the other in `index`, and each ends in a short step where `batch`
    does not divide it.
    """

    n_rows: int
    batch: int
    block: int
    index: np.ndarray | None = None
    row_weight: np.ndarray | None = None
    rates: np.ndarray | None = None
    losses: np.ndarray | None = None
    update_count: int = 0
    seed: int = 0
    momenta: np.ndarray | None = None
    epoch_rows: int | None = None

    @property
    def steps(self) -> int:
        """Steps of the pass; the last of an epoch may have fewer rows."""
        epoch = self.epoch_rows or self.n_rows
        return -(-epoch // self.batch) * (self.n_rows // epoch)

    def rows_of_step(self, step: int) -> tuple[int, int]:
        """First row and end of a step, within the pass."""
        rows = self.epoch_rows or self.n_rows
        epoch, step = divmod(step, -(-rows // self.batch))
        row = step * self.batch
        return epoch * rows + row, epoch * rows + min(row + self.batch, rows)


class Run(Protocol):
    """Memory and bindings of one call over a Program, for blocks of at most `rows` rows and `time` steps."""

    program: Program
    rows: int
    time: int
    threads: int  # that ran the last steps

    def bind(self, slot: int, array: np.ndarray | None) -> None:
        """Bind an array of the caller: rows along the first axis, the other axes contiguous."""

    def begin(self, walk: Pass) -> None:
        """Set the pass whose steps `execute` runs."""

    def view(self, operand: Operand, rows: int) -> np.ndarray:
        """The array of an operand that is not bound, as a block of `rows` rows left it."""

    def execute(self, first_step: int, last_step: int, *, check: bool = False) -> Halt | None:
        """Run steps [first_step, last_step); None when all were run. `check` looks at every op's results."""

    def execute_ops(self, first: int, last: int) -> None:
        """Run the ops [first, last) of the pass's first step, which is one block."""

    def stop(self) -> None:
        """Ask a running `execute` (in another thread) to come back after its step."""

    def profile(self, seconds: np.ndarray | None) -> None:
        """Add the time of every op to `seconds`, one number an op, from here on; None: no longer."""
