"""The training loop: chunks of steps in the backend, everything else between them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sized
from typing import Any

import numpy as np

from . import backends, bundles, checks
from .backends import Halt, Pass, permutation
from .bundles import Bundle
from .callback_base import list_of_callbacks
from .callbacks import Callback, CallbackList, ProgressBar
from .checkpoints import Checkpoint, Keeper, describe_data, make_keeper
from .class_weights import with_class_weight
from .compilation import OUTPUT_SLOT, TARGET_SLOT, WEIGHT_SLOT, X_SLOT
from .divergence import DivergenceError, Snapshot, all_finite
from .history import History, RunningLoss
from .inference import adapt, bind, nonfinite_row, step_weights
from .interrupts import deferred_interrupt
from .layers.recurrent_base import check_carried
from .masks import counted_steps, masks_of, that_count
from .model import Model

CHUNK_SECONDS = 0.05  # between two returns from the backend: Ctrl-C and progress wait no longer
SNAPSHOT_SHARE = 0.01  # of the time of training that copying the last good numbers may take


def fit(model: Model, X: Any, y: Any = None, batch_size: int = 32, epochs: int = 1, *,
        validation_split: float = 0.0, validation_data: tuple | None = None, sample_weight: Any = None,
        class_weight: Any = None, shuffle: bool = True,
        callbacks: Iterable[Callback] | Callback | None = None, verbose: int = 1,
        checkpoint: str | os.PathLike | Checkpoint | None = None, checkpoint_every: int | None = None,
        resume: bool | str | os.PathLike | None = None) -> History:
    """Train a compiled model.

    Parameters
    ----------
    model : Model
        The model, compiled.
    X : array_like, shape (n, *input_shape)
        Samples. Arrays of float32, float64 and integers are read where they are, row by row, a
        ``np.memmap`` too; nothing is copied. Or an iterable of batches ``(X, y)`` or ``(X, y, weight)``,
        walked once per epoch; then `y` stays out.
    y : array_like
        Targets, as the loss takes them: labels ``(n,)`` or rows ``(n, n_out)``.
    batch_size : int
        Rows of a step, from 1 to all; the last step of an epoch takes what is left.
    epochs : int
        Passes over the rows.
    validation_split : float
        Share of the rows, taken from the end before any shuffling, that is held out.
    validation_data : tuple, optional
        ``(X, y)`` or ``(X, y, weight)`` to evaluate after each epoch, instead.
    sample_weight : array_like, shape (n,), optional
        Weight of each row in the loss: a step's loss is the weighted mean of its rows' (or their sum, see
        `fastnn.Loss`).
    class_weight : dict, array_like or "balanced", optional
        Weight of each class: {label: weight}, where classes left out have 1; an array, one number a class; or
        "balanced", ``n / (classes * rows of the class)`` as in scikit-learn, of the rows trained on. It
        multiplies the sample weights of the rows trained on, so that it is in the loss that is reported for
        them; as in Keras it is not in the validation's, nor in `evaluate`. A probability row has the mean
        weight of its classes; one output, as after a sigmoid, has the classes 0 and 1. Metrics do without
        weights.
    shuffle : bool
        Draw a new order of the rows for each epoch.
    callbacks : Callback or iterable of Callback, optional
        Called at the points of `fastnn.Callback`.
    verbose : {0, 1, 2}
        0 is silent, 1 draws a progress bar, 2 prints a line per epoch.
    checkpoint, checkpoint_every : path-like or Checkpoint, int, optional
        Folder for checkpoints, one after each epoch and so many steps within it; see `fastnn.Checkpoint`.
    resume : path-like or bool, optional
        Go on with the newest checkpoint of a folder, or with this one, as if it had never stopped: the same
        call as before, but for `epochs`, ends with the same bits. True: with that of `checkpoint`, or begin
        where there is none.

    Returns
    -------
    History
        Per epoch: "loss" and metrics over the epoch's steps as they went, "val_loss" and validation metrics. It holds
        on to the model and the rows, by reference, for ``history.report(path)``; the model does not.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, before any work; for a row of a memmap that is not finite, before a
        step uses it.
    RuntimeError
        If another thread trains the model, or this call is inside of a training of it.
    ModelFileError, OSError
        If the checkpoint to go on with is damaged; if one cannot be written, those before it stay whole.
    DivergenceError
        When a value stops being finite.
    KeyboardInterrupt
        After Ctrl-C, with weights, optimizer and ``model.history`` as they were after the last step (or the
        best weights, where an `EarlyStopping` restores them).

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1)], input_shape=(1,))
    >>> model.compile(fnn.SGD(0.1), loss="squared_error")
    >>> history = fit(model, [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], epochs=200, verbose=0)
    >>> model.predict([[3.0]]).round(2)
    array([[7.]], dtype=float32)
    """
    model._require_compiled()
    model._compiled.warn_of_changes()
    epochs = checks.positive_int("epochs", epochs)
    shuffle = checks.boolean("shuffle", shuffle)
    bar = ProgressBar(verbose)
    keeper = make_keeper(checkpoint, checkpoint_every, resume)
    with model._training.whole():
        validation = _validation(model, validation_data, validation_split)
        callbacks = list_of_callbacks(callbacks)
        if bar.verbose:
            callbacks.append(bar)
        rows: tuple | None = None
        if y is None:
            if validation_split or sample_weight is not None:
                raise ValueError("y: expected with validation_split and sample_weight; "
                                 "batches carry their own weights")
            source: _Arrays | _Batches = _Batches(model, X, class_weight)
        else:
            batch_size = checks.positive_int("batch_size", batch_size)
            X, y, weight = model._checked(X, y, sample_weight)
            n = bundles.n_rows(X)
            held_out = int(n * checks.fraction("validation_split", validation_split))
            if held_out:
                validation = tuple(bundles.take(a, slice(n - held_out, n)) for a in (X, y, weight))
                X, y, weight = (bundles.take(a, slice(n - held_out)) for a in (X, y, weight))
            rows = X, y, weight
            weight = with_class_weight(model, class_weight, y, weight)
            adapt(model, X)
            source = _Arrays(model, X, y, weight, min(batch_size, n - held_out), shuffle)
        with deferred_interrupt() as interrupted:
            if keeper.active:
                keeper.start(model, {**source.settings(), **describe_data(validation=validation)})
            _train(model, source, epochs, validation, CallbackList(callbacks), interrupted, keeper)
    return model.returned_history(rows, validation)


def train_on_batch(model: Model, X: Any, y: Any, sample_weight: Any = None,
                   class_weight: Any = None) -> dict[str, float]:
    """Take one step on one batch; returns {"loss": ...} as it was before the step.

    Parameters
    ----------
    model : Model
        The model, compiled.
    X, y, sample_weight, class_weight
        As `fit` takes them; all rows are one batch.
    """
    model._require_compiled()
    with model._training.whole(), deferred_interrupt() as interrupted:
        X, y, weight = model._checked(X, y, sample_weight)
        weight = with_class_weight(model, class_weight, y, weight)
        adapt(model, X)
        totals = RunningLoss(model._compiled.sums_rows)
        source = _Arrays(model, X, y, weight, bundles.n_rows(X), False)
        source.run_epoch(0, totals, CallbackList([]), interrupted, Keeper())
        return {"loss": totals.loss()}


def _validation(model: Model, data: tuple | None, split: float) -> tuple | None:
    if data is None:
        return None
    if split:
        raise ValueError("validation_data: expected without validation_split, got both")
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise TypeError(f"validation_data: expected (X, y) or (X, y, weight), got {type(data).__name__}")
    weight = data[2] if len(data) == 3 else None
    return model._checked(data[0], data[1], weight, ("validation X", "validation y"))


def _train(model: Model, source: _Arrays | _Batches, epochs: int, validation: tuple | None,
           callbacks: CallbackList, interrupted: list[bool], keeper: Keeper) -> None:
    model.stop_training = False
    model.history = History()
    callbacks.set_model(model)
    params = {"epochs": epochs, "steps": source.steps, "batch_size": source.batch, "rows": source.rows,
              "resumed": keeper.resumed}
    callbacks.set_params(params)
    if isinstance(source, _Arrays):
        callbacks.set_data(source.X, source.y, source.weight)
    try:
        callbacks.on_train_begin({})
        first = keeper.restore(callbacks.callbacks, epochs, source.steps)
        model.history.settings = params | {"shuffle": source.shuffle, **backends.chosen()}
        for epoch in range(first, epochs):
            callbacks.on_epoch_begin(epoch, {})
            totals, started = RunningLoss(model._compiled.sums_rows), time.perf_counter()
            logs = source.run_epoch(epoch, totals, callbacks, interrupted, keeper)
            model.history.ran(time.perf_counter() - started, model.optimizer)
            if validation is not None:
                results = model.evaluate(validation[0], validation[1], sample_weight=validation[2])
                logs |= {f"val_{name}": value for name, value in results.items()}
            model.history.append(epoch, logs)
            callbacks.on_epoch_end(epoch, logs)
            keeper.after(epoch, logs)
            if interrupted:
                raise KeyboardInterrupt
            if model.stop_training:
                break
    finally:
        callbacks.on_train_end(model.history.last())


class _Arrays:
    """Rows of arrays, in a new order each epoch."""

    def __init__(self, model: Model, X: Bundle, y: Bundle, weight: np.ndarray | None,
                 batch: int, shuffle: bool) -> None:
        self.model, self.X, self.y, self.weight = model, X, y, weight
        self.batch, self.shuffle = batch, shuffle
        self.rows = bundles.n_rows(X)
        check_carried(model.layers, self.rows, batch, shuffle)
        self.steps, self.time = -(-self.rows // batch), model._compiled.time(X)
        self.rates, self.momenta, self.losses = (np.zeros(self.steps) for _ in range(3))
        counts = counted_steps(model, y, masks_of(model, X))
        self.counts = counts[0] if len(counts) == 1 else None
        uneven = any(count is not None for count in counts)  # a mean over steps is not one over blocks of rows
        self.block = batch if uneven else model._compiled.block_rows(batch)
        self.staged = not all(map(checks.is_gatherable, bundles.parts(X)))
        self.outputs = model._empty_outputs(X) if any(model._metrics) else None
        self.entry = model._compiled.entry(
            "train", y, weight, outputs=self.outputs is not None, fused=self.block == batch,
            direct=not shuffle and model._compiled.reads_direct(X, y))
        self.chunk = 1  # steps of the next chunk
        self.first_step = 0  # of the epoch, where these rows are one batch of an iterable

    def settings(self) -> dict[str, Any]:
        """What a training must have alike to go on with a checkpoint of it."""
        return {"batch_size": self.batch, "shuffle": self.shuffle,
                **describe_data(X=self.X, y=self.y, weight=self.weight)}

    def order(self) -> np.ndarray | None:
        if not self.shuffle:
            return None
        self.model.shuffles += 1
        return permutation([self.model.seed, 1, self.model.shuffles], self.rows)

    def run_epoch(self, epoch: int, totals: RunningLoss, callbacks: CallbackList,
                  interrupted: list[bool], keeper: Keeper) -> dict[str, float]:
        """All steps of an epoch, in chunks of about CHUNK_SECONDS; the epoch's logs."""
        step = keeper.begin_epoch(totals, self.outputs)
        order = self.order()
        walk = Pass(self.rows, self.batch, self.block, order, self.weight, self.rates, self.losses,
                    seed=self.model.seed, momenta=self.momenta)
        weights = step_weights(walk, self.counts)
        with self.model._compiled.borrow(self.entry, self.block, self.time) as run:
            self._bind(run, walk, step)
            good = Snapshot(self.model, step)
            while step < self.steps:
                if good.stale(CHUNK_SECONDS, SNAPSHOT_SHARE):
                    self._require_finite_parameters(run, walk, good, step, epoch)
                    good = Snapshot(self.model, step)
                end = step + 1 if callbacks.wants_batches else \
                    min(self.steps, step + self.chunk, keeper.stop_at(step))
                started = time.perf_counter()
                halt = self._chunk(run, walk, step, end)
                self._require_finite_losses(run, walk, good, step, end, halt, epoch)
                self._adjust_chunk(end - step, time.perf_counter() - started)
                totals.add(self.losses[step:end], weights[step:end])
                logs = {"loss": totals.loss()}
                callbacks.on_progress(end, logs)
                step = end
                if callbacks.wants_batches:
                    self._require_finite_parameters(run, walk, good, end, epoch)
                    callbacks.on_batch_end(end - 1, {"loss": float(self.losses[end - 1])})
                    good = Snapshot(self.model, step)  # a callback may have changed the weights
                if step < self.steps and keeper.is_due(step):
                    self._require_finite_parameters(run, walk, good, step, epoch)
                    keeper.within(epoch, step, totals, self._outputs_of(step))
                if interrupted:
                    raise KeyboardInterrupt
                if self.model.stop_training and callbacks.wants_batches:
                    break
            self._require_finite_parameters(run, walk, good, step, epoch)
        if self.outputs is not None:
            seen = slice(min(step * self.batch, self.rows))
            rows = seen if order is None else order[seen]
            masks = [mask if mask is None else mask[rows] for mask in masks_of(self.model, self.X)]
            logs |= self.model._evaluate_metrics(bundles.take(self.y, rows), bundles.take(self.outputs, seen), masks)
        return logs

    def _outputs_of(self, steps: int) -> Bundle | None:
        """What metrics need of the steps so far."""
        return bundles.take(self.outputs, slice(steps * self.batch))

    def _bind(self, run: Any, walk: Pass, step: int) -> None:
        walk.update_count = self.model.update_count - step  # at the pass's first
        for slot, bundle in ((X_SLOT, None if self.staged else self.X), (TARGET_SLOT, self.y),
                             (WEIGHT_SLOT, self.weight), (OUTPUT_SLOT, self.outputs)):
            bind(run, slot, bundle)
        run.begin(walk)

    def _chunk(self, run: Any, walk: Pass, step: int, end: int, check: bool = False) -> Halt | None:
        """Steps [step, end). Rows that the backend cannot read as they stand are converted first."""
        updates, optimizer = self.model.update_count, self.model.optimizer
        assert optimizer is not None
        self.rates[step:end] = optimizer.rates(updates, end - step)
        self.momenta[step:end] = optimizer.momenta(updates, end - step)
        if self.staged:
            halt = self._staged_chunk(run, walk, step, end, check)
        else:
            halt = run.execute(step, end, check=check)
        self.model.update_count = updates + ((halt.step if halt else end) - step)
        return halt

    def _staged_chunk(self, run: Any, walk: Pass, step: int, end: int, check: bool) -> Halt | None:
        first, last = step * self.batch, min(end * self.batch, self.rows)
        rows = slice(first, last) if walk.index is None else walk.index[first:last]
        X = bundles.each(lambda x: x[rows] if checks.is_gatherable(x) else
                         np.ascontiguousarray(x[rows], self.model.dtype), self.X)
        weight = bundles.take(self.weight, rows)
        for slot, bundle in ((X_SLOT, X), (TARGET_SLOT, bundles.take(self.y, rows)), (WEIGHT_SLOT, weight),
                             (OUTPUT_SLOT, bundles.take(self.outputs, slice(first, last)))):
            bind(run, slot, bundle)
        run.begin(Pass(last - first, self.batch, self.block, None, weight, self.rates[step:end],
                       self.losses[step:end], self.model.update_count, self.model.seed,
                       self.momenta[step:end]))
        halt = run.execute(0, end - step, check=check)
        return halt and Halt(halt.reason, halt.step + step, halt.op, halt.row + first * (halt.row >= 0))

    def _adjust_chunk(self, steps: int, seconds: float) -> None:
        self.chunk = max(1, min(int(steps * CHUNK_SECONDS / max(seconds, 1e-7)), 4 * self.chunk))

    # ---- divergence ----

    def _require_finite_losses(self, run: Any, walk: Pass, good: Snapshot, step: int, end: int,
                               halt: Halt | None, epoch: int) -> None:
        """Raise what went wrong in steps [step, end)."""
        if halt and halt.reason == "nonfinite_input":
            row = halt.row if walk.index is None else int(walk.index[halt.row])
            raise nonfinite_row(self.X, self.y, row, self.model.dtype)
        if not np.isfinite(self.losses[step:end]).all():
            self._explain(run, walk, good, end, epoch)

    def _require_finite_parameters(self, run: Any, walk: Pass, good: Snapshot, end: int, epoch: int) -> None:
        """Raise if an update made a number that is not finite: losses show it a step late."""
        if not all_finite(self.model):
            self._explain(run, walk, good, end, epoch)

    def _explain(self, run: Any, walk: Pass, good: Snapshot, end: int, epoch: int) -> None:
        """Put the last good numbers back, find the first bad value since in a replay, and raise."""
        good.put_back(self.model)
        if not self.staged:
            self._bind(run, walk, good.step)
        halt = self._chunk(run, walk, good.step, end, check=True)
        good.put_back(self.model)
        where = run.program.ops[halt.op] if halt else None
        step = self.first_step + (halt.step if halt else end - 1)
        layer, what = (where.layer, where.name) if where else ("loss", "its sum")
        raise DivergenceError(epoch, step, layer, what, self.first_step + good.step)


class _Batches:
    """Batches from an iterable of the caller, walked once per epoch."""

    rows: int | None = None
    batch: int | None = None
    shuffle = False

    def __init__(self, model: Model, batches: Iterable, class_weight: Any = None) -> None:
        if not isinstance(batches, Iterable) or isinstance(batches, np.ndarray):
            raise TypeError("y: expected targets; without y, X must be an iterable of (X, y) batches, "
                            f"got {type(batches).__name__}")
        if isinstance(class_weight, str):
            raise ValueError("class_weight: expected a dict or an array with batches, got "
                             f"{class_weight!r}, which counts all rows at once; see fnn.balanced_weights")
        self.model, self.batches, self.class_weight = model, batches, class_weight
        self.steps = len(batches) if isinstance(batches, Sized) else None

    def settings(self) -> dict[str, Any]:
        """What a training must have alike to go on with a checkpoint of it."""
        return {"batches": True if self.steps is None else self.steps}

    def run_epoch(self, epoch: int, totals: RunningLoss, callbacks: CallbackList,
                  interrupted: list[bool], keeper: Keeper) -> dict[str, float]:
        """One walk over the batches; the epoch's logs."""
        seen: list[tuple[Bundle, Bundle]] = []
        first = keeper.begin_epoch(totals, seen)
        logs: dict[str, float] = {"loss": totals.loss()} if first else {}
        for step, batch in enumerate(self.batches):
            if step < first:  # taken before the checkpoint
                continue
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                raise TypeError("X: expected batches (X, y) or (X, y, weight), "
                                f"batch {step} is {type(batch).__name__}")
            X, y, weight = self.model._checked(batch[0], batch[1], batch[2] if len(batch) == 3 else None)
            weight = with_class_weight(self.model, self.class_weight, y, weight)
            adapt(self.model, X)
            arrays = _Arrays(self.model, X, y, weight, bundles.n_rows(X), False)
            arrays.first_step = step
            logs = arrays.run_epoch(epoch, totals, CallbackList([]), interrupted, Keeper())
            if arrays.outputs is not None:
                seen.append(that_count(y, arrays.outputs, masks_of(self.model, X)))
            logs["loss"] = totals.loss()
            callbacks.on_progress(step + 1, logs)
            callbacks.on_batch_end(step, logs)
            if keeper.is_due(step + 1):
                keeper.within(epoch, step + 1, totals, seen)
            if self.model.stop_training:
                break
        if not logs:
            raise ValueError(f"X: expected at least one batch in epoch {epoch}, got none; a generator can be "
                             "walked only once, so pass a list or an object whose __iter__ starts anew")
        if seen:
            targets, outputs = (bundles.joined(parts) for parts in zip(*seen, strict=True))
            logs |= self.model._evaluate_metrics(targets, outputs)
        return logs
