"""Batch and layer norm: every backend, instruction set and dtype against formulas in extended precision."""
import itertools

import numpy as np
import pytest

from cases import EDGES
from conftest import assert_close, assert_same_bits, rounding
from fastnn import functional as F
from fastnn.functional import call

EPSILON = 1e-3


class Reference:
    """y = (x - mean) inverse gamma + beta over some axes, its gradients, and the sizes that errors have.

    Each is given with the sum of the absolute values that it is made of; u, which cancels, counts as
    (|x| + |mean|) inverse there.
    """

    def __init__(self, x, axes, gamma, beta, dy, parameter_axes):
        x, dy = x.astype(np.longdouble), dy.astype(np.longdouble)
        gamma = np.ones(1) if gamma is None else gamma.astype(np.longdouble)
        beta = np.zeros(1) if beta is None else beta.astype(np.longdouble)

        def mean(a):
            return a.mean(axis=axes, keepdims=True)

        self.mean = mean(x)
        self.variance = mean((x - self.mean) ** 2)
        self.inverse = 1 / np.sqrt(self.variance + EPSILON)
        u, g = (x - self.mean) * self.inverse, dy * gamma
        size_u, size_g = (np.abs(x) + mean(np.abs(x))) * self.inverse, np.abs(g)
        self.y = u * gamma + beta, size_u * np.abs(gamma) + np.abs(beta)
        self.dx = (self.inverse * (g - mean(g) - u * mean(g * u)),
                   self.inverse * (size_g + mean(size_g) + size_u * mean(size_g * size_u)))
        self.dgamma = (dy * u).sum(parameter_axes), (np.abs(dy) * size_u).sum(parameter_axes)
        self.dbeta = dy.sum(parameter_axes), np.abs(dy).sum(parameter_axes)
        self.terms = x.size // self.mean.size


def close(got, expected, dtype, terms, what):
    """Statistics and sums are in double: a sum's length counts for float64 only."""
    value, size = (np.asarray(a, np.float64).reshape(got.shape) for a in expected)
    assert_close(got, value, rounding(dtype, terms if dtype == np.float64 else 8) * size, what)


def numbers(shape, dtype, seed):
    """Normal numbers around 3, so that means count."""
    return (np.random.default_rng(seed).standard_normal(shape) + 3).astype(dtype)


def parameters(there, n, dtype):
    return (numbers(n, dtype, 5), numbers(n, dtype, 6)) if there else (None, None)


def batch_norm(x, gamma, beta, dy, mask=None):
    """y, mean, inverse, dx, dgamma, dbeta by the two ops."""
    y, dx = np.full((2, *x.shape), np.nan, x.dtype)
    mean, inverse, dgamma, dbeta = np.full((4, x.shape[-1]), np.nan, x.dtype)
    call("batch_norm_forward", (x, gamma, beta, mask, y, mean, inverse, None, None), epsilon=EPSILON)
    call("batch_norm_backward", (dy, x, mean, inverse, gamma, mask, dx, dgamma, dbeta))
    return y, mean, inverse, dx, dgamma, dbeta


SHAPES = [(rows, n) for rows, n in itertools.product((1, 2, 5, 33), EDGES)]
IMAGES = [(1, 1, 1, 1), (3, 2, 3, 2), (15, 3, 2, 5), (16, 2, 2, 4), (17, 3, 3, 3), (33, 2, 1, 6),
          (40, 4, 3, 9)]


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(combination, affine):
    dtype = combination.dtype
    for shape in SHAPES + IMAGES:
        x, dy = numbers(shape, dtype, 0), numbers(shape, dtype, 1) - 3
        gamma, beta = parameters(affine, shape[-1], dtype)
        axes = tuple(range(len(shape) - 1))
        r = Reference(x, axes, gamma, beta, dy, axes)
        y, mean, inverse, dx, dgamma, dbeta = batch_norm(x, gamma, beta, dy)
        terms = 4 * r.terms + 8
        close(mean, (r.mean, np.abs(r.mean)), dtype, terms, f"mean {shape}")
        close(inverse, (r.inverse, r.inverse), dtype, terms, f"inverse {shape}")
        close(y, r.y, dtype, terms, f"y {shape}")
        close(dx, r.dx, dtype, terms, f"dx {shape}")
        close(dgamma, r.dgamma, dtype, terms, f"dgamma {shape}")
        close(dbeta, r.dbeta, dtype, terms, f"dbeta {shape}")
        if len(shape) == 2:
            assert_same_bits(F.batch_norm_forward(x, gamma, beta, None, EPSILON)[0], y)
            assert_same_bits(F.batch_norm_backward(dy, x, mean, inverse, gamma)[0], dx)


def test_masked_rows_do_not_count(combination):
    """Statistics, gradients of parameters and of the rows that count are those without the others' values."""
    for n in (1, 5, 17, 33):
        x, dy = numbers((19, n), combination.dtype, 0), numbers((19, n), combination.dtype, 1) - 3
        gamma, beta = parameters(True, n, combination.dtype)
        mask = (np.arange(19) % 4 != 0).astype(combination.dtype)
        there = mask != 0
        y, mean, inverse, dx, dgamma, dbeta = batch_norm(x, gamma, beta, dy, mask)
        r = Reference(x[there], (0,), gamma, beta, dy[there], (0,))
        close(mean, (r.mean, np.abs(r.mean)), combination.dtype, 60, "mean")
        close(inverse, (r.inverse, r.inverse), combination.dtype, 60, "inverse")
        close(y[there], r.y, combination.dtype, 60, "y")
        u = ((x - r.mean) * r.inverse).astype(np.float64)
        size = (np.abs(dy) * (np.abs(x) + 3) * r.inverse).sum(0)
        close(dgamma, ((dy * u).sum(0), size), combination.dtype, 60, "dgamma")
        close(dbeta, (dy.sum(0, dtype=float), np.abs(dy).sum(0)), combination.dtype, 60, "dbeta")
        through = (dy.sum(0, dtype=float) + u * (dy * u).sum(0)) / there.sum()
        expected = gamma * r.inverse * (dy - np.where(there[:, None], through, 0))
        sizes = np.abs(gamma) * r.inverse * (np.abs(dy) + (np.abs(dy).sum(0) + (np.abs(x) + 3) * r.inverse * size) / 14)
        close(dx, (expected, sizes), combination.dtype, 60, "dx")
    y, mean, inverse, dx, *_ = batch_norm(x, gamma, beta, dy, np.zeros_like(mask))
    assert not mean.any() and np.isfinite(y).all() and np.isfinite(dx).all()


def test_batch_norm_far_from_zero(combination):
    """The variance of numbers around 1e6 is that of their differences."""
    for shape in ((64, 5), (40, 3, 3, 2)):
        x = (1e6 + np.random.default_rng(0).integers(-8, 9, shape)).astype(combination.dtype)  # exact
        _, mean, inverse, *_ = batch_norm(x, None, None, x)
        wide = x.astype(np.float64) - 1e6
        axes = tuple(range(len(shape) - 1))
        expected = 1 / np.sqrt(wide.var(axes) + EPSILON)
        assert_close(inverse, expected, 1e-9 + rounding(combination.dtype) * expected, "inverse")
        assert_close(mean, 1e6 + wide.mean(axes), rounding(combination.dtype) * 1e6, "mean")


@pytest.mark.parametrize("unbiased", [0, 1])
def test_running_statistics(combination, unbiased):
    dtype = combination.dtype
    for shape in ((1, 3), (7, 17), (1, 2, 2, 3), (19, 2, 2, 5)):
        x = numbers(shape, dtype, 0)
        running_mean, running_variance = numbers(shape[-1:], dtype, 1), numbers(shape[-1:], dtype, 2)
        before, y = (running_mean.copy(), running_variance.copy()), np.empty_like(x)
        call("batch_norm_forward", (x, None, None, None, y, None, None, running_mean, running_variance),
             unbiased=unbiased, epsilon=EPSILON, momentum=0.75)
        columns = x.reshape(-1, shape[-1]).astype(np.float64)
        batch = columns.mean(0), columns.var(0, ddof=unbiased and len(columns) > 1)
        for got, was, new in zip((running_mean, running_variance), before, batch, strict=True):
            expected = 0.75 * was + 0.25 * new
            size = np.abs(was) + np.abs(new)
            assert_close(got, expected, rounding(dtype, columns.size) * size, f"{shape}")


def test_lanes_beyond_the_batch(native_combination):
    """Statistics and gradients do not see them, whatever they hold; what they get is a copy, and zero."""
    from fastnn.backends import native
    dtype = native_combination.dtype
    x, dy = numbers((17, 2, 3, 5), dtype, 0), numbers((17, 2, 3, 5), dtype, 1)
    expected = batch_norm(x, None, None, dy)
    lanes, gradients = native.to_lanes(x, "edge"), native.to_lanes(dy, "constant")
    y, dx = np.full((2, *lanes.shape), np.nan, dtype)
    mean, inverse, dgamma, dbeta = np.empty((4, 5), dtype)
    code = {np.dtype(np.float32): 0, np.dtype(np.float64): 1}[dtype]

    def run(name, arrays, n_inputs, dims, scalars):
        native.core.call(native.OPCODES[name], code, arrays, n_inputs, dims, scalars, batch=17)

    run("batch_norm_forward", (lanes, None, None, None, y, mean, inverse, None, None), 4, (0,), (EPSILON, 0.0))
    run("batch_norm_backward", (gradients, lanes, mean, inverse, None, None, dx, dgamma, dbeta), 6, (), ())
    for got, value in zip((native.from_lanes(y, 17), mean, inverse, native.from_lanes(dx, 17), dgamma, dbeta),
                          expected, strict=True):
        assert_same_bits(got, value)
    assert_same_bits(y[1, ..., 1:], np.broadcast_to(y[1, ..., :1], y[1, ..., 1:].shape).copy())
    assert not dx[1, ..., 1:].any()


def test_batch_norm_fold(combination):
    dtype = combination.dtype
    for n in EDGES:
        mean, variance = numbers(n, dtype, 0), np.abs(numbers(n, dtype, 1))
        for gamma, beta in (parameters(True, n, dtype), (None, None)):
            scale, shift = F.batch_norm_fold(mean, variance, gamma, beta, EPSILON)
            expected = (1 if gamma is None else gamma) / np.sqrt(variance.astype(np.float64) + EPSILON)
            down = mean * expected
            close(scale, (expected, np.abs(expected)), dtype, 0, f"scale {n}")
            beta = np.zeros(n) if beta is None else beta
            close(shift, (beta - down, np.abs(beta) + np.abs(down)), dtype, 0, f"shift {n}")


def test_scale_shift(combination):
    dtype = combination.dtype
    for shape in SHAPES + IMAGES:
        x, scale, shift = numbers(shape, dtype, 0), numbers(shape[-1], dtype, 1), numbers(shape[-1], dtype, 2)
        for plus in (shift, None):
            y = np.full_like(x, np.nan)
            call("scale_shift", (x, scale, plus, y))
            plus = np.zeros(1) if plus is None else plus
            expected = x.astype(np.float64) * scale + plus
            close(y, (expected, np.abs(x * scale) + np.abs(plus)), dtype, 0, f"{shape}")


@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm(combination, affine):
    dtype = combination.dtype
    for shape in SHAPES:
        x, dy = numbers(shape, dtype, 0), numbers(shape, dtype, 1) - 3
        gamma, beta = parameters(affine, shape[1], dtype)
        r = Reference(x, 1, gamma, beta, dy, 0)
        y, mean, inverse = F.layer_norm_forward(x, gamma, beta, EPSILON)
        dx = F.layer_norm_backward(dy, x, mean, inverse, gamma)
        dgamma, dbeta = F.layer_norm_backward_parameters(dy, x, mean, inverse)
        terms = 4 * (r.terms + shape[0]) + 8
        close(mean, (r.mean, np.abs(x.astype(np.float64)).mean(1)), dtype, terms, f"mean {shape}")
        close(inverse, (r.inverse, r.inverse), dtype, terms, f"inverse {shape}")
        close(y, r.y, dtype, terms, f"y {shape}")
        close(dx, r.dx, dtype, terms, f"dx {shape}")
        close(dgamma, r.dgamma, dtype, terms, f"dgamma {shape}")
        close(dbeta, r.dbeta, dtype, terms, f"dbeta {shape}")


def test_a_row_alone_has_the_same_bits(combination):
    x = numbers((33, 37), combination.dtype, 0)
    y = F.layer_norm_forward(x)[0]
    for i in (0, 17, 32):
        assert_same_bits(F.layer_norm_forward(x[i:i + 1])[0][0], y[i])


def test_one_place_for_a_gradient(combination):
    """gamma alone, or beta alone, gets the same bits."""
    x, dy = numbers((9, 2, 2, 3), combination.dtype, 0), numbers((9, 2, 2, 3), combination.dtype, 1)
    rows = (9, 12)
    for name, arrays, extra, how in (
            ("batch_norm_backward", batch_norm(x, None, None, dy), (None, None, None), {}),
            ("layer_norm_backward_parameters",
             (None, *F.layer_norm_forward(x.reshape(rows))[1:], None, None, None), (), {})):
        flat = name.startswith("layer")
        a, d = (x.reshape(rows), dy.reshape(rows)) if flat else (x, dy)
        _, mean, inverse, *_ = arrays
        n = a.shape[-1]
        both, one = np.full((2, n), np.nan, x.dtype), np.full((2, n), np.nan, x.dtype)
        for dgamma, dbeta in ((both[0], both[1]), (one[0], None), (None, one[1])):
            call(name, (d, a, mean, inverse, *extra, dgamma, dbeta), **how)
        assert_same_bits(one, both, name)
