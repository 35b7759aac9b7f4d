"""Epochs of gradient steps, many a call into the core; rows in orders that the caller draws."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ..backends import Halt, Pass
from ..callbacks import CallbackList
from ..compilation import TARGET_SLOT, WEIGHT_SLOT, X_SLOT, Compiled, Entry
from ..divergence import Snapshot, all_finite
from ..inference import nonfinite_row
from ..sequential import Sequential
from ..training import CHUNK_SECONDS, SNAPSHOT_SHARE
from .samples import Samples, rows_at_a_time

AHEAD_ROWS = 1 << 18  # of several epochs in one call


class Steps:
    """The steps of one fit on fixed samples.

    Parameters
    ----------
    model, compiled
        The model, and the Programs that train it.
    samples : Samples
        What is trained on.
    batch : int
        Rows of a step; the last of an epoch takes what is left.
    """

    def __init__(self, model: Sequential, compiled: Compiled, samples: Samples, batch: int) -> None:
        self.model, self.compiled, self.samples, self.batch = model, compiled, samples, batch
        self.rows = len(samples)
        self.per_epoch = -(-self.rows // batch)
        starts = np.arange(0, self.rows, batch)
        self.counts = np.diff(np.append(starts, self.rows)).astype(np.float64)
        self.block = compiled.block_rows(batch)
        made_dense = samples.sparse and compiled.reads_direct(np.empty((1, samples.X.shape[1]), model.dtype))
        self.entry = Entry("train", samples.y.ndim == 1, samples.weight is not None,
                           fused=self.block == batch, direct=made_dense)
        self.most_steps = rows_at_a_time(samples.X, self.rows) // batch if samples.sparse else 1 << 30
        self.step_seconds = CHUNK_SECONDS / 2  # an estimate that has the first call take few steps

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Have the memory that `run` needs, inside a ``with`` block."""
        with self.compiled.borrow(self.entry, self.block) as self.memory:
            if not self.samples.sparse:
                self._bind(self.samples.X, self.samples.y, self.samples.weight)
            yield

    def ahead(self, most: float) -> int:
        """How many epochs one call of `run` should take, at most `most`: about CHUNK_SECONDS."""
        if self.samples.sparse:
            return 1
        fitting = min(CHUNK_SECONDS / (self.step_seconds * self.per_epoch), AHEAD_ROWS / self.rows)
        return int(max(1, min(most, fitting)))

    def run(self, orders: np.ndarray, epoch_rates: Sequence[float] | None, interrupted: list[bool],
            callbacks: CallbackList | None = None) -> np.ndarray:
        """Take an epoch for each row of `orders`; the losses (epochs, steps of an epoch) of those finished.

        Parameters
        ----------
        orders : ndarray, shape (epochs, rows)
            The rows of each epoch.
        epoch_rates : sequence of float, optional
            The learning rate of each epoch; by default the optimizer's own rates.
        interrupted : list
            Not empty once Ctrl-C was pressed: then the run ends early.
        callbacks : CallbackList, optional
            Told of progress, and of every step if they want.
        """
        optimizer, model, total = self.model.optimizer, self.model, len(orders) * self.per_epoch
        assert optimizer is not None
        first = self.first_update = model.update_count
        rates = optimizer.rates(first, total) if epoch_rates is None else \
            np.repeat(np.asarray(epoch_rates, np.float64), self.per_epoch)
        self.walk = Pass(orders.size, self.batch, self.block, orders.ravel(), self.samples.weight, rates,
                         np.zeros(total), first, model.seed, optimizer.momenta(first, total), self.rows)
        losses = self.walk.losses
        assert losses is not None
        one_by_one = callbacks is not None and callbacks.wants_batches
        self.good, step = Snapshot(model, 0), 0
        self._begin()
        while step < total and not interrupted:
            if self.good.stale(CHUNK_SECONDS, SNAPSHOT_SHARE) and all_finite(model):
                self.good = Snapshot(model, step)
            steps = 1 if one_by_one else int(max(1, min(CHUNK_SECONDS / self.step_seconds, self.most_steps,
                                                        total - step)))
            started = time.perf_counter()
            self._execute(step, step + steps)
            self._note_speed((time.perf_counter() - started) / steps)
            step += steps
            if callbacks is not None:
                mean = float(losses[:step] @ self.counts[:step]) / self.counts[:step].sum()
                callbacks.on_progress(step, {"loss": mean})
                if one_by_one:
                    callbacks.on_batch_end(step - 1, {"loss": float(losses[step - 1])})
        whole = step // self.per_epoch
        return losses[:whole * self.per_epoch].reshape(whole, self.per_epoch)

    def means(self, losses: np.ndarray) -> list[float]:
        """The loss of each epoch from its steps': their mean, weighted by their rows."""
        return ((losses * self.counts).sum(axis=1) / self.rows).tolist()

    def _note_speed(self, seconds: float) -> None:
        self.step_seconds = max(seconds, self.step_seconds / 16)

    def _bind(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> None:
        for slot, array in ((X_SLOT, X), (TARGET_SLOT, y), (WEIGHT_SLOT, weight)):
            self.memory.bind(slot, array)

    def _begin(self) -> None:
        if not self.samples.sparse:
            self.memory.begin(self.walk)

    def _execute(self, step: int, end: int, check: bool = False) -> Halt | None:
        """Steps [step, end) of the pass; where one of them stopped, if it did."""
        walk, samples, model = self.walk, self.samples, self.model
        assert walk.index is not None and walk.rates is not None
        assert walk.losses is not None and walk.momenta is not None
        rows = walk.index
        if samples.sparse:
            rows = rows[step * self.batch:min(end * self.batch, self.rows)]
            weight = None if samples.weight is None else samples.weight[rows]
            self._bind(samples.dense(rows, model.dtype), samples.y[rows], weight)
            self.memory.begin(Pass(len(rows), self.batch, self.block, None, weight, walk.rates[step:end],
                                   walk.losses[step:end], self.first_update + step, model.seed,
                                   walk.momenta[step:end]))
            halt = self.memory.execute(0, end - step, check=check)
        else:
            halt = self.memory.execute(step, end, check=check)
        if halt and halt.reason == "nonfinite_input":
            raise nonfinite_row(samples.X, samples.y, int(rows[halt.row]), model.dtype)
        model.update_count = self.first_update + end
        return halt

    def explain(self) -> str:
        """Put the last good numbers back and say where the first bad one came from since, in a replay."""
        good, model, losses = self.good, self.model, self.walk.losses
        assert losses is not None
        good.put_back(model)
        with self.opened():
            self._begin()
            step, halt = good.step, None
            while step < len(losses) and halt is None:
                halt = self._execute(step, step + 1, check=True)
                step += 1
            where = self.memory.program.ops[halt.op] if halt else None
        good.put_back(model)
        layer, what = (where.layer, where.name) if where else ("loss", "its sum")
        return (f"the first value that was not finite is in layer {layer!r} ({what}), at update "
                f"{self.first_update + step}, and the model has the weights from before update "
                f"{self.first_update + good.step + 1}")
