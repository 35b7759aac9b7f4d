"""From a graph of layers and losses to Programs, one for each thing a model does, and the Runs that wait for calls."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from . import backends, bundles, checks, passes
from .backends import Run
from .bundles import Bundle
from .graph import Graph, Walk, in_layout
from .layers import Layer
from .layers.tensor import Tensor
from .losses import Loss
from .operands import PAD, Layout, Operand, Segment, Space
from .optimizers import Optimizer
from .parameters import Numbers
from .program import Builder, Phase, Program, kept

LARGEST_BLOCK = 4096  # rows: a step on more runs in blocks, which bounds the arena
CACHED_BLOCK = 1024  # rows whose activations stay in cache in narrow networks
CACHED_IMAGES = 3 * 2 ** 19  # bytes of layers' outputs that stay in cache
LEAST_IMAGES = 4 * PAD  # of a block: enough for several threads
CACHED_PARAMETERS = 64 * 1024  # bytes: what such a network has at the most
X_SLOT, TARGET_SLOT, WEIGHT_SLOT, OUTPUT_SLOT, DX_SLOT = range(5)  # the arrays that a caller binds:
SLOTS = 5  # of the i-th input or output it is the number above and i times this
MOST_VALUES = 8  # inputs or outputs of a model
KEPT_KINDS = 64  # of Runs, by entry and sizes


class Entry(NamedTuple):
    """Which Program of a model: what it computes and which arrays are bound."""

    kind: str  # "predict", "evaluate", "loss" (as in training), "gradient", "train", "forward" or "update"
    labels: bool | tuple[bool, ...] = False  # of each output's targets, whether they are labels
    weighted: bool = False
    outputs: bool = False
    fused: bool = False
    direct: bool = False  # rows are read where they stand, in order; only "predict" checks them then
    part: str = ""  # of a "loss" or its "gradient": "data" without the penalties, "penalty" without data,
    # "statistics" for those that layers keep of a batch; of a "forward": "inputs" without the gradients of parameters
    dx: bool = False  # the gradient of the inputs too
    probing: bool = False  # what layers pass on stays in the arena, to be looked at


class Head(NamedTuple):
    """An output of the graph with its loss and that loss's weight in the sum."""

    tensor: Tensor
    loss: Loss
    weight: float
    activation: str  # of the layer that makes it
    fused: str | None  # the loss's op that takes the activation's input


class Compiled:
    """The Programs of a model, each made when first asked for."""

    def __init__(self, graph: Graph, numbers: Numbers, losses: Sequence[Loss] = (),
                 optimizer: Optimizer | None = None, loss_weights: Sequence[float] | None = None) -> None:
        self.graph, self.numbers, self.optimizer = graph, numbers, optimizer
        self.layers = graph.layers
        weights = [1.0] * len(losses) if loss_weights is None else loss_weights
        self.heads = [head_of(graph, i, loss, weight)
                      for i, (loss, weight) in enumerate(zip(losses, weights, strict=True))]
        self.trained = trained_layout(graph.layers, numbers.parameters)
        self.programs: dict[Entry, Program] = {}
        self._idle: dict[tuple, list[Run]] = {}
        self._quick: Callable[[object], np.ndarray | None] | None = None
        self._quick_backend = ""

    @property
    def sums_rows(self) -> bool:
        """Whether the loss of a step is the sum over its rows, not their mean."""
        return any(head.loss.reduction == "sum" for head in self.heads)

    def entry(self, kind: str, y: Bundle | None, weight: np.ndarray | None, **settings: Any) -> Entry:
        """The entry for checked targets and weights."""
        kinds = tuple(a.ndim == len(head.tensor.shape)
                      for a, head in zip(bundles.parts(y), self.heads, strict=True))
        return Entry(kind, kinds[0] if len(kinds) == 1 else kinds, weight is not None, **settings)

    def program(self, entry: Entry) -> Program:
        """The Program of an entry."""
        if entry not in self.programs:
            self.programs.setdefault(entry, self._emit(entry))  # of two threads the first
        return self.programs[entry]

    def forget(self) -> None:
        """Make every Program anew when it is next asked for."""
        self.programs, self._idle = {}, {}

    def quick_predict(self, X: object) -> np.ndarray | None:
        """The outputs for a few rows of the model's own dtype, or None: then `borrow` is the way."""
        if (backend := backends.backend()) != self._quick_backend:
            quick, graph = None, self.graph
            if len(graph.inputs) == len(graph.outputs) == len(graph.outputs[0].shape) == 1 and \
                    not self.tokens(graph.inputs[0]):
                program = self.program(Entry("predict", outputs=True))
                if program.time == 0:
                    quick = backends.make_quick_predict(
                        program, self.numbers.memory, checks.known_shape(None, graph.inputs[0].shape),
                        n_out(graph.outputs[0]))
            self._quick, self._quick_backend = quick, backend
        return None if self._quick is None else self._quick(X)

    def moved(self) -> Collection[str]:
        """Names of the parameters that training moves; before `compile`, as the layers have it now."""
        trained = self.trained if self.heads else trained_layout(self.layers, self.numbers.parameters)
        return trained.segments.keys()

    def warn_of_changes(self) -> None:
        """Warn where a layer's `trainable` has changed since `compile`: then it does not count yet."""
        now = trained_layout(self.layers, self.numbers.parameters).segments.keys()
        if changed := sorted({name.rpartition(".")[0] for name in now ^ self.trained.segments.keys()}):
            warnings.warn(f"trainable of {', '.join(map(repr, changed))} was changed since model.compile, "
                          "which did not see it; call model.compile again", stacklevel=3)

    @contextmanager
    def borrow(self, entry: Entry, rows: int, time: int = 1) -> Iterator[Run]:
        """A Run of the caller's own, for blocks of at most `rows` rows; kept for the next caller.

        `time` is the number of steps that the input has, where the graph does not say.
        """
        idle = kept(self._idle, (entry, rows, time, backends.backend()), list, KEPT_KINDS)
        program = self.program(entry)
        try:
            run = idle.pop()
        except IndexError:
            if entry.kind in ("train", "update") and self.optimizer is not None:
                self.numbers.allocate_states(self.optimizer.initial_states)
            run = backends.make_run(program, self.numbers.memory, rows, time)
        try:
            yield run
        finally:
            for slot in range(SLOTS * max(len(self.graph.inputs), len(self.graph.outputs))):
                run.bind(slot, None)
            idle.append(run)

    def time(self, X: Bundle) -> int:
        """How many steps in time these inputs have, where the graph leaves it to them."""
        steps = {x.shape[1] for x, tensor in zip(bundles.parts(X), self.graph.inputs, strict=True)
                 if tensor.shape[0] is None}
        if len(steps) > 1:
            raise ValueError(f"X: expected inputs of the same number of steps in time, got {sorted(steps)}")
        return steps.pop() if steps else 1

    def _emit(self, entry: Entry) -> Program:
        b = Builder(self.numbers.parameters, self.numbers.persistent,
                    training=entry.kind in ("loss", "gradient", "train", "forward"), trained=self.trained)
        b.anew = entry.part == "statistics"
        b.updates = b.anew or entry.kind == "train" or (entry.kind == "forward" and entry.part != "inputs")
        b.differentiates = entry.dx or entry.kind in ("gradient", "train", "forward")
        b.stores_outputs, b.sums_rows = entry.outputs or entry.probing, self.sums_rows
        b.probing = entry.probing
        if entry.part == "penalty":
            b.differentiates = entry.kind == "gradient"
            self._emit_penalties(b)
            return passes.finish(b)
        if entry.kind == "update":
            b.differentiates = True  # penalties add to the gradients that are there
            self._emit_penalties(b)
            self._emit_update(b)
            return passes.finish(b)
        walk = Walk(self.graph, b, entry.dx)
        b.differentiates = walk.differentiates
        b.phase = Phase.GATHER
        for i, tensor in enumerate(self.graph.inputs):
            if tensor not in self.graph.n_uses:
                continue
            walk.values[tensor] = x = self._input(b, entry, i)
            b.probe(f"input {i}", x)
            if entry.direct and entry.kind == "predict":
                b.emit("check_rows", x)
        if entry.kind in ("predict", "forward"):
            walk.forward()
            shown = [walk.value_in(t, "time" if len(t.shape) == 2 else "rows") for t in self.graph.outputs]
        else:
            shown = self._emit_losses(b, walk, entry)
        if entry.outputs:
            for i, value in enumerate(shown):
                self._store(b, value, OUTPUT_SLOT + SLOTS * i, self.graph.outputs[i])
        if entry.kind == "forward":
            b.phase = Phase.BACKWARD
            for i, tensor in enumerate(self.graph.outputs):
                walk.add_gradient(tensor, self._rows(b, entry, TARGET_SLOT + SLOTS * i, tensor.shape, b.dtype,
                                                     time=len(tensor.shape) == 2))
        if b.differentiates:
            walk.backward()
        if entry.dx:
            self._emit_input_gradients(b, walk)
        if entry.part == "inputs":
            b.ops = [o for o in b.ops if any(a.space is not Space.GRADIENT for a in o.writes) or not o.writes]
        b.phase, b.layer = Phase.BACKWARD, "loss"
        for i, (row_loss, row_weight) in enumerate(b.losses):
            b.emit("loss_sum", row_loss, row_weight, factor=b.loss_factors[i], more=i)
        if entry.kind not in ("predict", "forward") and entry.part != "data":
            self._emit_penalties(b)
        if entry.kind == "train":
            self._emit_update(b)
        return passes.finish(b, fuse_update=entry.fused)

    # ---- what enters and leaves ----

    def tokens(self, tensor: Tensor) -> bool:
        """Whether an input is whole numbers."""
        return any(node.layer.takes_tokens for node in self.graph.nodes if tensor in node.inputs)

    def most_tokens(self, tensor: Tensor) -> int:
        """How many different whole numbers an input may be."""
        return min(node.layer.n_tokens for node in self.graph.nodes
                   if tensor in node.inputs and node.layer.takes_tokens)

    def _input(self, b: Builder, entry: Entry, i: int) -> Operand:
        tensor = self.graph.inputs[i]
        layouts = next(node.layer.layouts for node in self.graph.nodes if tensor in node.inputs)
        tokens = self.tokens(tensor)
        time = tokens or None in tensor.shape or (len(tensor.shape) == 2 and layouts[0] == "time")
        if layouts[0] == "lanes" and not time and len(tensor.shape) in (2, 3):
            sizes = checks.known_shape(None, tensor.shape)
            images = b.arena(("B", *[1] * (3 - len(sizes)), *sizes), layout="lanes")
            bound = b.bound(X_SLOT + SLOTS * i, ("B", math.prod(sizes)), b.dtype)
            b.emit("gather_lanes", bound, images, check_finite=1)
            return images
        return self._rows(b, entry, X_SLOT + SLOTS * i, tensor.shape, np.int64 if tokens else b.dtype,
                          check_finite=int(not tokens), time=time)

    @staticmethod
    def _rows(b: Builder, entry: Entry, slot: int, shape: tuple, dtype: type | np.dtype,
              check_finite: int = 0, time: bool = False) -> Operand:
        """The block's rows of a bound array: where they stand, or gathered into the arena.

        Those of `time` become rows of steps; a sample is so many steps, each a whole number or of features.
        """
        if time:
            b.set_time(shape[0])
            rows = b.arena(("BT", *shape[1:]), dtype)
            b.emit("gather_time", b.bound(slot, ("B", "T", *shape[1:]), dtype), rows, check_finite=check_finite)
            return rows
        n = (math.prod(shape),) if shape else ()
        bound = b.bound(slot, ("B", *n), dtype)
        if entry.direct:
            return bound
        rows = b.arena(("B", *n), dtype)
        b.emit("gather", bound, rows, check_finite=check_finite)
        return rows

    @staticmethod
    def _store(b: Builder, value: Operand, slot: int, tensor: Tensor) -> None:
        time, sizes = value.layout == "time", [n for n in tensor.shape if n is not None]
        shape = ("B", "T", sizes[-1]) if time else ("B", math.prod(sizes))
        b.emit("store_time" if time else "store", value, b.bound(slot, shape, b.dtype))

    def block_rows(self, batch: int) -> int:
        """Rows of a block of a step on `batch` rows: all, unless that would take much memory; where adding
        up a gradient costs nothing, or rows are images, few enough that what passes between ops stays in cache.
        Where a layer looks across the rows of a step, all."""
        if any(layer.across_rows for layer in self.layers):
            return batch
        pixels = sum(math.prod(n or 1 for n in shape) for layer in self.layers if layer.layouts[0] == "lanes"
                     for shape in layer.output_shapes)
        if pixels:
            cached = CACHED_IMAGES // (pixels * self.numbers.dtype.itemsize) // PAD * PAD
            return min(batch, max(LEAST_IMAGES, cached))
        if batch <= CACHED_BLOCK:
            return batch
        small = self.numbers.memory.parameters.nbytes <= CACHED_PARAMETERS
        return CACHED_BLOCK if small else min(batch, LARGEST_BLOCK)

    def reads_direct(self, X: Bundle, y: Bundle | None = None) -> bool:
        """Whether the first layer can read these rows where they stand, and would gain by it.

        Then the loss does so with the targets, which must not be in a file: those are looked at on the way.
        """
        if not isinstance(X, np.ndarray) or isinstance(y, tuple) or len(self.graph.outputs[0].shape) != 1:
            return False
        if y is not None and checks.is_memmap(y):
            return False
        return self._reads_unpadded(self.graph.inputs[0]) and X.dtype == self.numbers.dtype and \
            checks.is_gatherable(X) and not checks.is_memmap(X) and X.strides[0] % 2048 != 0

    def _reads_unpadded(self, tensor: Tensor) -> bool:
        """Whether every layer that takes a tensor can read it in rows of the caller's."""
        takers = [node for node in self.graph.nodes if tensor in node.inputs]
        return bool(takers) and all(
            "rows" in node.layer.layouts and (node.layer.reads_unpadded or not node.layer.emits and
                                              all(map(self._reads_unpadded, node.outputs))) for node in takers)

    def _emit_input_gradients(self, b: Builder, walk: Walk) -> None:
        for i, tensor in enumerate(self.graph.inputs):
            if self.tokens(tensor) or tensor not in self.graph.n_uses:
                continue
            if tensor not in walk.gradients:
                raise ValueError(f"layer {self.layers[0].name!r}: its backward gives no gradient of the "
                                 "inputs; with check_gradients(inputs=False) none is asked for")
            dx = walk.gradients[tensor]
            if dx.layout == "lanes":
                dx = in_layout(b, dx, tensor.shape, "rows")
            self._store(b, dx, DX_SLOT + SLOTS * i, tensor)

    # ---- losses, penalties, updates ----

    def _emit_losses(self, b: Builder, walk: Walk, entry: Entry) -> list[Operand]:
        """Targets, layers, losses: the network's outputs; the gradients of the losses are in the walk."""
        labels = entry.labels if isinstance(entry.labels, tuple) else (entry.labels,)
        targets = [self._target(b, entry, i, labels[i]) for i in range(len(self.heads))]
        weight = self._rows(b, entry, WEIGHT_SLOT, (), np.float64) if entry.weighted else None
        walk.forward(head.tensor for head in self.heads if head.fused)
        shown = []
        for head, target, has_labels in zip(self.heads, targets, labels, strict=True):
            b.phase, b.layer = Phase.LOSS, "loss"
            layout = "time" if len(head.tensor.shape) == 2 else "rows"
            value, own_weight = walk.value_in(head.tensor, layout), weight
            if layout == "time":
                own_weight = b.arena(("BT",), np.float64)
                b.emit("time_weights", weight, b.mask_of(value), target if has_labels else None, own_weight)
            value, dy = head.loss.emit(b, value, target, own_weight, head.fused,
                                       gradient=walk.live[head.tensor])
            b.loss_factors += [head.weight] * (len(b.losses) - len(b.loss_factors))
            if dy is not None and head.weight != 1:
                b.emit("scale", dy, dy, factor=head.weight)
            walk.add_gradient(head.tensor, dy)
            shown.append(value)
            b.layer = head.tensor.name
            b.probe("output", value)  # the loss contains its activation
        b.layer = "loss"
        return shown

    def _target(self, b: Builder, entry: Entry, i: int, labels: bool) -> Operand:
        shape = self.heads[i].tensor.shape
        return self._rows(b, entry, TARGET_SLOT + SLOTS * i, shape[:-1] if labels and len(shape) < 3 else shape,
                          np.int64 if labels else b.dtype, int(not labels), len(shape) == 2)

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


def head_of(graph: Graph, i: int, loss: Loss, weight: float = 1.0) -> Head:
    """An output with its loss.

    Raises
    ------
    ValueError
        If the loss does not go with the activation at the output's end.
    """
    tensor = graph.outputs[i]
    activation = tensor.node.layer.activation if tensor.node else "identity"
    fused = loss.op(activation, n_out(tensor))
    if fused and graph.final(i) is None:
        raise ValueError(f"loss: {loss.name} contains the activation of layer {tensor.name!r}, whose output goes "
                         "to another layer too; give that layer no activation and put a fastnn.Activation after it")
    return Head(tensor, loss, weight, activation, fused)


def n_out(tensor: Tensor) -> int:
    """Numbers in a row of outputs: of a step in time, where there are two axes."""
    shape: Iterable[int | None] = tensor.shape[1:] if len(tensor.shape) == 2 else tensor.shape
    return math.prod(int(n) for n in shape if n is not None)


def trained_layout(layers: Sequence[Layer], parameters: Layout) -> Layout:
    """The layout of the parameters without those that are frozen, as the layers have it now."""
    return parameters.without({s.name for layer in layers for s in layer.segments.values()
                               if not (layer.trainable and s.trainable)})
