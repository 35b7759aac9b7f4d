"""PyTorch: eager with its fused optimizers, and the same with network and loss under torch.compile.

Compiling the optimizer too, or the step as a whole, was no faster.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from .sequences import Characters
from .worker import Job
from .workloads import BETA1, BETA2, EPSILON, Workload

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def start(threads: int) -> None:
    torch.set_num_threads(threads)


def make(workload: Workload, variant: str) -> Job:
    if variant == "compile":
        torch.compiler.reset()  # else it counts the next workload as one more variation of the last
    return (Training if workload.trains else Prediction)(workload, compiled=variant == "compile")


class CharacterNetwork(nn.Module):
    """Embedding, recurrent layer, linear layer."""

    def __init__(self, workload: Characters) -> None:
        super().__init__()
        tokens, n_in, n, n_out = workload.sizes
        kind = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[workload.cell]
        self.table, self.cell = nn.Embedding(tokens, n_in), kind(n_in, n, batch_first=True)
        self.last, self.n = nn.Linear(n, n_out), n
        second = self.cell.bias_hh_l0  # adds to the first, so only what it has of its own is trained
        if workload.cell == "gru":
            own = torch.zeros(3 * n)
            own[2 * n:] = 1
            second.register_hook(lambda gradient: gradient * own)
        else:
            second.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.cell(self.table(x))[0]).flatten(0, 1)

    def load(self, workload: Characters) -> None:
        a = {name: torch.from_numpy(array) for name, array in workload.arrays().items()}
        n = self.n
        if workload.cell == "gru":  # PyTorch's order is r z n
            order = torch.cat([torch.arange(n, 2 * n), torch.arange(n), torch.arange(2 * n, 3 * n)])
            a |= {name: a[name][..., order] for name in ("w", "u", "b")}
        self.table.weight.copy_(a["table"])
        self.cell.weight_ih_l0.copy_(a["w"].T)
        self.cell.weight_hh_l0.copy_(a["u"].T)
        self.cell.bias_ih_l0.copy_(a["b"])
        self.cell.bias_hh_l0.zero_()
        if "bq" in a:
            self.cell.bias_hh_l0[2 * n:] = a["bq"]
        self.last.weight.copy_(a["v"].T)
        self.last.bias.copy_(a["c"])


def network(workload: Workload) -> nn.Module:
    """Without the softmax, which PyTorch's loss contains."""
    if isinstance(workload, Characters):
        return CharacterNetwork(workload)
    layers: list[nn.Module] = []
    for w, _ in workload.weights():
        if w.ndim == 4:
            layers += [nn.Conv2d(w.shape[2], w.shape[3], w.shape[0]), ACTIVATIONS[workload.hidden](), nn.MaxPool2d(2)]
            continue
        if layers and isinstance(layers[-1], nn.MaxPool2d):
            layers.append(nn.Flatten())
        layers += [nn.Linear(*w.shape), ACTIVATIONS[workload.hidden]()]
    net = nn.Sequential(*layers[:-1])
    set_weights(net, workload)
    return net


def set_weights(net: nn.Module, workload: Workload) -> None:
    """The workload's: images are (c, h, w) here, which turns the rows of the dense layer after them around."""
    with torch.no_grad():
        if isinstance(workload, Characters):
            net.load(workload)
            return
        channels = 0
        modules = (module for module in net if isinstance(module, (nn.Conv2d, nn.Linear)))
        for module, (w, b) in zip(modules, workload.weights(), strict=True):
            if w.ndim == 4:
                w, channels = w.transpose(3, 2, 0, 1), w.shape[3]
            else:
                w, channels = in_planes(w, channels).T, 0
            module.weight.copy_(torch.from_numpy(w.copy()))
            module.bias.copy_(torch.from_numpy(b))


def in_planes(w: np.ndarray, channels: int) -> np.ndarray:
    """Rows for (h, w, c), where there are channels, as rows for (c, h, w)."""
    return w.reshape(-1, channels, w.shape[1]).swapaxes(0, 1).reshape(w.shape) if channels else w


def planes(X: np.ndarray) -> np.ndarray:
    """Images (n, h, w, c) as (n, c, h, w)."""
    return np.ascontiguousarray(np.moveaxis(X, -1, 1)) if X.ndim == 4 else X


class Training(Job):
    def __init__(self, workload: Workload, compiled: bool) -> None:
        self.workload, self.net = workload, network(workload)
        parameters = self.net.parameters()
        if workload.optimizer == "adam":
            self.optimizer = torch.optim.Adam(parameters, workload.rate, (BETA1, BETA2), EPSILON, fused=True)
        else:
            self.optimizer = torch.optim.SGD(parameters, workload.rate, fused=True)
        X, y = workload.rows()
        X, y = torch.from_numpy(planes(X)), torch.from_numpy(y)
        self.batches = [(X[rows], y[rows]) for rows in workload.batch_slices()]
        self.steps = len(self.batches)
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self.workload.loss == "cross_entropy":
            return nn.functional.cross_entropy(self.net(x), y.flatten())
        return 0.5 * ((self.net(x) - y) ** 2).sum(dim=1).mean()

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss = self.loss(x, y)
        loss.backward()
        self.optimizer.step()
        return loss

    def reset(self) -> None:
        set_weights(self.net, self.workload)
        with torch.no_grad():
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
        self.x = torch.from_numpy(planes(workload.rows()[0]))
        self.predict = torch.compile(self.net) if compiled else self.net

    def run(self, units: int) -> None:
        predict, x = self.predict, self.x
        with torch.inference_mode():
            for _ in range(units):
                predict(x)

    def check(self) -> np.ndarray:
        with torch.inference_mode():
            return self.predict(self.x).numpy()
