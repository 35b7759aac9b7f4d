"""Models: a graph of layers, compiled into Programs."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import architecture, checks, losses, optimizers, summary
from .bundles import in_order, one
from .compilation import MOST_VALUES, Compiled, Entry
from .graph import Graph, named, tensors_of
from .history import History
from .inference import BoundModel, forward_pass
from .layers import Layer
from .layers.base import Vectors
from .layers.tensor import Tensor
from .masks import counted_steps, masks_of
from .metrics import Metric, resolve_all
from .model_data import ModelData
from .model_files import ModelFiles
from .model_names import ModelNames
from .model_state import ModelState
from .operands import Layout
from .parameters import Numbers, filled, fitting
from .step_by_step import StepByStep
from .transfer import Transfer
from .turns import Turn

if TYPE_CHECKING:
    from .profiling import Profile


class Model(ModelState, ModelData, ModelFiles, ModelNames, StepByStep, Transfer):
    """A network whose layers form a graph.

    Layers are called on tensors: `Input` makes the first, each call gives the next. Branches, sums of several
    (`Add`), layers called twice, several inputs and several outputs are all calls. `Sequential` is the graph of
    layers in a row.

    Parameters
    ----------
    inputs : Tensor or sequence of Tensor
        What `Input` gave. With several, `fit` and `predict` take a list of arrays, or a dict by name.
    outputs : Tensor or sequence of Tensor
        What the model says. With several, targets, losses and metrics come in lists, or dicts by the name of
        the layer that makes the output.
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.
    seed : int
        Fixes initial weights and shuffling.

    Attributes
    ----------
    layers : list of Layer
        With their names; ``layer.weight`` and ``layer.bias`` are views of the parameters.
    input_shape, output_shape : tuple of int
        Of one sample; with several inputs or outputs a tuple of those.
    dtype : numpy.dtype
        As given.
    optimizer, loss, metrics
        What `compile` chose; None and empty before.
    classes : tuple or None
        What each output stands for, where somebody said.
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
    A residual block, and two outputs:

    >>> import numpy as np, fastnn as fnn
    >>> x = fnn.Input((4,))
    >>> h = fnn.Dense(8, "relu")(x)
    >>> h = fnn.Add()([h, fnn.Dense(8, "relu")(h)])
    >>> kind = fnn.Dense(3, "softmax", name="kind")(h)
    >>> size = fnn.Dense(1, name="size")(h)
    >>> model = fnn.Model(x, [kind, size])
    >>> model.compile("adam", loss={"kind": "cross_entropy", "size": "squared_error"},
    ...               loss_weights={"size": 0.5}, metrics={"kind": ["accuracy"]})
    >>> X = np.random.default_rng(0).standard_normal((50, 4))
    >>> history = model.fit(X, {"kind": X[:, :3].argmax(1), "size": X.sum(1)}, epochs=2, verbose=0)
    >>> list(history.history)
    ['loss', 'kind_accuracy']
    >>> [y.shape for y in model.predict(X)]
    [(50, 3), (50, 1)]
    """

    def __init__(self, inputs: Tensor | Sequence[Tensor], outputs: Tensor | Sequence[Tensor],
                 dtype: Any = "float32", seed: int = 0) -> None:
        self._build(Graph(tensors_of("inputs", inputs), tensors_of("outputs", outputs)), dtype, seed)

    # ---- construction ----

    def _build(self, graph: Graph, dtype: Any, seed: int) -> None:
        for layer in graph.layers:
            if layer.owned:
                raise ValueError(f"layers: {layer!r} already belongs to a model; make a new one "
                                 "(or model.copy())")
        if max(len(graph.inputs), len(graph.outputs)) > MOST_VALUES:
            raise ValueError(f"inputs, outputs: expected at most {MOST_VALUES} of each, got {len(graph.inputs)} "
                             f"and {len(graph.outputs)}")
        if not graph.layers:
            raise ValueError("outputs: expected what layers make of the inputs, got the inputs themselves")
        if any(tensor.node is not None for tensor in graph.inputs):
            raise ValueError("inputs: expected what fastnn.Input gave, got the output of a layer; model.cut takes "
                             "a part of a model")
        self._graph = graph
        self.layers = graph.layers
        self.dtype = checks.float_dtype("dtype", dtype)
        self.seed = checks.seed(seed)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: Any = None
        self.metrics: Any = []
        self.history = History()
        self.stop_training = False
        self.update_count = self.shuffles = 0  # steps, and passes drawn from the shuffling generator
        vectors = Vectors(Layout(self.dtype), Layout(self.dtype))
        graph.build(vectors)
        self.input_names = named([tensor.given_name for tensor in graph.inputs], "input")
        self.output_names = named([tensor.name for tensor in graph.outputs], "output")
        self.input_shape: Any = one(tuple(tensor.shape for tensor in graph.inputs))
        self.output_shape: Any = one(tuple(tensor.shape for tensor in graph.outputs))
        self._numbers = Numbers(vectors.parameters, vectors.persistent)
        self._training = Turn("model", "a model.copy()")
        self._losses: tuple[losses.Loss, ...] = ()
        self._loss_weights: list[float] = []
        self._metrics: list[list[Metric]] = [[] for _ in graph.outputs]
        self._compiled = Compiled(graph, self._numbers)
        parameters, persistent = self._numbers.memory.parameters, self._numbers.memory.persistent
        rng = np.random.default_rng([self.seed, 0])
        for layer in self.layers:
            layer.owned = True
            views = {name: s.view(parameters) for name, s in layer.segments.items()}
            for name, view in views.items():
                setattr(layer, name, view)
            views |= {name: s.view(persistent) for name, s in layer.persistent.items()}
            for name, value in layer.initial(rng).items() if self._numbers.wants_values else ():
                view = views[name]
                view[...] = fitting(view, filled(value, view), f"{layer.name}.{name}", "initial values")

    def compile(self, optimizer: str | optimizers.Optimizer = "adam", loss: Any = "cross_entropy",
                metrics: Any = (), loss_weights: Any = None) -> None:
        """Choose how the model is trained; forgets the optimizer's state, keeps the weights.

        Layers with ``trainable = False`` are frozen from here on (`fastnn.layers.Layer`).

        Parameters
        ----------
        optimizer : str or Optimizer
            A name gives the default settings.
        loss : str, Loss, callable or None
            A name of `fastnn.losses.LOSSES` or `ALIASES`; a `Loss`, such as ``fnn.Huber(delta=2.0)``; or a
            function of (output, target) that returns (value, gradient), see `fastnn.FunctionLoss`. With several
            outputs a list or a dict by output, or one for all. None: the model is trained step by step alone.
        metrics : sequence of str or callable
            Names of `fastnn.metrics`, or functions of (targets, outputs). With several outputs a dict by output,
            or one sequence for all; the logs call them ``<output>_<metric>``.
        loss_weights : sequence or dict of float, optional
            What each output's loss is multiplied by in the sum; 1 for those left out.

        Raises
        ------
        ValueError
            If a name is unknown, or the loss does not go with the last activation.
        RuntimeError
            If another thread trains the model.
        """
        self._training.refuse_others()
        self.optimizer = optimizers.get(optimizer)
        self.optimizer.check_names(self._numbers.parameters.segments)
        several = isinstance(loss, (Mapping, list, tuple))
        given = self._per_output("loss", loss) if several else [loss] * len(self.output_names)
        chosen = () if loss is None else tuple(map(losses.get, given))
        if len({each.reduction for each in chosen}) > 1:
            raise ValueError("loss: expected the same reduction for all outputs, got "
                             f"{[each.reduction for each in chosen]}")
        self._metrics = [resolve_all(each) for each in (
            self._per_output("metrics", metrics, ()) if isinstance(metrics, Mapping) else
            [metrics] * len(self.output_names))]
        self._losses = chosen
        self._loss_weights = [checks.positive_float("loss_weights", weight, allow_zero=True) for weight in (
            self._per_output("loss_weights", {} if loss_weights is None else loss_weights, 1.0))]
        self.loss = one(chosen) if len(chosen) < 2 else dict(zip(self.output_names, chosen, strict=True))
        self.metrics = one(tuple(self._metrics)) if len(self._metrics) < 2 else \
            dict(zip(self.output_names, self._metrics, strict=True))
        self.update_count = 0
        self._compiled = Compiled(self._graph, self._numbers, chosen, self.optimizer,
                                  self._loss_weights[:len(chosen)])
        self._alone = [Compiled(self._graph.up_to(tensor), self._numbers, [each])
                       for tensor, each in zip(self._graph.outputs, chosen, strict=True)] if len(chosen) > 1 else []
        self._numbers.train_only(self._compiled.trained)

    def _per_output(self, what: str, given: Any, default: Any = None) -> list[Any]:
        """One thing for each output, from a list or a dict by name; what is left out is the default."""
        return in_order(what, given, self.output_names, default)

    # ---- prediction ----

    def predict(self, X: Any, batch_size: int | None = None) -> Any:
        """The network's outputs, as the last layers give them.

        Parameters
        ----------
        X : array_like, shape (n, *input_shape)
            The samples; with several inputs a list of arrays, or a dict by name.
        batch_size : int, optional
            Rows worked on at a time; bounds memory, never changes a bit of the result.

        Returns
        -------
        ndarray, shape (n, *output_shape)
            In the model's dtype; with several outputs a tuple of arrays.
        """
        if batch_size is None and (outputs := self._compiled.quick_predict(X)) is not None:
            return outputs
        X = self._inputs(X)
        outputs = self._empty_outputs(X)
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
            "loss" and each metric by name; with several outputs also the loss of each, ``<output>_loss``.
        """
        return self._evaluated(*self._checked(X, y, sample_weight), batch_size, any(self._metrics))[0]

    def _evaluated(self, X: Any, y: Any, weight: np.ndarray | None, batch_size: int | None = None,
                   wants_outputs: bool = True) -> tuple[dict[str, float], Any]:
        """Loss and metrics on checked rows, and the outputs as metrics see them."""
        outputs = self._empty_outputs(X) if wants_outputs else None
        entry = self._compiled.entry("evaluate", y, weight, outputs=wants_outputs)
        masks = masks_of(self, X)
        counts = counted_steps(self, y, masks)
        alike = counts[0] if len(counts) == 1 else None
        results = {"loss": forward_pass(self._compiled, entry, X, y, weight, outputs, batch_size, counts=alike)}
        if len(self.output_names) > 1:
            for i, name in enumerate(self.output_names):
                alone = self._alone[i]
                part = alone.entry("evaluate", y[i], weight)._replace(part="data")
                results[f"{name}_loss"] = forward_pass(alone, part, X, y[i], weight, None, batch_size,
                                                       counts=counts[i])
        if len(counts) > 1 and any(n is not None for n in counts) and not self._compiled.sums_rows:
            # each is a mean of its own steps, which batches together are not
            penalty = entry._replace(part="penalty", outputs=False)
            results["loss"] = forward_pass(self._compiled, penalty, X, y, weight, None, batch_size) + sum(
                head.weight * results[f"{head_name}_loss"]
                for head, head_name in zip(self._compiled.heads, self.output_names, strict=True))
        return results | self._evaluate_metrics(y, outputs, masks), outputs

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
            callbacks=None, verbose=1, checkpoint=None, checkpoint_every=None, resume=None.

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

    # ---- the model as a whole ----

    def get_layer(self, name: str) -> Layer:
        """The layer of a name."""
        return checks.lookup("layer", name, {layer.name: layer for layer in self.layers})

    def get_config(self) -> dict[str, Any]:
        """Everything but the numbers, as plain data."""
        return {**architecture.graph_config(self._graph), "dtype": self.dtype.name, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Model:
        """A new model from `get_config`."""
        inputs, outputs = architecture.tensors_from_config(config)
        return Model(inputs, outputs, config["dtype"], config["seed"])

    def _assembled(self, inputs: list[Tensor], outputs: list[Tensor], seed: int) -> Model:
        """A new model of parts of this one."""
        return Model(inputs, outputs, self.dtype, seed)

    def copy(self, dtype: Any = None) -> Any:
        """An independent copy, with the optimizer's state.

        Parameters
        ----------
        dtype : {"float32", "float64"}, optional
            Of the copy; by default the model's.
        """
        dtype = self.dtype if dtype is None else checks.float_dtype("dtype", dtype)
        other = self.from_config(self.get_config() | {"dtype": dtype.name})
        if self.optimizer is not None:
            other.compile(copy.deepcopy(self.optimizer), *self._compile_settings())
        other.restore(self.snapshot())
        other.set_names(self.names_config())
        return other

    def _compile_settings(self) -> tuple[Any, Any, Any]:
        """What `compile` took after the optimizer, for another model."""
        metrics = dict(zip(self.output_names, map(list, self._metrics), strict=True))
        return copy.deepcopy(list(self._losses)) or None, metrics, list(self._loss_weights)

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.get_config(), "names": self.names_config(), "snapshot": self.snapshot(),
                "optimizer": self.optimizer,
                "settings": self._compile_settings() if self.optimizer is not None else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = self.from_config(state["config"]).__dict__
        if state["settings"] is not None:
            self.compile(state["optimizer"], *state["settings"])
        self.restore(state["snapshot"])
        self.set_names(state.get("names", {}))

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
        print(text := summary.text(self._compiled))
        return text
