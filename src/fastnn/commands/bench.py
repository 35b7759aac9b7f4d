"""``fastnn bench``: how fast this machine runs fastnn, on either backend and on one and more threads."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

import fastnn as fnn

from ..flags import FINE, FOUND, Found, HelpFormatter, UsageError, number, whole
from ..profiling import time_steps

CHECKED = 5  # steps whose losses must be those of NumPy in float64
ALONE = 0.9  # the share of a processor below which a thread was not alone on it
TOLERANCE = 2e-4  # of a loss; outputs to a tenth of it


@dataclass(frozen=True)
class Workload:
    """A network and what is done with it; without an optimizer it predicts `batch` rows."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    activation: str = "relu"
    optimizer: str = ""
    batches: int = 20
    lenet: bool = False

    def model(self, dtype: str) -> fnn.Sequential:
        """The network, compiled; the same weights in either dtype but for rounding."""
        convolutions: list[fnn.Layer] = []
        if self.lenet:
            convolutions = [fnn.Conv2D(6, 5, activation="relu"), fnn.MaxPool2D(2),
                            fnn.Conv2D(16, 5, activation="relu"), fnn.MaxPool2D(2), fnn.Flatten()]
        model = fnn.Sequential([*convolutions, *(fnn.Dense(n, self.activation) for n in self.sizes[1:-1]),
                                fnn.Dense(self.sizes[-1], "softmax")], self.shape, dtype, seed=1)
        model.compile(self.optimizer or "sgd", loss="cross_entropy")
        return model

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a sample."""
        return (28, 28, 1) if self.lenet else self.sizes[:1]

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Samples and labels of some batches."""
        n = self.batch * (self.batches if self.optimizer else 1)
        X = np.random.default_rng(2).normal(size=(n, *self.shape)).astype(np.float32)
        return X, np.arange(n) % self.sizes[-1]


WORKLOADS = (
    Workload("train 4-16-3", (4, 16, 3), 32, optimizer="adam", batches=100),
    Workload("train 64-32-10", (64, 32, 10), 32, optimizer="adam", batches=100),
    Workload("train 784-30-10", (784, 30, 10), 10, "sigmoid", "sgd", 100),
    Workload("train 784-128-10", (784, 128, 10), 64, optimizer="adam"),
    Workload("train 784-512-512-10", (784, 512, 512, 10), 128, optimizer="adam", batches=4),
    Workload("train lenet", (256, 120, 84, 10), 64, optimizer="adam", batches=4, lenet=True),
    Workload("predict 784-128-10", (784, 128, 10), 1),
    Workload("predict 784-128-10", (784, 128, 10), 1000),
)


def add(commands: Any) -> None:
    """The command's flags."""
    bench = commands.add_parser(
        "bench", help="measure how fast training steps and predictions are here", allow_abbrev=False,
        formatter_class=HelpFormatter,
        description="Time training steps and predictions in float32 on the native core, on one thread and on all, and "
                    "on the NumPy backend. Losses and outputs are first held against NumPy in float64; what is wrong "
                    "is named and not timed, and the exit code is 1. Close other programs first. Takes less than 20 "
                    "seconds; benchmarks/ in the repository compares with other libraries.",
        epilog="example: fastnn bench 'train 784-30*' predict")
    bench.set_defaults(run=run_bench)
    flag = bench.add_argument
    flag("names", nargs="*", metavar="NAME", help="only workloads with one of these in their name")
    flag("--list", action="store_true", help="print the names only")
    flag("--threads", type=whole(1), metavar="N", help="the larger number of threads; all if not given")
    flag("--rounds", type=whole(1), default=5, metavar="N", help="measurements of each")
    flag("--seconds", type=number("a number above 0", lambda x: 0 < x < 1e6), default=0.05, metavar="S",
         help="how long a measurement is")


def run_bench(arguments: argparse.Namespace) -> Found:
    """``fastnn bench``."""
    from fnmatch import fnmatch

    chosen = [w for w in WORKLOADS if not arguments.names or any(
        name in w.name or fnmatch(w.name, name) for name in arguments.names)]
    if not chosen:
        raise UsageError("NAME", f"nothing is called {' or '.join(map(repr, arguments.names))}; fastnn bench --list "
                                 "prints the names")
    if arguments.list:
        print("\n".join(dict.fromkeys(w.name for w in chosen)))
        return FINE, {"names": list(dict.fromkeys(w.name for w in chosen))}
    most = arguments.threads or fnn.get_num_threads()
    runs: list[tuple[str, int | None]] = [("numpy", None)]  # the threads of NumPy's BLAS
    if fnn.backends.native:
        runs = [*(("native", n) for n in sorted({1, most})), *runs]
    peak = fnn.backends.native.fma_gflops("float32") if fnn.backends.native else None
    core = f"{fnn.backends.isa()}, {peak:.0f} GFLOP/s of multiply-adds a thread" if peak else "no native core"
    print(f"{core}; float32, microseconds of a step or a call")
    print(f"{'workload':<24}{'rows':>6}  {'backend':<8}{'threads':>7}{'median':>10}  {'min .. max':<20}{'of peak':>8}"
          f"{'to numpy':>10}")
    rows, wrong = [], []
    for workload in chosen:
        found = [measure(workload, backend, n, arguments) for backend, n in runs]
        reference = next((row["median_us"] for row in found if row["backend"] == "numpy" and "median_us" in row), None)
        for i, row in enumerate(found):
            head = f"{workload.name if i == 0 else '':<24}{workload.batch if i == 0 else '':>6}  {row['backend']:<8}"
            if row["wrong"]:
                wrong.append(row)
                print(f"{head}WRONG: {row['wrong']}")
                continue
            native = row["backend"] == "native"
            row["of_peak"] = row["gflops"] / (peak * row["threads"]) if native and peak else None
            row["to_numpy"] = reference / row["median_us"] if reference and native else None
            spread = f"{row['min_us']:,.2f} .. {row['max_us']:,.2f}"
            print(f"{head}{row['threads'] if native else '':>7}{row['median_us']:>10,.2f}  {spread:<20}"
                  f"{'' if row['of_peak'] is None else format(row['of_peak'], '.0%'):>8}"
                  f"{'' if row['to_numpy'] is None else format(row['to_numpy'], '.1f') + 'x':>10}")
        rows += found
    alone = min((row["processor"] for row in rows if row["threads"] == 1 and not row["wrong"]), default=1.0)
    if alone < ALONE:
        print(f"other programs took up to {1 - alone:.0%} of the processor meanwhile: close them and measure again")
    return FOUND if wrong else FINE, {"isa": fnn.backends.isa(), "threads": most, "dtype": "float32",
                                      "peak_gflops_a_thread": peak, "workloads": rows}


def measure(workload: Workload, backend: str, threads: int | None, arguments: argparse.Namespace) -> dict[str, Any]:
    """Check a workload, and time it: a row of the document."""
    X, y = workload.rows()
    row: dict[str, Any] = {"workload": workload.name, "task": "train" if workload.optimizer else "predict",
                           "rows": workload.batch, "backend": backend, "threads": threads}
    with machine(backend, threads):
        model = workload.model("float32")
        row["wrong"] = disagreement(workload, model, X, y)
        if row["wrong"]:
            return row
        began, used = time.perf_counter(), time.process_time()
        if workload.optimizer:
            times = time_steps(model, X, y, workload.batch, rounds=arguments.rounds, seconds=arguments.seconds)
            seconds, flops = list(times.seconds), times.flops
        else:
            products = sum(n * m for n, m in zip(workload.sizes, workload.sizes[1:], strict=False))
            seconds, flops = time_calls(model, X, arguments), 2 * workload.batch * products
        processor = (time.process_time() - used) / (time.perf_counter() - began)  # 1 on a thread that never waits
    us = [1e6 * s for s in seconds]
    return row | {"median_us": median(us), "min_us": min(us), "max_us": max(us), "rounds_us": us,
                  "gflops": flops / median(us) / 1e3, "processor": processor}


def time_calls(model: fnn.Sequential, X: np.ndarray, arguments: argparse.Namespace) -> list[float]:
    """Seconds of a prediction in each round."""
    measured = []
    for _ in range(arguments.rounds):
        done, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < arguments.seconds or not done:
            model.predict(X)
            done += 1
        measured.append(elapsed / done)
    return measured


def disagreement(workload: Workload, model: fnn.Sequential, X: np.ndarray, y: np.ndarray) -> str:
    """What is wrong with a backend's losses or outputs, held against NumPy in float64; "" if nothing."""
    def results(model: fnn.Sequential) -> np.ndarray:
        if not workload.optimizer:
            return model.predict(X)
        batches = [slice(i * workload.batch, (i + 1) * workload.batch) for i in range(CHECKED)]
        X_of, y_of = np.resize(X, (CHECKED * workload.batch, *X.shape[1:])), np.resize(y, CHECKED * workload.batch)
        return np.array([model.train_on_batch(X_of[rows], y_of[rows])["loss"] for rows in batches])

    with fnn.use_backend("numpy"):
        expected = results(workload.model("float64"))
    got = results(model.copy())
    limit = TOLERANCE * np.abs(expected) if workload.optimizer else np.full(expected.shape, TOLERANCE / 10)
    bad = ~(np.abs(got - expected) <= limit)
    if not bad.any():
        return ""
    at = np.unravel_index(bad.argmax(), bad.shape)
    return f"expected {expected[at]:.7g}, got {got[at]:.7g} at {tuple(map(int, at))}"


@contextmanager
def machine(backend: str, threads: int | None) -> Iterator[None]:
    """A backend, and threads of the native core; afterwards as before."""
    before = fnn.get_num_threads()
    with fnn.use_backend(backend):
        fnn.set_num_threads(threads or before)
        try:
            yield
        finally:
            fnn.set_num_threads(before)
