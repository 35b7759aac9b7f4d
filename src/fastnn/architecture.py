"""A graph of layers as plain data, and back."""

from __future__ import annotations

from typing import Any

from .graph import Graph
from .layers import from_config, to_config
from .layers.tensor import Input, Tensor


def graph_config(graph: Graph) -> dict[str, Any]:
    """Layers, calls, inputs and outputs; a tensor is [call, number], the i-th input [-1, i]."""
    places = {tensor: [-1, i] for i, tensor in enumerate(graph.inputs)}
    for number, node in enumerate(graph.nodes):
        places |= {tensor: [number, i] for i, tensor in enumerate(node.outputs)}
    calls = [{"layer": graph.layers.index(node.layer), "many": node.many,
              "inputs": [places[tensor] for tensor in node.inputs]} for node in graph.nodes]
    return {"layers": [to_config(layer) for layer in graph.layers], "calls": calls,
            "inputs": [{"shape": list(tensor.shape), "name": tensor.given_name} for tensor in graph.inputs],
            "outputs": [places[tensor] for tensor in graph.outputs]}


def tensors_from_config(config: dict[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of new layers, called as `graph_config` says."""
    inputs = [Input(tuple(entry["shape"]), entry["name"] or None) for entry in config["inputs"]]
    layers = [from_config(entry) for entry in config["layers"]]
    made: dict[int, tuple[Tensor, ...]] = {-1: tuple(inputs)}
    for number, call in enumerate(config["calls"]):
        taken = [made[i][j] for i, j in call["inputs"]]
        result = layers[call["layer"]](taken if call["many"] else taken[0])
        made[number] = result if isinstance(result, tuple) else (result,)
    return inputs, [made[i][j] for i, j in config["outputs"]]
