"""Fixtures and helpers shared by all tests.

`backend` runs a test on both backends, `combination` on every backend, instruction set and dtype that this
machine has, `native_combination` on those of the core alone. Tolerances come from `rounding`.
"""
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import pytest

import fastnn as fnn
from fastnn import backends

DTYPES = ("float32", "float64")


class Combination(NamedTuple):
    backend: str
    isa: str | None
    dtype: np.dtype


def _parameter(backend, isa, dtype):
    name = "-".join(filter(None, (backend, isa, dtype)))
    reason = ""
    if backend == "native" and not backends.native:
        reason = f"the native core is not built: {backends.native_error}"
    elif isa and backends.native and isa not in backends.native.supported_isas():
        reason = f"this machine does not run {isa}"
    return pytest.param((backend, isa, dtype), id=name, marks=[pytest.mark.skip(reason=reason)] if reason else [])


ISAS = [name for name, _ in backends.native.core.isas()] if backends.native else [None]
NATIVE = [_parameter("native", isa, dtype) for isa in ISAS for dtype in DTYPES]
ALL = NATIVE + [_parameter("numpy", None, dtype) for dtype in DTYPES]


@pytest.fixture(params=[_parameter("native", None, ""), _parameter("numpy", None, "")])
def backend(request):
    """The name of the backend in use."""
    with fnn.use_backend(request.param[0]):
        yield request.param[0]


def _in_use(request):
    backend, isa, dtype = request.param
    with fnn.use_backend(backend), backends.use_isa(isa) if isa else nullcontext():
        yield Combination(backend, isa, np.dtype(dtype))


combination = pytest.fixture(params=ALL, name="combination")(_in_use)
native_combination = pytest.fixture(params=NATIVE, name="native_combination")(_in_use)


@pytest.fixture
def native():
    """The native backend in use, or a skipped test."""
    if not backends.native:
        pytest.skip(f"the native core is not built: {backends.native_error}")
    with fnn.use_backend("native"):
        yield backends.native


@pytest.fixture
def team(monkeypatch):
    """``team(n)`` has every step of the native backend run on n threads, however small it is."""
    def set_team(n):
        if backends.native:
            monkeypatch.setattr(backends.native, "threads_for", lambda flops: n)
    return set_team


def rounding(dtype, terms=0):
    """Bound of the error of a sum of so many products and a few operations more, relative to the sum of the
    absolute values (Higham, Accuracy and Stability, 3.1). In whole epsilons: twice the bound of the dtype, which
    leaves the float64 reference its own."""
    return (terms + 4) * float(np.finfo(dtype).eps)


def assert_close(got, expected, error, what=""):
    """`got` is within `error` (an array or a number) of `expected`; NaN and infinities are where they must be."""
    got, expected = np.asarray(got), np.asarray(expected, np.float64)
    assert got.shape == expected.shape, f"{what}: expected shape {expected.shape}, got {got.shape}"
    if not got.size:
        return
    with np.errstate(all="ignore"):
        difference = np.abs(got.astype(np.float64) - expected)
        finite = np.isfinite(expected)
        bad = np.where(finite, ~(difference <= error), ~((got == expected) | (np.isnan(got) & np.isnan(expected))))
    if bad.any():
        excess = np.where(bad, np.where(np.isfinite(difference), difference, np.inf), -1)
        at = np.unravel_index(np.argmax(excess), got.shape)
        raise AssertionError(
            f"{what}: at {tuple(map(int, at))} expected {expected[at]!r}, got {got[at]!r}, allowed error "
            f"{np.broadcast_to(error, got.shape)[at]:.3g}; {int(bad.sum())} of {got.size} entries wrong, shape "
            f"{got.shape}, dtype {got.dtype}, {fnn.backend()} backend, ISA {backends.isa()}")


def assert_same_bits(got, expected, what=""):
    """The same values bit for bit (NaN equals NaN)."""
    np.testing.assert_array_equal(got, expected, err_msg=f"{what}: {fnn.backend()} backend, ISA {backends.isa()}",
                                  strict=True)
