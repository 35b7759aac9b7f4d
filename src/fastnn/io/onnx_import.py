"""A model from an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import checks
from ..graph import Graph
from ..layers import Layer
from ..layers.tensor import Input, Tensor
from ..model import Model
from ..sequential import Sequential
from .onnx_image_readers import IMAGES
from .onnx_nodes import Node, Nodes
from .onnx_pooling_readers import POOLING
from .onnx_readers import ROWS
from .onnx_scan_readers import SCANS
from .onnx_sequence_readers import SEQUENCES
from .orders import CHANNELS, SAMPLES, STEPS, Read, permutation, require
from .records import ModelFileError

OPERATORS = {**ROWS, **IMAGES, **POOLING, **SEQUENCES, **SCANS}
OPSETS = range(13, 24)
OF_IMAGES = {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool",
             "BatchNormalization", "InstanceNormalization", "Resize"}
OF_SEQUENCES = {"RNN", "LSTM", "GRU"}
ORDERED = {"Transpose", "Flatten", "Reshape", "MatMul", "Gemm", "LayerNormalization"}  # as samples, as far as we know


def from_onnx(path: Any, dtype: Any = "float32") -> Model:
    """Read an ONNX file as a model, that is ready to predict and to be compiled and trained on.

    Parameters
    ----------
    path : path-like or onnx.ModelProto
        The file, of `to_onnx` or another program; opset 13 or newer.
    dtype : {"float32", "float64"}
        Of the model.

    Returns
    -------
    Sequential or Model
        Layers in a row where the graph is one. Samples have fastnn's order of axes, whatever the file has: rows
        first, (n, height, width, channels) and (n, time, features).

    Raises
    ------
    ImportError
        Without the onnx package: ``pip install "fastnn-cpu[onnx]"``.
    ModelFileError
        If the file is damaged, or has a node that no layer of fastnn is; it is named.

    See Also
    --------
    to_onnx : The way there.

    Notes
    -----
    docs/exchange.md says what each operator becomes. No code of the file is run.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(4, "gelu"), fnn.Dense(3, "softmax")], input_shape=(5,))
    >>> proto = fnn.to_onnx(model, "model.onnx")
    >>> fnn.from_onnx("model.onnx").layers
    [Dense(units=4, activation='gelu', use_bias=True, kernel_initializer='glorot_uniform', name='dense'), \
Dense(units=3, activation='softmax', use_bias=True, kernel_initializer='glorot_uniform', name='dense_1')]
    """
    onnx = require("onnx", "onnx")
    where = "the model" if isinstance(path, onnx.ModelProto) else checks.file_path("path", path)
    try:
        proto = path if isinstance(path, onnx.ModelProto) else onnx.load(path)
        onnx.checker.check_model(proto)
        opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
        if opset not in OPSETS:
            raise ValueError(f"expected opset {OPSETS[0]} to {OPSETS[-1]}, got {opset}; onnx.version_converter "
                             "makes another of it")
        return Reader(proto.graph, onnx).model(dtype)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ModelFileError(f"{where}: {what}") from error


class Reader:
    """Calls a layer for each node.

    Attributes
    ----------
    nodes : Nodes
        The graph.
    values : dict of str to Read
        What has been read, by name.
    masks : dict of str to Tensor
        Where each mask comes from: tokens, of which 0 does not count, or the output of a Masking.
    """

    def __init__(self, graph: Any, onnx: Any) -> None:
        self.nodes = Nodes(graph, onnx)
        self.values: dict[str, Read] = {}
        self.masks: dict[str, Tensor] = {}
        self.done: set[str] = set()  # outputs of nodes that were read together with one before
        self.arrays: list[tuple[Layer, dict[str, np.ndarray]]] = []
        self.names: set[str] = set()
        self.inputs: list[Tensor] = []
        for proto in graph.input:
            if proto.name not in self.nodes.constants:
                self.values[proto.name] = self._input(proto)

    def _input(self, proto: Any) -> Read:
        axes = [axis.dim_value if axis.HasField("dim_value") else None for axis in proto.type.tensor_type.shape.dim]
        order = self._order(proto.name, len(axes))
        shape = [axes[i] for i in permutation(len(axes), order, SAMPLES)][1:]
        if len(axes) < 2 or None in shape[1 if len(axes) < 4 else 0:] and len(axes) != 2:
            raise ValueError(f"input {proto.name!r}: expected axes of known size after the rows, got {axes}")
        tensor = Input(tuple(shape), name=proto.name)
        self.inputs.append(tensor)
        return Read(tensor, order)

    def _order(self, name: str, rank: int) -> str:
        """The order of an input's axes: what the first operator that cares takes."""
        stack, seen = [name], {name}
        while stack and rank > 2:
            for node in self.nodes.users.get(stack.pop(), ()):
                if node.kind in OF_IMAGES:
                    return CHANNELS
                if node.kind in OF_SEQUENCES:
                    return STEPS
                if node.kind not in ORDERED:
                    new = set(node.outputs) - seen
                    seen |= new
                    stack += new
        return SAMPLES

    def call(self, layer: Layer, inputs: Read | Sequence[Read], node: Node, order: str | None = None,
             arrays: dict[str, np.ndarray] | None = None, output: str | None = None,
             places: np.ndarray | None = None) -> None:
        """The node's output is the layer's, which gets its name from the node, and these arrays."""
        first = inputs if isinstance(inputs, Read) else inputs[0]
        layer.given_name = self.layer_name(node)
        layer.name = layer.given_name or layer.name
        tensor = layer(inputs.tensor if isinstance(inputs, Read) else [read.tensor for read in inputs])
        if arrays:
            self.arrays.append((layer, arrays))
        read = Read(tensor, first.order if order is None else order, places)
        self.values[node.outputs[0] if output is None else output] = read

    def layer_name(self, node: Node) -> str | None:
        """What the layer of a node is called; None where that is taken."""
        name = node.name.rpartition("/")[0] or node.name
        if not name or name in self.names or "/" in name:
            return None
        self.names.add(name)
        return name

    def model(self, dtype: Any) -> Model:
        """The model of the graph's outputs."""
        for node in self.nodes.nodes:
            if node.outputs[0] in self.done:
                continue
            if node.kind not in OPERATORS:
                raise ValueError(f"{node}: no layer of fastnn does that; cut the graph before it "
                                 "(onnx.utils.extract_model)")
            OPERATORS[node.kind](self, node)
        outputs = []
        for name in self.nodes.outputs:
            read = self.values[name]
            if read.places is not None:
                raise ValueError(f"output {name!r}: expected a layer after the Flatten of an image whose channels are "
                                 "first: fastnn's has them last")
            outputs.append(read.tensor)
        graph = Graph(self.inputs, outputs)
        model = Sequential(graph.layers, self.inputs[0].shape, dtype) if graph.is_chain else \
            Model(self.inputs, outputs, dtype)
        views = model._numbers.all_arrays()
        for layer, arrays in self.arrays:
            for name, array in arrays.items():
                segment = (layer.segments | layer.persistent)[name]
                views[segment.name][...] = np.reshape(array, segment.shape)
        return model
