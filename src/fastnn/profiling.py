"""Where the time of a training step goes, op by op."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import backends, bundles, checks
from .backends import Pass
from .compilation import TARGET_SLOT, WEIGHT_SLOT, X_SLOT
from .inference import as_gatherable, bind
from .model import Model


@dataclass(frozen=True)
class OpProfile:
    """One op of a step: its time in microseconds, floating-point operations and bytes of its arrays."""

    layer: str
    op: str
    microseconds: float
    flops: int
    bytes: int

    @property
    def gflops(self) -> float:
        """Floating-point operations a second, in 1e9."""
        return self.flops / self.microseconds / 1e3 if self.microseconds else 0.0

    @property
    def gbytes(self) -> float:
        """Bytes a second, in 1e9."""
        return self.bytes / self.microseconds / 1e3 if self.microseconds else 0.0


@dataclass(frozen=True)
class Profile:
    """The ops of a training step in their order; `str` gives the table.

    Attributes
    ----------
    ops : tuple of OpProfile
        Each op, timed by itself: barriers count, so that on several threads the sum is above `step`.
    step : float
        Microseconds of a whole step, without timing inside.
    batch_size : int
        Rows of the step.
    peak : float or None
        GFLOP/s that all threads' multiply-adds reach in registers; None on the NumPy backend.
    """

    ops: tuple[OpProfile, ...]
    step: float
    batch_size: int
    backend: str
    threads: int
    peak: float | None

    def plot(self, **settings: Any) -> Any:
        """Draw the time of each op: `fastnn.plot.profile`, which has the settings."""
        from . import plot  # pictures stand above
        return plot.profile(self, **settings)

    def __str__(self) -> str:
        total = sum(op.microseconds for op in self.ops) or 1.0
        rows = [("layer", "op", "us", "share", "GFLOP/s", "of peak", "GB/s")]
        for op in self.ops:
            of_peak = f"{op.gflops / self.peak:.0%}" if self.peak else ""
            rows.append((op.layer, op.op, f"{op.microseconds:.2f}", f"{op.microseconds / total:.1%}",
                         f"{op.gflops:.1f}", of_peak, f"{op.gbytes:.1f}"))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) if i < 2 else cell.rjust(width)
                           for i, (cell, width) in enumerate(zip(row, widths, strict=True))) for row in rows]
        peak = f", peak {self.peak:.0f} GFLOP/s" if self.peak else ""
        lines.append(f"step {self.step:.2f} us with {self.batch_size} rows, {self.backend} backend, "
                     f"{self.threads} thread{'s' if self.threads > 1 else ''}{peak}")
        return "\n".join(lines)


def profile(model: Model, X: Any, y: Any, batch_size: int = 32, *, sample_weight: Any = None,
            seconds: float = 0.2) -> Profile:
    """Time the ops of a training step on a copy of the model.

    Parameters
    ----------
    model : Model
        The model, compiled; it is not changed.
    X, y, sample_weight : array_like
        As `fit` takes them.
    batch_size : int
        Rows of a step.
    seconds : float
        How long to measure; the least of several measurements is kept.

    Returns
    -------
    Profile
        Microseconds, GFLOP/s and GB/s of every op; prints as a table.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(8, "relu"), fnn.Dense(3, "softmax")], input_shape=(4,))
    >>> model.compile()
    >>> result = model.profile(np.ones((64, 4)), np.zeros(64, int), seconds=0.01)
    >>> result.ops[0].op
    'gather'
    """
    with _steps(model, X, y, batch_size, sample_weight) as (run, steps, batch_size):
        step = min(_measure(run, steps, seconds / 8)[0] for _ in range(4))
        op_seconds = np.zeros(len(run.program.ops))
        run.profile(op_seconds)
        least = np.full(len(op_seconds), np.inf)
        for _ in range(4):
            op_seconds[:] = 0
            _, done = _measure(run, steps, seconds / 8)
            least = np.minimum(least, op_seconds / done)
        run.profile(None)
        costs = run.program.cost(batch_size, run.time)
        ops = tuple(OpProfile(o.layer or "input", o.name, 1e6 * t, flops, moved)
                    for (o, flops, moved), t in zip(costs, least.tolist(), strict=True))
        threads = run.threads
    native = backends.backend() == "native"
    peak = backends.native.fma_gflops(model.dtype.name) * threads if native else None
    return Profile(ops, 1e6 * step, batch_size, backends.backend(), threads, peak)


@dataclass(frozen=True)
class StepTimes:
    """How long a whole training step takes: `seconds` in each round, with its floating-point operations."""

    seconds: tuple[float, ...]
    flops: int
    threads: int


def time_steps(model: Model, X: Any, y: Any, batch_size: int = 32, *, rounds: int = 5,
               seconds: float = 0.05) -> StepTimes:
    """Time whole training steps on a copy of the model, some rounds of some seconds.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(3, "softmax")], input_shape=(4,))
    >>> model.compile()
    >>> times = time_steps(model, np.ones((64, 4)), np.zeros(64, int), rounds=2, seconds=0.001)
    >>> len(times.seconds), times.flops > 0
    (2, True)
    """
    with _steps(model, X, y, batch_size, None) as (run, steps, batch_size):
        _measure(run, steps, seconds / 4)  # wakes caches, clocks and threads
        measured = tuple(_measure(run, steps, seconds)[0] for _ in range(rounds))
        flops = sum(flops for _, flops, _ in run.program.cost(batch_size, run.time))
        return StepTimes(measured, flops, run.threads)


@contextmanager
def _steps(model: Model, X: Any, y: Any, batch_size: int, sample_weight: Any) -> Iterator[tuple[Any, int, int]]:
    """A run of a copy's training steps, how many a pass has, and the rows of each."""
    model._require_compiled()
    batch_size = checks.positive_int("batch_size", batch_size)
    model = model.copy()
    X, y, weight = model._checked(X, y, sample_weight)
    if not all(map(checks.is_gatherable, bundles.parts(X))):
        X = as_gatherable(bundles.take(X, slice(batch_size)), model.dtype)
    n = bundles.n_rows(X)
    batch_size = min(batch_size, n)
    entry = model._compiled.entry("train", y, weight, fused=True)
    steps = n // batch_size
    walk = Pass(steps * batch_size, batch_size, batch_size, np.arange(n), weight, np.full(steps, 1e-6),
                np.zeros(steps))
    with model._compiled.borrow(entry, batch_size, model._compiled.time(X)) as run:
        for slot, bundle in ((X_SLOT, X), (TARGET_SLOT, y), (WEIGHT_SLOT, weight)):
            bind(run, slot, bundle)
        run.begin(walk)
        yield run, steps, batch_size


def _measure(run: Any, steps: int, seconds: float) -> tuple[float, int]:
    """Seconds of a step, and the steps taken, over about `seconds`: at most twice that, or one step."""
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or not done:
        now = min(steps, max(1, done))
        run.execute(0, now)
        done += now
    return elapsed / done, done
