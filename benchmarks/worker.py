"""A process of its own for each peer and number of threads: its libraries' pools are set up for that number,
and sleep while another peer is measured. The parent sends commands over a pipe and gets one answer each."""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import time
import traceback
from typing import Any

import numpy as np

MOST_STEPS = 20_000  # of training in one measurement: every peer stays in the same stretch of a training


class Job:
    """A workload prepared in one library. `steps`: steps, or predictions, of one unit."""

    steps = 1

    def reset(self) -> None:
        """Back to the initial weights and a fresh optimizer."""

    def run(self, units: int) -> None:
        """Do the work and wait until it is done."""
        raise NotImplementedError

    def check(self) -> np.ndarray:
        """The losses of the first ``workload.checked_steps`` steps, or the predictions."""
        raise NotImplementedError


class Failure(RuntimeError):
    """What went wrong in a worker, and whether it still takes commands."""

    def __init__(self, text: str, goes_on: bool = False) -> None:
        super().__init__(text)
        self.goes_on = goes_on


def cpus() -> list[int]:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def wait_until_idle(limit: float = 1.0) -> bool:
    """Wait until no thread of this process spins any more; False if some still do at the end."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        before = time.process_time()
        time.sleep(0.005)
        if time.process_time() - before < 0.0005:
            return True
    return False


def seconds_of(job: Job, units: int) -> float:
    start = time.perf_counter()
    job.run(units)
    return time.perf_counter() - start


class Timer:
    """Measures one job again and again."""

    def __init__(self, job: Job, trains: bool) -> None:
        self.job, self.trains = job, trains
        self.unit_seconds = 0.0

    def measure(self, seconds: float) -> float:
        """Seconds of a step, over about `seconds` after a warm-up that wakes caches and thread pools."""
        self.job.reset()
        if not self.unit_seconds:
            seconds_of(self.job, 1)  # compiles, allocates
            self.unit_seconds = seconds_of(self.job, 1)
        if self.unit_seconds < seconds:
            units = self._units(seconds / 4)
            self.unit_seconds = seconds_of(self.job, units) / units
        units = self._units(seconds)
        return seconds_of(self.job, units) / (units * self.job.steps)

    def _units(self, seconds: float) -> int:
        units = round(seconds / max(self.unit_seconds, 1e-9))
        return max(1, min(units, MOST_STEPS // self.job.steps if self.trains else units))


def serve(pipe: Any, module_name: str, variant: str, threads: int) -> None:
    """The worker's loop: prepare a workload, measure for so many seconds, call a function, end at None."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus()[:threads])
    timer = None
    try:
        module = importlib.import_module(f"benchmarks.{module_name}")
        module.start(threads)
        pipe.send(("done", None))
        while (command := pipe.recv()) is not None:
            try:
                if command[0] == "prepare":
                    timer = None
                    gc.enable()
                    gc.collect()
                    job = module.make(command[1], variant)
                    timer = job and Timer(job, command[1].trains)
                    answer = job and job.check()
                    gc.collect()
                    gc.disable()
                elif command[0] == "measure":
                    answer = timer.measure(command[1]), wait_until_idle()
                else:
                    answer = getattr(module, command[1])(*command[2:])
                    wait_until_idle()
                pipe.send(("done", answer))
            except Exception as error:
                pipe.send(("failed", _said(error)))
    except EOFError:  # the parent is gone
        pass
    except Exception as error:
        pipe.send(("ended", _said(error)))


def _said(error: Exception) -> str:
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    return text if len(text) < 300 else text[:300] + " ..."


class Worker:
    """The parent's end."""

    PATIENCE = 900  # seconds

    def __init__(self, module: str, variant: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, module, variant, threads), daemon=True)
        before = dict(os.environ)
        os.environ.update(environment(threads))  # read by the libraries when they are loaded
        try:
            self.process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        theirs.close()

    def send(self, *command: Any) -> None:
        with contextlib.suppress(OSError):  # answer() tells that the process is gone
            self.pipe.send(command)

    def answer(self) -> Any:
        try:
            if not self.pipe.poll(self.PATIENCE):
                raise Failure(f"no answer in {self.PATIENCE} s")
            status, value = self.pipe.recv()
        except (EOFError, OSError):
            raise Failure(f"its process ended with exit code {self.process.exitcode}") from None
        if status != "done":
            raise Failure(value, goes_on=status == "failed")
        return value

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.pipe.send(None)
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def environment(threads: int) -> dict[str, str]:
    """What tells the libraries their number of threads before they are loaded. XLA goes by the processors."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    settings = dict.fromkeys(names, str(threads)) | {"JAX_PLATFORMS": "cpu"}
    if threads == 1:
        settings["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
    return settings
