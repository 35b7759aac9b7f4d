"""Passes over rows that change no parameter: prediction, evaluation, and a model bound to fixed samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import bundles, checks
from .backends import Pass, Run
from .bundles import Bundle
from .compilation import DX_SLOT, OUTPUT_SLOT, SLOTS, TARGET_SLOT, WEIGHT_SLOT, X_SLOT, Compiled, Entry
from .graph import Graph
from .layers import AdaptedLayer
from .layers.inputs import Rows
from .layers.recurrent_base import check_carried, rows_carried
from .layers.tensor import Tensor
from .optimizers import SGD
from .parameters import filled, fitting

if TYPE_CHECKING:
    from .model import Model

SMALL = 4096  # elements of X: fewer are copied
INPUTS = "X"  # what the inputs are called beside parameters; with several each is X['name']
PREDICT_ROWS = 256  # rows of a block in prediction and evaluation, unless told otherwise


def bind(run: Run, slot: int, bundle: Bundle | None) -> None:
    """Bind the arrays of all inputs or outputs."""
    for i, array in enumerate(bundles.parts(bundle)):
        run.bind(slot + SLOTS * i, array)


def forward_pass(compiled: Compiled, entry: Entry, X: Bundle, y: Bundle | None,
                 weight: np.ndarray | None, outputs: Bundle | None, batch_size: int | None,
                 seed: int = 0, update_count: int = 0, counts: np.ndarray | None = None) -> float:
    """Run an entry without backward over all rows; the weighted mean loss, or the sum where that is wanted.

    A mean is taken over steps of some rows; a sum is of one step, so that penalties count once. `seed` and
    `update_count` fix what random ops draw. `counts` says of sequences how many steps of each count.
    """
    dtype, n = compiled.numbers.dtype, bundles.n_rows(X)
    rows = PREDICT_ROWS if batch_size is None else checks.positive_int("batch_size", batch_size)
    rows = rows_carried(compiled.layers) or min(rows, -(-n // 64) * 64)  # few sizes, so that Runs are used again
    check_carried(compiled.layers, n, rows)
    loss = total = 0.0
    if n * bundles.parts(X)[0][0].size > SMALL and compiled.reads_direct(X, y):
        entry = entry._replace(direct=True)
    whole = compiled.sums_rows and entry.kind != "predict"
    with compiled.borrow(entry, rows, compiled.time(X)) as run:
        for part in _gatherable_parts(X, n if whole else rows):
            walk = Pass(len(range(n)[part]), n if whole else rows, rows,
                        row_weight=None if weight is None else weight[part], update_count=update_count,
                        seed=seed)
            if entry.kind != "predict":
                walk.losses = np.zeros(walk.steps)
            bind(run, X_SLOT, as_gatherable(bundles.take(X, part), dtype))
            for slot, bundle in ((TARGET_SLOT, y), (WEIGHT_SLOT, weight), (OUTPUT_SLOT, outputs)):
                bind(run, slot, bundles.take(bundle, part))
            run.begin(walk)
            halt = run.execute(0, walk.steps)
            if halt:
                raise nonfinite_row(X, y, part.start + halt.row, dtype)
            if walk.losses is not None:
                if whole:
                    return float(walk.losses[0])
                weights = step_weights(walk, None if counts is None else counts[part])
                loss, total = loss + float(walk.losses @ weights), total + float(weights.sum())
    return loss / total if total else 0.0


class BoundModel:
    """A model on fixed samples: the loss and its gradient as functions of the live parameters.

    `fastnn.Model.bind` makes it and looks at the samples. `part` is "" for the whole loss, "data" for
    the mean over the rows alone, "penalty" for what regularizers add. Layers behave as in the next step of
    training.
    """

    def __init__(self, model: Model, X: Bundle, y: Bundle, weight: np.ndarray | None) -> None:
        self.model, self.X, self.y, self.weight = model, X, y, weight

    @property
    def tokens(self) -> list[bool]:
        """Of each input, whether it is whole numbers and has no gradient."""
        compiled = self.model._compiled
        return list(map(compiled.tokens, compiled.graph.inputs))

    def loss(self, part: str = "") -> float:
        """The loss, forward only."""
        if part == "penalty":
            return self._run("loss", part)
        model, rows = self.model, max(1, bundles.n_rows(self.X))
        entry = model._compiled.entry("loss", self.y, self.weight)._replace(part=part)
        return forward_pass(model._compiled, entry, self.X, self.y, self.weight, None, rows, model.seed,
                            model.update_count)

    def gradients(self, part: str = "") -> dict[str, np.ndarray]:
        """The gradient for every parameter that is trained, as views that the next call overwrites."""
        with self.model._training.part():
            if part == "penalty":
                self.model._numbers.memory.gradients[...] = 0  # penalties add to them
            self._run("gradient", part)
        return self.model._numbers.named_gradients()

    def loss_and_gradients(self) -> tuple[float, dict[str, np.ndarray]]:
        """What `loss` and `gradients` give, in one pass over the samples."""
        with self.model._training.part():
            return self._run("gradient", ""), self.model._numbers.named_gradients()

    def input_gradient(self) -> Any:
        """The gradient of the loss for the samples, in their shape: what a saliency map shows.

        It overwrites what `gradients` gave. None stands for an input of tokens.
        """
        dx = tuple(None if tokens else np.zeros(x.shape, self.model.dtype)
                   for x, tokens in zip(bundles.parts(self.X), self.tokens, strict=True))
        with self.model._training.part():
            self._run("gradient", "data", dx)
        return dx if len(dx) > 1 else dx[0]

    def step(self) -> dict[str, np.ndarray]:
        """What a step of plain SGD at rate 1, with the optimizer's clipping, takes from each parameter.

        Parameters with a constraint are left out: it moves them too.
        """
        with self.model._training.part():
            return self._step()

    def _step(self) -> dict[str, np.ndarray]:
        model, numbers = self.model, self.model._numbers
        assert model.optimizer is not None
        before, statistics = numbers.memory.parameters.copy(), numbers.memory.persistent.copy()
        settings: dict[str, Any] = {**model.optimizer.clipping.get_config()}
        stepping = Compiled(model._graph, numbers, model._losses, SGD(1.0, **settings), model._loss_weights)
        stepping.trained = numbers.trained
        try:
            self._run("train", "", compiled=stepping)
            taken = numbers.parameters.views(before - numbers.memory.parameters)
        finally:
            numbers.memory.parameters[...], numbers.memory.persistent[...] = before, statistics
        return {name: w for name, w in taken.items() if numbers.parameters.segments[name].constraint is None}

    def gather_statistics(self) -> None:
        """Give layers that keep statistics of batches, such as BatchNorm, those of the samples."""
        if any(layer.across_rows for layer in self.model.layers):
            with self.model._training.part():
                self._run("loss", "statistics")

    @property
    def penalised(self) -> list[str]:
        """Names of the parameters that have a penalty and are trained."""
        segments = self.model._numbers.trained.segments
        return [name for name, segment in segments.items() if segment.regularizer is not None]

    def _run(self, kind: str, part: str, dx: tuple[np.ndarray | None, ...] | None = None,
             compiled: Compiled | None = None) -> float:
        """Run an entry on all samples at once, at rate 1; the loss."""
        model, weight, compiled = self.model, self.weight, compiled or self.model._compiled
        X, n = as_gatherable(self.X, model.dtype), bundles.n_rows(self.X)
        entry = compiled.entry(kind, self.y, weight, fused=True, dx=dx is not None)._replace(part=part)
        losses = np.zeros(1)
        with compiled.borrow(entry, n, compiled.time(X)) as run:
            for slot, bundle in ((X_SLOT, X), (TARGET_SLOT, self.y), (WEIGHT_SLOT, weight)):
                bind(run, slot, bundle)
            for i, array in enumerate(dx or ()):
                run.bind(DX_SLOT + SLOTS * i, array if array is None else array.reshape(n, -1))
            run.begin(Pass(n, n, n, row_weight=weight, rates=np.ones(1), losses=losses,
                           update_count=model.update_count, seed=model.seed))
            run.execute(0, 1)
        return float(losses[0])


def bound_twice(model: Any, dtype: np.dtype, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Copies of the model bound to the samples, in `dtype` and in float64, at the same numbers."""
    copy = checks.known_model(model).copy(dtype=dtype.name)
    judged = copy.bind(X, y, sample_weight)
    _own_arrays(judged, dtype)
    exact = copy.copy(dtype="float64").bind(judged.X, judged.y, sample_weight)
    _own_arrays(exact, np.dtype(np.float64))
    return judged, exact


def _own_arrays(bound: Any, dtype: np.dtype) -> None:
    """Give the bound model copies of its samples and targets, of a dtype but for tokens and labels."""
    bound.X = bundles.one(tuple(np.array(x, None if tokens else dtype)
                                for x, tokens in zip(bundles.parts(bound.X), bound.tokens, strict=True)))
    bound.y = bundles.each(lambda y: np.array(y, None if y.dtype.kind in "iu" else dtype), bound.y)


def named_inputs(bound: Any, arrays: Any) -> dict[str, np.ndarray]:
    """Arrays, one for each input, by the names of their rows; without those of tokens, which have no gradient."""
    names = bundles.called(INPUTS, bound.model.input_names)
    values = arrays if isinstance(arrays, tuple) else (arrays,)
    return {name: value for name, x, value in zip(names, bundles.parts(bound.X), values, strict=True)
            if x.dtype.kind == "f"}


def nonfinite_row(X: Bundle, y: Bundle | None, row: int, dtype: np.dtype) -> ValueError:
    """The error for a row of samples or targets that turned out not to be finite while it was gathered."""
    named = [(array, name) for bundle, name in ((X, "X"), (y, "y")) for array in bundles.parts(bundle)]
    with np.errstate(over="ignore"):
        for array, name in named:
            if not np.isfinite(array[row].astype(dtype)).all():
                return checks.nonfinite_row(array, row, name, dtype)
    return checks.nonfinite_row(named[0][0], row, "X", dtype)


class _Reached:
    """The rows of X as they reach a layer: what the layers below it make of them, computed when sliced."""

    def __init__(self, below: Compiled, X: Bundle) -> None:
        self.below, self.X = below, X

    def __len__(self) -> int:
        return bundles.n_rows(self.X)

    def __getitem__(self, rows: slice) -> np.ndarray:
        X = bundles.take(self.X, rows)
        n = bundles.n_rows(X)
        shape = checks.known_shape(None, self.below.graph.outputs[0].shape)
        outputs = np.empty((n, *shape), self.below.numbers.dtype)
        forward_pass(self.below, Entry("predict", outputs=True), X, None, None, outputs, None)
        return outputs.reshape(n, -1)


def adapt(model: Model, X: Bundle) -> None:
    """Give input layers the training set's numbers, once, from the lowest up."""
    graph = model._graph
    for node in graph.nodes:
        layer, tensor = node.layer, node.inputs[0]
        if isinstance(layer, AdaptedLayer):
            views = {name: s.view(model._numbers.memory.persistent) for name, s in layer.persistent.items()}
            if not views["adapted"][0]:
                below = graph.up_to(tensor)
                plain = not any(b.emits for b in below.layers)
                rows: Rows = bundles.parts(X)[_source(graph, tensor)] if plain else \
                    _Reached(Compiled(below, model._numbers), X)
                for name, value in layer.statistics(rows).items():
                    views[name][...] = fitting(views[name], filled(value, views[name]), f"{layer.name}.{name}", "X")


def _source(graph: Graph, tensor: Tensor) -> int:
    """The number of the input that a tensor is, seen through layers that only reshape."""
    while tensor.node is not None:
        tensor = tensor.node.inputs[0]
    return graph.inputs.index(tensor)


def step_weights(walk: Pass, counts: np.ndarray | None = None) -> np.ndarray:
    """The sum of row weights of each step of a pass; each times how much of the row counts, where that is given."""
    weight = walk.row_weight if counts is None else counts if walk.row_weight is None else counts * walk.row_weight
    if weight is None:
        weights = np.full(-(-walk.n_rows // walk.batch), float(walk.batch))
        weights[-1] = walk.n_rows - walk.batch * (len(weights) - 1)
        return weights
    weight = weight if walk.index is None else weight[walk.index]
    return np.add.reduceat(weight, np.arange(0, walk.n_rows, walk.batch))


def as_gatherable(X: Bundle, dtype: np.dtype) -> Bundle:
    """Arrays that the backends can read as they stand."""
    return bundles.each(lambda x: x if checks.is_gatherable(x) else np.ascontiguousarray(x, dtype), X)


def _gatherable_parts(X: Bundle, rows: int) -> Iterator[slice]:
    """All rows at once, or a block at a time where they must be converted."""
    n = bundles.n_rows(X)
    step = n if all(map(checks.is_gatherable, bundles.parts(X))) else rows
    return (slice(start, min(start + step, n)) for start in range(0, n, step))
