"""JAX: one jitted step a call, and many steps a call in lax.scan."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from .sequences import Characters
from .worker import Job
from .workloads import BETA1, BETA2, EPSILON, Workload

SAME_BATCH_STEPS = 20  # of one scan where all rows are one batch
ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}


def start(threads: int) -> None:
    if jax.default_backend() != "cpu":
        raise RuntimeError(f"JAX runs on {jax.default_backend()}, expected its CPU backend")


def make(workload: Workload, variant: str) -> Job | None:
    if workload.trains:
        return (Scan if variant == "scan" else Training)(workload)
    return None if variant == "scan" else Prediction(workload)


def network(workload: Workload, params: list, x: jax.Array) -> jax.Array:
    """Without the softmax."""
    if isinstance(workload, Characters):
        return character_network(workload, params, x)
    for w, b in params[:-1]:
        if w.ndim == 4:
            z = jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = ACTIVATIONS[workload.hidden](z + b)
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        else:
            x = ACTIVATIONS[workload.hidden](x.reshape(len(x), -1) @ w + b)
    w, b = params[-1]
    return x @ w + b


def character_network(workload: Characters, params: list, x: jax.Array) -> jax.Array:
    """One scan over time; x w is taken out of it, which is faster here."""
    (table,), (w, u, b, *bq), (v, c) = params
    n = workload.sizes[2]
    z = jnp.swapaxes(table[x] @ w + b, 0, 1)
    zeros = jnp.zeros((x.shape[0], n))

    def rnn(state, z):
        h = jnp.tanh(z + state[0] @ u)
        return (h,), h

    def lstm(state, z):
        i, f, g, o = jnp.split(z + state[0] @ u, 4, axis=1)
        cell = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(cell)
        return (h, cell), h

    def gru(state, z):
        hu = state[0] @ u
        update, reset = jnp.split(jax.nn.sigmoid(z[:, :2 * n] + hu[:, :2 * n]), 2, axis=1)
        h = update * state[0] + (1 - update) * jnp.tanh(z[:, 2 * n:] + reset * (hu[:, 2 * n:] + bq[0]))
        return (h,), h

    step = {"rnn": rnn, "lstm": lstm, "gru": gru}[workload.cell]
    _, h = jax.lax.scan(step, (zeros, zeros) if workload.cell == "lstm" else (zeros,), z)
    return jnp.swapaxes(h, 0, 1) @ v + c


def loss_of(workload: Workload, params: list, x: jax.Array, y: jax.Array) -> jax.Array:
    z = network(workload, params, x)
    if workload.loss == "cross_entropy":
        return -jnp.take_along_axis(jax.nn.log_softmax(z), y[..., None], axis=-1).mean()
    return 0.5 * ((z - y) ** 2).sum(axis=1).mean()


def train_step(workload: Workload, state: tuple, batch: tuple) -> tuple[tuple, jax.Array]:
    params, mean, square, t = state
    loss, gradient = jax.value_and_grad(partial(loss_of, workload))(params, *batch)
    if workload.optimizer == "sgd":
        return (jax.tree.map(lambda p, g: p - workload.rate * g, params, gradient), mean, square, t), loss
    t = t + 1
    mean = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, mean, gradient)
    square = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, square, gradient)
    rate, correction = workload.rate / (1 - BETA1 ** t), 1 / (1 - BETA2 ** t)

    def update(p, m, v):
        return p - rate * m / (jnp.sqrt(v * correction) + EPSILON)

    return (jax.tree.map(update, params, mean, square), mean, square, t), loss


def initial(workload: Workload) -> tuple:
    params = [tuple(map(jnp.array, layer)) for layer in workload.weights()]
    if workload.optimizer != "adam":
        return params, (), (), jnp.zeros(())
    return params, *(jax.tree.map(jnp.zeros_like, params) for _ in range(2)), jnp.zeros(())


class Training(Job):
    """A step a call; calls run ahead of Python, which waits for the last."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        X, y = workload.rows()
        self.batches = [(jnp.array(X[rows]), jnp.array(y[rows])) for rows in workload.batch_slices()]
        self.steps = len(self.batches)
        self.step = jax.jit(partial(train_step, workload), donate_argnums=0)

    def reset(self) -> None:
        self.state = jax.block_until_ready(initial(self.workload))

    def run(self, units: int) -> None:
        state, step = self.state, self.step
        for _ in range(units):
            for batch in self.batches:
                state, _ = step(state, batch)
        self.state = jax.block_until_ready(state)

    def check(self) -> np.ndarray:
        self.reset()
        losses = []
        for i in range(self.workload.checked_steps):
            self.state, loss = self.step(self.state, self.batches[i % self.steps])
            losses.append(float(loss))
        return np.array(losses)


class Scan(Job):
    """A pass over all batches a call."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        X, y = workload.rows()
        self.steps = workload.batches if workload.batches > 1 else SAME_BATCH_STEPS
        step = partial(train_step, workload)
        if workload.batches > 1:
            self.data = tuple(jnp.array(a.reshape(-1, workload.batch, *a.shape[1:])) for a in (X, y))
        else:
            self.data = jnp.array(X), jnp.array(y)

        def scan(state: tuple, data: tuple) -> tuple[tuple, jax.Array]:
            if workload.batches > 1:
                return jax.lax.scan(step, state, data)
            return jax.lax.scan(lambda state, _: step(state, data), state, length=self.steps)

        self.scan = jax.jit(scan, donate_argnums=0)

    def reset(self) -> None:
        self.state = jax.block_until_ready(initial(self.workload))

    def run(self, units: int) -> None:
        state = self.state
        for _ in range(units):
            state, self.losses = self.scan(state, self.data)
        self.state = jax.block_until_ready(state)

    def check(self) -> np.ndarray:
        self.reset()
        self.run(1)
        return np.asarray(self.losses)[:self.workload.checked_steps]


class Prediction(Job):
    """Each call is waited for: a prediction is there to be used."""

    def __init__(self, workload: Workload) -> None:
        self.params, self.x = initial(workload)[0], jnp.array(workload.rows()[0])
        self.predict = jax.jit(lambda params, x: jax.nn.softmax(network(workload, params, x)))

    def run(self, units: int) -> None:
        predict, params, x = self.predict, self.params, self.x
        for _ in range(units):
            predict(params, x).block_until_ready()

    def check(self) -> np.ndarray:
        return np.asarray(self.predict(self.params, self.x))
