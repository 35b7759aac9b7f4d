"""fastnn itself, on its native core or on its NumPy backend, the reference that every machine can run."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np

import fastnn as fnn
from fastnn.backends import Pass, native

from .sequences import Characters
from .worker import Job
from .workloads import BETA1, BETA2, EPSILON, Workload


def start(threads: int) -> None:
    fnn.set_num_threads(threads)


def make(workload: Workload, variant: str) -> Job:
    fnn.use_backend(variant)
    return Training(workload) if workload.trains else Prediction(workload)


def layers_of(workload: Workload) -> list[fnn.Layer]:
    if isinstance(workload, Characters):
        tokens, n_in, n, n_out = workload.sizes
        cell = {"rnn": fnn.SimpleRNN, "lstm": fnn.LSTM, "gru": fnn.GRU}[workload.cell](n, return_sequences=True)
        return [fnn.Embedding(tokens, n_in), cell, fnn.Dense(n_out, workload.output)]
    *hidden, last = workload.sizes[1:]
    layers: list[fnn.Layer] = []
    for filters, kernel in workload.convolutions:
        layers += [fnn.Conv2D(filters, kernel, activation=workload.hidden), fnn.MaxPool2D(2)]
    layers += [fnn.Flatten()] if layers else []
    return layers + [fnn.Dense(n, workload.hidden) for n in hidden] + [fnn.Dense(last, workload.output)]


def model_of(workload: Workload, metrics: tuple[str, ...] = ()) -> fnn.Sequential:
    shape = (workload.time,) if isinstance(workload, Characters) else workload.image or workload.sizes[:1]
    model = fnn.Sequential(layers_of(workload), input_shape=shape)
    model.set_weights([array for layer in workload.weights() for array in layer])
    if workload.trains:
        optimizers = {"adam": fnn.Adam(workload.rate, BETA1, BETA2, EPSILON), "sgd": fnn.SGD(workload.rate)}
        model.compile(optimizers[workload.optimizer], workload.loss, metrics)
    return model


class Training(Job):
    """The steps alone, as `fit` runs them: one call into the backend a pass, rows as they stand or in an
    `order`. The only class here that reaches inside fastnn."""

    def __init__(self, workload: Workload, rows: tuple[np.ndarray, np.ndarray] | None = None,
                 order: np.ndarray | None = None) -> None:
        self.workload = workload
        self.model = model_of(workload)
        self.X, self.y = rows or workload.rows()
        n, block = len(self.X), self.model._compiled.block_rows(workload.batch)
        self.steps = -(-n // workload.batch)
        self.walk = Pass(n, workload.batch, block, order, rates=np.full(self.steps, workload.rate),
                         losses=np.zeros(self.steps))
        compiled = self.model._compiled
        entry = compiled.entry("train", self.y, None, fused=block == workload.batch,
                               direct=order is None and compiled.reads_direct(self.X))
        self.open = ExitStack()
        self.backend = self.open.enter_context(compiled.borrow(entry, block))
        self.backend.bind(0, self.X)
        self.backend.bind(1, self.y)

    def reset(self) -> None:
        self.model.set_weights([array for layer in self.workload.weights() for array in layer])
        self.model._numbers.memory.state[...] = 0
        self.walk.update_count = 0

    def run(self, units: int) -> None:
        for _ in range(units):
            self.backend.begin(self.walk)
            self.backend.execute(0, self.steps)
            self.walk.update_count += self.steps

    def check(self) -> np.ndarray:
        self.reset()
        losses: list[float] = []
        while len(losses) < self.workload.checked_steps:
            self.run(1)
            losses.extend(self.walk.losses)
        return np.array(losses[:self.workload.checked_steps])


class Prediction(Job):
    def __init__(self, workload: Workload) -> None:
        self.model, self.X = model_of(workload), workload.rows()[0]

    def run(self, units: int) -> None:
        predict, X = self.model.predict, self.X
        for _ in range(units):
            predict(X)

    def check(self) -> np.ndarray:
        return self.model.predict(self.X)


def machine(threads: int) -> dict[str, float | str]:
    """What this machine can do right now: multiply-adds in registers on so many threads at once, and the
    cost of one parallel region."""
    rounds, best = 2_000_000, 0.0  # about 6 ms
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            start = time.perf_counter()
            flops = sum(pool.map(lambda _: native.core.fma_peak(0, rounds), range(threads)))
            best = max(best, flops / (time.perf_counter() - start))
    fork_join = min(native.core.fork_join_seconds(threads) for _ in range(5))
    return {"gflops": best / 1e9, "fork_join_us": 1e6 * fork_join, "isa": native.core.isa(),
            "compiler": native.core.compiler()}


def whole_fit(mnist: str | None, rounds: int, seconds: float) -> list[dict]:
    from . import fit  # which builds on this module
    fnn.use_backend("native")
    return fit.run(mnist, rounds, seconds)
