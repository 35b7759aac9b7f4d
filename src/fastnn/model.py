"""Models: layers in a row, compiled into Programs."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks, losses, optimizers
from .compilation import Compiled, Entry
from .history import History
from .inference import BoundModel, forward_pass
from .layers import InputLayer, Layer, from_config, to_config
from .layers.base import Vectors, name_layers
from .metrics import Metric, evaluate_all, resolve_all
from .parameters import Numbers, assign, copies
from .program import Layout

if TYPE_CHECKING:
    from .profiling import Profile


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

    Attributes
    ----------
    layers : list of Layer
        With their names; ``layer.weight`` and ``layer.bias`` are views of the parameters.
    input_shape, output_shape : tuple of int
        Of one sample.
    dtype : numpy.dtype
        As given.
    optimizer, loss, metrics
        What `compile` chose; None and empty before.
    history : History
        Of the last `fit`.
    stop_training : bool
        A callback sets it to end `fit` after the epoch.

    Raises
    ------
    ValueError, TypeError
        If an argument is of the wrong kind or the layers do not fit together.

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
                raise ValueError(f"layers: {layer!r} already belongs to a model; make a new one "
                                 "(or model.copy())")
        self.input_shape = checks.shape_tuple("input_shape", input_shape)
        self.dtype = checks.float_dtype("dtype", dtype)
        self.seed = checks.positive_int("seed", seed, minimum=0)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self.metrics: list[Metric] = []
        self.history = History()
        self.stop_training = False
        self.update_count = self.shuffles = 0  # steps, and passes drawn from the shuffling generator
        self._build()

    # ---- construction ----

    def _build(self) -> None:
        name_layers(self.layers)
        vectors, shape = Vectors(Layout(self.dtype), Layout(self.dtype)), self.input_shape
        for i, layer in enumerate(self.layers):
            if isinstance(layer, InputLayer) and any(below.segments for below in self.layers[:i]):
                raise ValueError(f"layers: {layer!r} must come before every layer with weights")
            layer.build(shape, vectors)
            shape = layer.output_shape
        if len(shape) != 1:
            raise ValueError("layers: the last layer must give one row of outputs a sample, got shape "
                             f"{shape}; end with Flatten or Dense")
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
            for name, value in layer.initial(rng).items() if self._numbers.wants_values else ():
                views[name][...] = value

    def compile(self, optimizer: str | optimizers.Optimizer = "adam",
                loss: str | losses.Loss | Callable = "cross_entropy",
                metrics: Sequence[str | Callable] = ()) -> None:
        """Choose how the model is trained; forgets the optimizer's state, keeps the weights.

        Layers with ``trainable = False`` are frozen from here on (`fastnn.layers.Layer`).

        Parameters
        ----------
        optimizer : str or Optimizer
            A name gives the default settings.
        loss : str, Loss or callable
            A name of `fastnn.losses.LOSSES` or `ALIASES`; a `Loss`, such as ``fnn.Huber(delta=2.0)``; or a
            function of (output, target) that returns (value, gradient), see `fastnn.FunctionLoss`.
        metrics : sequence of str or callable
            Names of `fastnn.metrics`, or functions of (targets, outputs).

        Raises
        ------
        ValueError
            If a name is unknown, or the loss does not go with the last activation.
        """
        self.optimizer = optimizers.get(optimizer)
        self.optimizer.check_names(self._numbers.parameters.segments)
        self.loss = losses.get(loss)
        self.loss.op(self.layers[-1].activation, self.output_shape[0])
        self.metrics = resolve_all(metrics)
        self.update_count = 0
        self._compiled = Compiled(self.layers, self._numbers, self.loss, self.optimizer)
        self._numbers.train_only(self._compiled.trained)

    def _require_compiled(self) -> losses.Loss:
        if self.loss is None:
            raise RuntimeError("the model is not compiled: call model.compile(optimizer=..., loss=...) first")
        return self.loss

    @property
    def target_kind(self) -> str:
        """What targets are: a kind of `fastnn.checks.as_targets`."""
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
        forward_pass(self._compiled, Entry("predict", outputs=True), X, None, None, outputs, batch_size)
        return outputs

    def evaluate(self, X: Any, y: Any, batch_size: int | None = None,
                 sample_weight: Any = None) -> dict[str, float]:
        """Loss and metrics on labelled samples.

        Parameters
        ----------
        X, y : array_like
            Samples and targets, as `fit` takes them.
        batch_size : int, optional
            Rows worked on at a time.
        sample_weight : array_like, shape (n,), optional
            Weight of each row in the loss, not in metrics; class weights are for `fit` alone.

        Returns
        -------
        dict of str to float
            "loss" and each metric by name.
        """
        X, y, weight = self._checked(X, y, sample_weight)
        outputs = np.empty((len(X), *self.output_shape), self.dtype) if self.metrics else None
        entry = Entry("evaluate", y.ndim == 1, weight is not None, outputs is not None)
        loss = forward_pass(self._compiled, entry, X, y, weight, outputs, batch_size)
        return {"loss": loss, **evaluate_all(self.metrics, y, outputs)}

    def _checked(self, X: Any, y: Any, sample_weight: Any, names: tuple[str, str] = ("X", "y"),
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        kind, ignore_label = self.target_kind, self._require_compiled().ignore_label
        X = checks.as_input(X, self.input_shape, self.dtype, names[0])
        checks.check_finite(X, names[0], self.dtype)
        y = checks.as_targets(y, kind, self.output_shape[0], len(X), self.dtype, names[1],
                              ignore_label)
        weight = checks.as_sample_weight(sample_weight, len(X))
        return X, y, weight if ignore_label is None else checks.without_ignored(weight, y, names[1])

    def bind(self, X: Any, y: Any, sample_weight: Any = None) -> BoundModel:
        """The loss on fixed samples as a function of the parameters, with its gradient.

        Parameters
        ----------
        X, y, sample_weight : array_like
            As `evaluate` takes them.

        Returns
        -------
        BoundModel
            ``loss()`` and ``gradients()``, by name, at the parameters as they are when called.

        Examples
        --------
        >>> import fastnn as fnn
        >>> model = fnn.Sequential([fnn.Dense(1, use_bias=False)], input_shape=(1,))
        >>> model.compile(loss="squared_error")
        >>> bound = model.bind([[3.0]], [1.0])
        >>> model.layers[0].weight[...] = 2.0
        >>> bound.loss(), bound.gradients()["dense.weight"].item()
        (12.5, 15.0)
        """
        return BoundModel(self, *self._checked(X, y, sample_weight))

    def fit(self, X: Any, y: Any = None, batch_size: int = 32, epochs: int = 1, **settings: Any) -> History:
        """Train; `fastnn.training.fit` says more of each parameter.

        Parameters
        ----------
        X : array_like, shape (n, *input_shape)
            Samples, read where they are; or an iterable of batches ``(X, y)``.
        y : array_like
            Targets, as the loss takes them: labels ``(n,)`` or rows ``(n, n_out)``.
        batch_size : int
            Rows of a step.
        epochs : int
            Passes over the rows.
        **settings
            validation_split=0.0, validation_data=None, sample_weight=None, class_weight=None, shuffle=True,
            callbacks=None, verbose=1.

        Returns
        -------
        History
            Loss and metrics of each epoch.
        """
        from .training import fit  # training stands above the model
        return fit(self, X, y, batch_size, epochs, **settings)

    def train_on_batch(self, X: Any, y: Any, sample_weight: Any = None,
                       class_weight: Any = None) -> dict[str, float]:
        """Take one step of the optimizer on one batch.

        Parameters
        ----------
        X, y, sample_weight, class_weight
            As `fit` takes them; all rows are one batch.

        Returns
        -------
        dict
            {"loss": the batch's loss before the step}.
        """
        from .training import train_on_batch
        return train_on_batch(self, X, y, sample_weight, class_weight)

    def profile(self, X: Any, y: Any, batch_size: int = 32, **settings: Any) -> Profile:
        """Time each op of a training step; `fastnn.profiling.profile` has the parameters."""
        from .profiling import profile
        return profile(self, X, y, batch_size, **settings)

    # ---- parameters ----

    def named_parameters(self) -> dict[str, np.ndarray]:
        """Every parameter by name, as a writable view.

        Examples
        --------
        >>> import fastnn as fnn
        >>> model = fnn.Sequential([fnn.Dense(4, "relu"), fnn.Dense(1)], input_shape=(3,))
        >>> list(model.named_parameters())
        ['dense.weight', 'dense.bias', 'dense_1.weight', 'dense_1.bias']
        """
        return self._numbers.named_parameters()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and persistent arrays, by name."""
        return copies(self._numbers.all_arrays())

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Set parameters and persistent arrays from what `state_dict` gave.

        Raises
        ------
        ValueError
            If names or shapes do not match; then nothing is changed.
        """
        assign(self._numbers.all_arrays(), state, "state")

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the parameters, in the order of the layers."""
        return list(copies(self.named_parameters()).values())

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the parameters from a list such as `get_weights` gives.

        Raises
        ------
        ValueError
            If number or shapes do not match; then nothing is changed.
        """
        views = self.named_parameters()
        if len(weights) != len(views):
            raise ValueError(f"weights: expected {len(views)} arrays ({', '.join(views)}), "
                             f"got {len(weights)}")
        assign(views, dict(zip(views, weights, strict=True)), "weights")

    # ---- the model as a whole ----

    def get_config(self) -> dict[str, Any]:
        """Everything but the numbers, as plain data."""
        return {"layers": [to_config(layer) for layer in self.layers],
                "input_shape": list(self.input_shape), "dtype": self.dtype.name, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        """A new model from `get_config`."""
        layers = [from_config(c) for c in config["layers"]]
        return cls(layers, tuple(config["input_shape"]), config["dtype"], config["seed"])

    def copy(self, dtype: Any = None) -> Sequential:
        """An independent copy, with the optimizer's state.

        Parameters
        ----------
        dtype : {"float32", "float64"}, optional
            Of the copy; by default the model's.
        """
        other = self.from_config(self.get_config() | {"dtype": np.dtype(dtype or self.dtype).name})
        if self.loss is not None and self.optimizer is not None:
            other.compile(copy.deepcopy(self.optimizer), copy.deepcopy(self.loss), list(self.metrics))
        other.restore(self.snapshot())
        return other

    def snapshot(self) -> dict[str, Any]:
        """Copies of everything that training changes: what `restore` takes back."""
        return {"arrays": self.state_dict(), "states": [copies(views) for views in self._numbers.states()],
                "update_count": self.update_count, "shuffles": self.shuffles,
                "history": copy.deepcopy(self.history)}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go back to a `snapshot` of this model or of one with the same layers."""
        self.load_state_dict(snapshot["arrays"])
        self._numbers.set_states(snapshot["states"], self.optimizer.initial_states if self.optimizer else ())
        self.update_count, self.shuffles = snapshot["update_count"], snapshot["shuffles"]
        self.history = copy.deepcopy(snapshot["history"])

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.get_config(), "snapshot": self.snapshot(), "optimizer": self.optimizer,
                "loss": self.loss, "metrics": self.metrics}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = self.from_config(state["config"]).__dict__
        if state["loss"] is not None:
            self.compile(state["optimizer"], state["loss"], state["metrics"])
        self.restore(state["snapshot"])

    def save(self, path: Any) -> None:
        """Write architecture, settings and numbers to one safetensors file; `fastnn.load` reads it.

        Parameters
        ----------
        path : path-like
            The file; it is replaced only once the new one is complete.

        Raises
        ------
        ValueError
            If the model holds Python functions (a loss, a metric, ...) or classes of your own.
        """
        from .io import save  # files stand above the model
        save(self, path)

    def summary(self) -> str:
        """Print and return a table of layers, shapes, parameters and floating-point operations a sample.

        Where layers are frozen it says so, and how many parameters training moves.

        Examples
        --------
        >>> import fastnn as fnn
        >>> model = fnn.Sequential([fnn.Dense(4, "relu"), fnn.Dense(1)], input_shape=(3,))
        >>> table = model.summary()
        layer            output shape  parameters  FLOPs a sample
        dense (Dense)    (n, 4)                16              24
        dense_1 (Dense)  (n, 1)                 5               8
        total                                  21              32
        """
        print(text := self._compiled.summary())
        return text
