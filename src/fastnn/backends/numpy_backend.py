"""Runs a Program in plain NumPy, op after op."""

from __future__ import annotations

import time
from functools import partial
from itertools import islice

import numpy as np

from ..program import OPS, Kind, Op, Operand, Phase, Program, Space, aligned_zeros, resolve
from .numpy_kernels import Step
from .run import Halt, Memory, Pass


class NumpyRun:
    """A Run (see `fastnn.backends.run.Run`) whose ops are the functions of ``numpy_kernels.py``."""

    def __init__(self, program: Program, memory: Memory, rows: int, time: int = 1) -> None:
        self.program, self.memory, self.rows, self.time = program, memory, rows, time
        self.plan = program.plan(rows, time)
        self.arena = aligned_zeros(self.plan.size, np.uint8)
        self.bound: dict[int, np.ndarray] = {}
        self.stopping = False
        self.op_seconds: np.ndarray | None = None
        self.threads = 1
        self._calls: dict[int, list[tuple]] = {}

    def bind(self, slot: int, array: np.ndarray | None) -> None:
        """Bind an array of the caller; None unbinds."""
        if array is None:
            self.bound.pop(slot, None)
        else:
            self.bound[slot] = array

    def begin(self, walk: Pass) -> None:
        """Set the pass whose steps `execute` runs."""
        self.walk = walk

    def stop(self) -> None:
        """Ask `execute` to come back after its step."""
        self.stopping = True

    def profile(self, seconds: np.ndarray | None) -> None:
        """Add the time of every op to `seconds` from here on; None: no longer."""
        self.op_seconds = seconds

    def view(self, operand: Operand, rows: int) -> np.ndarray:
        """The array of an operand that is not bound."""
        shape = resolve(operand.shape, rows, self.time)
        if operand.space is Space.ARENA:
            buffer, offset = self.arena, self.plan.offsets[operand.slot]
        else:
            buffer, offset = self.memory.vector(operand.space).view(np.uint8), operand.offset
        if operand.layout == "lanes":
            return np.ndarray(shape, operand.dtype, buffer, offset)
        strides = tuple(s * operand.dtype.itemsize for s in operand.strides)
        return np.ndarray(shape, operand.dtype, buffer, offset, strides)

    def _prepare(self, o: Op, rows: int) -> tuple:
        whole = o.name.startswith("gather")
        arrays = [None if a is None else partial(self._rows, a, rows, whole) if a.space is Space.BOUND
                  else self.view(a, rows) for a in o.operands]
        if o.kind is Kind.NATIVE:
            settings = dict(o.settings)
            if o.accumulate:
                settings["accumulate"] = True
            return o, partial(OPS[o.name].kernel, **settings), arrays
        function = o.function
        assert function is not None
        return o, lambda *arrays, step: function(*arrays), arrays

    def _rows(self, operand: Operand, rows: int, whole: bool, row: int) -> np.ndarray | None:
        array = self.bound.get(operand.index)
        if whole or array is None:
            return array
        return array[row:row + rows].reshape(resolve(operand.shape, rows, self.time))

    def execute(self, first_step: int, last_step: int, *, check: bool = False) -> Halt | None:
        """Run steps [first_step, last_step); None when all were run."""
        walk = self.walk
        self.stopping = False
        for index in range(first_step, last_step):
            row, end = walk.rows_of_step(index)
            step = self._step(index)
            while step.row < end:
                rows = min(walk.block, end - step.row)
                last_block = step.row + rows == end
                with np.errstate(all="ignore"):
                    halt = self._block(step, rows, last_block, index, check)
                if halt:
                    return halt
                step.row += rows
                step.batch_row += rows
                step.first_block = False
            if walk.losses is not None:
                walk.losses[index] = step.loss
            if self.stopping:
                return Halt("stopped", index, len(self.program.ops), -1)
        return None

    def _step(self, index: int) -> Step:
        walk = self.walk
        row, end = walk.rows_of_step(index)
        return Step(walk.index, row, walk.update_count + index + 1,
                    0.0 if walk.rates is None else float(walk.rates[index]), self._weight_sum(row, end),
                    seed=walk.seed, momentum=None if walk.momenta is None else float(walk.momenta[index]),
                    time=self.time)

    def execute_ops(self, first: int, last: int) -> None:
        """Run the ops [first, last) of the pass's first step, which is one block."""
        with np.errstate(all="ignore"):
            self._block(self._step(0), self.walk.n_rows, True, 0, False, first, last)

    def _weight_sum(self, row: int, end: int) -> float:
        if self.program.sums_rows:
            return 1.0
        weight, index = self.walk.row_weight, self.walk.index
        if weight is None:
            return float(end - row)
        total = float(weight[row:end].sum() if index is None else weight[index[row:end]].sum())
        return total or 1.0  # all zero: so are loss and gradient

    def _block(self, step: Step, rows: int, last_block: bool, index: int, check: bool,
               first: int = 0, last: int | None = None) -> Halt | None:
        if rows not in self._calls:
            self._calls[rows] = [self._prepare(o, rows) for o in self.program.ops]
        for number, (o, kernel, arrays) in islice(enumerate(self._calls[rows]), first, last):
            if o.phase >= Phase.TRANSFORM and not last_block:
                break
            arrays = [a(step.row) if isinstance(a, partial) else a for a in arrays]
            started = time.perf_counter() if self.op_seconds is not None else 0.0
            kernel(*arrays, step=step)
            if self.op_seconds is not None:
                self.op_seconds[number] += time.perf_counter() - started
            if step.bad_row >= 0:
                return Halt("nonfinite_input", index, number, step.bad_row)
            if check:
                written = [a for a in arrays[o.n_inputs:] if a is not None and a.dtype.kind == "f"]
                if not all(np.isfinite(a).all() for a in written):
                    return Halt("nonfinite_value", index, number, -1)
        return None
