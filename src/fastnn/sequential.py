"""The model of layers in a row, and any model from its description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import checks
from .graph import Graph
from .layers import Layer, from_config, to_config
from .layers.tensor import Tensor
from .layers.tensor import input_shape as shape_of_input
from .model import Model


class Sequential(Model):
    """A network of layers in a row.

    Parameters
    ----------
    layers : sequence of Layer
        First to last. A layer belongs to one model.
    input_shape : tuple of int
        Shape of one sample, such as ``(784,)`` or ``(28, 28)``; of sequences the first axis may be None, as
        many steps in time as the data has.
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.
    seed : int
        Fixes initial weights and shuffling.

    Attributes
    ----------
    layers, input_shape, output_shape, dtype, optimizer, loss, metrics, history, stop_training
        As those of `fastnn.Model`.

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

    def __init__(self, layers: Sequence[Layer], input_shape: tuple[int | None, ...], dtype: Any = "float32",
                 seed: int = 0) -> None:
        try:
            layers = list(layers)
        except TypeError:
            raise TypeError(f"layers: expected a list of fastnn layers, got {checks.describe(layers)}") from None
        if not layers:
            raise ValueError("layers: expected at least one layer, got none")
        for layer in layers:
            if not isinstance(layer, Layer):
                raise TypeError(f"layers: expected fastnn layers, got {type(layer).__name__}")
        self._build(Graph.of_chain(layers, shape_of_input("input_shape", input_shape)), dtype, seed)

    def get_config(self) -> dict[str, Any]:
        """Everything but the numbers, as plain data."""
        return {"layers": [to_config(layer) for layer in self.layers],
                "input_shape": list(self.input_shape), "dtype": self.dtype.name, "seed": self.seed}

    def _assembled(self, inputs: list[Tensor], outputs: list[Tensor], seed: int) -> Model:
        graph = Graph(inputs, outputs)
        chain = [*inputs, *(node.outputs[0] for node in graph.nodes)]
        in_a_row = all(node.inputs == (below,) and len(node.outputs) == 1
                       for node, below in zip(graph.nodes, chain, strict=False))
        if len(inputs) > 1 or outputs != chain[-1:] or not in_a_row or len(graph.layers) < len(graph.nodes):
            return super()._assembled(inputs, outputs, seed)
        return Sequential(graph.layers, inputs[0].shape, self.dtype, seed)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        """A new model from `get_config`."""
        if not isinstance(config, dict) or not {"layers", "input_shape", "dtype", "seed"} <= config.keys():
            raise ValueError(f"config: expected what get_config gives, got {checks.describe(config)}")
        layers = [from_config(c) for c in config["layers"]]
        return cls(layers, tuple(config["input_shape"]), config["dtype"], config["seed"])


def model_from_config(config: dict[str, Any]) -> Model:
    """A new model from the ``get_config`` of any.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model_from_config(fnn.Sequential([fnn.Flatten()], input_shape=(2, 3)).get_config()).output_shape
    (6,)
    """
    return (Model if "calls" in config else Sequential).from_config(config)
