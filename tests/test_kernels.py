"""Activations and dense products: every backend, instruction set and dtype against float64 formulas."""
import functools
import itertools
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest

from cases import EDGES
from conftest import assert_close, assert_same_bits, rounding
from fastnn import functional as F
from fastnn.activations import ACTIVATIONS
from fastnn.functional import call
from fastnn.program import OPS


@functools.cache
def pool(dtype, seed):
    return np.random.default_rng(seed).standard_normal(128 * 128).astype(dtype)


def normal(dtype, shape, seed=0):
    """Normal numbers, all different, contiguous."""
    return pool(str(dtype), seed)[:int(np.prod(shape))].reshape(shape).copy()


def product(a, b):
    """a b and the product of the absolute values, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return a @ b, np.abs(a) @ np.abs(b)


def eps(dtype):
    return float(np.finfo(dtype).eps)


def test_every_op_is_tested():
    """Each op's name stands in a test or its table, as a function or in quotes."""
    text = "".join(p.read_text(encoding="utf-8") for p in Path(__file__).parent.glob("*.py"))
    names = [name for name, schema in OPS.items() if not schema.optimizer]  # those have forms
    assert not [name for name in names if f".{name}(" not in text and f'"{name}"' not in text]


# ------------------------------------------------------------------------------------------- activations

FUNCTIONS = {name: getattr(mpmath, name) for name in ("exp", "log", "tanh", "sqrt", "erf", "pi", "log1p")}


@functools.cache
def exact(name, derivative):
    """Points away from kinks, and the activation or its derivative there, from the registry's formula."""
    special = [0.0, -0.0, 1e-30, 1e-8, -1e-8, 0.3, -20.0, 20.0, -87.0, 87.0, 300.0, -300.0]
    points = np.concatenate([special, np.linspace(-9.7, 9.3, 77)]).astype(np.float32)
    points = np.array([x for x in points if not derivative or float(x) not in ACTIVATIONS[name].kinks])

    alpha = Fraction(ACTIVATIONS[name].alpha or 0).limit_denominator(1000)  # 1/6, not its nearest double

    def f(x):
        names = {**FUNCTIONS, "max": max, "min": min, "abs": abs, "x": x,
                 "alpha": mpmath.mpf(alpha.numerator) / alpha.denominator}
        return eval(ACTIVATIONS[name].formula, names)

    with mpmath.workdps(400):  # exp(300) - exp(-300) in full
        step = mpmath.mpf(10) ** -150
        values = [mpmath.diff(f, x, h=step) if derivative else f(x) for x in map(mpmath.mpf, points.tolist())]
    return points, np.array([float(v) for v in values])


def representable(values, dtype):
    """Infinite where the dtype is."""
    return np.where(np.abs(values) > np.finfo(dtype).max, np.copysign(np.inf, values), values)


def in_rows(values, n):
    """The values in as many rows of n as it takes."""
    return np.resize(values, (len(values) // n + 1, n))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_forward(combination, name):
    dtype, (x, y) = combination.dtype, exact(name, False)
    error = 6 * eps(dtype) * np.abs(y) + np.finfo(dtype).tiny
    if combination.backend == "numpy":  # the arguments of its exponentials are rounded once
        with np.errstate(divide="ignore", invalid="ignore"):
            error *= np.where(y == 0, 1, 1 + np.abs(np.log(np.abs(y))))
    y = representable(y, dtype)
    for n in EDGES:
        got = F.activation_forward(in_rows(x, n).astype(dtype), name)
        assert got.dtype == dtype
        assert_close(got, in_rows(y, n), in_rows(error, n), f"{name}, {n} columns")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_backward(combination, name):
    """dx = dy f'; from an output that was rounded, f' is known to a few eps of 1 or of itself."""
    dtype, (x, slope) = combination.dtype, exact(name, True)
    for n in EDGES:
        xs = in_rows(x, n).astype(dtype)
        dy = normal(dtype, xs.shape)
        f = F.activation_forward(xs, name) if ACTIVATIONS[name].derivative_of == "output" else xs
        got = F.activation_backward(dy, f, name)
        error = 6 * eps(dtype) * np.abs(dy) * in_rows(np.maximum(1, np.abs(slope)), n)
        assert_close(got, representable(dy * in_rows(slope, n), dtype), error, f"{name}, {n} columns")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_range_and_nan(combination, name):
    low, high = ACTIVATIONS[name].range
    most = np.finfo(combination.dtype).max
    x = np.array([[-np.inf, -most, -80, 0, 80, most, np.inf, np.nan]], combination.dtype)
    y = F.activation_forward(x, name)[0]
    assert (y[:-1] >= low).all() and (y[:-1] <= high).all() and np.isfinite(y[2:5]).all()
    assert np.isnan(y[-1])


# ---------------------------------------------------------------------------------------- dense products

SHAPES = list(itertools.product((1, 2, 3, 5, 16, 17, 33, 64), EDGES, EDGES))


def test_dense_forward(combination):
    dtype = combination.dtype
    for rows, n_in, n_out in SHAPES:
        x, w, b = (normal(dtype, s, i) for i, s in enumerate(((rows, n_in), (n_in, n_out), n_out)))
        z, size = product(x, w)
        error = rounding(dtype, n_in) * (size + np.abs(b))
        assert_close(F.dense_forward(x, w, b), z + b, error, f"{rows}x{n_in}x{n_out}")


@pytest.mark.parametrize("name, f", [("identity", lambda z: z), ("relu", lambda z: np.maximum(z, 0)),
                                     ("sigmoid", lambda z: 1 / (1 + np.exp(-z)))])
def test_dense_layer_of_few_outputs(combination, name, f):
    """Forward and gradient, whose lanes lie along the inputs where there are many."""
    dtype = combination.dtype
    for n_in, n_out in itertools.product((15, 16, 32, 33, 70), range(1, 18)):
        x, w, b = (normal(dtype, s, i) for i, s in enumerate(((67, n_in), (n_in, n_out), n_out)))
        z, size = product(x, w)
        y, error = F.dense_forward(x, w, b, name), rounding(dtype, n_in) * (size + np.abs(b))
        assert_close(y, f(z + b), error + 4 * eps(dtype), f"{n_in}x{n_out}")
        dw, db = F.dense_backward_parameters(x, y)
        expected, size = product(x.T, y)
        assert_close(dw, expected, rounding(dtype, 67) * size, f"dw {n_in}x{n_out}")
        assert_close(db, y.sum(0, float), rounding(dtype, 67) * np.abs(y).sum(0, float), f"db {n_in}x{n_out}")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_dense_forward_activation(combination, name):
    """The fused activation is that of activation_forward; z is stored where asked for."""
    dtype = combination.dtype
    for rows, n_in, n_out in itertools.product((1, 7), (5,), EDGES):
        x, w, b = (normal(dtype, s, i) for i, s in enumerate(((rows, n_in), (n_in, n_out), n_out)))
        for bias in (b, None):
            y, z = np.full((2, rows, n_out), np.nan, dtype)
            call("dense_forward", (x, w, bias, y, z), activation=name)
            expected, size = product(x, w)
            if bias is not None:
                expected += b
            assert_close(z, expected, rounding(dtype, n_in) * (size + np.abs(b)), "z")
            assert_close(y, F.activation_forward(z, name), eps(dtype) * np.abs(y), "y of z")
            assert_close(F.dense_forward(x, w, bias, name), y, eps(dtype) * np.abs(y), "without z")


def test_dense_backward_input(combination):
    dtype = combination.dtype
    for rows, n_in, n_out in SHAPES:
        dy, w = normal(dtype, (rows, n_out)), normal(dtype, (n_in, n_out), 1)
        dx, size = product(dy, w.T)
        error = rounding(dtype, n_out) * size
        assert_close(F.dense_backward_input(dy, w), dx, error, f"{rows}x{n_in}x{n_out}")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_dense_backward_input_activation(combination, name):
    """The slope in the epilogue is that of activation_backward."""
    dtype = combination.dtype
    for rows, n_in, n_out in itertools.product((1, 7), EDGES, (5,)):
        dy, w = normal(dtype, (rows, n_out)), normal(dtype, (n_in, n_out), 1)
        f = F.activation_forward(normal(dtype, (rows, n_in), 2), name)
        expected = F.activation_backward(F.dense_backward_input(dy, w), f, name)
        got = F.dense_backward_input(dy, w, f, name)
        assert_close(got, expected, 2 * eps(dtype) * np.abs(expected), f"{rows}x{n_in}x{n_out}")


def test_dense_backward_parameters(combination):
    dtype = combination.dtype
    for rows, n_in, n_out in SHAPES:
        x, dy = normal(dtype, (rows, n_in)), normal(dtype, (rows, n_out), 1)
        dw, db = F.dense_backward_parameters(x, dy)
        expected, size = product(x.T, dy)
        assert_close(dw, expected, rounding(dtype, rows) * size, f"dw {rows}x{n_in}x{n_out}")
        error = rounding(dtype, rows) * np.abs(dy).sum(0)
        assert_close(db, dy.sum(0, dtype=np.float64), error, f"db {rows}x{n_out}")
    only_dw = np.full_like(dw, np.nan)
    call("dense_backward_parameters", (x, dy, only_dw, None))
    assert_same_bits(only_dw, dw)


LARGE = [(129, 600, 40), (40, 530, 300), (3, 1100, 515), (600, 40, 70), (1100, 17, 20), (40, 30, 1100),
         (150, 1024, 260), (70, 2048, 300)]


@pytest.mark.parametrize("rows, n_in, n_out", LARGE)
def test_large_products(combination, rows, n_in, n_out):
    """Longer than every block of the kernels, and with rows that collide in the cache."""
    dtype, rng = combination.dtype, np.random.default_rng(0)
    x, w, dy = (rng.standard_normal(s).astype(dtype) for s in ((rows, n_in), (n_in, n_out), (rows, n_out)))
    for got, a, b in ((F.dense_forward(x, w), x, w), (F.dense_backward_input(dy, w), dy, w.T),
                      (F.dense_backward_parameters(x, dy)[0], x.T, dy)):
        expected, size = product(a, b)
        assert_close(got, expected, rounding(dtype, a.shape[1]) * size, f"{a.shape} x {b.shape}")


def test_no_rows(combination):
    x, dy, w = (np.ones(shape, combination.dtype) for shape in ((0, 5), (0, 3), (5, 3)))
    assert F.dense_forward(x, w).shape == (0, 3)
    assert F.dense_backward_input(dy, w).shape == (0, 5)
    dw, db = F.dense_backward_parameters(x, dy)
    assert not dw.any() and not db.any()


def test_standardize(combination):
    dtype = combination.dtype
    for rows, n in itertools.product((1, 7), EDGES):
        x, mean, scale = normal(dtype, (rows, n)), normal(dtype, n, 1), np.abs(normal(dtype, n, 2))
        expected = (x.astype(np.float64) - mean) * scale
        error = rounding(dtype) * np.abs(expected)
        assert_close(F.standardize(x, mean, scale), expected, error, f"{rows}x{n}")


def test_store(combination):
    for rows, n in itertools.product((1, 7), EDGES):
        x, y = normal(combination.dtype, (rows, n)), np.full((rows, n), np.nan, combination.dtype)
        call("store", (x, y))
        assert_same_bits(y, x)


# ------------------------------------------------------------------------------------ NaN and infinities

def test_nan_stays_in_its_row(combination):
    dtype, others = combination.dtype, np.arange(7) != 3
    for n in EDGES:
        x, t = normal(dtype, (7, n)), np.eye(n, dtype=dtype)[np.arange(7) % n]
        x[3, n // 2] = np.nan
        w = normal(dtype, (n, 5), 1)
        results = {name: F.dense_forward(x, w, None, name) for name in ACTIVATIONS}
        results |= {"dx": F.dense_backward_input(x, w.T.copy()), "softmax": F.softmax_forward(x),
                    "softmax dx": F.softmax_backward(x, t + 1)}
        for loss in (F.softmax_cross_entropy, F.sigmoid_cross_entropy, F.squared_error):
            results[loss.__name__] = loss(x, t)[-1]
        results["labels"] = F.softmax_cross_entropy(x, np.arange(7) % n)[1]
        for name, y in results.items():
            assert np.isnan(y[3]).all() and np.isfinite(y[others]).all(), f"{name}, {n} columns: {y}"


def test_nan_reaches_its_gradients_only(combination):
    for n in EDGES:
        x = normal(combination.dtype, (7, n))
        x[3, n // 2] = np.nan
        dw, db = F.dense_backward_parameters(x, normal(combination.dtype, (7, 5), 2))
        assert np.isnan(dw[n // 2]).all() and np.isfinite(np.delete(dw, n // 2, 0)).all()
        assert np.isfinite(db).all()


def test_infinities(combination):
    z = np.array([[0, -np.inf, 1], [0, np.inf, 1]], combination.dtype)
    y = F.softmax_forward(z)
    assert y[0, 1] == 0 and np.isfinite(y[0]).all() and np.isnan(y[1, 1])
    x, w = np.array([[np.inf, 1]], combination.dtype), np.array([[1, -1, 0], [1, 1, 1]], combination.dtype)
    assert_close(F.dense_forward(x, w), [[np.inf, -np.inf, np.nan]], 0)
