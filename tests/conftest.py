"""Fixtures and helpers shared by all tests.

`backend` runs a test on both backends, `combination` on every backend, instruction set and dtype that this
machine has, `native_combination` on those of the core alone. Tolerances come from `rounding`.
"""
import os
import sys
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import pytest

import fastnn as fnn
from fastnn import backends
from fastnn.cli import main

os.environ.setdefault("MPLBACKEND", "Agg")  # before anything imports matplotlib: no windows
DTYPES = ("float32", "float64")


class Combination(NamedTuple):
    backend: str
    isa: str | None
    dtype: np.dtype


def _parameter(backend, isa, dtype):
    reason = ""
    if backend == "native" and not backends.native:
        reason = f"the native core is not built: {backends.native_error}"
    elif isa and isa not in backends.isas():
        reason = f"this machine does not run {isa}"
    name = "-".join(filter(None, (backend, isa, dtype)))
    return pytest.param((backend, isa, dtype), id=name, marks=pytest.mark.skipif(bool(reason), reason=reason))


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
    with fnn.use_backend(backend), fnn.use_isa(isa) if isa else nullcontext():
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
    """``team(n)`` has the native backend run every step on n threads, however small it is."""
    before = fnn.get_num_threads()

    def set_team(n):
        if backends.native:
            fnn.set_num_threads(n)
            monkeypatch.setattr(backends.native, "SERIAL_FLOPS", 0)
            monkeypatch.setattr(backends.native.TeamSize, "next", lambda self, most, steps: (most, steps))

    yield set_team
    fnn.set_num_threads(before)


@pytest.fixture(autouse=True)
def closed_figures():
    """No picture outlives its test."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture
def one_thread():
    """One thread: many small networks, on machines that are busy."""
    before = fnn.get_num_threads()
    fnn.set_num_threads(1)
    yield
    fnn.set_num_threads(before)


def rounding(dtype, terms=0):
    """Bound of the error of a sum of so many products and a few operations more.

    Relative to the sum of the absolute values (Higham, Accuracy and Stability of Numerical Algorithms, 3.1).
    In epsilons where the theory has half of them, which leaves a float64 reference its own error.
    """
    return (terms + 4) * float(np.finfo(dtype).eps)


def assert_close(got, expected, error, what=""):
    """`got` is within `error`, an array or a number, of `expected`, and has its NaN and infinities."""
    got, expected = np.asarray(got), np.asarray(expected, np.float64)
    assert got.shape == expected.shape, f"{what}: expected shape {expected.shape}, got {got.shape}"
    with np.errstate(all="ignore"):
        difference = np.abs(got.astype(np.float64) - expected)
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        bad = ~np.where(np.isfinite(expected), difference <= error, same)
    if bad.any():
        difference = np.where(np.isfinite(difference), difference, np.inf)
        at = np.unravel_index(np.argmax(np.where(bad, difference, -1)), got.shape)
        allowed = np.broadcast_to(error, got.shape)[at]
        raise AssertionError(
            f"{what}: at {tuple(map(int, at))} expected {expected[at]!r}, got {got[at]!r}, allowed error "
            f"{allowed:.3g}; {int(bad.sum())} of {got.size} entries wrong, shape {got.shape}, "
            f"dtype {got.dtype}, {fnn.backend()} backend, ISA {backends.isa()}")


def assert_same_bits(got, expected, what=""):
    """The same values, shape and dtype; NaN equals NaN."""
    where = f"{what}: {fnn.backend()} backend, ISA {backends.isa()}"
    np.testing.assert_array_equal(got, expected, err_msg=where, strict=True)


@pytest.fixture
def run(capfd):
    """Run the command; returns exit code, lines of stdout, stderr."""
    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return code, out.splitlines(), err
    return run
