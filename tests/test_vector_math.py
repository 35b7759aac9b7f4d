"""Accuracy of the core's elementary functions, on every instruction set of this machine and in both dtypes.

The bounds are those stated in csrc/math.inc, measured over all floats and very many doubles; here a sample
holds them, and `benchmarks/ulp_sweep.py` measures again. NumPy in float64 judges float32, mpmath float64.
"""
import math
from functools import cache

import mpmath
import numpy as np
import pytest

from fastnn import backends

NAMES = ("exp", "log", "tanh", "sigmoid", "expm1", "log1p", "erf", "softplus")

# largest error in units in the last place
BOUNDS = {
    "exp": {"float32": 1.2, "float64": 1.2},
    "log": {"float32": 1.1, "float64": 1.5},
    "tanh": {"float32": 1.8, "float64": 1.6},
    "sigmoid": {"float32": 1.9, "float64": 1.9},
    "expm1": {"float32": 1.4, "float64": 1.6},
    "log1p": {"float32": 1.1, "float64": 1.5},
    "erf": {"float32": 1.5, "float64": 1.9},
    "softplus": {"float32": 1.9, "float64": 1.8},
}

NUMPY = {
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "expm1": np.expm1, "log1p": np.log1p,
    "sigmoid": lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))),
    "erf": lambda x: np.array([math.erf(v) for v in x]),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
}

MPMATH = {
    "exp": mpmath.exp, "log": mpmath.log, "tanh": mpmath.tanh, "expm1": mpmath.expm1, "log1p": mpmath.log1p,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "erf": mpmath.erf,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)) if x < 0 else x + mpmath.log1p(mpmath.exp(-x)),
}

INF, NAN = math.inf, math.nan
ZEROS = [(0.0, 0.0), (-0.0, -0.0)]
SPECIAL = {
    "exp": [(0.0, 1.0), (INF, INF), (-INF, 0.0), (1e30, INF), (-1e30, 0.0)],
    "log": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF), (-1.0, NAN), (-INF, NAN), (-1e-40, NAN)],
    "tanh": [*ZEROS, (INF, 1.0), (-INF, -1.0), (1e30, 1.0), (-1e30, -1.0)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (1e30, 1.0), (-1e30, 0.0)],
    "expm1": [*ZEROS, (INF, INF), (-INF, -1.0), (1e30, INF), (-1e30, -1.0)],
    "log1p": [*ZEROS, (-1.0, -INF), (INF, INF), (-2.0, NAN), (-INF, NAN)],
    "erf": [*ZEROS, (INF, 1.0), (-INF, -1.0), (1e30, 1.0), (-1e30, -1.0)],
    "softplus": [(INF, INF), (-INF, 0.0), (-1e30, 0.0), (1e30, 1e30)],
}


def _isas():
    if not backends.native:
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"native core: {backends.native_error}"))]
    return backends.native.supported_isas()


@pytest.fixture(params=_isas())
def isa(request):
    with backends.use_isa(request.param):
        yield request.param


def evaluate(name, x):
    y = np.full_like(x, NAN)
    backends.native.vector_function(name, x, y)
    return y


@cache
def points(name, dtype):
    """Every size from subnormal to huge, more around 0, in the tails and where the algorithms change."""
    rng = np.random.default_rng(0)
    n = 20_000 if dtype == "float32" else 60
    limits = np.finfo(dtype)
    end = -math.log(limits.smallest_subnormal) if name in ("exp", "sigmoid", "expm1", "softplus") else 10.0
    size = np.exp(rng.uniform(math.log(limits.smallest_subnormal), math.log(limits.max), n))
    ranges = (0, 2), (0, 20), (0, end), (0.8 * end, end + 2)
    parts = [size, *(rng.uniform(low, high, n) for low, high in ranges)]
    for edge in (0.25, math.log(2) / 2, math.atanh(0.5), 0.75, 1.0, 1.5 * math.log(2), 3.95, 5.95, 9.0, 19.0):
        nearness = 2.0 ** -rng.integers(2, limits.nmant + 1, n // 10)
        parts.append(edge * (1 + rng.uniform(-1, 1, n // 10) * nearness))
    x = np.concatenate(parts)
    if name == "log":
        x = np.concatenate([x, 1 / x[x > 0.01]])
    elif name == "log1p":
        x = np.concatenate([x, -rng.uniform(0, 1, n), -1 + size[size < 1], -size[size < 1]])
        x = x[x.astype(dtype) > -1]
    else:
        x = np.concatenate([x, -x])
    return x.astype(dtype)


@cache
def reference(name, dtype):
    """Exact values, as float64 for float32 and as a float64 and a float64 remainder for float64."""
    x = points(name, dtype)
    with np.errstate(all="ignore"):
        if dtype == "float32":
            return NUMPY[name](x.astype(np.float64)), np.zeros(x.size)
        with mpmath.workdps(50):
            exact = [MPMATH[name](mpmath.mpf(float(v))) for v in x]
            high = [float(v) for v in exact]
            low = [float(v - h) if math.isfinite(h) else 0.0 for v, h in zip(exact, high, strict=True)]
    return np.array(high), np.array(low)


def errors(y, high, low, dtype):
    """|y - exact| in units in the last place of the exact value; a value that rounds to inf must be inf."""
    limits = np.finfo(dtype)
    exponent = np.frexp(high)[1] - limits.nmant - 1
    unit = np.ldexp(1.0, np.maximum(exponent, limits.minexp - limits.nmant))
    largest = float(limits.max) * (1 + (2.0 ** -limits.nmant / 4 if dtype == "float32" else 0))
    with np.errstate(all="ignore"):
        error = np.abs((y.astype(np.float64) - high) - low) / unit
    overflow = np.abs(high) > largest
    return np.where(overflow & (y == np.copysign(INF, high)), 0.0, error)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_error_stays_within_the_bound(isa, name, dtype):
    x = points(name, dtype)
    high, low = reference(name, dtype)
    y = evaluate(name, x)
    error = errors(y, high, low, dtype)
    worst = int(np.argmax(np.where(np.isnan(error), INF, error)))
    assert error[worst] <= BOUNDS[name][dtype], (
        f"{name} on {isa}, {dtype}: {error[worst]:.2f} ULP at x = {float(x[worst]).hex()}: "
        f"expected {high[worst]!r}, got {y[worst]!r}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_special_values(isa, name, dtype):
    x, expected = np.array([*SPECIAL[name], (NAN, NAN)], dtype).T.copy()
    y = evaluate(name, x)
    np.testing.assert_array_equal(y, expected)
    signed = (expected == 0) & (x == 0)
    np.testing.assert_array_equal(np.signbit(y[signed]), np.signbit(expected[signed]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_every_nan_stays_nan(isa, name, dtype):
    rng = np.random.default_rng(1)
    bits = rng.integers(1, 2 ** np.finfo(dtype).nmant, 1000)
    exponent = np.array(INF, dtype).view(f"i{np.dtype(dtype).itemsize}")
    x = (bits.astype(exponent.dtype) | exponent).view(dtype)
    x[::2] = -x[::2]
    assert np.isnan(evaluate(name, x)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_bits_do_not_depend_on_place_or_neighbours(isa, name, dtype):
    """A value has one result, whatever its lane, in a tail, and beside values that take the rare way."""
    rng = np.random.default_rng(2)
    odd = [INF, -INF, NAN, 0.0, 1e-310, 1e30, -1e30]
    x = np.concatenate([rng.uniform(-6, 6, 200), rng.uniform(-80, 80, 100), rng.uniform(0, 1e-3, 50), odd])
    with np.errstate(all="ignore"):
        x = x.astype(dtype)
    alone = np.array([evaluate(name, x[i:i + 1])[0] for i in range(x.size)])
    for _ in range(20):
        order = rng.permutation(x.size)[:rng.integers(1, x.size + 1)]
        y = evaluate(name, x[order])
        same = (y == alone[order]) & (np.signbit(y) == np.signbit(alone[order]))
        assert (same | (np.isnan(y) & np.isnan(alone[order]))).all()


def test_nothing_is_written_beyond_the_end(isa):
    for dtype in ("float32", "float64"):
        for n in range(40):
            y = np.full(n + 20, 7, dtype)
            backends.native.vector_function("exp", np.zeros(n, dtype), y[:n])
            assert (y[:n] == 1).all() and (y[n:] == 7).all()
