"""Transfer learning: parts of a model, new heads, freezing, rates that fall with depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import architecture, checks
from .bundles import one
from .graph import Graph
from .layers import Layer
from .layers.tensor import Tensor
from .parameters import Numbers, copies

if TYPE_CHECKING:
    from .model import Model

Head = Sequence[Layer] | Callable[..., Any]


class Transfer:
    """What `fastnn.Model` has for taking over what another network learned."""

    _graph: Graph
    _numbers: Numbers
    layers: list[Layer]
    dtype: np.dtype
    seed: int
    optimizer: Any
    update_count: int

    def cut(self, layer: Any) -> Model:
        """A new model of the part that ends with a layer: its outputs are that layer's.

        Weights, running statistics and `trainable` are copied, the layers keep their names, and inputs that
        the part does not need are left out. The new model is independent, and not compiled: `predict` shows
        what the layer says.

        Parameters
        ----------
        layer : str, Layer, Tensor or a list of those
            Of a layer called several times, the tensor says which call is meant. A list gives a model of several
            outputs.

        Returns
        -------
        Model
            A `fastnn.Sequential`, where this is one and the list is not of several.

        Examples
        --------
        What the second layer sees of five rows:

        >>> import numpy as np, fastnn as fnn
        >>> layers = [fnn.Dense(8, "relu"), fnn.Dense(4, "relu"), fnn.Dense(3, "softmax")]
        >>> model = fnn.Sequential(layers, input_shape=(2,))
        >>> model.cut("dense_1").predict(np.ones((5, 2))).shape
        (5, 4)
        """
        wanted = list(layer) if isinstance(layer, (list, tuple)) else [layer]
        if not wanted:
            raise ValueError("layer: expected at least one layer, got none")
        tensors = [tensor for each in wanted for tensor in self._tensors_of(each)]
        if len(set(tensors)) < len(tensors):
            raise ValueError("layer: expected different layers, got one twice")
        inputs, outputs = self._copied(tensors)
        model = self._assembled(inputs, outputs, self.seed)
        model.load_state_dict(self._arrays_of(model))
        return model

    def extend(self, layers: Head, seed: int | None = None) -> Model:
        """A new model with more layers behind the outputs of this one.

        Weights, running statistics and `trainable` of the old part are copied; only the new layers have
        initial values. The new model is independent, and not compiled.

        Parameters
        ----------
        layers : sequence of Layer or callable
            New layers in a row behind the output; or a function of the output (of all outputs, where there
            are several) that calls layers and returns the new model's outputs.
        seed : int, optional
            Of the new model, which its new layers' initial values come from; by default this model's.

        Returns
        -------
        Model
            A `fastnn.Sequential`, where this is one and the layers are in a row.

        Examples
        --------
        A new last layer, to be trained on what the others know already:

        >>> import fastnn as fnn
        >>> model = fnn.Sequential([fnn.Dense(8, "relu"), fnn.Dense(3, "softmax")], input_shape=(2,))
        >>> features = model.cut("dense")
        >>> features.freeze()
        >>> new = features.extend([fnn.Dense(5, "softmax", name="head")], seed=1)
        >>> [(layer.name, layer.trainable) for layer in new.layers]
        [('dense', False), ('head', True)]
        """
        inputs, outputs = self._copied(self._graph.outputs)
        if callable(layers) and not isinstance(layers, type):
            made = layers(*outputs)
            ends = list(made) if isinstance(made, (list, tuple)) else [made]
            if not all(isinstance(end, Tensor) for end in ends):
                raise TypeError(f"layers: expected a function that gives tensors, got {checks.describe(made)} from it")
        else:
            if not isinstance(layers, Sequence) or not layers or not all(isinstance(x, Layer) for x in layers):
                raise TypeError("layers: expected a list of fastnn layers, or a function of the output, got "
                                f"{checks.describe(layers)}")
            if len(outputs) > 1:
                raise ValueError(f"layers: expected a function of the model's {len(outputs)} outputs, got a list; "
                                 "or cut the model at one of them")
            ends = outputs
            for layer in layers:
                ends = [one(result) if isinstance(result := layer(one(tuple(ends))), tuple) else result]
        model = self._assembled(inputs, ends, self.seed if seed is None else seed)
        model.load_state_dict(self._arrays_of(model), strict=False)
        return model

    # ---- freezing ----

    def freeze(self, *layers: str | Layer, up_to: str | Layer | None = None) -> None:
        """Set ``trainable = False`` of layers; it counts from the next `compile` or `recompile` on.

        Parameters
        ----------
        *layers : str or Layer
            Which; without any, and without `up_to`, all.
        up_to : str or Layer, optional
            This one and all that it depends on.

        Examples
        --------
        >>> import fastnn as fnn
        >>> layers = [fnn.Dense(8, "relu"), fnn.Dense(4, "relu"), fnn.Dense(3, "softmax")]
        >>> model = fnn.Sequential(layers, input_shape=(2,))
        >>> model.freeze(up_to="dense_1")
        >>> [layer.trainable for layer in model.layers]
        [False, False, True]
        """
        for layer in self._chosen(layers, up_to, self._below):
            layer.trainable = False

    def unfreeze(self, *layers: str | Layer, down_to: str | Layer | None = None) -> None:
        """Set ``trainable = True`` of layers; it counts from the next `compile` or `recompile` on.

        Parameters
        ----------
        *layers : str or Layer
            Which; without any, and without `down_to`, all.
        down_to : str or Layer, optional
            This one and all that depend on it.

        Examples
        --------
        >>> import fastnn as fnn
        >>> layers = [fnn.Dense(8, "relu"), fnn.Dense(4, "relu"), fnn.Dense(3, "softmax")]
        >>> model = fnn.Sequential(layers, input_shape=(2,))
        >>> model.freeze()
        >>> model.unfreeze(down_to="dense_1")
        >>> [layer.trainable for layer in model.layers]
        [False, True, True]
        """
        for layer in self._chosen(layers, down_to, self._above):
            layer.trainable = True

    def recompile(self) -> None:
        """Compile again as before, now that `trainable` of some layers has changed.

        Unlike `compile` this keeps the number of updates, and the optimizer's state of all parameters that
        were trained and still are. Parameters that begin to be trained begin as in a new training: theirs is
        new, and bias correction counts their updates from here on.

        Raises
        ------
        RuntimeError
            If the model is not compiled.
        """
        if self.optimizer is None:
            raise RuntimeError("the model is not compiled: call model.compile(optimizer=..., loss=...) first")
        states, count = [copies(views) for views in self._numbers.states()], self.update_count
        since = {name: segment.since for name, segment in self._numbers.trained.segments.items()}
        self.compile(self.optimizer, *self._compile_settings())  # type: ignore[attr-defined]
        self.update_count = count
        self._start_at({name: since.get(name, count) for name in self._numbers.trained.segments})  # type: ignore
        if states:
            self._numbers.allocate_states(self.optimizer.initial_states)
            for views, kept in zip(self._numbers.states(), states, strict=True):
                for name, view in views.items():
                    if name in kept:
                        view[...] = kept[name]

    def rates_by_depth(self, factor: float) -> dict[str, float]:
        """Rate factors that fall from layer to layer: 1 for the last, `factor` for the one before it, ...

        What an optimizer takes as `rate_factors`: low layers, whose features are general, move less than high
        ones (Howard and Ruder 2018, who divide the rate by 2.6 from each layer to the one below).

        Parameters
        ----------
        factor : float
            From a layer with parameters to the next such below it; 0 < factor <= 1.

        Returns
        -------
        dict of str to float
            For each layer with parameters. Where a graph has several ways from a layer to an output, the
            longest counts.

        Examples
        --------
        >>> import fastnn as fnn
        >>> layers = [fnn.Dense(8, "relu"), fnn.Dropout(0.2), fnn.Dense(4, "relu"), fnn.Dense(3, "softmax")]
        >>> model = fnn.Sequential(layers, input_shape=(2,))
        >>> model.rates_by_depth(0.5)
        {'dense': 0.25, 'dense_1': 0.5, 'dense_2': 1.0}
        >>> model.compile(fnn.Adam(1e-3, rate_factors=model.rates_by_depth(0.5)))
        """
        factor = checks.positive_float("factor", factor)
        if factor > 1:
            raise ValueError(f"factor: expected at most 1, got {factor}; it makes the rates of lower layers smaller")
        depth = dict.fromkeys(self.layers, 0)  # layers with parameters above
        above: dict[Tensor, int] = {}  # the same, of a tensor
        for node in reversed(self._graph.nodes):
            layer = node.layer
            depth[layer] = max(depth[layer], *(above.get(tensor, 0) for tensor in node.outputs))
            below = depth[layer] + bool(layer.segments)
            above |= {tensor: max(above.get(tensor, 0), below) for tensor in node.inputs}
        return {layer.name: factor ** depth[layer] for layer in self.layers if layer.segments}

    # ---- parts of graphs ----

    def _assembled(self, inputs: list[Tensor], outputs: list[Tensor], seed: int) -> Model:
        """A new model of this model's kind; `fastnn.Model` has it."""
        raise NotImplementedError

    def _tensors_of(self, given: Any) -> tuple[Tensor, ...]:
        """What a layer, or a call of one, gives."""
        graph = self._graph
        if isinstance(given, Tensor):
            if any(given in node.outputs for node in graph.nodes):
                return (given,)
            raise ValueError(f"layer: {given!r} is no layer's output in this model")
        layer = self._layer(given)
        nodes = [node for node in graph.nodes if node.layer is layer]
        if len(nodes) > 1:
            raise ValueError(f"layer: {layer.name!r} is called {len(nodes)} times, so it has as many outputs; "
                             "give the tensor of the call that is meant")
        return nodes[0].outputs

    def _layer(self, given: Any) -> Layer:
        if isinstance(given, Layer):
            if given not in self.layers:
                raise ValueError(f"layer: {given!r} is not of this model")
            return given
        return checks.lookup("layer", given, {layer.name: layer for layer in self.layers})

    def _chosen(self, layers: Sequence[Any], end: Any, reach: Callable[[Layer], list[Layer]]) -> list[Layer]:
        if not layers and end is None:
            return list(self.layers)
        return [self._layer(layer) for layer in layers] + ([] if end is None else reach(self._layer(end)))

    def _below(self, layer: Layer) -> list[Layer]:
        calls = [node for node in self._graph.nodes if node.layer is layer]
        return self._graph.up_to(*(tensor for node in calls for tensor in node.outputs)).layers

    def _above(self, layer: Layer) -> list[Layer]:
        reached: set[Tensor] = set()
        found = []
        for node in self._graph.nodes:
            if node.layer is layer or reached & set(node.inputs):
                reached |= set(node.outputs)
                found.append(node.layer)
        return list(dict.fromkeys(found))

    def _copied(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The graph that these tensors depend on, of new layers with the same names."""
        part = self._graph.up_to(*tensors)
        inputs = [tensor for tensor in part.inputs if tensor in part.n_uses]
        config = architecture.graph_config(Graph(inputs, tensors))
        for entry, layer in zip(config["layers"], part.layers, strict=True):
            entry["name"] = layer.name
        return architecture.tensors_from_config(config)

    def _arrays_of(self, model: Model) -> dict[str, np.ndarray]:
        """The arrays of this model, as far as the other has them."""
        names = model._numbers.all_arrays()
        return {name: array for name, array in self._numbers.all_arrays().items() if name in names}
