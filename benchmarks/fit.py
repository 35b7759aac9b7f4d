"""`fit` as a whole against the steps alone: what shuffling, gathering, metrics and progress cost."""

from __future__ import annotations

import contextlib
import io
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from fastnn.data import load_mnist

from .peer_fastnn import Training, model_of
from .workloads import WORKLOADS, Workload

NETWORKS = ("4-16-3", "784-30-10", "784-128-10")
GENERATED_ROWS = 10_000


def rows_for(workload: Workload, mnist: str | None) -> tuple[np.ndarray, np.ndarray, str]:
    """X, y and what they are: MNIST's rows where the network takes them."""
    if mnist and workload.sizes[0] == 784:
        parts = load_mnist(Path(mnist))
        images, labels = parts.get("train", parts.get("test"))
        return (images.reshape(len(images), -1) / 255).astype(np.float32), labels, f"{len(images):,} MNIST rows"
    batches = -(-GENERATED_ROWS // workload.batch)
    X, y = replace(workload, batches=batches).rows()
    return X[:GENERATED_ROWS], y[:GENERATED_ROWS], f"{GENERATED_ROWS:,} generated rows"


def run(mnist: str | None, rounds: int, quick: bool) -> list[dict[str, object]]:
    """Epochs of `fit` and passes of its bare steps in turns; a row per network."""
    results = []
    for name in NETWORKS:
        workload = WORKLOADS[name]
        X, y, what = rows_for(workload, mnist)
        bare = Training(workload, (X, y))
        order = np.random.default_rng(0).permutation(len(X))
        model = model_of(workload, ("accuracy",))
        samples: dict[str, list[float]] = {"fit": [], "bare": [], "shuffled": []}
        epochs = 1 if quick else max(1, round(0.2 / (1e-9 * workload.flops / workload.batch * len(X) / 60 + 1e-3)))
        for i in range(rounds + 1):
            for kind, index in (("bare", None), ("shuffled", order)):
                bare.reset()
                bare.walk.index = index
                start = time.perf_counter()
                bare.run(epochs)
                samples[kind].append((time.perf_counter() - start) / epochs)
            model.set_weights([array for layer in workload.weights() for array in layer])
            with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
                start = time.perf_counter()
                model.fit(X, y, batch_size=workload.batch, epochs=epochs, verbose=1)
                samples["fit"].append((time.perf_counter() - start) / epochs)
            if i == 0:  # a warm-up
                samples = {kind: [] for kind in samples}
        medians = {kind: median(values) for kind, values in samples.items()}
        results.append({
            "network": name, "rows": what, "steps": bare.steps, "epoch_ms": 1e3 * medians["fit"],
            "fit_us": 1e6 * medians["fit"] / bare.steps, "bare_us": 1e6 * medians["bare"] / bare.steps,
            "shuffled_us": 1e6 * medians["shuffled"] / bare.steps, "epochs": epochs,
            "rounds_s": samples})
    return results


def table(results: list[dict[str, object]]) -> str:
    lines = [f"{'fit':<14}{'rows':<24}{'epoch ms':>10}{'us a step':>11}{'bare steps':>12}{'shuffled':>10}"
             f"{'fit adds':>22}"]
    for r in results:
        extra = r["fit_us"] - r["bare_us"]
        lines.append(f"{r['network']:<14}{r['rows']:<24}{r['epoch_ms']:>10.2f}{r['fit_us']:>11.2f}{r['bare_us']:>12.2f}"
                     f"{r['shuffled_us']:>10.2f}{f'{extra:.2f} us, {100 * extra / r["bare_us"]:.1f} %':>22}")
    return "\n".join(lines)
