"""Finite differences of functions whose derivatives are known."""
import math

import numpy as np
import pytest

from fastnn.numerical import directional_derivative, numerical_derivative, numerical_gradient


@pytest.mark.parametrize("function, at, expected", [
    (math.exp, 1.0, math.e),
    (math.sin, 100.0, math.cos(100.0)),
    (lambda t: math.tanh(255 * t), 0.003, 255 * (1 - math.tanh(0.765) ** 2)),  # unscaled pixels
    (lambda t: math.cos(1e4 * t), 0.3, -1e4 * math.sin(3e3)),
    (lambda t: 1e-6 * t ** 3, 2.0, 1.2e-5),
    (lambda t: 7.0, 1.0, 0.0),
])
def test_derivative_of_smooth_functions(function, at, expected):
    derivative = numerical_derivative(function, at)
    assert derivative.value == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert derivative.doubt <= 1e-9 * abs(expected)


@pytest.mark.parametrize("distance", [1e-5, 1e-4, 6.2e-4, 1e-3, 2.5e-3, 3.9e-3, 1e-2])
@pytest.mark.parametrize("side", [-1, 1])
def test_derivative_beside_a_kink(distance, side):
    derivative = numerical_derivative(lambda t: math.sin(t) + max(0.0, side * (t - side * distance)), 0.0)
    assert derivative.value == pytest.approx(1.0, abs=1e-10)
    assert derivative.doubt < 1e-9


@pytest.mark.parametrize("jump", [1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("distance", [0.0, 1e-9])
def test_kink_is_doubted_by_its_change_of_slope(jump, distance):
    derivative = numerical_derivative(lambda t: math.sin(t) + jump * max(0.0, t - distance), 0.0)
    assert derivative.doubt == pytest.approx(jump, rel=0.2)
    assert derivative.doubt > 20 * derivative.rounding


def test_doubt_bounds_the_error_wherever_the_kink_is():
    for distance in np.geomspace(1e-8, 1e-2, 300):
        derivative = numerical_derivative(lambda t, d=distance: max(0.0, t - d), 0.0)
        assert abs(derivative.value) <= derivative.doubt + 20 * derivative.rounding, distance


def test_function_that_is_not_finite_beside_the_point():
    derivative = numerical_derivative(lambda t: math.log(t) if t > 0 else math.nan, 1e-4)
    assert derivative.value == pytest.approx(1e4, rel=1e-9)


def test_numerical_gradient_puts_back_what_it_changes():
    x = np.arange(24.0).reshape(4, 6)[::2, 1:4]  # a strided view
    before = x.copy()

    def f():
        return float(np.sum(x ** 3))

    everywhere = numerical_gradient(f, x)
    np.testing.assert_allclose([d.value for d in everywhere], 3 * before.ravel() ** 2, rtol=1e-9)
    some = numerical_gradient(f, x, [(1, 2), (0, 0)])
    assert [d.value for d in some] == [everywhere[5].value, everywhere[0].value]
    np.testing.assert_array_equal(x, before)

    def broken():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        numerical_gradient(broken, x)
    np.testing.assert_array_equal(x, before)


def test_directional_derivative_puts_back_what_it_moves():
    x = np.arange(24.0).reshape(4, 6)[::2, 1:4]
    before, v = x.copy(), np.random.default_rng(0).uniform(0.5, 1.0, (2, 3))
    derivative = directional_derivative(lambda: float(np.sum(x ** 3)), x, v)
    assert derivative.value == pytest.approx(float(np.sum(3 * before ** 2 * v)), rel=1e-9)
    np.testing.assert_array_equal(x, before)
