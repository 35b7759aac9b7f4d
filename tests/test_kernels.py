"""Every op on every backend, instruction set and dtype, against formulas in float64 written here."""
import functools
import itertools

import mpmath
import numpy as np
import pytest
from cases import EDGES
from conftest import assert_close, rounding

from fastnn import functional as F
from fastnn.activations import ACTIVATIONS
from fastnn.functional import call
from fastnn.program import OPS

RATE = 0.1


@functools.cache
def pool(dtype, seed, scale=1.0):
    values = scale * np.random.default_rng(seed).standard_normal(128 * 128)
    return values.astype(dtype)


def normal(dtype, shape, seed=0, scale=1.0):
    """Normal numbers, all different, contiguous."""
    return pool(str(dtype), seed, scale)[:int(np.prod(shape))].reshape(shape).copy()


def wide(*arrays):
    return [None if a is None else a.astype(np.float64) for a in arrays]


def eps(dtype):
    return float(np.finfo(dtype).eps)


def test_every_op_is_tested_here():
    tested = set(open(__file__, encoding="utf-8").read().replace('"', " ").replace("(", " ").replace(".", " ").split())
    assert not set(OPS) - tested


# ------------------------------------------------------------------------------------------- activations

def evaluate(name, x):
    """The formula of the registry at x, in 50 digits."""
    functions = {n: getattr(mpmath, n) for n in ("exp", "log", "tanh", "sqrt", "erf", "pi", "log1p", "expm1")}
    return eval(ACTIVATIONS[name].formula, {**functions, "max": max, "min": min, "abs": abs, "x": x, "alpha": 0})


@functools.cache
def exact(name, derivative):
    """Points of float32 away from kinks, and the activation or its derivative there, from the registry's formula."""
    special = [0.0, -0.0, 1e-30, 1e-8, -1e-8, 0.3, -20.0, 20.0, -87.0, 87.0, 300.0, -300.0]
    points = np.concatenate([special, np.linspace(-9.7, 9.3, 77)]).astype(np.float32)
    points = np.array([x for x in points if not (derivative and float(x) in ACTIVATIONS[name].kinks)])
    with mpmath.workdps(400):  # exp(300) - exp(-300) in full
        def f(x):
            return evaluate(name, x)
        values = [float(mpmath.diff(f, float(x), h=mpmath.mpf(10) ** -150) if derivative else f(mpmath.mpf(float(x))))
                  for x in points]
    return points, np.array(values)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_forward(combination, name):
    dtype = combination.dtype
    x, y = exact(name, False)
    for n in EDGES:
        used = np.resize(np.arange(len(x)), (len(x) // n + 1, n))
        got = F.activation_forward(x[used].astype(dtype), name)
        assert got.dtype == dtype
        assert_close(got, y[used], 6 * eps(dtype) * np.abs(y[used]) + np.finfo(dtype).tiny, f"{name}, {n} columns")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_backward(combination, name):
    """dx = dy f'; from an output rounded to eps, f' is known to a few eps of the largest slope."""
    dtype = combination.dtype
    x, slope = exact(name, True)
    for n in EDGES:
        used = np.resize(np.arange(len(x)), (len(x) // n + 1, n))
        xs, dy = x[used].astype(dtype), normal(dtype, used.shape)
        f = F.activation_forward(xs, name) if ACTIVATIONS[name].derivative_of == "output" else xs
        got = F.activation_backward(dy, f, name)
        assert_close(got, dy * slope[used], 6 * eps(dtype) * np.abs(dy) * max(1, np.abs(slope).max()), f"{name}, {n}")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_ranges_and_nan(combination, name):
    low, high = ACTIVATIONS[name].range
    big = np.finfo(combination.dtype).max
    x = np.array([[-np.inf, -big, -1e4, 0, 1e4, big, np.inf, np.nan]], combination.dtype)
    y = F.activation_forward(x, name)
    assert (y[:, :-1] >= low).all() and (y[:, :-1] <= high).all() and np.isfinite(y[:, 2:5]).all()
    assert np.isnan(y[0, -1]) and not np.isnan(y[0, :-1]).any()


# ---------------------------------------------------------------------------------------- dense products

SHAPES = list(itertools.product((1, 2, 3, 5, 16, 17, 33, 64), EDGES, EDGES))


def test_dense_forward(combination):
    dtype = combination.dtype
    for rows, n_in, n_out in SHAPES:
        x, w, b = (normal(dtype, s, i) for i, s in enumerate(((rows, n_in), (n_in, n_out), (n_out,))))
        z = np.dot(*wide(x, w)) + b
        error = rounding(dtype, n_in) * (np.dot(*wide(np.abs(x), np.abs(w))) + np.abs(b))
        assert_close(F.dense_forward(x, w, b), z, error, f"{rows}x{n_in}x{n_out}")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_dense_forward_activation(combination, name):
    """The fused activation is that of activation_forward; z is stored where asked for."""
    dtype = combination.dtype
    for rows, n_in, n_out in itertools.product((1, 7), (5,), EDGES):
        x, w, b = (normal(dtype, s, i) for i, s in enumerate(((rows, n_in), (n_in, n_out), (n_out,))))
        for bias in (b, None):
            y, z = np.full((2, rows, n_out), np.nan, dtype)
            call("dense_forward", (x, w, bias, y, z), activation=name)
            expected = np.dot(*wide(x, w)) + (0 if bias is None else b)
            assert_close(z, expected, rounding(dtype, n_in) * 10, "z")
            assert_close(y, F.activation_forward(z, name), eps(dtype), "y of z")
            assert_close(F.dense_forward(x, w, bias, name), y, eps(dtype), "without z")


def test_dense_backward_input(combination):
    dtype = combination.dtype
    for rows, n_in, n_out in SHAPES:
        dy, w = normal(dtype, (rows, n_out)), normal(dtype, (n_in, n_out), 1)
        error = rounding(dtype, n_out) * np.dot(*wide(np.abs(dy), np.abs(w.T)))
        assert_close(F.dense_backward_input(dy, w), np.dot(*wide(dy, w.T)), error, f"{rows}x{n_in}x{n_out}")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_dense_backward_input_activation(combination, name):
    dtype = combination.dtype
    for rows, n_in, n_out in itertools.product((1, 7), EDGES, (5,)):
        dy, w = normal(dtype, (rows, n_out)), normal(dtype, (n_in, n_out), 1)
        f = F.activation_forward(normal(dtype, (rows, n_in), 2), name)
        error = 2 * rounding(dtype, n_out) * np.dot(*wide(np.abs(dy), np.abs(w.T)))
        expected = F.activation_backward(F.dense_backward_input(dy, w), f, name)
        assert_close(F.dense_backward_input(dy, w, f, name), expected, error, f"{rows}x{n_in}x{n_out}")


def test_dense_backward_parameters(combination):
    dtype = combination.dtype
    for rows, n_in, n_out in SHAPES:
        x, dy = normal(dtype, (rows, n_in)), normal(dtype, (rows, n_out), 1)
        dw, db = F.dense_backward_parameters(x, dy)
        error = rounding(dtype, rows) * np.dot(*wide(np.abs(x.T), np.abs(dy)))
        assert_close(dw, np.dot(*wide(x.T, dy)), error, f"dw {rows}x{n_in}x{n_out}")
        assert_close(db, dy.sum(0, dtype=np.float64), rounding(dtype, rows) * np.abs(dy).sum(0), f"db {rows}x{n_out}")
    only_dw = np.empty_like(dw)
    call("dense_backward_parameters", (x, dy, only_dw, None))
    np.testing.assert_array_equal(only_dw, dw)


@pytest.mark.parametrize("rows, n_in, n_out", [(129, 600, 40), (40, 530, 300), (3, 1100, 515), (600, 40, 70)])
def test_large_products(combination, rows, n_in, n_out):
    """Longer than every block of the kernels."""
    dtype, rng = combination.dtype, np.random.default_rng(0)
    x, w, dy = (rng.standard_normal(s).astype(dtype) for s in ((rows, n_in), (n_in, n_out), (rows, n_out)))
    for got, a, b in ((F.dense_forward(x, w), x, w), (F.dense_backward_input(dy, w), dy, w.T),
                      (F.dense_backward_parameters(x, dy)[0], x.T, dy)):
        error = rounding(dtype, a.shape[1]) * np.dot(*wide(np.abs(a), np.abs(b)))
        assert_close(got, np.dot(*wide(a, b)), error, f"{a.shape} x {b.shape}")


def test_no_rows(combination):
    x, w = np.zeros((0, 5), combination.dtype), np.ones((5, 3), combination.dtype)
    assert F.dense_forward(x, w).shape == (0, 3)
    assert F.dense_backward_input(np.zeros((0, 3), combination.dtype), w).shape == (0, 5)
    dw, db = F.dense_backward_parameters(x, np.zeros((0, 3), combination.dtype))
    assert not dw.any() and not db.any()


# ------------------------------------------------------------------------------------- softmax and losses

def log_softmax(x):
    top = x.max(axis=1, keepdims=True)
    return x - top - np.log(np.exp(x - top).sum(axis=1, keepdims=True))


def softmax_error(dtype, x):
    """The argument of exp is rounded, the sum of n exponentials too."""
    return np.exp(log_softmax(x)) * eps(dtype) * (np.ptp(x, axis=1, keepdims=True) + x.shape[1] + 8) + np.finfo(dtype).tiny


def logits_of(dtype, rows, n, extreme):
    z = normal(dtype, (rows, n), 3, 3.0)
    if extreme:
        z[::2] = np.where(np.arange(n) % 3 == 1, 1e4, -1e4)
        z[:, n // 2] += 1e4
    return z


def targets_of(kind, rows, n):
    rng = np.random.default_rng(rows + n)
    labels = rng.integers(0, n, rows)
    rows_ = np.eye(n)[labels] if kind != "probabilities" else rng.dirichlet(np.ones(n), rows)
    return (labels if kind == "labels" else rows_), rows_


def weights_of(weighted, rows):
    return np.linspace(0, 2, rows) + 0.25 if weighted else None


def test_softmax_forward(combination):
    dtype = combination.dtype
    for rows, n, extreme in itertools.product((1, 2, 7, 17, 33), (*EDGES, 65, 129), (False, True)):
        x = logits_of(dtype, rows, n, extreme)
        error = softmax_error(dtype, *wide(x))
        assert_close(F.softmax_forward(x), np.exp(log_softmax(*wide(x))), error, f"{rows}x{n}")


def test_softmax_backward(combination):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 7, 17), EDGES):
        dy, y = normal(dtype, (rows, n)), F.softmax_forward(normal(dtype, (rows, n), 1))
        inner = (dy * y.astype(float)).sum(1, keepdims=True)
        error = y * rounding(dtype, n) * (np.abs(dy) + np.abs(dy * y).sum(1, keepdims=True))
        assert_close(F.softmax_backward(dy, y), y * (dy - inner), error, f"{rows}x{n}")


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["labels", "one-hot", "probabilities"])
def test_softmax_cross_entropy(combination, kind, weighted, extreme):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 7, 16, 17, 33), (*EDGES, 65, 129)):
        z, weight = logits_of(dtype, rows, n, extreme), weights_of(weighted, rows)
        target, t = targets_of(kind, rows, n)
        y, dz, loss = F.softmax_cross_entropy(z, target, weight)
        t = t.astype(dtype).astype(float)
        logs, factor = log_softmax(*wide(z)), np.ones(rows) / rows if weight is None else weight / weight.sum()
        error = softmax_error(dtype, *wide(z))
        assert_close(y, np.exp(logs), error, f"y {rows}x{n}")
        assert loss.dtype == np.float64
        assert_close(loss, -(t * logs).sum(1), rounding(dtype, n) * (2 * np.abs(z).max(1) + np.log(n)), f"loss {rows}x{n}")
        expected = (np.exp(logs) * t.sum(1, keepdims=True) - t) * factor[:, None]
        assert_close(dz, expected, (error + rounding(dtype, n)) * factor[:, None], f"dlogits {rows}x{n}")


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_sigmoid_cross_entropy(combination, weighted, extreme):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 7, 17), EDGES):
        z, weight = logits_of(dtype, rows, n, extreme), weights_of(weighted, rows)
        t = np.random.default_rng(n).random((rows, n)).round(1).astype(dtype)
        y, dz, loss = F.sigmoid_cross_entropy(z, t, weight)
        z, t = wide(z, t)
        factor = np.ones(rows) / rows if weight is None else weight / weight.sum()
        probability = np.exp(-np.logaddexp(0, -z))
        assert_close(y, probability, 6 * eps(dtype) * probability + np.finfo(dtype).tiny, f"y {rows}x{n}")
        expected = (t * np.logaddexp(0, -z) + (1 - t) * np.logaddexp(0, z)).sum(1)
        assert_close(loss, expected, rounding(dtype, n) * (2 * np.abs(z) + 1).sum(1), f"loss {rows}x{n}")
        assert_close(dz, (probability - t) * factor[:, None], 8 * eps(dtype) * factor[:, None], f"dlogits {rows}x{n}")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("factor", [0.5, 1 / 3])
def test_squared_error(combination, weighted, factor):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 7, 17), EDGES):
        y, t, weight = normal(dtype, (rows, n)), normal(dtype, (rows, n), 1), weights_of(weighted, rows)
        dy, loss = F.squared_error(y, t, weight, factor)
        y, t = wide(y, t)
        share = np.ones(rows) / rows if weight is None else weight / weight.sum()
        expected = factor * ((y - t) ** 2).sum(1)
        assert_close(loss, expected, rounding(dtype, n) * expected, f"loss {rows}x{n}")
        expected = 2 * factor * (y - t) * share[:, None]
        assert_close(dy, expected, rounding(dtype) * np.abs(expected), f"dy {rows}x{n}")


def test_loss_sum(combination):
    for n in EDGES:
        loss, weight = np.random.default_rng(n).random((2, n))
        error = rounding(np.float64, n)
        assert call("loss_sum", (loss, None), weight_sum=n) == pytest.approx(loss.mean(), rel=error)
        assert call("loss_sum", (loss, weight), weight_sum=2.5) == pytest.approx(weight @ loss / 2.5, rel=error)


def test_a_loss_without_gradient(combination):
    """What evaluation runs: no place for the gradient."""
    z, t = normal(combination.dtype, (7, 5)), np.eye(5, dtype=combination.dtype)[np.arange(7) % 5]
    for name, function in (("softmax_cross_entropy", F.softmax_cross_entropy),
                           ("sigmoid_cross_entropy", F.sigmoid_cross_entropy)):
        y, loss = np.empty_like(z), np.empty(7)
        call(name, (z, t, None, y, None, loss), weight_sum=7)
        for got, expected in zip((y, loss), function(z, t)[::2], strict=True):
            np.testing.assert_array_equal(got, expected)
    loss = np.empty(7)
    call("squared_error", (z, t, None, None, loss), weight_sum=7, factor=0.5)
    np.testing.assert_array_equal(loss, F.squared_error(z, t)[1])


# ----------------------------------------------------------------------------------------- into the arena

@pytest.mark.parametrize("source", ["f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_gather_and_store(combination, source):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 3, 17), EDGES):
        x = (np.arange(rows * n).reshape(rows, n) % 120 * (0.5 if source[0] == "f" else 1)).astype(source)
        y, back = np.full((2, rows, n), np.nan, dtype)
        call("gather", (x, y), check_finite=1)
        np.testing.assert_array_equal(y, x)
        call("store", (y, back))
        np.testing.assert_array_equal(back, y)


def test_gather_labels_and_weights(combination):
    labels, weight = np.arange(20) * 3, np.linspace(0, 1, 20)
    got_labels, got_weight, arena = np.zeros(20, np.int64), np.zeros(20), np.zeros((20, 2), combination.dtype)
    settings = {"check_finite": 0}
    call("gather", (labels, got_labels), **settings, real=combination.dtype)
    call("gather", (weight, got_weight), **settings, real=combination.dtype)
    np.testing.assert_array_equal(got_labels, labels)
    np.testing.assert_array_equal(got_weight, weight)
    assert not arena.any()


def test_standardize(combination):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 7), EDGES):
        x, mean, scale = normal(dtype, (rows, n)), normal(dtype, (n,), 1), np.abs(normal(dtype, (n,), 2))
        expected = (x.astype(float) - mean) * scale
        assert_close(F.standardize(x, mean, scale), expected, rounding(dtype) * np.abs(expected), f"{rows}x{n}")


# --------------------------------------------------------------------------------------------- optimizers

def reference_step(name, g, w, states, update, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """One step in float64, in place, as the textbooks have it."""
    if name == "sgd":
        w -= RATE * g
    elif name == "adam":
        m, v = states
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g ** 2
        w -= RATE * (m / (1 - beta1 ** update)) / (np.sqrt(v / (1 - beta2 ** update)) + epsilon)
    else:
        states[0][...] = beta1 * states[0] - RATE * g
        w += states[0] if name == "momentum" else beta1 * states[0] - RATE * g


N_STATES = {"sgd": 0, "momentum": 1, "nesterov": 1, "adam": 2}
SETTINGS = {"rate_factor": 1.0, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
TAKE_STEP = {"sgd": lambda g, w, s, t: F.sgd(g, w, RATE), "momentum": lambda g, w, s, t: F.momentum(g, w, *s, RATE),
             "nesterov": lambda g, w, s, t: F.nesterov(g, w, *s, RATE), "adam": lambda g, w, s, t: F.adam(g, w, *s, RATE, t)}


def optimizer_error(dtype, steps):
    """Relative to numbers of size 4: a few roundings a step; Adam's quotient in float is good to 2^-21."""
    return 4 * 16 * steps * eps(dtype)


@pytest.mark.parametrize("name", N_STATES)
def test_optimizers(combination, name):
    dtype = combination.dtype
    for shape in [*((n,) for n in EDGES), *((3, n) for n in EDGES)]:
        w, states = normal(dtype, shape), [np.zeros(shape, dtype) for _ in range(N_STATES[name])]
        exact_w, exact_states = w.astype(float), wide(*states)
        for update in range(1, 6):
            g = normal(dtype, shape, update)
            TAKE_STEP[name](g, w, states, update)
            reference_step(name, g.astype(float), exact_w, exact_states, update)
        for got, expected in zip((w, *states), (exact_w, *exact_states), strict=True):
            assert_close(got, expected, optimizer_error(dtype, 5), f"{name} {shape}")


@pytest.mark.parametrize("name", N_STATES)
def test_dense_backward_update(combination, name):
    """The fused step is that of the gradients taken one after the other; with and without bias."""
    dtype = combination.dtype
    for rows, n_in, n_out in itertools.product((1, 5, 33), (1, 3, 17, 100), EDGES):
        x, dy = normal(dtype, (rows, n_in)), normal(dtype, (rows, n_out), 1, 0.1)
        w, b = normal(dtype, (n_in, n_out), 2), normal(dtype, (n_out,), 3)
        for bias in (True, False):
            parameters = [a.copy() for a in (w, b)[:1 + bias]]
            states = [[np.full(p.shape, 0.01, dtype) for _ in range(N_STATES[name])] for p in parameters]
            operands = [[p, *s, *[None] * (2 - len(s))] for p, s in zip(parameters, states, strict=True)]
            operands = sum(operands, []) + ([] if bias else [None] * 3)
            call("dense_backward_update", (x, dy, *operands), optimizer=name, rate=RATE, update=3, **SETTINGS)
            gradients = np.dot(*wide(x.T, dy)), dy.sum(0, dtype=float)
            for p, s, before, g in zip(parameters, states, (w, b), gradients, strict=False):
                expected, exact_states = before.astype(float), [np.full(p.shape, 0.01) for _ in s]
                reference_step(name, g, expected, exact_states, 3)
                for got, wanted in zip((p, *s), (expected, *exact_states), strict=True):
                    assert_close(got, wanted, optimizer_error(dtype, 1) * (1 + rows), f"{name} {rows}x{n_in}x{n_out}")


@pytest.mark.parametrize("name", N_STATES)
def test_rate_factor_and_zero_gradient(combination, name):
    """A parameter's rate factor multiplies the rate; where gradient and state are zero nothing moves."""
    w, g = normal(combination.dtype, (33,)), normal(combination.dtype, (33,), 1)
    g[::2] = 0
    results = []
    for factor, rate in ((0.5, 0.2), (1.0, 0.1)):
        got, states = w.copy(), [np.zeros_like(w) for _ in range(N_STATES[name])]
        call(name, (g, got, *states), rate=rate, update=1, **{**SETTINGS, "rate_factor": factor})
        results.append(got)
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(results[0][::2], w[::2])
    assert (results[0][1::2] != w[1::2]).all()


# ------------------------------------------------------------------------------------ NaN and infinities

def test_nan_propagates_and_stays_in_its_row(combination):
    dtype = combination.dtype
    for n in EDGES:
        x = normal(dtype, (7, n))
        x[3, n // 2] = np.nan
        others = np.arange(7) != 3
        w, t = normal(dtype, (n, 5), 1), np.eye(n, dtype=dtype)[np.arange(7) % n]
        results = [F.dense_forward(x, w, None, name) for name in ACTIVATIONS]
        results += [F.softmax_forward(x), F.dense_backward_input(x, w.T.copy()), F.softmax_backward(x, t + 1)]
        for function in (F.softmax_cross_entropy, F.sigmoid_cross_entropy, F.squared_error):
            results += [a for a in function(x, t) if a.ndim == 1]
        results += [F.softmax_cross_entropy(x, np.arange(7) % n)[1]]
        for i, y in enumerate(results):
            assert np.isnan(y[3]).all() and np.isfinite(y[others]).all(), (i, n)
        dw, db = F.dense_backward_parameters(x, normal(dtype, (7, 5), 2))
        assert np.isnan(dw[n // 2]).all() and np.isfinite(np.delete(dw, n // 2, 0)).all() and np.isfinite(db).all()


@pytest.mark.parametrize("name", N_STATES)
def test_nan_gradient_reaches_the_weight(combination, name):
    g, w = normal(combination.dtype, (33,)), normal(combination.dtype, (33,), 1)
    g[20] = np.nan
    TAKE_STEP[name](g, w, [np.zeros_like(w) for _ in range(N_STATES[name])], 1)
    assert np.isnan(w[20]) and np.isfinite(np.delete(w, 20)).all()


def test_infinite_logits(combination):
    z = np.array([[0, -np.inf, 1], [0, np.inf, 1]], combination.dtype)
    y = F.softmax_forward(z)
    assert y[0, 1] == 0 and np.isfinite(y[0]).all() and np.isnan(y[1, 1])
