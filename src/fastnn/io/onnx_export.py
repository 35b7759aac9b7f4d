"""A model as an ONNX graph."""

from __future__ import annotations

import os
from typing import Any

from .. import checks
from .._version import __version__
from ..layers import Layer
from ..layers.tensor import Tensor
from ..model import Model
from .atomic import replacing
from .onnx_emitter import IR_VERSION, OPSET, Emitter, Value
from .onnx_images import IMAGES
from .onnx_layers import ROWS, Exporter
from .onnx_pooling import POOLING
from .onnx_sequences import SEQUENCES
from .orders import SAMPLES, require

EXPORTERS: dict[type[Layer], Exporter] = {**ROWS, **IMAGES, **POOLING, **SEQUENCES}


def to_onnx(model: Model, path: str | os.PathLike | None = None) -> Any:
    """Write a model as ONNX, which other programs can run: what `predict` does, in float32.

    Parameters
    ----------
    model : Model
        The model; whether it is compiled does not matter.
    path : path-like, optional
        Where the file goes.

    Returns
    -------
    onnx.ModelProto
        Operators of the standard domain, opset 17, IR version 8, checked by ``onnx.checker``. Inputs and outputs
        have the model's names and fastnn's order of axes, rows in front, as many as there are: images are
        (n, height, width, channels), and are transposed inside. Tokens are int64.

    Raises
    ------
    ImportError
        Without the onnx package: ``pip install "fastnn-cpu[onnx]"``.
    ValueError
        If a layer cannot be written; it is named.

    See Also
    --------
    from_onnx : The way back.

    Notes
    -----
    docs/exchange.md says what each layer becomes. A layer of your own has its place in
    ``fastnn.io.onnx_export.EXPORTERS``: its class, and a function of (emitter, layer, value).

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> layers = [fnn.Conv2D(4, 3, activation="relu"), fnn.Flatten(), fnn.Dense(3, "softmax")]
    >>> model = fnn.Sequential(layers, input_shape=(8, 8, 1))
    >>> proto = fnn.to_onnx(model, "model.onnx")
    >>> [node.op_type for node in proto.graph.node]
    ['Transpose', 'Conv', 'Relu', 'Transpose', 'Flatten', 'Gemm', 'Softmax', 'Identity']
    >>> X = np.random.default_rng(0).random((2, 8, 8, 1))
    >>> np.allclose(fnn.from_onnx("model.onnx").predict(X), model.predict(X), atol=1e-6)
    True
    """
    onnx = require("onnx", "onnx")
    g = Emitter(checks.known_model(model)._numbers.all_arrays(), onnx, exporter_of)
    g.taken |= {*model.input_names, *model.output_names}
    graph, values = model._graph, {}
    for tensor, name in zip(graph.inputs, model.input_names, strict=True):
        values[tensor] = Value(tensor.shape, name)
    for node in graph.nodes:
        layer, g.layer = node.layer, node.layer.name
        results = exporter_of(layer)(g, layer, *(values[tensor] for tensor in node.inputs))
        for tensor, value in zip(node.outputs, results if isinstance(results, tuple) else (results,), strict=True):
            if layer.keeps_mask and "time" in layer.layouts and len(tensor.shape) == 2 and value.mask is None:
                value = Value(value.shape, value.names[value.order], value.order, values[node.inputs[0]].mask)
            values[tensor] = value
    for tensor, name in zip(graph.outputs, model.output_names, strict=True):
        g.nodes.append(onnx.helper.make_node("Identity", [g.in_order(values[tensor], SAMPLES)], [name], name=name))
    inputs = [_declared(onnx, name, tensor, model._compiled.tokens(tensor))
              for name, tensor in zip(model.input_names, graph.inputs, strict=True)]
    outputs = [_declared(onnx, name, tensor, False)
               for name, tensor in zip(model.output_names, graph.outputs, strict=True)]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in g.constants.items()]
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(g.nodes, "fastnn", inputs, outputs, constants), ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)], producer_name="fastnn", producer_version=__version__)
    onnx.checker.check_model(proto, full_check=True)
    if path is not None:
        with replacing(path) as file:
            file.write(proto.SerializeToString())
    return proto


def exporter_of(layer: Layer) -> Exporter:
    """The row of a layer; a subclass may do anything, and needs one of its own."""
    if type(layer) not in EXPORTERS:
        cls = type(layer).__name__
        raise ValueError(f"layer {layer.name!r}: nobody has said how {cls} is written to ONNX; put a function of "
                         f"(emitter, layer, value) into fastnn.io.onnx_export.EXPORTERS[{cls}], or cut the model "
                         "before this layer")
    return EXPORTERS[type(layer)]


def _declared(onnx: Any, name: str, tensor: Tensor, tokens: bool) -> Any:
    """An input or output of the graph, any number of rows."""
    shape = ["batch", *("time" if n is None else n for n in tensor.shape)]
    kind = onnx.TensorProto.INT64 if tokens else onnx.TensorProto.FLOAT
    return onnx.helper.make_tensor_value_info(name, kind, shape)
