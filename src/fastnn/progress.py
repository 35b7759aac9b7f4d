"""What a training run shows: a line that is redrawn within an epoch, a line that stays after it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

import numpy as np

from .callback_base import Callback, Logs
from .checks_arrays import describe


class ProgressBar(Callback):
    """Show how the training goes: a bar within an epoch that takes a while, a line after each epoch.

    The bar is tqdm's where that is installed, and is drawn on terminals and in notebooks only; a file or a
    pipe gets the lines.

    Parameters
    ----------
    verbose : {0, 1, 2}
        0 shows nothing, 1 bar and lines, 2 lines only.

    Examples
    --------
    >>> bar = ProgressBar()
    >>> bar.set_params({"epochs": 3, "steps": 10, "batch_size": 32, "rows": 300})
    >>> bar.on_train_begin({}); bar.on_epoch_begin(0, {})
    >>> bar.on_epoch_end(0, {"loss": 0.5})             # doctest: +ELLIPSIS
    Epoch 1/3  loss 0.5000  ...
    """

    first_draw = 0.2  # seconds into an epoch: shorter epochs have no bar
    redraw = 0.1  # seconds between two drawings

    def __init__(self, verbose: int = 1) -> None:
        if not isinstance(verbose, (int, np.integer)) or verbose not in (0, 1, 2):
            raise ValueError(f"verbose: expected 0, 1 or 2, got {describe(verbose)}")
        self.verbose = int(verbose)
        self.bar: Bar | None = None
        self.live = False
        self.flushed = -math.inf

    def on_train_begin(self, logs: Logs) -> None:
        self.live = self.verbose == 1 and can_redraw(sys.stdout)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self.epoch, self.started = epoch, time.perf_counter()
        self.trained: float | None = None
        self.next_draw = self.started + self.first_draw

    def on_progress(self, step: int, logs: Logs) -> None:
        now = self.trained = time.perf_counter()
        if not self.live or now < self.next_draw:
            return
        self.next_draw = now + self.redraw
        rows = self.params["rows"]
        if self.bar is None:
            description = f"Epoch {self.epoch + 1}/{self.params['epochs']}"
            total, unit = (rows, "rows") if rows else (self.params["steps"], "steps")
            self.bar = make_bar(description, total, unit, now - self.started, sys.stdout)
        done = min(step * self.params["batch_size"], rows) if rows else step
        self.bar.show(done, "  ".join(f"{name} {format_value(value)}" for name, value in logs.items()))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._remove_bar()
        if not self.verbose or sys.stdout is None:
            return
        now = time.perf_counter()
        rows = self.params["rows"]
        # the validation counts for the time, not for the rate
        rate = rows / (self.trained - self.started) if rows and self.trained else None
        sys.stdout.write(epoch_line(epoch, self.params["epochs"], logs, now - self.started, rate) + "\n")
        if now - self.flushed > self.redraw:  # a pipe is written to many times faster without
            sys.stdout.flush()
            self.flushed = now

    def on_train_end(self, logs: Logs) -> None:
        self._remove_bar()
        if self.verbose and sys.stdout is not None:
            sys.stdout.flush()

    def _remove_bar(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class Bar(Protocol):
    """A line that is redrawn in place."""

    def show(self, n: float, text: str) -> None:
        """Draw it: `n` of the total is done; `text` goes behind."""

    def close(self) -> None:
        """Remove it from the screen."""


def can_redraw(stream: TextIO | None) -> bool:
    """Whether a line can be redrawn: on terminals and in notebooks, not in files and pipes."""
    try:
        return stream is not None and (stream.isatty() or "ipykernel" in sys.modules)
    except ValueError:  # closed
        return False


def make_bar(description: str, total: int | None, unit: str, elapsed: float, stream: TextIO) -> Bar:
    """A bar for something that began `elapsed` seconds ago: tqdm's where installed, else a plain line."""
    try:
        from tqdm.auto import tqdm  # only now: the import takes longer than many trainings
    except ImportError:
        return PlainBar(description, total, unit, elapsed, stream)
    return TqdmBar(tqdm(desc=description, total=total, unit=f" {unit}", unit_scale=True, leave=False,
                        smoothing=0, dynamic_ncols=True, mininterval=0, file=stream), elapsed)


class TqdmBar(Bar):
    """A bar of tqdm, in a terminal or a notebook."""

    def __init__(self, bar: Any, elapsed: float) -> None:
        self.bar = bar
        bar.start_t -= elapsed  # so that rate and remaining time count from the true start

    def show(self, n: float, text: str) -> None:
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.n = n
        self.bar.refresh()

    def close(self) -> None:
        self.bar.close()


class PlainBar(Bar):
    """A line such as ``Epoch 3/20   42%  34,000 rows/s  loss 0.1234``."""

    def __init__(self, description: str, total: int | None, unit: str, elapsed: float,
                 stream: TextIO) -> None:
        self.description, self.total, self.unit, self.stream = description, total, unit, stream
        self.started = time.perf_counter() - elapsed
        self.width = 0

    def show(self, n: float, text: str) -> None:
        from shutil import get_terminal_size  # only now: it brings zip and tar along

        done = f"{n / self.total:4.0%}" if self.total else f"{n:,.0f} {self.unit}"
        rate = n / max(time.perf_counter() - self.started, 1e-9)
        line = f"{self.description}  {done}  {rate:,.0f} {self.unit}/s  {text}"
        self._draw(line[:get_terminal_size().columns - 1])

    def close(self) -> None:
        self.width += 2  # the terminal's ^C may stand there
        self._draw("")
        self.stream.write("\r")
        self.stream.flush()

    def _draw(self, line: str) -> None:
        self.stream.write(f"\r{line:<{self.width}}")
        self.stream.flush()
        self.width = len(line)


def epoch_line(epoch: int, epochs: int, logs: Mapping[str, float], seconds: float,
               rate: float | None) -> str:
    """What stays on the screen of an epoch.

    Examples
    --------
    >>> epoch_line(2, 20, {"loss": 0.25, "val_accuracy": 0.97}, 0.4, 34000)
    'Epoch  3/20  loss 0.2500  val_accuracy 0.9700  0.4 s, 34,000 rows/s'
    """
    count = f"{epoch + 1:{len(str(epochs))}}/{epochs}"
    values = "  ".join(f"{name} {format_value(value)}" for name, value in logs.items())
    took = f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1e3:.0f} ms"
    return f"Epoch {count}  {values}  {took}" + (f", {rate:,.0f} rows/s" if rate else "")


def format_value(value: float) -> str:
    """Four decimals, or a power of ten where those would say little."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 or math.isnan(value) else f"{value:.2e}"
