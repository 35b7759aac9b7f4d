"""The recurrent workloads: a character model that says what comes next, its data, and its losses in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .workloads import BETA1, BETA2, EPSILON, WORKLOADS, Workload

GATES = {"rnn": 1, "lstm": 4, "gru": 3}  # in the order i f g o, z r n


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


@dataclass(frozen=True)
class Characters(Workload):
    """`sizes` are tokens, numbers of an embedding, units, tokens; the output is softmax at every step in time."""

    cell: str = "lstm"
    time: int = 64

    @property
    def flops(self) -> int:
        """Of the products of one step: x w, h u and the last layer, each with both gradients."""
        _, n_in, n, n_out = self.sizes
        return 2 * self.batch * self.time * 3 * ((n_in + n) * GATES[self.cell] * n + n * n_out)

    def arrays(self) -> dict[str, np.ndarray]:
        """Initial weights, float32; `bq` is the GRU's own bias of h u_n."""
        rng = np.random.default_rng(1)
        tokens, n_in, n, n_out = self.sizes
        columns = GATES[self.cell] * n
        shapes = {"table": (tokens, n_in), "w": (n_in, columns), "u": (n, columns), "b": (columns,),
                  **({"bq": (n,)} if self.cell == "gru" else {}), "v": (n, n_out), "c": (n_out,)}
        return {name: rng.uniform(-0.1, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}

    def weights(self) -> list[tuple[np.ndarray, ...]]:
        """The same by layer: embedding, recurrent layer, last layer."""
        table, *recurrent, v, c = self.arrays().values()
        return [(table,), tuple(recurrent), (v, c)]

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and those that follow them, (rows, time) int64: a text that repeats itself in part."""
        rng = np.random.default_rng(2)
        n = self.batch * self.batches
        text = rng.integers(0, self.sizes[0], n * self.time + 1) // rng.integers(1, 9, n * self.time + 1)
        return text[:-1].reshape(n, self.time), text[1:].reshape(n, self.time)


def expected(workload: Characters) -> np.ndarray:
    """The losses of the first steps."""
    p = {name: array.astype(np.float64) for name, array in workload.arrays().items()}
    X, y = workload.rows()
    moments = {name: (np.zeros_like(a), np.zeros_like(a)) for name, a in p.items()}
    losses = []
    for step in range(1, workload.checked_steps + 1):
        rows = workload.batch_slices()[(step - 1) % workload.batches]
        loss, gradients = loss_and_gradients(workload, p, X[rows], y[rows])
        losses.append(loss)
        for name, g in gradients.items():
            m, v = moments[name]
            m += (1 - BETA1) * (g - m)
            v += (1 - BETA2) * (g * g - v)
            p[name] -= workload.rate * (m / (1 - BETA1 ** step)) / (np.sqrt(v / (1 - BETA2 ** step)) + EPSILON)
    return np.array(losses)


def loss_and_gradients(workload: Characters, p: dict, X: np.ndarray, y: np.ndarray) -> tuple[float, dict]:
    """The mean loss of a batch and its gradient for every array, step in time by step."""
    batch, time = X.shape
    n = workload.sizes[2]
    h = c = np.zeros((batch, n))
    kept, states, loss = [], [], 0.0
    d = {name: np.zeros_like(a) for name, a in p.items()}
    douts = []
    for t in range(time):
        x, before = p["table"][X[:, t]], (h, c)
        h, c, gates = forward(workload.cell, x @ p["w"] + p["b"], h, c, p)
        kept.append((x, before, gates))
        states.append((h, c))
        z = h @ p["v"] + p["c"]
        e = np.exp(z - z.max(axis=1, keepdims=True))
        share = e / e.sum(axis=1, keepdims=True)
        loss -= np.log(share[np.arange(batch), y[:, t]]).sum() / (batch * time)
        share[np.arange(batch), y[:, t]] -= 1
        douts.append(share / (batch * time))
    dh, dc = np.zeros_like(h), np.zeros_like(c)
    for t in reversed(range(time)):
        x, (h, c), gates = kept[t]
        d["v"] += states[t][0].T @ douts[t]
        d["c"] += douts[t].sum(axis=0)
        dh, dc, dz = backward(workload.cell, dh + douts[t] @ p["v"].T, dc, states[t], h, c, gates, p, d)
        d["w"] += x.T @ dz
        d["b"] += dz.sum(axis=0)
        np.add.at(d["table"], X[:, t], dz @ p["w"].T)
    return loss, d


def forward(cell: str, z: np.ndarray, h: np.ndarray, c: np.ndarray, p: dict) -> tuple:
    """The next state and cell, and what the backward wants, from z = x w + b."""
    n, u = h.shape[1], p["u"]
    if cell == "rnn":
        return np.tanh(z + h @ u), c, None
    if cell == "lstm":
        i, f, g, o = np.split(z + h @ u, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c + i * g
        return o * np.tanh(c), c, (i, f, g, o)
    update, reset = np.split(sigmoid(z[:, :2 * n] + h @ u[:, :2 * n]), 2, axis=1)
    q = h @ u[:, 2 * n:] + p["bq"]
    new = np.tanh(z[:, 2 * n:] + reset * q)
    return update * h + (1 - update) * new, c, (update, reset, new, q)


def backward(cell: str, dh: np.ndarray, dc: np.ndarray, now: tuple, h: np.ndarray, c: np.ndarray, gates: tuple,
             p: dict, d: dict) -> tuple:
    """The gradients of the state and cell before, and of z; adds to those of u."""
    n, u = h.shape[1], p["u"]
    if cell == "rnn":
        dz = dh * (1 - now[0] ** 2)
        d["u"] += h.T @ dz
        return dz @ u.T, dc, dz
    if cell == "lstm":
        i, f, g, o = gates
        out = np.tanh(now[1])
        dc = dc + dh * o * (1 - out ** 2)
        dz = np.hstack([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g ** 2), dh * out * o * (1 - o)])
        d["u"] += h.T @ dz
        return dz @ u.T, dc * f, dz
    update, reset, new, q = gates
    dnew = dh * (1 - update) * (1 - new ** 2)
    dq = dnew * reset
    dzr = np.hstack([dh * (h - new) * update * (1 - update), dnew * q * reset * (1 - reset)])
    d["u"] += h.T @ np.hstack([dzr, dq])
    d["bq"] += dq.sum(axis=0)
    return dh * update + dzr @ u[:, :2 * n].T + dq @ u[:, 2 * n:].T, dc, np.hstack([dzr, dnew])


Characters.judge = staticmethod(expected)
CHARACTERS = tuple(Characters(f"char-{cell}", (65, 64, 128, 65), "", "softmax", batch=32, optimizer="adam", rate=2e-3,
                              loss="cross_entropy", batches=4, cell=cell) for cell in GATES)
WORKLOADS.update({w.name: w for w in CHARACTERS})
