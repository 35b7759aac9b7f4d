"""Models: layers in a row, compiled into Programs."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks, losses, optimizers
from .backends import Pass
from .compilation import X_SLOT, Compiled, Entry
from .history import History
from .layers import LAYERS, Layer, Standardize
from .layers.base import Vectors
from .metrics import Metric, resolve_all
from .parameters import Numbers, assign, copies
from .program import Layout

if TYPE_CHECKING:
    from .profiling import Profile

SMALL = 4096  # elements of X: fewer are copied, which looks at their values on the way
PREDICT_ROWS = 256  # rows of a block in prediction and evaluation, unless told otherwise


class Sequential:
    """A network of layers in a row.

    Parameters
    ----------
    layers : sequence of Layer
        First to last. A layer belongs to one model.
    input_shape : tuple of int
        Shape of one sample, such as ``(784,)`` or ``(28, 28)``.
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.
    seed : int
        Fixes initial weights and shuffling.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> model = fnn.Sequential([fnn.Dense(16, "tanh"), fnn.Dense(2, "softmax")], input_shape=(2,), seed=0)
    >>> model.compile(optimizer=fnn.Adam(0.02), loss="cross_entropy", metrics=["accuracy"])
    >>> history = model.fit(X, y, epochs=60, verbose=0)
    >>> model.evaluate(X, y)["accuracy"] > 0.95
    True
    """

    def __init__(self, layers: Sequence[Layer], input_shape: tuple[int, ...], dtype: Any = "float32",
                 seed: int = 0) -> None:
        self.layers = list(layers)
        if not self.layers:
            raise ValueError("layers: expected at least one layer, got none")
        for layer in self.layers:
            if not isinstance(layer, Layer):
                raise TypeError(f"layers: expected fastnn layers, got {type(layer).__name__}")
            if layer.input_shape:
                raise ValueError(f"layers: {layer!r} already belongs to a model; make a new one (or model.copy())")
        self.input_shape = checks.shape_tuple("input_shape", input_shape)
        self.dtype = checks.float_dtype("dtype", dtype)
        self.seed = checks.positive_int("seed", seed, minimum=0)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self.metrics: list[Metric] = []
        self.history = History()
        self.stop_training = False
        self.update_count = 0
        self.shuffles = 0  # passes drawn from the shuffling generator
        self._build()

    # ---- construction ----

    def _build(self) -> None:
        _name_layers(self.layers)
        vectors = Vectors(Layout(self.dtype), Layout(self.dtype))
        shape = self.input_shape
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Standardize) and any(below.segments for below in self.layers[:i]):
                raise ValueError(f"layers: {layer!r} must come before every layer with weights")
            layer.build(shape, vectors)
            shape = layer.output_shape
        if len(shape) != 1:
            raise ValueError(f"layers: the last layer must give one row of outputs a sample, got shape {shape}; "
                             "end with Flatten or Dense")
        self.output_shape = shape
        self._numbers = Numbers(vectors.parameters, vectors.persistent)
        self._training = threading.Lock()
        self._compiled = Compiled(self.layers, self._numbers)
        parameters, persistent = self._numbers.memory.parameters, self._numbers.memory.persistent
        rng = np.random.default_rng([self.seed, 0])
        for layer in self.layers:
            views = {name: s.view(parameters) for name, s in layer.segments.items()}
            for name, view in views.items():
                setattr(layer, name, view)
            views |= {name: s.view(persistent) for name, s in layer.persistent.items()}
            for name, value in layer.initial(rng).items():
                views[name][...] = value

    def compile(self, optimizer: str | optimizers.Optimizer = "adam", loss: str | losses.Loss = "cross_entropy",
                metrics: Sequence[str | Callable] = ()) -> None:
        """Choose how the model is trained; forgets the optimizer's state.

        Parameters
        ----------
        optimizer : str or Optimizer
            A name gives the default settings.
        loss : str or Loss
            "cross_entropy", "squared_error", "mean_squared_error" or a `Loss`.
        metrics : sequence of str or callable
            Names of `fastnn.metrics`, or functions of (targets, outputs).
        """
        self.optimizer = optimizers.get(optimizer)
        self.loss = losses.get(loss)
        self.loss.op(self.layers[-1].activation, self.output_shape[0])
        self.metrics = resolve_all(metrics)
        self._numbers.forget_states()
        self.update_count = 0
        self._compiled = Compiled(self.layers, self._numbers, self.loss, self.optimizer)

    def _require_compiled(self) -> losses.Loss:
        if self.loss is None:
            raise RuntimeError("the model is not compiled: call model.compile(optimizer=..., loss=...) first")
        return self.loss

    @property
    def target_kind(self) -> str:
        """What targets are: "labels_or_rows", "binary" or "rows"."""
        return self._require_compiled().target_kind(self.layers[-1].activation, self.output_shape[0])

    # ---- prediction ----

    def predict(self, X: Any, batch_size: int | None = None) -> np.ndarray:
        """The network's outputs, as the last layer gives them.

        Parameters
        ----------
        X : array_like, shape (n, *input_shape)
            The samples.
        batch_size : int, optional
            Rows worked on at a time; bounds memory, never changes a bit of the result.

        Returns
        -------
        ndarray, shape (n, n_out)
            In the model's dtype.
        """
        if batch_size is None and (outputs := self._compiled.quick_predict(X)) is not None:
            return outputs
        X = checks.as_input(X, self.input_shape, self.dtype)
        outputs = np.empty((len(X), *self.output_shape), self.dtype)
        self._forward_pass(Entry("predict", outputs=True), X, None, None, outputs, batch_size)
        return outputs

    def evaluate(self, X: Any, y: Any, batch_size: int | None = None, sample_weight: Any = None) -> dict[str, float]:
        """Loss and metrics on labelled samples.

        Parameters
        ----------
        X, y : array_like
            Samples and targets, as `fit` takes them.
        batch_size : int, optional
            Rows worked on at a time.
        sample_weight : array_like, shape (n,), optional
            Weight of each row in the loss.

        Returns
        -------
        dict of str to float
            "loss" and each metric by name.
        """
        X, y, weight = self._checked(X, y, sample_weight)
        outputs = np.empty((len(X), *self.output_shape), self.dtype) if self.metrics else None
        entry = Entry("evaluate", y.ndim == 1, weight is not None, outputs is not None)
        loss = self._forward_pass(entry, X, y, weight, outputs, batch_size)
        return {"loss": loss, **{m.name: m(y, outputs) for m in self.metrics}}

    def _checked(self, X: Any, y: Any, sample_weight: Any, names: tuple[str, str] = ("X", "y"),
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        kind = self.target_kind
        X = checks.as_input(X, self.input_shape, self.dtype, names[0])
        checks.check_finite(X, names[0], self.dtype)
        y = checks.as_targets(y, kind, self.output_shape[0], len(X), self.dtype, names[1])
        return X, y, checks.as_sample_weight(sample_weight, len(X))

    def _forward_pass(self, entry: Entry, X: np.ndarray, y: np.ndarray | None, weight: np.ndarray | None,
                      outputs: np.ndarray | None, batch_size: int | None) -> float:
        """Run an entry without backward over all rows; the weighted mean loss."""
        rows = PREDICT_ROWS if batch_size is None else checks.positive_int("batch_size", batch_size)
        loss = total = 0.0
        if X.size > SMALL and self._compiled.reads_direct(X):
            if entry.kind == "predict":  # the other entries' rows have been looked at
                checks.check_finite(X, "X", self.dtype)
            entry = entry._replace(direct=True)
        with self._compiled.borrow(entry, min(rows, len(X)) if len(X) < PREDICT_ROWS else rows) as run:
            for part in _gatherable_parts(X, rows):
                walk = Pass(len(X[part]), rows, rows, row_weight=None if weight is None else weight[part])
                if entry.kind != "predict":
                    walk.losses = np.zeros(walk.steps)
                arrays = (_as_gatherable(X[part], self.dtype), y, weight, outputs)
                for slot, array in enumerate(arrays):
                    run.bind(slot, array if array is None or slot == X_SLOT else array[part])
                run.begin(walk)
                halt = run.execute(0, walk.steps)
                if halt:
                    raise checks.nonfinite_row(X, part.start + halt.row, dtype=self.dtype)
                if walk.losses is not None:
                    weights = step_weights(walk)
                    loss, total = loss + float(walk.losses @ weights), total + float(weights.sum())
        return loss / total if total else 0.0

    def bind(self, X: Any, y: Any, sample_weight: Any = None) -> BoundModel:
        """The loss on fixed samples as a function of the parameters, with its gradient."""
        return BoundModel(self, *self._checked(X, y, sample_weight))

    def fit(self, X: Any, y: Any = None, batch_size: int = 32, epochs: int = 1, **settings: Any) -> History:
        """Train; `fastnn.training.fit` has the parameters."""
        from .training import fit  # training stands above the model
        return fit(self, X, y, batch_size, epochs, **settings)

    def train_on_batch(self, X: Any, y: Any, sample_weight: Any = None) -> dict[str, float]:
        """Take one step on one batch; its loss, before the step."""
        from .training import train_on_batch
        return train_on_batch(self, X, y, sample_weight)

    def profile(self, X: Any, y: Any, batch_size: int = 32, **settings: Any) -> Profile:
        """Time each op of a training step; `fastnn.profiling.profile` has the parameters."""
        from .profiling import profile
        return profile(self, X, y, batch_size, **settings)

    # ---- parameters ----

    def named_parameters(self) -> dict[str, np.ndarray]:
        """Every parameter by name, as a writable view."""
        return self._numbers.named_parameters()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and persistent arrays, by name."""
        return copies(self._numbers.all_arrays())

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Set parameters and persistent arrays from `state_dict`; names and shapes must match."""
        assign(self._numbers.all_arrays(), state, "state")

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the parameters, in the order of the layers."""
        return list(copies(self.named_parameters()).values())

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the parameters from a list such as `get_weights` gives."""
        views = self.named_parameters()
        if len(weights) != len(views):
            raise ValueError(f"weights: expected {len(views)} arrays ({', '.join(views)}), got {len(weights)}")
        assign(views, dict(zip(views, weights, strict=True)), "weights")

    # ---- the model as a whole ----

    def get_config(self) -> dict[str, Any]:
        """Everything but the numbers, as plain data."""
        return {"layers": [{"class": type(layer).__name__, **layer.get_config()} for layer in self.layers],
                "input_shape": list(self.input_shape), "dtype": self.dtype.name, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        """A new model from `get_config`."""
        layers = [LAYERS[c["class"]](**{k: v for k, v in c.items() if k != "class"}) for c in config["layers"]]
        return cls(layers, tuple(config["input_shape"]), config["dtype"], config["seed"])

    def copy(self, dtype: Any = None) -> Sequential:
        """An independent copy, with the optimizer's state; in another dtype if asked."""
        other = self.from_config(self.get_config() | {"dtype": np.dtype(dtype or self.dtype).name})
        if self.loss is not None:
            other.compile(copy.deepcopy(self.optimizer), copy.deepcopy(self.loss), list(self.metrics))
        other.restore(self.snapshot())
        return other

    def snapshot(self) -> dict[str, Any]:
        """Copies of everything that training changes: what `restore` takes back."""
        return {"arrays": self.state_dict(), "states": [copies(views) for views in self._numbers.states()],
                "update_count": self.update_count, "shuffles": self.shuffles, "history": copy.deepcopy(self.history)}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go back to a `snapshot` of this model or of one with the same layers."""
        self.load_state_dict(snapshot["arrays"])
        self._numbers.set_states(snapshot["states"])
        self.update_count, self.shuffles = snapshot["update_count"], snapshot["shuffles"]
        self.history = copy.deepcopy(snapshot["history"])

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.get_config(), "snapshot": self.snapshot(), "optimizer": self.optimizer, "loss": self.loss,
                "metrics": self.metrics}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = self.from_config(state["config"]).__dict__
        if state["loss"] is not None:
            self.compile(state["optimizer"], state["loss"], state["metrics"])
        self.restore(state["snapshot"])

    def save(self, path: Any) -> None:
        """Write architecture, settings and numbers to one safetensors file; `fastnn.load` reads it."""
        from .io import save  # files stand above the model
        save(self, path)

    def summary(self) -> str:
        """Print and return a table of layers, shapes, parameters and floating-point operations a sample."""
        flops: dict[str, int] = {}
        for o, n, _ in self._compiled.program(Entry("predict", outputs=True)).cost(1):
            flops[o.layer] = flops.get(o.layer, 0) + n
        rows = [("layer", "output shape", "parameters", "FLOPs a sample")]
        total = 0
        for layer in self.layers:
            n = sum(math.prod(s.shape) for s in layer.segments.values())
            total += n
            rows.append((f"{layer.name} ({type(layer).__name__})", str(("n", *layer.output_shape)).replace("'", ""),
                         f"{n:,}", f"{flops.get(layer.name, 0):,}"))
        rows.append(("total", "", f"{total:,}", f"{sum(flops.values()):,}"))
        widths = [max(len(r[i]) for r in rows) for i in range(4)]
        text = "\n".join(f"{r[0]:<{widths[0]}}  {r[1]:<{widths[1]}}  {r[2]:>{widths[2]}}  {r[3]:>{widths[3]}}" for r in rows)
        print(text)
        return text


class BoundModel:
    """A model on fixed samples: the loss and its gradient as functions of the live parameters."""

    def __init__(self, model: Sequential, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> None:
        self.model, self.X, self.y, self.weight = model, X, y, weight

    def loss(self) -> float:
        """The mean loss, forward only."""
        entry = Entry("evaluate", self.y.ndim == 1, self.weight is not None)
        return self.model._forward_pass(entry, self.X, self.y, self.weight, None, max(1, len(self.X)))

    def gradients(self) -> dict[str, np.ndarray]:
        """The gradient of the loss for every parameter, as views that the next call overwrites."""
        model = self.model
        entry = Entry("gradient", self.y.ndim == 1, self.weight is not None)
        X = _as_gatherable(self.X, model.dtype)
        with model._compiled.borrow(entry, len(X)) as run:
            for slot, array in enumerate((X, self.y, self.weight)):
                run.bind(slot, array)
            run.begin(Pass(len(X), len(X), len(X), row_weight=self.weight, losses=np.zeros(1)))
            run.execute(0, 1)
        return model._numbers.named_gradients()


def step_weights(walk: Pass) -> np.ndarray:
    """The sum of row weights of each step of a pass."""
    starts = np.arange(0, walk.n_rows, walk.batch)
    if walk.row_weight is None:
        return np.diff(np.append(starts, walk.n_rows)).astype(np.float64)
    weight = walk.row_weight if walk.index is None else walk.row_weight[walk.index]
    return np.add.reduceat(weight, starts)


def _as_gatherable(X: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return X if checks.is_gatherable(X) else np.ascontiguousarray(X, dtype)


def _gatherable_parts(X: np.ndarray, rows: int) -> Iterator[slice]:
    """All rows at once, or a block at a time where they must be converted."""
    step = len(X) if checks.is_gatherable(X) else rows
    return (slice(start, min(start + step, len(X))) for start in range(0, len(X), step))


def _name_layers(layers: list[Layer]) -> None:
    """Give layers without a name of their own "dense", "dense_1", ...; refuse a name given twice."""
    taken = {layer.given_name for layer in layers if layer.given_name}
    if len(taken) < sum(layer.given_name is not None for layer in layers):
        raise ValueError(f"layers: every name must be given once, got {[la.given_name for la in layers]}")
    for layer in layers:
        if layer.given_name:
            continue
        base, i = layer.name, 0
        while layer.name in taken:
            i += 1
            layer.name = f"{base}_{i}"
        taken.add(layer.name)
