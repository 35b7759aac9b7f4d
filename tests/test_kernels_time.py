"""Sequences into and out of the time layout: every backend, instruction set and dtype."""
import numpy as np
import pytest

from conftest import assert_same_bits
from fastnn import functional as F

SHAPES = [(1, 1, 1), (3, 5, 2), (2, 1, 17), (5, 4, 16), (17, 3, 33), (4, 7, 15)]


@pytest.mark.parametrize("batch,time,n", SHAPES)
def test_rows_and_time(combination, batch, time, n):
    x = np.random.default_rng(0).standard_normal((batch, time * n)).astype(combination.dtype)
    expected = x.reshape(batch, time, n).transpose(1, 0, 2).reshape(time * batch, n)
    y, back = np.empty_like(expected), np.empty_like(x)
    F.call("rows_to_time", (x, y), time=time)
    assert_same_bits(y, expected, "rows_to_time")
    F.call("time_to_rows", (y, back), time=time)
    assert_same_bits(back, x, "time_to_rows")
