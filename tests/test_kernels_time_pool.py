"""Mean and maximum over steps in time: every backend, instruction set and dtype against formulas in float64."""
import numpy as np
import pytest

from cases import EDGES
from conftest import assert_close, assert_same_bits, rounding
from fastnn import functional as F


def sequences(n, dtype, seed=0, batch=5, time=19):
    return np.random.default_rng(seed).standard_normal((batch, time, n)).astype(dtype)


def some_steps(dtype, batch=5, time=19):
    """Sequences of 0, 4, 8, ... steps, with a hole."""
    mask = (np.arange(time) < 4 * np.arange(batch)[:, np.newaxis]).astype(dtype)
    mask[:, 2] = 0
    return mask


@pytest.mark.parametrize("masked", [False, True])
def test_time_mean(combination, masked):
    dtype = combination.dtype
    for n in EDGES:
        x, dy = sequences(n, dtype), sequences(n, dtype, 1)[:, 0]
        mask = some_steps(dtype) if masked else np.ones((5, 19), dtype)
        counts = np.maximum(mask.sum(1, dtype=float), 1)[:, np.newaxis]
        wide = x.astype(np.float64) * mask[..., np.newaxis]
        got = F.time_mean_forward(x, mask if masked else None)
        assert_close(got, wide.sum(1) / counts, rounding(dtype, 19) * np.abs(wide).sum(1) / counts, f"{n}")
        expected = mask[..., np.newaxis] * (dy / counts)[:, np.newaxis]
        assert_close(F.time_mean_backward(dy, mask), expected, rounding(dtype) * np.abs(expected), f"dx {n}")


@pytest.mark.parametrize("masked", [False, True])
def test_time_max(combination, masked):
    dtype = combination.dtype
    for n in EDGES:
        x, dy = np.round(sequences(n, dtype) * 2) / 2, sequences(n, dtype, 1)[:, 0]  # with ties
        mask = some_steps(dtype) if masked else np.ones((5, 19), dtype)
        y, index = F.time_max_forward(x, mask if masked else None)
        dx = F.time_max_backward(dy, index, 19)
        expected = np.zeros_like(x)
        for b, j in np.ndindex(5, n):
            there = np.flatnonzero(mask[b])
            first = there[np.argmax(x[b, there, j])] if len(there) else -1
            assert index[b, j] == first
            assert y[b, j] == (x[b, first, j] if len(there) else 0)
            if len(there):
                expected[b, first, j] = dy[b, j]
        assert_same_bits(dx, expected)


def test_nan_and_infinities(combination):
    x = sequences(3, combination.dtype)
    x[1, 4, 0], x[2, :, 1], x[3, 5, 2] = np.nan, -np.inf, np.inf
    y, index = F.time_max_forward(x)
    assert np.isnan(y[1, 0]) and index[1, 0] == 4 and np.isfinite(np.delete(y, 1, 0)[:1]).all()
    assert y[2, 1] == -np.inf and index[2, 1] == 0 and y[3, 2] == np.inf and index[3, 2] == 5
    mask = np.ones((5, 19), combination.dtype)
    mask[:, 0] = 0
    assert F.time_max_forward(x, mask)[1][2, 1] == 1
