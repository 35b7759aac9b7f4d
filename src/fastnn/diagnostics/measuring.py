"""What a network looks like inside: figures of every layer from one gradient of a twin of the model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import bundles, checks
from ..activations import Choice
from ..backends import Pass
from ..bundles import Bundle
from ..compilation import TARGET_SLOT, WEIGHT_SLOT, X_SLOT, n_out
from ..divergence import DivergenceError
from ..inference import adapt, as_gatherable, bind
from ..layers import InputLayer, Layer
from ..layers.tensor import Tensor
from ..model import Model
from ..training import train_on_batch
from .curvature import extreme_curvatures
from .flatness import FLAT, flatness, slopes

DEAD = 1e-3  # of the steepest slope, on every row: the unit does not learn
PROBE_ROWS = 512  # that are looked at
CLASSES = ("labels_or_rows", "labels", "binary", "signs")  # kinds of targets
BINS = 40  # of a histogram


@dataclass(frozen=True, eq=False)
class LayerFigures:
    """What one layer looks like on the probed rows; NaN where it has no such thing.

    Attributes
    ----------
    name, kind, activation : str
        The layer's name, class and activation ("identity" where the loss contains it).
    flat_ends : int
        How many ends of the activation are flat: 2 for sigmoid, 1 for ReLU.
    shape : tuple of int
        Of the weights, () without.
    pre_mean, pre_std, mean, std : float
        Of the pre-activations z and of the outputs y = f(z), over rows and units.
    spread : float
        Root mean square over the units of an output's standard deviation over the rows: the signal.
    saturated : float
        Share of the values whose slope f'(z) is below 6% of the steepest. Half is normal for ReLU.
    dead : float
        Share of the units whose slope is below 0.1% of the steepest on every row.
    alike : float
        Share of the units that have a twin: the same weights in and out.
    delta : float
        Root mean square over the rows of the norm of the gradient of z (Nielsen's error delta).
    gradient : float
        Norm of the gradient of the layer's parameters that are trained.
    weight_norm, weight_std, bias_mean : float
        Of the weights (all parameters but the bias), and of the bias.
    update_ratio : float
        Norm of the weights' change in one step by that of the weights.
    histograms : dict
        "activations" and "gradients" (of z): counts and their edges, where asked for.
    """

    name: str
    kind: str
    activation: str
    flat_ends: int
    shape: tuple[int, ...]
    pre_mean: float
    pre_std: float
    mean: float
    std: float
    spread: float
    saturated: float
    dead: float
    alike: float
    delta: float
    gradient: float
    weight_norm: float
    weight_std: float
    bias_mean: float
    update_ratio: float
    histograms: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


SCALARS = tuple(name for name, kind in LayerFigures.__annotations__.items() if kind == "float")


@dataclass(frozen=True, eq=False)
class Measurement:
    """A network at one moment.

    Attributes
    ----------
    update : int
        Updates done before.
    loss, penalty : float
        The loss on the probed rows as training sees it, and the part of it that regularizers add; NaN where
        there is none.
    gradient : float
        Norm of the whole gradient.
    reach : float
        Norm of all weights, or of Xavier's where that is larger: how far a training goes.
    inputs : numpy.ndarray, shape (features,)
        Root mean square of each feature, of all inputs side by side, as it reaches the first layer with parameters.
    input_spread : float
        Root mean square over those features of their standard deviation over the rows.
    layers : tuple of LayerFigures
        Those with parameters or an activation.
    """

    update: int
    loss: float
    penalty: float
    gradient: float
    reach: float
    inputs: np.ndarray
    input_spread: float
    layers: tuple[LayerFigures, ...]

    @property
    def data_loss(self) -> float:
        """The loss without penalties."""
        return self.loss - (0.0 if math.isnan(self.penalty) else self.penalty)


def counted_rows(X: Bundle, weight: np.ndarray | None) -> np.ndarray:
    """The numbers of the rows whose weight is not 0, as it is where a label is ignored."""
    return np.arange(bundles.n_rows(X)) if weight is None else np.flatnonzero(weight)


def sample_rows(model: Model, X: Bundle, y: Bundle, weight: np.ndarray | None, n: int,
                ) -> tuple[Any, Any, np.ndarray | None]:
    """At most n of the rows that count, drawn by the model's seed; arrays of their own."""
    rows = counted_rows(X, weight)
    if len(rows) > n:
        rows = np.sort(np.random.default_rng([model.seed, 3]).choice(rows, n, replace=False))
    return bundles.take(X, rows), bundles.take(y, rows), bundles.take(weight, rows)


def last_layers(model: Model) -> list[Layer]:
    """The layers with weights that the outputs come from, with no other such layer between."""
    found: dict[Layer, None] = {}
    stack = list(model._graph.outputs)
    while stack:
        node = stack.pop().node
        if node is not None and "weight" in node.layer.segments:
            found[node.layer] = None
        elif node is not None:
            stack += node.inputs
    return list(found)


class Probe:
    """Looks into a model through a twin of it, so that the model itself stays as it is, bit for bit.

    Parameters
    ----------
    model : Model
        Compiled.
    X, y, weight
        The rows to look at, checked.
    batch_size : int
        Rows of the step whose size is measured.
    """

    def __init__(self, model: Model, X: Bundle, y: Bundle, weight: np.ndarray | None,
                 batch_size: int) -> None:
        self.model, self.twin = model, model.copy()
        self.X = as_gatherable(X, model.dtype)
        self.y, self.weight, self.batch_size = y, weight, batch_size
        self.fused = {head.tensor.name for head in model._compiled.heads if head.fused}

    def mirror(self) -> None:
        """Give the twin all numbers of the model."""
        model, twin = self.model, self.twin
        assert model.optimizer is not None and twin.optimizer is not None
        twin.load_state_dict(model._numbers.all_arrays())
        twin._numbers.set_states(model._numbers.states(), model.optimizer.initial_states)
        twin.update_count = model.update_count
        twin.optimizer.learning_rate = model.optimizer.learning_rate
        adapt(twin, self.X)

    def measure(self, histograms: bool = False) -> Measurement:
        """The model as it is now: one gradient on the probed rows, one step on a batch of them."""
        self.mirror()
        loss, arrays = self.gradient()
        gradients = {name: g.copy() for name, g in self.twin._numbers.named_gradients().items()}
        ratios = self._update_ratios()
        with np.errstate(all="ignore"):
            layers = tuple(self._figures(layer, arrays, gradients, ratios, histograms)
                           for layer in self._shown(arrays))
            inputs = [a.reshape(len(a), -1).astype(np.float64) for a in self._reaching(arrays)]
            return Measurement(
                update=self.model.update_count, loss=loss, penalty=_penalty(arrays),
                gradient=_norm(list(gradients.values())), reach=self._reach(),
                inputs=np.concatenate([np.sqrt((a ** 2).mean(axis=0)) for a in inputs]),
                input_spread=float(np.sqrt(np.concatenate([a.var(axis=0) for a in inputs]).mean())), layers=layers)

    def gradient(self) -> tuple[float, dict[tuple[str, str], np.ndarray]]:
        """The twin's loss and what its layers pass on, in the same pass that leaves the gradients."""
        model, n = self.twin, bundles.n_rows(self.X)
        entry = model._compiled.entry("gradient", self.y, self.weight, probing=True)
        with model._compiled.borrow(entry, n, model._compiled.time(self.X)) as run:
            for slot, bundle in ((X_SLOT, self.X), (TARGET_SLOT, self.y), (WEIGHT_SLOT, self.weight)):
                bind(run, slot, bundle)
            losses = np.zeros(1)
            run.begin(Pass(n, n, n, row_weight=self.weight, losses=losses, update_count=model.update_count,
                           seed=model.seed))
            run.execute(0, 1)
            arrays = {key: run.view(operand, n).copy() for key, operand in run.program.probes.items()}
        return float(losses[0]), arrays

    def uninformed_loss(self) -> float:
        """The data's loss where the last layers with weights say nothing: ln C for C classes."""
        last = last_layers(self.twin)
        if not last:
            return math.nan
        self.mirror()
        for layer in last:
            for name in layer.segments:
                getattr(layer, name)[...] = 0
        loss, arrays = self.gradient()
        penalty = _penalty(arrays)
        return loss if math.isnan(penalty) else loss - penalty

    def curvatures(self) -> tuple[float, float]:
        """The lowest and the highest eigenvalue of the Hessian, at the weights that were measured last."""
        twin = self.twin.copy(dtype="float64")
        return extreme_curvatures(twin.bind(self.X, self.y, self.weight), twin.named_parameters())

    # ---- the parts of a measurement ----

    def _shown(self, arrays: dict[tuple[str, str], np.ndarray]) -> Iterator[Layer]:
        for layer in self.twin.layers:
            if layer.segments or (layer.name, "pre_activation") in arrays:
                yield layer

    def _users(self, tensor: Tensor) -> list[Any]:
        return [node for node in self.twin._graph.nodes if tensor in node.inputs]

    def _reaching(self, arrays: dict[tuple[str, str], np.ndarray]) -> Iterator[np.ndarray]:
        """The inputs as the first layer that is none of their normalisation sees them; of tokens, their vectors."""
        for i, tensor in enumerate(self.twin._graph.inputs):
            users = self._users(tensor)
            if not users:
                continue
            array = arrays["", f"input {i}"]
            if users[0].layer.takes_tokens:
                array = arrays[users[0].layer.name, "output"]
            while len(users) == 1 and len(users[0].inputs) == 1 and not users[0].layer.segments:
                if isinstance(users[0].layer, InputLayer):
                    array = arrays.get((users[0].layer.name, "output"), array)
                users = self._users(users[0].outputs[0])
            yield array

    def _update_ratios(self) -> dict[str, float]:
        """How far one step moves each parameter, relative to it; the twin's parameters are put back."""
        twin, n = self.twin, self.batch_size
        parameters = twin._numbers.memory.parameters
        assert twin.optimizer is not None
        before, moves = parameters.copy(), twin.optimizer.rate_factor
        views = {name: view for name, view in twin.named_parameters().items()
                 if name in twin._numbers.trained.segments and moves(name)}
        norms = {name: _norm([view]) for name, view in views.items()}
        try:
            train_on_batch(twin, *(bundles.take(a, slice(n)) for a in (self.X, self.y, self.weight)))
        except DivergenceError:
            return dict.fromkeys(views, math.inf)
        finally:
            parameters -= before
            moved = {name: _norm([view]) for name, view in views.items()}
            parameters[...] = before
        return {name: moved[name] / norms[name] if norms[name] else math.nan for name in views}

    def _reach(self) -> float:
        weights = [view for view in self.twin.named_parameters().values() if view.ndim > 1]
        xavier = sum(2 * view.size / (math.prod(view.shape[:-1]) + view.shape[-1]) for view in weights)
        return math.sqrt(max(_norm(weights) ** 2, xavier))

    def _figures(self, layer: Layer, arrays: dict[tuple[str, str], np.ndarray],
                 gradients: dict[str, np.ndarray], ratios: dict[str, float],
                 histograms: bool) -> LayerFigures:
        y = arrays[layer.name, "output"]
        z, delta = arrays.get((layer.name, "pre_activation")), arrays.get((layer.name, "delta"))
        choice = getattr(layer, "choice", Choice())
        if layer.name in self.fused:
            choice = Choice()
        shape = flatness(choice)
        slope = None if z is None else slopes(choice, z, y)
        small = None if slope is None else np.abs(slope) / shape.steepest
        own = [name for name in layer.segments if name != "bias"]
        weights = [getattr(layer, name) for name in own]
        learning = [s.name for s in layer.segments.values() if s.name in gradients]
        found = {"activations": y, "gradients": delta} if histograms else {}
        return LayerFigures(
            name=layer.name, kind=type(layer).__name__, activation=choice.name, flat_ends=shape.flat_ends,
            shape=weights[0].shape if weights else (),
            pre_mean=_mean(z), pre_std=_std(z), mean=_mean(y), std=_std(y),
            spread=float(np.sqrt(y.astype(np.float64).var(axis=0).mean())),
            saturated=math.nan if small is None else float((small < FLAT).mean()),
            dead=math.nan if small is None else float((small < DEAD).all(axis=0).mean()),
            alike=self._alike(layer),
            delta=math.nan if delta is None else _norm([delta]) * math.sqrt(len(delta)),
            gradient=_norm([gradients[name] for name in learning]) if learning else math.nan,
            weight_norm=_norm(weights) if weights else math.nan,
            weight_std=_std(weights[0]) if weights else math.nan,
            bias_mean=_mean(layer.bias) if "bias" in layer.segments else math.nan,
            update_ratio=ratios.get(layer.segments[own[0]].name, math.nan) if own else math.nan,
            histograms={name: _histogram(a) for name, a in found.items() if a is not None})

    def _alike(self, layer: Layer) -> float:
        """Share of a layer's units with a twin in it, found by projecting weights onto random directions."""
        above = self._weight_above(layer)
        if above is None or layer.weight.ndim != 2 or layer.weight.shape[1] < 2 or \
                above.shape[0] != layer.weight.shape[1]:
            return math.nan
        rng = np.random.default_rng(0)
        sides = [layer.weight.astype(np.float64).T @ rng.standard_normal(layer.weight.shape[0]),
                 above.astype(np.float64) @ rng.standard_normal(above.shape[1])]
        if "bias" in layer.segments:
            sides.append(layer.bias.astype(np.float64))
        keys = np.stack([np.round(side / (np.abs(side).max() or 1.0), 5) for side in sides], axis=1)
        _, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
        return float((counts[inverse.ravel()] > 1).mean())


    def _weight_above(self, layer: Layer) -> np.ndarray | None:
        """The matrix that alone takes what the layer gives, if it has weights itself and there is one."""
        nodes = [node for node in self.twin._graph.nodes if node.layer is layer]
        while "weight" in layer.segments and len(nodes) == 1 and len(nodes[0].outputs) == 1:
            nodes = self._users(nodes[0].outputs[0])
            if len(nodes) == 1 and "weight" in nodes[0].layer.segments:
                return nodes[0].layer.weight if nodes[0].layer.weight.ndim == 2 else None
        return None


def _penalty(arrays: dict[tuple[str, str], np.ndarray]) -> float:
    parts = [float(a.sum()) for (_, role), a in arrays.items() if role.startswith("penalty")]
    return sum(parts) if parts else math.nan


def _norm(arrays: list[np.ndarray]) -> float:
    return math.sqrt(sum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays))


def _mean(a: np.ndarray | None) -> float:
    return math.nan if a is None else float(a.mean(dtype=np.float64))


def _std(a: np.ndarray | None) -> float:
    return math.nan if a is None else float(a.std(dtype=np.float64))


def _histogram(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of the finite values in equal bins from the least to the largest."""
    finite = a[np.isfinite(a)].astype(np.float64)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    size = max(abs(low), abs(high))
    if high - low <= 1e-6 * size or size == 0:  # one value: a bin must have a width
        low, high = low - 0.5 * (size or 1.0), high + 0.5 * (size or 1.0)
    bins = ((finite - low) * (BINS / (high - low))).astype(np.intp)  # five times as fast as np.histogram
    counts = np.bincount(np.minimum(bins, BINS - 1), minlength=BINS)
    return counts, np.linspace(low, high, BINS + 1)


def usual_start(model: Model, uninformed: float) -> tuple[float, float]:
    """Between what an untrained network's loss should lie, given that of one that says nothing.

    Within a factor of 2 for classes, or half of ln C more, where the loss of one that says nothing is small;
    at most 10 times that for other targets, whose size says little about what is usual.
    """
    if not classifies(model):
        return 0.0, 10.0 * uninformed
    share = sum(head.weight * math.log(max(2, n_out(head.tensor))) for head in model._compiled.heads) / 2
    return uninformed / 2, max(2 * uninformed, uninformed + share)


def classifies(model: Model) -> bool:
    """Whether all targets are classes."""
    return all(model._target_kind(i) in CLASSES for i in range(len(model.output_names)))


def checked(model: Model, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, np.ndarray | None]:
    """The arguments of `fastnn.diagnose` and others, as `fit` checks them."""
    checks.known_model(model)._require_compiled()
    if not model._numbers.trained.segments:
        raise ValueError("model: expected layers with parameters that are trained, such as Dense; got none")
    return model._checked(X, y, sample_weight)
