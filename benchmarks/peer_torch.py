"""PyTorch: eager with its fused optimizers, and the same with network and loss under torch.compile.

Compiling the optimizer too, or the step as a whole, was no faster.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from .worker import Job
from .workloads import BETA1, BETA2, EPSILON, Workload

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def start(threads: int) -> None:
    torch.set_num_threads(threads)


def make(workload: Workload, variant: str) -> Job:
    if variant == "compile":
        torch.compiler.reset()  # else it counts the next workload as one more variation of the last
    return (Training if workload.trains else Prediction)(workload, compiled=variant == "compile")


def network(workload: Workload) -> nn.Sequential:
    """Without the softmax, which PyTorch's loss contains."""
    layers: list[nn.Module] = []
    for w, b in workload.weights():
        linear = nn.Linear(*w.shape)
        linear.weight.data, linear.bias.data = torch.tensor(w.T.copy()), torch.tensor(b)
        layers += [linear, ACTIVATIONS[workload.hidden]()]
    return nn.Sequential(*layers[:-1])


class Training(Job):
    def __init__(self, workload: Workload, compiled: bool) -> None:
        self.workload, self.net = workload, network(workload)
        parameters = self.net.parameters()
        if workload.optimizer == "adam":
            self.optimizer = torch.optim.Adam(parameters, workload.rate, (BETA1, BETA2), EPSILON, fused=True)
        else:
            self.optimizer = torch.optim.SGD(parameters, workload.rate, fused=True)
        X, y = (torch.from_numpy(a) for a in workload.rows())
        self.batches = [(X[rows], y[rows]) for rows in workload.batch_slices()]
        self.steps = len(self.batches)
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self.workload.loss == "cross_entropy":
            return nn.functional.cross_entropy(self.net(x), y)
        return 0.5 * ((self.net(x) - y) ** 2).sum(dim=1).mean()

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss = self.loss(x, y)
        loss.backward()
        self.optimizer.step()
        return loss

    def reset(self) -> None:
        with torch.no_grad():
            linears = [layer for layer in self.net if isinstance(layer, nn.Linear)]
            for linear, (w, b) in zip(linears, self.workload.weights(), strict=True):
                linear.weight.copy_(torch.from_numpy(w.T))
                linear.bias.copy_(torch.from_numpy(b))
            for state in self.optimizer.state.values():
                for array in state.values():
                    array.zero_()

    def run(self, units: int) -> None:
        for _ in range(units):
            for x, y in self.batches:
                self.step(x, y)

    def check(self) -> np.ndarray:
        self.reset()
        steps = range(self.workload.checked_steps)
        return np.array([self.step(*self.batches[i % self.steps]).item() for i in steps])


class Prediction(Job):
    def __init__(self, workload: Workload, compiled: bool) -> None:
        self.net = nn.Sequential(*network(workload), nn.Softmax(dim=1)).eval()
        self.x = torch.from_numpy(workload.rows()[0])
        self.predict = torch.compile(self.net) if compiled else self.net

    def run(self, units: int) -> None:
        predict, x = self.predict, self.x
        with torch.inference_mode():
            for _ in range(units):
                predict(x)

    def check(self) -> np.ndarray:
        with torch.inference_mode():
            return self.predict(self.x).numpy()
