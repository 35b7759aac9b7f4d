"""What is measured: one row per workload, its data, and its results in float64 to check every peer by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .images import convolve, convolve_gradients, pool, unpool

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam, for every peer


@dataclass(frozen=True)
class Workload:
    """A network and what is done with it; without an `optimizer` it predicts `batch` rows.

    `batches` different batches are the training rows; one pass over them is the smallest piece that is timed. Rows
    that are an `image` (h, w, c) go through `convolutions` first, so many filters of a size, each with its activation
    and a 2 by 2 maximum pool; what comes out has ``sizes[0]`` numbers.
    """

    name: str
    sizes: tuple[int, ...]
    hidden: str
    output: str
    batch: int
    optimizer: str = ""
    rate: float = 0.0
    loss: str = ""
    batches: int = 1
    image: tuple[int, int, int] = ()  # type: ignore[assignment]
    convolutions: tuple[tuple[int, int], ...] = ()

    judge: ClassVar[Callable[[Any], np.ndarray] | None] = None  # in place of `expected`, for other networks

    @property
    def trains(self) -> bool:
        return bool(self.optimizer)

    @property
    def flops(self) -> int:
        """Of the products of one step or prediction; the first layer's input needs no gradient."""
        products = [n_in * n_out for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False)]
        maps, size = [], self.image[:1]
        for (filters, kernel), (_, _, c, _) in zip(self.convolutions, self.kernels(), strict=True):
            size = (size[0] - kernel + 1,)
            maps.append(size[0] ** 2 * kernel ** 2 * c * filters)
            size = (size[0] // 2,)
        products = maps + products
        return 2 * self.batch * (3 * sum(products) - products[0] if self.trains else sum(products))

    @property
    def checked_steps(self) -> int:
        """Steps from the initial weights whose losses must agree before any timing."""
        return 10 if self.batches == 1 else min(10, self.batches)

    def kernels(self) -> list[tuple[int, int, int, int]]:
        """The shape (k, k, c, filters) of each convolution's weights."""
        channels = [*self.image[2:], *(filters for filters, _ in self.convolutions)]
        return [(kernel, kernel, c, filters)
                for c, (filters, kernel) in zip(channels, self.convolutions, strict=False)]

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Initial (w, b) of each layer, float32, w (k, k, c, filters) or (n_in, n_out)."""
        rng = np.random.default_rng(1)
        layers = []
        for shape in [*self.kernels(), *zip(self.sizes, self.sizes[1:], strict=False)]:
            bound = (6 / (np.prod(shape[:-1]) + shape[-1])) ** 0.5
            layers.append((rng.uniform(-bound, bound, shape).astype(np.float32),
                           rng.uniform(-0.1, 0.1, shape[-1]).astype(np.float32)))
        return layers

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """X float32 and y: int64 labels, every class in every batch, or float32 rows."""
        rng = np.random.default_rng(2)
        n = self.batch * self.batches
        X = rng.normal(size=(n, *(self.image or self.sizes[:1]))).astype(np.float32)
        if self.output == "softmax":
            return X, np.arange(n) % self.sizes[-1]
        return X, rng.normal(size=(n, self.sizes[-1])).astype(np.float32)

    def batch_slices(self) -> list[slice]:
        return [slice(i * self.batch, (i + 1) * self.batch) for i in range(self.batches)]


CROSS_ENTROPY = {"output": "softmax", "loss": "cross_entropy"}
ADAM, SGD = {"optimizer": "adam", "rate": 1e-3}, {"optimizer": "sgd", "rate": 0.1}

TRAINING = (
    Workload("4-16-3", (4, 16, 3), "relu", batch=32, batches=100, **ADAM, **CROSS_ENTROPY),
    Workload("64-32-10", (64, 32, 10), "relu", batch=32, batches=100, **ADAM, **CROSS_ENTROPY),
    Workload("784-30-10", (784, 30, 10), "sigmoid", batch=10, batches=100, **SGD, **CROSS_ENTROPY),
    Workload("784-128-10", (784, 128, 10), "relu", batch=64, batches=100, **ADAM, **CROSS_ENTROPY),
    Workload("784-512-512-10", (784, 512, 512, 10), "relu", batch=128, batches=20, **ADAM, **CROSS_ENTROPY),
    Workload("1024x4", (1024, 1024, 1024, 1024, 10), "relu", batch=512, batches=4, **ADAM, **CROSS_ENTROPY),
    Workload("4-32-16-4", (4, 32, 16, 4), "tanh", "identity", batch=10_000, loss="squared_error", **ADAM),
)
LENET = {"sizes": (256, 120, 84, 10), "hidden": "relu", "image": (28, 28, 1), "convolutions": ((6, 5), (16, 5))}
IMAGES = tuple(Workload(f"lenet-{batch}", batch=batch, batches=640 // batch or 1, **LENET, **ADAM, **CROSS_ENTROPY)
               for batch in (64, 512))
PREDICTION = tuple(
    Workload(f"predict-{rows}:{'-'.join(map(str, sizes))}", sizes, "relu", "softmax", batch=rows)
    for sizes in ((64, 32, 10), (784, 128, 10)) for rows in (1, 64, 10_000))
WORKLOADS = {w.name: w for w in TRAINING + IMAGES + PREDICTION}
LARGEST = "1024x4"


# ---- the judge: the same in float64, as plainly as it can be said ----

HIDDEN = {"relu": (lambda z: np.maximum(z, 0), lambda y: y > 0),
          "tanh": (np.tanh, lambda y: 1 - y * y),
          "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda y: y * (1 - y))}


def _forward(workload: Workload, layers: list, X: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """X, then every layer's output; and the maps of the convolutions, before their pools."""
    outputs, maps = [X], []
    hidden = HIDDEN[workload.hidden][0]
    for w, b in layers[:-1]:
        if w.ndim == 4:
            maps.append(hidden(convolve(outputs[-1], w) + b))
            outputs.append(pool(maps[-1]))
        else:
            outputs.append(hidden(_flat(outputs[-1]) @ w + b))
    w, b = layers[-1]
    z = _flat(outputs[-1]) @ w + b
    if workload.output == "softmax":
        e = np.exp(z - z.max(axis=1, keepdims=True))
        z = e / e.sum(axis=1, keepdims=True)
    return [*outputs, z], maps


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


def _gradients(workload: Workload, layers: list, outputs: list[np.ndarray], maps: list[np.ndarray],
               dz: np.ndarray) -> list[np.ndarray]:
    """Those of (w, b, w, b, ..), given that of the last layer's sums."""
    slope = HIDDEN[workload.hidden][1]
    gradients: list[np.ndarray] = []
    for i in reversed(range(len(layers))):
        w = layers[i][0]
        if w.ndim == 4:
            dw, dx = convolve_gradients(outputs[i], w, dz)
        else:
            dw, dx = _flat(outputs[i]).T @ dz, (dz @ w.T).reshape(outputs[i].shape)
        gradients = [dw, dz.sum(axis=tuple(range(dz.ndim - 1))), *gradients]
        if i > len(maps):
            dz = dx * slope(outputs[i])
        elif i:
            dz = unpool(maps[i - 1], dx) * slope(maps[i - 1])
    return gradients


def expected(workload: Workload) -> np.ndarray:
    """The losses of the first steps, or the predictions."""
    if workload.judge is not None:
        return workload.judge(workload)
    layers = [(w.astype(np.float64), b.astype(np.float64)) for w, b in workload.weights()]
    X, y = workload.rows()
    X = X.astype(np.float64)
    if not workload.trains:
        return _forward(workload, layers, X)[0][-1]
    target = np.eye(workload.sizes[-1])[y] if y.ndim == 1 else y.astype(np.float64)
    slices = workload.batch_slices()
    parameters = [array for layer in layers for array in layer]
    means, squares = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    losses = []
    for step in range(1, workload.checked_steps + 1):
        rows = slices[(step - 1) % len(slices)]
        outputs, maps = _forward(workload, layers, X[rows])
        losses.append(_loss(workload, outputs[-1], target[rows]))
        gradients = _gradients(workload, layers, outputs, maps, (outputs[-1] - target[rows]) / workload.batch)
        for p, g, m, v in zip(parameters, gradients, means, squares, strict=True):
            if workload.optimizer == "sgd":
                p -= workload.rate * g
                continue
            m[...] = BETA1 * m + (1 - BETA1) * g
            v[...] = BETA2 * v + (1 - BETA2) * g * g
            p -= workload.rate * (m / (1 - BETA1 ** step)) / (np.sqrt(v / (1 - BETA2 ** step)) + EPSILON)
    return np.array(losses)


def _loss(workload: Workload, output: np.ndarray, target: np.ndarray) -> float:
    if workload.loss == "cross_entropy":
        return -np.log((output * target).sum(axis=1)).mean()
    return 0.5 * ((output - target) ** 2).sum(axis=1).mean()


def disagreement(workload: Workload, got: np.ndarray, want: np.ndarray, tolerance: float) -> str:
    """What is wrong with a peer's losses, within a relative `tolerance`, or predictions; "" if nothing."""
    got = np.asarray(got, np.float64)
    if got.shape != want.shape:
        return f"expected shape {want.shape}, got {got.shape}"
    wrong = ~(np.abs(got - want) <= (tolerance * np.abs(want) if workload.trains else 2e-5))
    if not wrong.any():
        return ""
    at = np.unravel_index(np.argmax(wrong), want.shape)
    what = "loss of step" if workload.trains else "output"
    return f"{what} {', '.join(map(str, at))}: expected {want[at]:.7g}, got {got[at]:.7g}"
