"""ONNX Runtime, which predicts only: one session.run a call on a graph of Gemm, Relu and Softmax."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from .worker import Job
from .workloads import Workload

ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}
options = onnxruntime.SessionOptions()


def start(threads: int) -> None:
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1


def make(workload: Workload, variant: str) -> Job | None:
    return None if workload.trains or workload.convolutions else Prediction(workload)


def graph(workload: Workload) -> bytes:
    nodes, arrays, x = [], [], "x"
    weights = workload.weights()
    for i, (w, b) in enumerate(weights):
        arrays += [numpy_helper.from_array(w, f"w{i}"), numpy_helper.from_array(b, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], [f"z{i}"]))
        last = i == len(weights) - 1
        x = "y" if last else f"y{i}"
        if last:
            nodes.append(helper.make_node("Softmax", [f"z{i}"], [x], axis=1))
        else:
            nodes.append(helper.make_node(ACTIVATIONS[workload.hidden], [f"z{i}"], [x]))
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
              for name, size in (("x", workload.sizes[0]), ("y", workload.sizes[-1]))]
    model = helper.make_model(helper.make_graph(nodes, "mlp", shapes[:1], shapes[1:], arrays), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])
    return model.SerializeToString()


class Prediction(Job):
    def __init__(self, workload: Workload) -> None:
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(graph(workload), options, providers=providers)
        self.feed = {"x": workload.rows()[0]}

    def run(self, units: int) -> None:
        session, feed = self.session, self.feed
        for _ in range(units):
            session.run(None, feed)

    def check(self) -> np.ndarray:
        return self.session.run(None, self.feed)[0]
