"""Softmax, losses and optimizer functions: every backend, instruction set and dtype against formulas."""
import itertools

import numpy as np
import pytest

from cases import EDGES
from conftest import assert_close, assert_same_bits, rounding
from fastnn import functional as F
from fastnn.functional import call
from fastnn.program import OPS
from test_kernels import eps, normal

COLUMNS = (*EDGES, 65, 129)


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


def log_softmax(x):
    top = x.max(axis=1, keepdims=True)
    return x - top - np.log(np.exp(x - top).sum(axis=1, keepdims=True))


def softmax_error(dtype, x):
    """The argument of exp is rounded, and so is the sum of n exponentials."""
    terms = np.ptp(x, axis=1, keepdims=True) + x.shape[1] + 8
    return np.exp(log_softmax(x)) * eps(dtype) * terms + np.finfo(dtype).tiny


def logits_of(dtype, rows, n, extreme):
    z = 3 * normal(dtype, (rows, n), 3)
    if extreme:
        z[::2] = np.where(np.arange(n) % 3 == 1, 1e4, -1e4)
        z[:, n // 2] += 1e4
        z[1::4] -= 3e4  # the largest is far below zero, too
    return z


def targets_of(kind, rows, n):
    """Targets of a kind, and the same as rows."""
    rng = np.random.default_rng(rows + n)
    labels, probabilities = rng.integers(0, n, rows), rng.dirichlet(np.ones(n), rows)
    one_hot = np.eye(n)[labels]
    return {"labels": (labels, one_hot), "one-hot": (one_hot, one_hot),
            "probabilities": (probabilities, probabilities)}[kind]


def weights_of(weighted, rows):
    """Weights and each row's share of their sum."""
    weight = np.linspace(0, 2, rows) + 0.25 if weighted else None
    return weight, np.ones(rows) / rows if weight is None else weight / weight.sum()


def test_softmax_forward(combination):
    dtype = combination.dtype
    for rows, n, extreme in itertools.product((1, 2, 7, 17, 33), COLUMNS, (False, True)):
        x = logits_of(dtype, rows, n, extreme)
        exact, = wide(x)
        error = softmax_error(dtype, exact)
        assert_close(F.softmax_forward(x), np.exp(log_softmax(exact)), error, f"{rows}x{n}")


def test_softmax_backward(combination):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 7, 17), EDGES):
        dy, y = normal(dtype, (rows, n)), F.softmax_forward(normal(dtype, (rows, n), 1))
        terms = wide(dy)[0] * y
        error = y * rounding(dtype, n) * (np.abs(dy) + np.abs(terms).sum(1, keepdims=True))
        assert_close(F.softmax_backward(dy, y), y * (dy - terms.sum(1, keepdims=True)), error, f"{rows}x{n}")


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["labels", "one-hot", "probabilities"])
def test_softmax_cross_entropy(combination, kind, weighted, extreme):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 7, 16, 17, 33), COLUMNS):
        z, (weight, share) = logits_of(dtype, rows, n, extreme), weights_of(weighted, rows)
        target, t = targets_of(kind, rows, n)
        y, dz, loss = F.softmax_cross_entropy(z, target, weight)
        z, t = wide(z, t.astype(dtype))
        logs, error = log_softmax(z), softmax_error(dtype, z)
        assert_close(y, np.exp(logs), error, f"y {rows}x{n}")
        assert loss.dtype == np.float64
        size = rounding(dtype, n) * (2 * np.abs(z).max(1) + np.log(n))
        assert_close(loss, -(t * logs).sum(1), size, f"loss {rows}x{n}")
        expected = (np.exp(logs) * t.sum(1, keepdims=True) - t) * share[:, None]
        assert_close(dz, expected, (error + rounding(dtype, n)) * share[:, None], f"dlogits {rows}x{n}")


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_sigmoid_cross_entropy(combination, weighted, extreme):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 7, 17), EDGES):
        z, (weight, share) = logits_of(dtype, rows, n, extreme), weights_of(weighted, rows)
        t = np.random.default_rng(n).random((rows, n)).round(1).astype(dtype)
        y, dz, loss = F.sigmoid_cross_entropy(z, t, weight)
        z, t = wide(z, t)
        p = np.exp(-np.logaddexp(0, -z))
        assert_close(y, p, 6 * eps(dtype) * p + np.finfo(dtype).tiny, f"y {rows}x{n}")
        expected = (t * np.logaddexp(0, -z) + (1 - t) * np.logaddexp(0, z)).sum(1)
        assert_close(loss, expected, rounding(dtype, n) * (2 * np.abs(z) + 1).sum(1), f"loss {rows}x{n}")
        error = 8 * eps(dtype) * share[:, None]
        assert_close(dz, (p - t) * share[:, None], error, f"dlogits {rows}x{n}")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("factor", [0.5, 1 / 3])
def test_squared_error(combination, weighted, factor):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 7, 17), EDGES):
        (weight, share), y, t = weights_of(weighted, rows), *(normal(dtype, (rows, n), i) for i in (0, 1))
        dy, loss = F.squared_error(y, t, weight, factor)
        y, t = wide(y, t)
        expected = factor * ((y - t) ** 2).sum(1)
        assert_close(loss, expected, rounding(dtype, n) * expected, f"loss {rows}x{n}")
        expected = 2 * factor * (y - t) * share[:, None]
        assert_close(dy, expected, rounding(dtype) * np.abs(expected), f"dy {rows}x{n}")


def test_loss_sum(combination):
    for n in EDGES:
        loss, weight = np.random.default_rng(n).random((2, n))
        error = rounding(np.float64, n)
        assert call("loss_sum", (loss, None), weight_sum=n, factor=1.0) == pytest.approx(loss.mean(), rel=error)
        got = call("loss_sum", (loss, weight), weight_sum=2.5, factor=1.0)
        assert got == pytest.approx(weight @ loss / 2.5, rel=error)


def test_loss_without_gradient(combination):
    """What evaluation runs: the same numbers, and no place for the gradient."""
    z, t = normal(combination.dtype, (7, 5)), np.eye(5, dtype=combination.dtype)[np.arange(7) % 5]
    for function in (F.softmax_cross_entropy, F.sigmoid_cross_entropy):
        y, loss = np.empty_like(z), np.empty(7)
        call(function.__name__, (z, t, None, y, None, loss), weight_sum=7, factor=1.0)
        expected_y, _, expected_loss = function(z, t)
        assert_same_bits(y, expected_y)
        assert_same_bits(loss, expected_loss)
    call("squared_error", (z, t, None, None, loss), weight_sum=7, factor=0.5)
    assert_same_bits(loss, F.squared_error(z, t)[1])


# --------------------------------------------------------------------------------------------- optimizers

RATE, BETA1, BETA2, EPSILON = 0.1, 0.9, 0.999, 1e-8


def sgd(g, w, t):
    w -= RATE * g


def momentum(g, w, t, v):
    v[...] = BETA1 * v - RATE * g
    w += v


def nesterov(g, w, t, v):
    v[...] = BETA1 * v - RATE * g
    w += BETA1 * v - RATE * g


def adam(g, w, t, m, v):
    m[...] = BETA1 * m + (1 - BETA1) * g
    v[...] = BETA2 * v + (1 - BETA2) * g ** 2
    w -= RATE * (m / (1 - BETA1 ** t)) / (np.sqrt(v / (1 - BETA2 ** t)) + EPSILON)


REFERENCE = {f.__name__: f for f in (sgd, momentum, nesterov, adam)}  # in place, as in the textbooks


def optimizer_error(dtype, steps):
    """Some ten roundings a step of numbers up to 4; Adam's quotient in float is good to 2^-21."""
    return 4 * 16 * steps * eps(dtype)


@pytest.mark.parametrize("shape", [(5,), (3, 17)])
def test_public_optimizer_functions(combination, shape):
    """The functions take the settings under their public names."""
    dtype = combination.dtype
    g, w = normal(dtype, shape), normal(dtype, shape, 1)
    steps = {"sgd": lambda w: F.sgd(g, w, RATE), "momentum": lambda w, v: F.momentum(g, w, v, RATE, BETA1),
             "nesterov": lambda w, v: F.nesterov(g, w, v, RATE, beta=BETA1),
             "adam": lambda w, m, v: F.adam(g, w, m, v, RATE, 1, BETA1, BETA2, EPSILON)}
    for name, step in steps.items():
        arrays = [w.copy(), *(np.zeros_like(w) for _ in range(len(OPS[name].outputs) - 1))]
        exact = wide(*arrays)
        step(*arrays)
        REFERENCE[name](g.astype(np.float64), exact[0], 1, *exact[1:])
        for got, expected in zip(arrays, exact, strict=True):
            assert_close(got, expected, optimizer_error(dtype, 1), name)


def test_adam_of_tiny_and_huge_gradients(combination):
    """The step's length is the rate whatever the gradient's size; epsilon alone stops it."""
    g = np.array([1e-15, -1e-12, 1e-9, 1e-8, 1e-3, -1e3, 1e12, 1e18], combination.dtype)
    w, m, v = np.zeros((3, len(g)), combination.dtype)
    F.adam(g, w, m, v, 1.0, 1)
    exact, = wide(g)
    expected = -exact / (np.abs(exact) + EPSILON)
    assert_close(w, expected, 16 * eps(combination.dtype) * np.abs(expected), "adam")
