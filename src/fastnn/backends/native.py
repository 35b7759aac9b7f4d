"""Runs a Program in the C core: packs its ops into the core's records and hands over pointers."""

from __future__ import annotations

import math
import reprlib
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cache

import numpy as np

from .. import _native as core
from ..program import KEPT_SIZES, OPS, PAD, Kind, Op, Operand, Program, Space, aligned_zeros, kept, resolve
from .run import Halt, Memory, Pass

_OPERAND = np.dtype([("offset", "i8"), ("shape", "i8", 4), ("stride", "i8", 4), ("space", "i4"),
                     ("dtype", "i4"), ("ndim", "i4"), ("written", "i4")])
_OP = np.dtype([("opcode", "i4"), ("dtype", "i4"), ("phase", "i4"), ("kind", "i4"), ("flags", "i4"),
                ("n_operands", "i4"), ("dims", "i8", 16), ("scalars", "f8", 8), ("operands", _OPERAND, 16)])
assert _OP.itemsize == core.OP_BYTES, "the op record differs from csrc/fastnn.h"

ACCUMULATE, BARRIER = 1, 2
_SYMBOLS = {"B": -1, "T": -2, "BT": -3, "LANES": -4}
OPCODES = {row[0]: i for i, row in enumerate(core.op_table())}
CODES = {"activation": {name: i for i, name in enumerate(core.activation_names())},
         "loss": {name: i for i, name in enumerate(core.loss_names())},
         "optimizer": OPCODES}  # settings that are names
_REASONS = {core.STOPPED: "stopped", core.NONFINITE_INPUT: "nonfinite_input",
            core.NONFINITE_VALUE: "nonfinite_value"}


def setting(name: str, value: object) -> object:
    """A setting as the core's number."""
    return CODES[name][value] if name in CODES else value


_ABSENT = (0, (0,) * 4, (0,) * 4, 0, 0, 0, 0)


def _filled(values: Iterable, n: int, rest: object) -> tuple:
    """The values, and `rest` in the other places of `n`."""
    values = tuple(values)
    return values + (rest,) * (n - len(values))


def _operand_record(operand: Operand | None, offsets: tuple[int, ...], written: bool) -> tuple:
    if operand is None:
        return _ABSENT
    offset = offsets[operand.slot] if operand.space is Space.ARENA else operand.offset
    shape = (_SYMBOLS[n] if isinstance(n, str) else n for n in operand.shape)
    return (offset, _filled(shape, core.MAX_NDIM, 1), _filled(operand.strides, core.MAX_NDIM, 1),
            int(operand.space) + operand.index, core.dtype_code(operand.dtype), len(operand.shape), written)


def _op_record(o: Op, dtype: int, offsets: tuple[int, ...]) -> tuple:
    opcode, dims, scalars = 0, [], []
    if o.kind is Kind.NATIVE:
        opcode, settings = OPCODES[o.name], dict(o.settings)
        dims, scalars = ([setting(name, settings[name]) for name in names]
                         for names in (OPS[o.name].dims, OPS[o.name].scalars))
    operands = (_operand_record(a, offsets, i >= o.n_inputs) for i, a in enumerate(o.operands))
    return (opcode, dtype, o.phase, o.kind, ACCUMULATE * o.accumulate | BARRIER * o.barrier, len(o.operands),
            _filled(dims, core.MAX_DIMS, 0), _filled(scalars, core.MAX_SCALARS, 0.0),
            list(_filled(operands, core.MAX_OPERANDS, _ABSENT)))


def _pack(program: Program, rows: int, time: int = 1) -> np.ndarray:
    """The Program as an array of fnn_op, laid out for blocks of at most `rows` rows and `time` steps."""
    offsets, dtype = program.plan(rows, time).offsets, core.dtype_code(program.parameters.dtype)
    return np.array([_op_record(o, dtype, offsets) for o in program.ops], _OP)


class _Packed:
    """What all Runs of a Program with blocks of so many rows share: its records, and its steps' speed."""

    def __init__(self, program: Program, rows: int, time: int) -> None:
        self.ops = _pack(program, rows, time)
        self.step_flops = program.flops(rows, time)
        self.team = TeamSize()

    @staticmethod
    def of(program: Program, rows: int, time: int = 1) -> _Packed:
        """The Program's own, made when first asked for."""
        return kept(program.packed, (rows, time), lambda: _Packed(program, rows, time), KEPT_SIZES)


class NativeRun:
    """A Run (see `fastnn.backends.run.Run`) in the C core."""

    def __init__(self, program: Program, memory: Memory, rows: int, time: int = 1) -> None:
        self.program, self.memory, self.rows, self.time = program, memory, rows, time
        packed = _Packed.of(program, rows, time)
        self.ops, self.step_flops, self.team = packed.ops, packed.step_flops, packed.team
        self.arena = aligned_zeros(program.plan(rows, time).size, np.uint8)
        self.state = core.RunState(time)
        for space in (Space.PARAMETER, Space.GRADIENT, Space.OPTIMIZER_STATE, Space.PERSISTENT):
            self.state.set_base(space, memory.vector(space))
        self.state.set_base(Space.ARENA, self.arena)
        self.calls = np.zeros(core.BINDINGS * len(self.ops) * core.CALL_BYTES, np.uint8)
        self.state.set_calls(self.calls)
        self.state.set_rows(rows, rows, rows)
        self.state.set_sum_rows(program.sums_rows)
        self.teams: dict[tuple[int, int], TeamSize] = {}  # of parts of a step
        self.threads = 1  # of the last steps
        self.workspace_threads = 0

    def bind(self, slot: int, array: np.ndarray | None) -> None:
        """Bind an array of the caller; None unbinds."""
        self.state.bind_array(slot, array, -1 if array is None else core.dtype_code(array.dtype))

    def begin(self, walk: Pass) -> None:
        """Set the pass whose steps `execute` runs."""
        self.walk = walk
        self.state.set_pass(walk.index, walk.row_weight, walk.rates, walk.momenta, walk.losses,
                            walk.update_count, walk.seed % 2 ** 64)

    def stop(self) -> None:
        """Ask a running `execute` (in another thread) to come back after its step."""
        self.state.stop()

    def profile(self, seconds: np.ndarray | None) -> None:
        """Add the time of every op to `seconds` from here on; None: no longer."""
        self.state.set_profile(seconds)

    def _prepare(self, threads: int) -> None:
        """A workspace for each thread, of the size that the current instruction set's kernels want."""
        if not self.state.runs_isa_in_use() or self.workspace_threads < threads:
            self.state.set_rows(self.rows, self.rows, self.rows)  # the most there can be
            bytes_per_thread = self.state.workspace_bytes(self.ops)
            workspace = aligned_zeros(max(1, bytes_per_thread * threads), np.uint8)
            self.state.set_workspace(self.calls, workspace, bytes_per_thread)
            self.workspace_threads = threads

    def execute(self, first_step: int, last_step: int, *, check: bool = False) -> Halt | None:
        """Run steps [first_step, last_step); None when all were run."""
        self.state.clear_stop()
        most = 1 if check or self.step_flops < SERIAL_FLOPS else most_threads()
        self._prepare(most)
        walk = self.walk
        self.state.set_rows(walk.n_rows, walk.batch, walk.block, walk.epoch_rows or 0)
        if most == 1:
            return self._execute(first_step, last_step, 1, check)
        while first_step < last_step:
            threads, steps = self.team.next(most, last_step - first_step)
            started = time.perf_counter()
            halt = self._execute(first_step, first_step + steps, threads, check)
            self.team.note(threads, steps, time.perf_counter() - started)
            if halt:
                return halt
            first_step += steps
        return None

    def execute_ops(self, first: int, last: int) -> None:
        """Run the ops [first, last) of the pass's first step, which is one block."""
        team = self.teams.setdefault((first, last), TeamSize())
        most = 1 if self.step_flops < SERIAL_FLOPS else most_threads()
        self._prepare(most)
        self.state.set_rows(self.walk.n_rows, self.walk.batch, self.walk.block)
        threads, _ = team.next(most, 1)
        started = time.perf_counter()
        self._execute(0, 1, threads, False, self.ops[:last], first)
        team.note(threads, 1, time.perf_counter() - started)

    def _execute(self, first_step: int, last_step: int, threads: int, check: bool,
                 ops: np.ndarray | None = None, op: int = 0) -> Halt | None:
        self.threads = threads
        ops, block = self.ops if ops is None else ops, 0
        while True:
            status = self.state.run(ops, first_step, last_step, block, op, threads, check)
            if status is None:
                return None
            code, step, block, op, row = status
            if code != core.AT_HOST_OP:
                return Halt(_REASONS[code], step, op, row)
            self._host(self.program.ops[op], step, block)
            first_step, op = step, op + 1

    def _host(self, o: Op, step: int, block: int) -> None:
        """Run a host op of the Program on the block where the core stopped."""
        walk = self.walk
        row, end = walk.rows_of_step(step)
        row += block * walk.block
        rows = min(walk.block, end - row)
        assert o.function is not None
        o.function(*(None if a is None else self.view(a, rows, row) for a in o.operands))
        for a in o.writes:
            if a.space is Space.ARENA and len(a.shape) == 2:  # kernels count on zeros in the pad lanes
                whole = replace(a, shape=(a.shape[0], a.strides[0]))
                self.view(whole, rows)[:, int(a.shape[1]):] = 0

    def view(self, operand: Operand, rows: int, row: int = 0) -> np.ndarray:
        """The array of an operand; of one in lanes, a copy."""
        if operand.space is Space.BOUND:
            return self.state.kept[int(Space.BOUND) + operand.index][row:row + rows]
        if operand.space is Space.ARENA:
            buffer, offset = self.arena, self.program.plan(self.rows, self.time).offsets[operand.slot]
        else:
            buffer, offset = self.memory.vector(operand.space).view(np.uint8), operand.offset
        shape = resolve(operand.shape, rows, self.time)
        if operand.layout == "lanes":
            return from_lanes(np.ndarray(lanes_shape(shape), operand.dtype, buffer, offset), rows)
        strides = tuple(s * operand.dtype.itemsize for s in operand.strides)
        return np.ndarray(shape, operand.dtype, buffer, offset, strides)


def lanes_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the memory of images (B, h, w, c) in lanes."""
    return -(-shape[0] // PAD), *shape[1:], PAD


def to_lanes(images: np.ndarray, pad: str) -> np.ndarray:
    """Images (B, h, w, c) in lanes' memory; beyond B are zeros ("constant") or the last image ("edge")."""
    beyond = -len(images) % PAD
    images = np.pad(images, ((0, beyond), (0, 0), (0, 0), (0, 0)), pad)  # type: ignore[call-overload]
    blocks = images.reshape(-1, PAD, *images.shape[1:])
    lanes = aligned_zeros(images.size, images.dtype).reshape(lanes_shape(images.shape))
    lanes[...] = np.moveaxis(blocks, 1, -1)
    return lanes


def from_lanes(lanes: np.ndarray, rows: int) -> np.ndarray:
    """The images (rows, h, w, c) that lanes hold."""
    return np.moveaxis(lanes, -1, 1).reshape(-1, *lanes.shape[1:4])[:rows]


QUICK_ROWS = 64  # calls of predict with more rows do not feel their Python


def quick_predict(program: Program, memory: Memory, input_shape: tuple[int, ...],
                  n_out: int) -> core.QuickPredict:
    """A function of X that predicts a few rows at the least cost of a call (see `_predict.pxi`).

    It returns None where the usual way must be taken.
    """
    def make() -> core.RunState:
        run = NativeRun(program, memory, QUICK_ROWS)
        run._prepare(1)
        run.state.kept["run"] = run.arena, run.ops
        return run.state

    ops, dtype = _Packed.of(program, QUICK_ROWS).ops, memory.parameters.dtype
    return core.QuickPredict(make, ops, dtype, input_shape, n_out, QUICK_ROWS)


_limit: ContextVar[int] = ContextVar("limit", default=core.MAX_THREADS)
_said: set[str] = set()


@contextmanager
def at_most_threads(n: int) -> Iterator[None]:
    """At most so many threads for this thread's calls inside the block; OpenMP's own number stays as it is."""
    token = _limit.set(n)
    try:
        yield
    finally:
        _limit.reset(token)


def most_threads() -> int:
    """How many threads a large step may use: what OpenMP says now. In a forked child one, which is said once."""
    if core.forked() and "forked" not in _said:
        _said.add("forked")
        warnings.warn("fastnn runs on one thread in this process: it was forked from one whose threads had run, and "
                      "they did not come along. Results are the same. For more threads start processes by spawn or "
                      "forkserver", RuntimeWarning, stacklevel=2)
    return min(core.max_threads(), _limit.get())


SERIAL_FLOPS = 50_000  # a step of fewer takes less time than a team needs to meet


class TeamSize:
    """How many threads a Program's steps are fastest with, measured on the steps themselves.

    Results do not depend on the number of threads, so one thread and all of them can take turns: a few
    times at first, then now and again, since the distance between cores and what else runs there change.
    A few milliseconds of work, or steps that meetings would fill, are not worth the question: one thread
    does them.
    """

    PATIENCE = 5e-3  # seconds on one thread before a team is tried, which costs as much where cores are busy
    SHORT_STEP = 2e-5  # seconds of a step: a dozen meetings of two threads take a tenth of it, or all of it
    PROBES = 3  # measurements of each number of threads before the faster one is kept; two of a long step
    LONG_STEP = 5e-3  # seconds
    PROBE_SECONDS = 1e-3  # of a measurement, or one step;
    WAKING_STEPS = 4  # of a team at least: its first one waits for cores that sleep, with cold caches
    KEEP_SECONDS = 0.5  # before the slower one gets another chance, or longer:
    PROBE_SHARE = 0.01  # of the time that trying the slower one may cost
    MEMORY = 0.5  # weight of a new measurement once there are enough

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}  # of a step, by number of threads
        self.probes: dict[int, int] = {}
        self.probed = self.alone = 0.0
        self.keep_seconds = 0.02  # soon at first: the first measurements ran with cold caches

    def next(self, most: int, steps: int) -> tuple[int, int]:
        """The number of threads for the next steps, and for how many of them."""
        if not self.alone:
            return 1, 1
        if self.alone < self.PATIENCE or self.seconds[1] < self.SHORT_STEP:
            return 1, max(1, min(steps, math.ceil(self.PATIENCE / self.seconds[1])))
        now = time.perf_counter()
        threads = min((most, 1), key=lambda n: self.probes.get(n, 0))  # in turns
        long = self.seconds.get(threads, 0.0) > self.LONG_STEP
        if self.probes.get(threads, 0) < (2 if long else self.PROBES):
            self.probed = now
            return threads, self._probe_steps(threads, steps)
        best, other = (1, most) if self.seconds[1] <= self.seconds[most] else (most, 1)
        lost = (self.seconds[other] - self.seconds[best]) * self._probe_steps(other, steps)
        keep = max(self.keep_seconds, lost / self.PROBE_SHARE)
        if now - self.probed > keep:
            self.probed = now
            self.keep_seconds = min(2 * self.keep_seconds, self.KEEP_SECONDS)
            if self.seconds[other] < 3 * self.seconds[best]:
                return other, self._probe_steps(other, steps)
            self.seconds[other] *= 0.7  # so that a slow measurement does not count for ever
        left = max(keep - (now - self.probed), self.PROBE_SECONDS)
        return best, max(1, min(steps, int(left / self.seconds[best])))

    def _probe_steps(self, threads: int, steps: int) -> int:
        step = self.seconds.get(threads, self.seconds[1])
        least = self.WAKING_STEPS if threads > 1 and step < self.LONG_STEP else 1
        return max(1, min(steps, max(least, int(self.PROBE_SECONDS / step) if threads in self.seconds else 1)))

    def note(self, threads: int, steps: int, seconds: float) -> None:
        """A measurement: so many steps took `seconds`."""
        alone = seconds if threads == 1 else 0.0
        seconds /= steps
        count = self.probes.get(threads, 0) + 1
        if count <= self.PROBES:
            self.seconds[threads] = min(self.seconds.get(threads, seconds), seconds)
        else:
            self.seconds[threads] += self.MEMORY * (seconds - self.seconds[threads])
        self.probes[threads] = count  # after the time, which another thread may ask for
        self.alone += alone  # likewise


def supported_isas() -> list[str]:
    """Instruction sets built in that this machine runs, the best last."""
    return [name for name, runs in core.isas() if runs]


@contextmanager
def use_isa(name: str) -> Iterator[None]:
    """Use the kernels of one instruction set inside a ``with`` block."""
    before = core.isa()
    select_isa(name, "use_isa")
    try:
        yield
    finally:
        core.select_isa(before)


def select_isa(name: str, source: str) -> None:
    """Use the kernels of one instruction set from here on; an error says that `source` asked for it."""
    if not isinstance(name, str) or not core.select_isa(name):
        options = ", ".join(map(repr, supported_isas()))
        built = isinstance(name, str) and name in dict(core.isas())
        why = ", which this machine does not run" if built else ""
        raise ValueError(f"{source}: expected an instruction set that this machine runs ({options}), "
                         f"got {reprlib.repr(name)}{why}")


def vector_function(name: str, x: np.ndarray, y: np.ndarray) -> None:
    """y = f(x) for an elementary function of the core; one-dimensional contiguous arrays of one dtype."""
    core.vector_function(core.dtype_code(x.dtype), name, x, y)


@cache
def _peak(isa: str, dtype: str) -> float:
    code, rounds, best = core.dtype_code(dtype), 200_000, 0.0
    for _ in range(7):
        start = time.perf_counter()
        flops = core.fma_peak(code, rounds)
        best = max(best, flops / (time.perf_counter() - start))
    return best / 1e9


def fma_gflops(dtype: str = "float32") -> float:
    """Measured multiply-add rate of one thread in registers, in GFLOP/s."""
    return _peak(core.isa(), dtype)


def fork_join_us() -> float:
    """Measured cost of one parallel region, in microseconds."""
    return 1e6 * min(core.fork_join_seconds(core.max_threads()) for _ in range(5))
