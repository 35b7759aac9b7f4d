"""`fit` as a whole against the steps alone: what shuffling, gathering, metrics and progress cost."""

from __future__ import annotations

import contextlib
import io
import time
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from fastnn.data import load_mnist

from .peer_fastnn import Training, model_of
from .workloads import WORKLOADS, Workload

NETWORKS = ("4-16-3", "784-30-10", "784-128-10")
GENERATED_ROWS = 10_000


def rows_for(workload: Workload, mnist: str | None) -> tuple[np.ndarray, np.ndarray, str]:
    """X, y and what they are: MNIST's rows where the network takes them."""
    if mnist and workload.sizes[0] == 784:
        parts = load_mnist(mnist)
        images, labels = parts.get("train") or parts["test"]
        X = (images.reshape(len(images), -1) / 255).astype(np.float32)
        return X, labels, f"{len(X):,} of MNIST"
    X, y = replace(workload, batches=-(-GENERATED_ROWS // workload.batch)).rows()
    return X[:GENERATED_ROWS], y[:GENERATED_ROWS], f"{GENERATED_ROWS:,} generated"


class Epochs:
    """The ways of going over all rows that are compared, each from the initial weights."""

    def __init__(self, workload: Workload, X: np.ndarray, y: np.ndarray) -> None:
        self.workload, self.X, self.y = workload, X, y
        self.in_order = Training(workload, (X, y))
        self.in_random_order = Training(workload, (X, y), np.random.default_rng(0).permutation(len(X)))
        self.model = model_of(workload, ("accuracy",))

    def bare(self, epochs: int) -> float:
        """Rows as they stand, one call into the core an epoch."""
        return self._steps(self.in_order, epochs)

    def shuffled(self, epochs: int) -> float:
        """The same in a random order of the rows, already drawn."""
        return self._steps(self.in_random_order, epochs)

    def _steps(self, training: Training, epochs: int) -> float:
        training.reset()
        start = time.perf_counter()
        training.run(epochs)
        return (time.perf_counter() - start) / epochs

    def fit(self, epochs: int) -> float:
        """What a user calls: shuffled, with accuracy and a progress line."""
        self.model.set_weights([array for layer in self.workload.weights() for array in layer])
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            self.model.fit(self.X, self.y, batch_size=self.workload.batch, epochs=epochs, verbose=1)
            return (time.perf_counter() - start) / epochs


def run(mnist: str | None, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """The ways in turns, `seconds` each time; a row per network."""
    results = []
    for name in NETWORKS:
        workload = WORKLOADS[name]
        X, y, what = rows_for(workload, mnist)
        ways = Epochs(workload, X, y)
        ways.fit(1)
        epochs = max(1, round(seconds / max(ways.bare(1), ways.shuffled(1))))
        samples: dict[str, list[float]] = {"bare": [], "shuffled": [], "fit": []}
        for _ in range(rounds):
            for way, values in samples.items():
                values.append(getattr(ways, way)(epochs))
        steps = ways.in_order.steps
        a_step = {f"{way}_us": 1e6 * median(values) / steps for way, values in samples.items()}
        results.append({"network": name, "rows": what, "steps": steps, "epochs": epochs,
                        "epoch_ms": 1e3 * median(samples["fit"]), **a_step, "rounds_seconds": samples})
    return results


def table(results: list[dict[str, Any]]) -> str:
    lines = [f"{'fit':<14}{'rows':<20}{'epoch ms':>10}{'us a step':>11}{'bare steps':>12}{'shuffled':>10}"
             f"{'fit adds to bare':>20}"]
    for r in results:
        extra = r["fit_us"] - r["bare_us"]
        added = f"{extra:.2f} us, {100 * extra / r['bare_us']:.1f} %"
        lines.append(f"{r['network']:<14}{r['rows']:<20}{r['epoch_ms']:>10.2f}{r['fit_us']:>11.2f}"
                     f"{r['bare_us']:>12.2f}{r['shuffled_us']:>10.2f}{added:>20}")
    return "\n".join(lines)
