"""Every row of the loss table, and the losses of whole rows: all backends, instruction sets and dtypes."""
import itertools

import numpy as np
import pytest

from cases import EDGES
from conftest import assert_close, assert_same_bits, rounding
from fastnn import backends
from fastnn import functional as F
from fastnn.elementwise_losses import ELEMENTWISE_LOSSES
from fastnn.functional import call
from test_kernels import eps, normal
from test_kernels_losses import log_softmax, softmax_error, targets_of, weights_of, wide

SETTINGS = [(name, {}) for name in ELEMENTWISE_LOSSES] + [
    ("huber", {"delta": 0.3}), ("smooth_l1", {"beta": 2.5}), ("quantile", {"q": 0.9}),
    ("sigmoid_focal", {"gamma": 0.0, "alpha": 0.5}), ("sigmoid_focal", {"gamma": 0.5, "alpha": 0.9}),
    ("poisson", {"epsilon": 0.1}), ("probability_cross_entropy", {"epsilon": 1e-3, "smoothing": 0.2})]
SURE = 1 / (1 + np.exp(20))  # 1 - sigmoid(20)
FOCAL_ARGUMENT = 40.0  # of the exponential in (1 - p)^gamma, at the logits used here


def outputs_of(row, dtype, rows, n):
    """Outputs and targets of the kinds that the row takes."""
    rng = np.random.default_rng(rows * n)
    low, high = row.range
    y = 3 * rng.standard_normal((rows, n))
    if low == 0:
        y = rng.uniform(0.02, 0.98, (rows, n)) if high == 1 else np.abs(y) + 0.1
    some = rng.random((rows, n))
    t = {"rows": rng.standard_normal((rows, n)), "counts": rng.poisson(2.0, (rows, n)),
         "signs": np.sign(rng.standard_normal((rows, n))),
         "binary": np.where(some < 0.3, rng.random((rows, n)), some.round())}
    return y.astype(dtype), t[row.targets].astype(dtype)


def error_of(row, dtype, y, t, a, b):
    """What rounding the inputs of the formulas by a few epsilons does to value and slope."""
    size = np.abs(y) + np.abs(t) + 1
    curved = {"poisson_log": size + np.exp(y), "squared_hinge": size ** 2, "smooth_l1": size / max(a, 0.1),
              "probability_cross_entropy": size * 60, "sigmoid_focal": size * FOCAL_ARGUMENT}
    return 8 * eps(dtype) * size * curved.get(row.name, size)


def test_both_tables_have_the_same_rows():
    if not backends.native:
        pytest.skip("the native core is not built")
    assert backends.native.core.loss_names() == list(ELEMENTWISE_LOSSES)


@pytest.mark.parametrize("name", ELEMENTWISE_LOSSES)
def test_formulas_and_slopes(name):
    """The registry's NumPy functions, in float64, against the formula as written and against differences."""
    row = ELEMENTWISE_LOSSES[name]
    y, t = outputs_of(row, np.float64, 20, 7)
    a, b = row.settings({})
    names = {**row.parameters, "log": np.log, "exp": np.exp, "cosh": np.cosh}
    for i, j in itertools.product(range(20), range(7)):
        scope = names | {"y": y[i, j], "t": t[i, j]}
        formula, _, given = row.formula.partition(" with ")
        for definition in reversed(given.split(" and ") if given else []):
            variable, _, value = definition.partition(" = ")
            scope[variable] = eval(value, scope)
        expected = eval(formula, scope)
        got = float(row.value(y[i:i + 1, j:j + 1], t[i:i + 1, j:j + 1], a, b)[0, 0])
        assert got == pytest.approx(expected, rel=1e-11, abs=1e-13), (y[i, j], t[i, j])
    step = 1e-6
    numeric = (row.value(y + step, t, a, b) - row.value(y - step, t, a, b)) / (2 * step)
    np.testing.assert_allclose(row.slope(y, t, a, b), numeric, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name, parameters", SETTINGS, ids=str)
def test_elementwise_loss(combination, name, parameters):
    dtype, row = combination.dtype, ELEMENTWISE_LOSSES[name]
    a, b = row.settings(parameters)
    for rows, n, weighted in itertools.product((1, 7, 17), EDGES, (False, True)):
        y, t = outputs_of(row, dtype, rows, n)
        weight, share = weights_of(weighted, rows)
        dy, loss = F.elementwise_loss(y, t, weight, name, 0.75, **parameters)
        y, t = wide(y, t)
        error = error_of(row, dtype, y, t, a, b)
        value, slope = row.value(y, t, a, b), row.slope(y, t, a, b)
        size = error.sum(1) + rounding(dtype, n) * np.abs(value).sum(1)
        assert loss.dtype == np.float64
        assert_close(loss, 0.75 * value.sum(1), size, f"loss {rows}x{n}")
        away = np.abs(np.abs(y - t) - (a or 1)) > 1e-4  # no kink within a rounding
        if row.targets == "signs":
            away = np.abs(y * t - 1) > 1e-4
        expected = 0.75 * slope * share[:, None]
        dy, expected = np.where(away, dy, 0), np.where(away, expected, 0)
        assert_close(dy, expected, error * share[:, None], f"dy {rows}x{n}")


def test_tails(combination):
    """Where a careless formula overflows, cancels or divides by zero."""
    dtype = combination.dtype
    small = 1e-4 if dtype == np.float32 else 1e-9
    even, flat, sharp = ({"gamma": g, "alpha": 0.5} for g in (2.0, 0.0, 0.5))
    loss_20 = np.log1p(np.exp(-20))
    for name, parameters, y, t, value, slope in (
        ("log_cosh", {}, small, 0, small ** 2 / 2, small),
        ("log_cosh", {}, -1000, 0, 1000 - np.log(2), -1),
        ("absolute_error", {}, 2, 2, 0, 0),
        ("quantile", {"q": 0.9}, 2, 2, 0, 0),
        ("huber", {"delta": 1.0}, 1e30, 0, 1e30, 1),
        ("poisson", {}, 0, 0, 0, 1),
        ("poisson_log", {}, -1000, 3, 3000, -3),
        ("poisson_log", {}, -1000, 0, 0, 0),
        ("sigmoid_focal", even, 1000, 1, 0, 0),
        ("sigmoid_focal", even, -1000, 0, 0, 0),
        ("sigmoid_focal", even, -1000, 1, 500, -0.5),
        ("sigmoid_focal", even, 1000, 0, 500, 0.5),
        ("sigmoid_focal", sharp, 20, 1, 0.5 * SURE ** 0.5 * loss_20,
         -0.5 * SURE ** 0.5 * (SURE + 0.5 * loss_20 * (1 - SURE))),
        ("sigmoid_focal", flat, 30, 1, 0.5 * np.log1p(np.exp(-30)), -0.5 / (1 + np.exp(30))),
        ("probability_cross_entropy", {}, 0, 0, 1e-7, 1),
        ("probability_cross_entropy", {}, 0, 1, -np.log(1e-7), -1e7),
    ):
        y, t = np.array([[y]], dtype), np.array([[t]], dtype)
        dy, loss = F.elementwise_loss(y, t, None, name, **parameters)
        rtol = 400 * eps(dtype) + 1.2e-6 * (name == "probability_cross_entropy")  # 1 - epsilon is rounded
        np.testing.assert_allclose(loss, [value], rtol, np.finfo(dtype).tiny, err_msg=f"{name} {y} {t}")
        np.testing.assert_allclose(dy, [[slope]], rtol, np.finfo(dtype).tiny, err_msg=f"{name}', {y} {t}")


@pytest.mark.parametrize("kind", ["labels", "one-hot", "probabilities"])
@pytest.mark.parametrize("smoothing, divergence", [(0.1, False), (0.0, True), (0.25, True)])
def test_smoothing_and_divergence(combination, kind, smoothing, divergence):
    dtype = combination.dtype
    for rows, n, weighted in itertools.product((1, 7, 17), EDGES, (False, True)):
        z, (weight, share) = 3 * normal(dtype, (rows, n), 3), weights_of(weighted, rows)
        target, t = targets_of(kind, rows, n)
        y, dz, loss = F.softmax_cross_entropy(z, target, weight, smoothing, 0.5, divergence)
        z, t = wide(z, t.astype(dtype))
        t = t * (1 - smoothing) + smoothing / n
        logs, error = log_softmax(z), softmax_error(dtype, z)
        expected = -(t * logs).sum(1) + divergence * (t * np.log(np.where(t > 0, t, 1))).sum(1)
        if divergence and kind == "labels" and not smoothing:
            assert (expected >= 0).all()
        size = rounding(dtype, n) * (2 * np.abs(z).max(1) + 2 * np.log(n) + 2)
        assert_close(loss, 0.5 * expected, size, f"loss {rows}x{n}")
        expected = 0.5 * (np.exp(logs) * t.sum(1, keepdims=True) - t) * share[:, None]
        assert_close(dz, expected, (error + rounding(dtype, n)) * share[:, None], f"dlogits {rows}x{n}")
        probability = np.random.default_rng(n).random((rows, n)).round(1).astype(dtype)
        settings = weight, smoothing, 0.5, divergence
        _, dz, loss = F.sigmoid_cross_entropy(z.astype(dtype), probability, *settings)
        t = wide(probability)[0] * (1 - smoothing) + smoothing / 2
        terms = t * np.logaddexp(0, -z) + (1 - t) * np.logaddexp(0, z)
        terms += divergence * sum(p * np.log(np.where(p > 0, p, 1)) for p in (t, 1 - t))
        size = rounding(dtype, n) * (2 * np.abs(z) + 3).sum(1)
        assert_close(loss, 0.5 * terms.sum(1), size, "sigmoid loss")
        expected = 0.5 * (1 / (1 + np.exp(-z)) - t) * share[:, None]
        assert_close(dz, expected, 8 * eps(dtype) * share[:, None], "sigmoid dlogits")


@pytest.mark.parametrize("kind", ["labels", "one-hot", "probabilities"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_softmax_focal(combination, kind, gamma):
    dtype = combination.dtype
    for rows, n, weighted in itertools.product((1, 7, 17), EDGES, (False, True)):
        z, (weight, share) = 3 * normal(dtype, (rows, n), 3), weights_of(weighted, rows)
        target, t = targets_of(kind, rows, n)
        y, dz, loss = F.softmax_focal(z, target, weight, gamma, 0.5)
        z, t = wide(z, t.astype(dtype))
        logs, error = log_softmax(z), softmax_error(dtype, z)
        p = np.exp(logs)
        m = -np.expm1(logs) if n > 1 else np.zeros_like(p)
        with np.errstate(invalid="ignore", divide="ignore"):
            h = m ** gamma * (gamma * np.where(m > 0, p * logs / m, -1) - 1)
        assert_close(y, p, error, f"y {rows}x{n}")
        size = rounding(dtype, n) * (4 + gamma) * (2 * np.abs(z).max(1) + np.log(n) + 8)
        assert_close(loss, -0.5 * (t * m ** gamma * logs).sum(1), size, f"loss {rows}x{n}")
        pull = (t * h).sum(1, keepdims=True)
        expected = 0.5 * (t * h - p * pull) * share[:, None]
        assert_close(dz, expected, (size * 4)[:, None] * share[:, None], f"dlogits {rows}x{n}")


def test_focal_of_the_nearly_certain(combination):
    """1 - p is the sum of the others, not what rounding leaves of 1 - p."""
    dtype = combination.dtype
    z = np.array([[20.0, 0.0, -1.0], [0.0, 20.0, 20.0 - 40]], dtype)
    others = np.array([np.exp(-20.0) + np.exp(-21.0), np.exp(-20.0) + np.exp(-40.0)])
    _, dz, loss = F.softmax_focal(z, np.array([0, 1]), None, 2.0)
    np.testing.assert_allclose(loss, others ** 3, rtol=100 * eps(dtype) + 1e-8)
    np.testing.assert_allclose(dz[[0, 1], [0, 1]], -3 * others ** 3 / 2, rtol=100 * eps(dtype) + 1e-7)
    _, dz, loss = F.softmax_focal(np.array([[1000.0, -1000.0]], dtype), np.array([0]), None, 0.5)
    assert loss == 0 and not dz.any()
    _, dz, loss = F.softmax_focal(np.array([[1000.0, -1000.0]], dtype), np.array([1]), None, 0.5)
    np.testing.assert_allclose(loss, 2000)
    np.testing.assert_allclose(dz, [[1, -1]], rtol=4 * eps(dtype))


@pytest.mark.parametrize("hardest", [False, True])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_multi_class_hinge(combination, power, hardest):
    dtype = combination.dtype
    for rows, n, weighted in itertools.product((1, 7, 17), EDGES[1:], (False, True)):
        y, (weight, share) = 2 * normal(dtype, (rows, n), 3), weights_of(weighted, rows)
        labels, t = targets_of("labels", rows, n)
        dy, loss = F.multi_class_hinge(y, labels, weight, 0.75, power, 0.5, hardest)
        exact, = wide(y)
        m = np.where(t == 1, 0, np.maximum(0, exact - (exact * t).sum(1, keepdims=True) + 0.75))
        if hardest:
            others = np.where(t == 1, -np.inf, exact)
            m = np.where(np.arange(n) == others.argmax(1)[:, None], m, 0)
        size = rounding(dtype, n) * (np.abs(exact).max(1) + 1) ** power * n
        assert_close(loss, 0.5 * (m ** power).sum(1), size, f"loss {rows}x{n}")
        slope = (m > 0) * power * m ** (power - 1)
        slope = 0.5 * (slope - t * slope.sum(1, keepdims=True)) * share[:, None]
        assert_close(dy, slope, (size * share)[:, None], f"dy {rows}x{n}")


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_cosine_distance(combination, offset):
    dtype = combination.dtype
    for rows, n, weighted in itertools.product((1, 7, 17), EDGES, (False, True)):
        y, t = normal(dtype, (rows, n), 3), normal(dtype, (rows, n), 4)
        weight, share = weights_of(weighted, rows)
        dy, loss = F.cosine_distance(y, t, weight, offset)
        exact, t = wide(y, t)
        size, t_size = (np.linalg.norm(a, axis=1, keepdims=True) for a in (exact, t))
        cosine = (exact * t).sum(1, keepdims=True) / (size * t_size)
        assert_close(loss, offset - cosine[:, 0], rounding(np.float64, n), f"loss {rows}x{n}")
        expected = (cosine * exact / size - t / t_size) / size * share[:, None]
        assert_close(dy, expected, rounding(dtype, n) * share[:, None] / size, f"dy {rows}x{n}")
    dy, loss = F.cosine_distance(np.zeros((2, 3), dtype), np.eye(3, dtype=dtype)[:2], None, offset)
    np.testing.assert_array_equal(loss, [offset, offset])
    assert not dy.any()
    near = np.array([[1.0, 2.0 ** -20]], dtype)  # 1 - cos is half the square of the angle
    loss = F.cosine_distance(near, np.array([[1.0, 0.0]], dtype))[1]
    np.testing.assert_allclose(loss, [2.0 ** -41], rtol=1e-10)


def test_weigh_rows(combination):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 7, 17), EDGES):
        x, (weight, share) = normal(dtype, (rows, n)), weights_of(True, rows)
        y = np.empty_like(x)
        call("weigh_rows", (x, weight, y), weight_sum=float(weight.sum()))
        assert_close(y, wide(x)[0] * share[:, None], rounding(dtype) * np.abs(x) * share[:, None])


def test_loss_without_gradient(combination):
    """What evaluation runs: the same numbers, and no place for the gradient."""
    z, t = normal(combination.dtype, (7, 5)), np.eye(5, dtype=combination.dtype)[np.arange(7) % 5]
    loss, y = np.empty(7), np.empty_like(z)
    for name in ELEMENTWISE_LOSSES:
        a, b = ELEMENTWISE_LOSSES[name].settings({})
        arrays = np.abs(z), t, None, None, loss
        call("elementwise_loss", arrays, weight_sum=7, loss=name, a=a, b=b, factor=0.5)
        assert_same_bits(loss, F.elementwise_loss(np.abs(z), t, None, name, 0.5)[1])
    call("cosine_distance", (z, t, None, None, loss), weight_sum=7, offset=1.0)
    assert_same_bits(loss, F.cosine_distance(z, t)[1])
    labels = np.arange(7) % 5
    call("multi_class_hinge", (z, labels, None, None, loss), weight_sum=7, margin=1.0, power=1.0, factor=1.0)
    assert_same_bits(loss, F.multi_class_hinge(z, labels)[1])
    call("softmax_focal", (z, labels, None, y, None, loss), weight_sum=7, gamma=2.0, factor=1.0)
    assert_same_bits(loss, F.softmax_focal(z, labels)[2])
