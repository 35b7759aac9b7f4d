"""Passes over rows that change no parameter: prediction, evaluation, and a model bound to fixed samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks
from .backends import Pass
from .compilation import DX_SLOT, X_SLOT, Compiled, Entry
from .layers import AdaptedLayer
from .layers.inputs import Rows
from .optimizers import SGD

if TYPE_CHECKING:
    from .model import Sequential

SMALL = 4096  # elements of X: fewer are copied
PREDICT_ROWS = 256  # rows of a block in prediction and evaluation, unless told otherwise


def forward_pass(compiled: Compiled, entry: Entry, X: np.ndarray, y: np.ndarray | None,
                 weight: np.ndarray | None, outputs: np.ndarray | None, batch_size: int | None,
                 seed: int = 0, update_count: int = 0) -> float:
    """Run an entry without backward over all rows; the weighted mean loss, or the sum where that is wanted.

    A mean is taken over steps of some rows; a sum is of one step, so that penalties count once. `seed` and
    `update_count` fix what random ops draw.
    """
    dtype = compiled.numbers.dtype
    rows = PREDICT_ROWS if batch_size is None else checks.positive_int("batch_size", batch_size)
    rows = min(rows, -(-len(X) // 64) * 64)  # few sizes, so that Runs are used again
    loss = total = 0.0
    if X.size > SMALL and compiled.reads_direct(X, y):
        entry = entry._replace(direct=True)
    whole = compiled.sums_rows and entry.kind != "predict"
    with compiled.borrow(entry, rows) as run:
        for part in _gatherable_parts(X, len(X) if whole else rows):
            walk = Pass(len(X[part]), len(X) if whole else rows, rows,
                        row_weight=None if weight is None else weight[part], update_count=update_count,
                        seed=seed)
            if entry.kind != "predict":
                walk.losses = np.zeros(walk.steps)
            arrays = (_as_gatherable(X[part], dtype), y, weight, outputs)
            for slot, array in enumerate(arrays):
                run.bind(slot, array if array is None or slot == X_SLOT else array[part])
            run.begin(walk)
            halt = run.execute(0, walk.steps)
            if halt:
                raise nonfinite_row(X, y, part.start + halt.row, dtype)
            if walk.losses is not None:
                if whole:
                    return float(walk.losses[0])
                weights = step_weights(walk)
                loss, total = loss + float(walk.losses @ weights), total + float(weights.sum())
    return loss / total if total else 0.0


class BoundModel:
    """A model on fixed samples: the loss and its gradient as functions of the live parameters.

    `fastnn.Sequential.bind` makes it and looks at the samples. `part` is "" for the whole loss, "data" for
    the mean over the rows alone, "penalty" for what regularizers add. Layers behave as in the next step of
    training.
    """

    def __init__(self, model: Sequential, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> None:
        self.model, self.X, self.y, self.weight = model, X, y, weight

    def loss(self, part: str = "") -> float:
        """The loss, forward only."""
        if part == "penalty":
            return self._run("loss", part)
        entry = Entry("loss", self.y.ndim == 1, self.weight is not None, part=part)
        model, rows = self.model, max(1, len(self.X))
        return forward_pass(model._compiled, entry, self.X, self.y, self.weight, None, rows, model.seed,
                            model.update_count)

    def gradients(self, part: str = "") -> dict[str, np.ndarray]:
        """The gradient for every parameter that is trained, as views that the next call overwrites."""
        if part == "penalty":
            self.model._numbers.memory.gradients[...] = 0  # penalties add to them
        self._run("gradient", part)
        return self.model._numbers.named_gradients()

    def loss_and_gradients(self) -> tuple[float, dict[str, np.ndarray]]:
        """What `loss` and `gradients` give, in one pass over the samples."""
        return self._run("gradient", ""), self.model._numbers.named_gradients()

    def input_gradient(self) -> np.ndarray:
        """The gradient of the loss for the samples, in their shape: what a saliency map shows.

        It overwrites what `gradients` gave.
        """
        dx = np.empty((len(self.X), math.prod(self.model.input_shape)), self.model.dtype)
        self._run("gradient", "data", dx)
        return dx.reshape(self.X.shape)

    def step(self) -> dict[str, np.ndarray]:
        """What a step of plain SGD at rate 1, with the optimizer's clipping, takes from each parameter.

        Parameters with a constraint are left out: it moves them too.
        """
        model, numbers = self.model, self.model._numbers
        assert model.optimizer is not None
        before, statistics = numbers.memory.parameters.copy(), numbers.memory.persistent.copy()
        settings: dict[str, Any] = {**model.optimizer.clipping.get_config()}
        stepping = Compiled(model.layers, numbers, model.loss, SGD(1.0, **settings))
        stepping.trained = numbers.trained
        try:
            self._run("train", "", compiled=stepping)
            taken = numbers.parameters.views(before - numbers.memory.parameters)
        finally:
            numbers.memory.parameters[...], numbers.memory.persistent[...] = before, statistics
        return {name: w for name, w in taken.items() if numbers.parameters.segments[name].constraint is None}

    @property
    def penalised(self) -> list[str]:
        """Names of the parameters that have a penalty and are trained."""
        segments = self.model._numbers.trained.segments
        return [name for name, segment in segments.items() if segment.regularizer is not None]

    def _run(self, kind: str, part: str, dx: np.ndarray | None = None,
             compiled: Compiled | None = None) -> float:
        """Run an entry on all samples at once, at rate 1; the loss."""
        model, weight = self.model, self.weight
        X, y = _as_gatherable(self.X, model.dtype), self.y
        entry = Entry(kind, y.ndim == 1, weight is not None, fused=True, part=part, dx=dx is not None)
        losses = np.zeros(1)
        with (compiled or model._compiled).borrow(entry, len(X)) as run:
            for slot, array in enumerate((X, y, weight)):
                run.bind(slot, array)
            run.bind(DX_SLOT, dx)
            run.begin(Pass(len(X), len(X), len(X), row_weight=weight, rates=np.ones(1), losses=losses,
                           update_count=model.update_count, seed=model.seed))
            run.execute(0, 1)
        return float(losses[0])


def nonfinite_row(X: np.ndarray, y: np.ndarray | None, row: int, dtype: np.dtype) -> ValueError:
    """The error for a row of samples or targets that turned out not to be finite while it was gathered."""
    with np.errstate(over="ignore"):
        if y is not None and np.isfinite(X[row].astype(dtype)).all():
            return checks.nonfinite_row(y, row, "y", dtype)
    return checks.nonfinite_row(X, row, "X", dtype)


class _Reached:
    """The rows of X as they reach a layer: what the layers below it make of them, computed when sliced."""

    def __init__(self, below: Compiled, X: np.ndarray) -> None:
        self.below, self.X = below, X

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows: slice) -> np.ndarray:
        X, n_out = self.X[rows], math.prod(self.below.layers[-1].output_shape)
        outputs = np.empty((len(X), n_out), self.below.numbers.dtype)
        forward_pass(self.below, Entry("predict", outputs=True), X, None, None, outputs, None)
        return outputs


def adapt(model: Sequential, X: np.ndarray) -> None:
    """Give input layers the training set's numbers, once, from the lowest up."""
    for i, layer in enumerate(model.layers):
        if isinstance(layer, AdaptedLayer):
            views = {name: s.view(model._numbers.memory.persistent) for name, s in layer.persistent.items()}
            if not views["adapted"][0]:
                below = model.layers[:i]
                plain = not any(b.emits for b in below)
                rows: Rows = X if plain else _Reached(Compiled(below, model._numbers), X)
                for name, value in layer.statistics(rows).items():
                    views[name][...] = value


def step_weights(walk: Pass) -> np.ndarray:
    """The sum of row weights of each step of a pass."""
    if walk.row_weight is None:
        weights = np.full(-(-walk.n_rows // walk.batch), float(walk.batch))
        weights[-1] = walk.n_rows - walk.batch * (len(weights) - 1)
        return weights
    weight = walk.row_weight if walk.index is None else walk.row_weight[walk.index]
    return np.add.reduceat(weight, np.arange(0, walk.n_rows, walk.batch))


def _as_gatherable(X: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return X if checks.is_gatherable(X) else np.ascontiguousarray(X, dtype)


def _gatherable_parts(X: np.ndarray, rows: int) -> Iterator[slice]:
    """All rows at once, or a block at a time where they must be converted."""
    step = len(X) if checks.is_gatherable(X) else rows
    return (slice(start, min(start + step, len(X))) for start in range(0, len(X), step))
