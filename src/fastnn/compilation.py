"""From layers and a loss to Programs, one for each thing a model does, and the Runs that wait for calls."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from . import backends, checks, passes
from .backends import Run
from .layers import Layer
from .losses import Loss
from .optimizers import Optimizer
from .parameters import Numbers
from .program import Builder, DType, Layout, Operand, Phase, Program, Segment

LARGEST_BLOCK = 4096  # rows: a step on more runs in blocks, which bounds the arena
CACHED_BLOCK = 1024  # rows whose activations stay in cache in narrow networks
CACHED_PARAMETERS = 64 * 1024  # bytes: what such a network has at the most
X_SLOT, TARGET_SLOT, WEIGHT_SLOT, OUTPUT_SLOT, DX_SLOT = range(5)  # the arrays that a caller binds


class Entry(NamedTuple):
    """Which Program of a model: what it computes and which arrays are bound."""

    kind: str  # "predict", "evaluate", "loss" (as in training), "gradient" or "train"
    labels: bool = False
    weighted: bool = False
    outputs: bool = False
    fused: bool = False
    direct: bool = False  # rows are read where they stand, in order; only "predict" checks them then
    part: str = ""  # of a "loss" or its "gradient": "data" without the penalties, "penalty" without data
    dx: bool = False  # the gradient of the inputs too
    probing: bool = False  # what layers pass on stays in the arena, to be looked at


class Compiled:
    """The Programs of a model, each made when first asked for."""

    def __init__(self, layers: Sequence[Layer], numbers: Numbers, loss: Loss | None = None,
                 optimizer: Optimizer | None = None) -> None:
        self.layers, self.numbers, self.loss, self.optimizer = layers, numbers, loss, optimizer
        self.trained = trained_layout(layers, numbers.parameters)
        self.programs: dict[Entry, Program] = {}
        self._idle: dict[tuple, list[Run]] = {}
        self._lock = threading.Lock()
        self._quick: Callable[[object], np.ndarray | None] | None = None
        self._quick_backend = ""

    @property
    def sums_rows(self) -> bool:
        """Whether the loss of a step is the sum over its rows, not their mean."""
        return self.loss is not None and self.loss.reduction == "sum"

    def program(self, entry: Entry) -> Program:
        """The Program of an entry."""
        if entry not in self.programs:
            self.programs[entry] = self._emit(entry)
        return self.programs[entry]

    def quick_predict(self, X: object) -> np.ndarray | None:
        """The outputs for a few rows of the model's own dtype, or None: then `borrow` is the way."""
        if backends.backend() != self._quick_backend:
            self._quick_backend = backends.backend()
            self._quick = backends.make_quick_predict(
                self.program(Entry("predict", outputs=True)), self.numbers.memory, self.layers[0].input_shape,
                self.layers[-1].output_shape[0])
        return None if self._quick is None else self._quick(X)

    def summary(self) -> str:
        """A table of layers, shapes, parameters and floating-point operations a sample."""
        flops: dict[str, int] = {}
        for o, n, _ in self.program(Entry("predict", outputs=True)).cost(1):
            flops[o.layer] = flops.get(o.layer, 0) + n
        rows = [("layer", "output shape", "parameters", "FLOPs a sample")]
        total = trained = 0
        moved = self.moved()
        for layer in self.layers:
            sizes = {s.name: math.prod(s.shape) for s in layer.segments.values()}
            n = sum(sizes.values())
            n_trained = sum(size for name, size in sizes.items() if name in moved)
            total, trained = total + n, trained + n_trained
            shape = f"(n, {', '.join(map(str, layer.output_shape))})"
            kind = f"{type(layer).__name__}{', frozen' * (n_trained < n)}"
            rows.append((f"{layer.name} ({kind})", shape, f"{n:,}", f"{flops.get(layer.name, 0):,}"))
        rows.append(("total", "", f"{total:,}", f"{sum(flops.values()):,}"))
        if trained < total:
            rows += [("trainable", "", f"{trained:,}", ""), ("non-trainable", "", f"{total - trained:,}", "")]
        i, j, k, m = (max(map(len, column)) for column in zip(*rows, strict=True))
        lines = (f"{a:<{i}}  {b:<{j}}  {c:>{k}}  {d:>{m}}" for a, b, c, d in rows)
        return "\n".join(map(str.rstrip, lines))

    def moved(self) -> Collection[str]:
        """Names of the parameters that training moves; before `compile`, as the layers have it now."""
        trained = self.trained if self.loss else trained_layout(self.layers, self.numbers.parameters)
        return trained.segments.keys()

    def warn_of_changes(self) -> None:
        """Warn where a layer's `trainable` has changed since `compile`: then it does not count yet."""
        now = trained_layout(self.layers, self.numbers.parameters).segments.keys()
        if changed := sorted({name.rpartition(".")[0] for name in now ^ self.trained.segments.keys()}):
            warnings.warn(f"trainable of {', '.join(map(repr, changed))} was changed since model.compile, "
                          "which did not see it; call model.compile again", stacklevel=3)

    @contextmanager
    def borrow(self, entry: Entry, rows: int) -> Iterator[Run]:
        """A Run of the caller's own, for blocks of at most `rows` rows; kept for the next caller."""
        key = entry, rows, backends.backend()
        with self._lock:
            run = self._idle[key].pop() if self._idle.get(key) else None
            program = self.program(entry)
        if run is None:
            if entry.kind == "train" and self.optimizer is not None:
                self.numbers.allocate_states(self.optimizer.initial_states)
            run = backends.make_run(program, self.numbers.memory, rows)
        try:
            yield run
        finally:
            for slot in range(DX_SLOT + 1):
                run.bind(slot, None)
            with self._lock:
                self._idle.setdefault(key, []).append(run)

    def _emit(self, entry: Entry) -> Program:
        b = Builder(self.numbers.parameters, self.numbers.persistent,
                    training=entry.kind in ("loss", "gradient", "train"), trained=self.trained)
        b.updates = entry.kind == "train"
        lowest = self._lowest(entry)
        b.differentiates = lowest < len(self.layers)
        b.stores_outputs, b.sums_rows = entry.outputs or entry.probing, self.sums_rows
        b.probing = entry.probing
        if entry.part == "penalty":
            b.differentiates = entry.kind == "gradient"
            self._emit_penalties(b)
            return passes.finish(b)
        n_in, n_out = math.prod(self.layers[0].input_shape), math.prod(self.layers[-1].output_shape)
        b.phase = Phase.GATHER
        value = self._rows(b, entry, X_SLOT, ("B", n_in), b.dtype, check_finite=1)
        b.probe("output", value)
        if entry.kind == "predict":
            if entry.direct:
                b.emit("check_rows", value)
            value = self._emit_forward(b, value, None, lowest)
        else:
            value, dy = self._emit_loss(b, value, entry, n_out, lowest)
        if entry.outputs:
            b.emit("store", value, b.bound(OUTPUT_SLOT, ("B", n_out), b.dtype))
        if b.differentiates:
            dx = self._emit_backward(b, dy, lowest, entry.dx)
            if entry.dx:
                if dx is None:
                    raise ValueError(f"layer {self.layers[0].name!r}: its backward gives no gradient of the "
                                     "inputs; with check_gradients(inputs=False) none is asked for")
                b.emit("store", dx, b.bound(DX_SLOT, ("B", n_in), b.dtype))
        b.phase, b.layer = Phase.BACKWARD, "loss"
        for row_loss, row_weight in b.losses:
            b.emit("loss_sum", row_loss, row_weight)
        if entry.kind != "predict" and entry.part != "data":
            self._emit_penalties(b)
        if entry.kind == "train":
            self._emit_update(b)
        return passes.finish(b, fuse_update=entry.fused)

    @staticmethod
    def _rows(b: Builder, entry: Entry, slot: int, shape: tuple, dtype: DType,
              check_finite: int = 0) -> Operand:
        """The block's rows of a bound array: where they stand, or gathered into the arena."""
        bound = b.bound(slot, shape, dtype)
        if entry.direct:
            return bound
        rows = b.arena(shape, dtype)
        b.emit("gather", bound, rows, check_finite=check_finite)
        return rows

    def block_rows(self, batch: int) -> int:
        """Rows of a block of a step on `batch` rows: all, unless that would take much memory; where adding
        up a gradient costs nothing, few enough that what passes between ops stays in cache. Where a layer
        looks across the rows of a step, all."""
        if batch <= CACHED_BLOCK or any(layer.across_rows for layer in self.layers):
            return batch
        small = self.numbers.memory.parameters.nbytes <= CACHED_PARAMETERS
        return CACHED_BLOCK if small else min(batch, LARGEST_BLOCK)

    def reads_direct(self, X: np.ndarray, y: np.ndarray | None = None) -> bool:
        """Whether the first layer can read these rows where they stand, and would gain by it.

        Then the loss does so with the targets, which must not be in a file: those are looked at on the way.
        """
        if y is not None and checks.is_memmap(y):
            return False
        first = next((layer for layer in self.layers if layer.emits), None)
        return first is not None and first.reads_unpadded and X.dtype == self.numbers.dtype and \
            checks.is_gatherable(X) and not checks.is_memmap(X) and X.strides[0] % 2048 != 0

    def _lowest(self, entry: Entry) -> int:
        """The lowest layer that a gradient must reach; past the last where there is no backward."""
        none = len(self.layers)
        if entry.dx:
            return 0
        if entry.kind not in ("gradient", "train"):
            return none
        return min((i for i, layer in enumerate(self.layers)
                    if any(s.name in self.trained.segments for s in layer.segments.values())), default=none)

    def _emit_forward(self, b: Builder, value: Operand, fused: str | None, lowest: int) -> Operand:
        """All layers; where the loss is `fused` with it, without the last activation.

        Those below `lowest` keep nothing for a backward.
        """
        b.phase, differentiates = Phase.FORWARD, b.differentiates
        for i, layer in enumerate(self.layers):
            b.layer, b.differentiates = layer.name, differentiates and i >= lowest
            value = layer.forward(b, value, activate=not (fused and layer is self.layers[-1]))
            b.probe("output", value)
        b.differentiates = differentiates
        return value

    def _emit_loss(self, b: Builder, value: Operand, entry: Entry, n_out: int,
                   lowest: int = 0) -> tuple[Operand, Operand | None]:
        """Targets, layers, loss: the network's output and the loss's gradient."""
        assert self.loss is not None
        target = self._rows(b, entry, TARGET_SLOT, ("B",), np.int64) if entry.labels else \
            self._rows(b, entry, TARGET_SLOT, ("B", n_out), b.dtype, check_finite=1)
        weight = self._rows(b, entry, WEIGHT_SLOT, ("B",), np.float64) if entry.weighted else None
        fused = self.loss.op(self.layers[-1].activation, n_out)
        value = self._emit_forward(b, value, fused, lowest)
        b.phase, b.layer = Phase.LOSS, "loss"
        value, dy = self.loss.emit(b, value, target, weight, fused, gradient=b.differentiates)
        b.layer = self.layers[-1].name
        b.probe("output", value)  # the loss contains its activation
        b.layer = "loss"
        return value, dy

    def _emit_backward(self, b: Builder, dy: Operand | None, lowest: int = 0,
                       need_dx: bool = False) -> Operand | None:
        """The layers down to `lowest`; where `need_dx`, the gradient of what enters that."""
        b.phase = Phase.BACKWARD
        for i in reversed(range(lowest, len(self.layers))):
            assert dy is not None  # what need_dx asked for
            b.layer = self.layers[i].name
            dy = self.layers[i].backward(b, dy, need_dx=need_dx or i > lowest)
        return dy

    def _segments(self, b: Builder) -> Iterator[Segment]:
        """The parameter arrays that are trained; the ops emitted meanwhile are their layers'."""
        for layer in self.layers:
            b.layer = layer.name
            yield from filter(b.trains, layer.segments.values())

    def _emit_penalties(self, b: Builder) -> None:
        """What regularizers add to the loss and, where there is one, to the gradient."""
        b.phase = Phase.TRANSFORM
        for segment in self._segments(b):
            if segment.regularizer is not None:
                segment.regularizer.emit(b, segment)

    def _emit_update(self, b: Builder) -> None:
        """Clipping, the optimizer's step, constraints."""
        assert self.optimizer is not None
        trained = list(self._segments(b))
        b.phase, b.layer = Phase.TRANSFORM, "clipping"
        self.optimizer.clipping.emit(b, trained)
        b.phase = Phase.UPDATE
        for segment in self._segments(b):
            self.optimizer.emit(b, segment)
        for segment in self._segments(b):
            if segment.constraint is not None:
                segment.constraint.emit(b, segment)


def trained_layout(layers: Sequence[Layer], parameters: Layout) -> Layout:
    """The layout of the parameters without those that are frozen, as the layers have it now."""
    return parameters.without({s.name for layer in layers for s in layer.segments.values()
                               if not (layer.trainable and s.trainable)})
