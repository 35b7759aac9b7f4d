"""Images changed at random: the same on every backend, each op beside plain loops with the words it draws."""
import numpy as np
import pytest

from conftest import assert_close, assert_same_bits, rounding
from fastnn import functional as F
from fastnn.backends.numpy_kernels.random import philox

IMAGES = [(5, 1, 1, 1), (9, 4, 5, 3), (33, 7, 6, 1)]


def numbers(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def words(row, seed, update=1, instance=0):
    """The two words of a row, from the generator itself."""
    return [int(philox([np.array(n, np.uint64) for n in (group, row, update, instance)], seed)[0])
            for group in (0, 1)]


@pytest.mark.parametrize("horizontal, vertical", [(True, False), (False, True), (True, True)])
def test_random_flip(combination, horizontal, vertical):
    for shape in IMAGES:
        x = numbers(shape, combination.dtype)
        y = F.random_flip(x, horizontal, vertical, seed=3)
        for i in range(len(x)):
            first, second = words(i, 3)
            image = x[i, :, ::-1] if horizontal and first >= 2 ** 31 else x[i]
            image = image[::-1] if vertical and second >= 2 ** 31 else image
            assert_same_bits(y[i], image.copy(), f"{shape} {i}")
        assert_same_bits(F.random_flip(y, horizontal, vertical, seed=3), x)  # twice is nothing


def shifts(row, seed, most):
    return [word * (2 * n + 1) // 2 ** 32 - n for word, n in zip(words(row, seed), most, strict=True)]


def test_random_shift(combination):
    for shape in IMAGES:
        for most in ((1, 2), (0, 3), (9, 9)):
            x = numbers(shape, combination.dtype)
            y, dx = F.random_shift(x, most, 0.5, seed=4), F.random_shift(x, most, 0.5, True, seed=4)
            expected = np.full_like(x, 0.5)
            gradient = np.zeros_like(x)
            for b, i, j in np.ndindex(shape[:3]):
                down, aside = shifts(b, 4, most)
                if 0 <= i - down < shape[1] and 0 <= j - aside < shape[2]:
                    expected[b, i, j] = x[b, i - down, j - aside]
                    gradient[b, i - down, j - aside] = x[b, i, j]
            assert_same_bits(y, expected, f"{shape} {most}")
            assert_same_bits(dx, gradient, f"dx {shape} {most}")


def test_every_shift_is_as_likely():
    drawn = np.array([shifts(row, 1, (1, 2)) for row in range(3000)])
    counts = [np.unique(column, return_counts=True) for column in drawn.T]
    assert [c[0].tolist() for c in counts] == [[-1, 0, 1], [-2, -1, 0, 1, 2]]
    for c in counts:
        assert abs(c[1] / 3000 - 1 / len(c[1])).max() < 0.04


def test_random_rotation(combination):
    """Bilinear between pixels; outside is 0.25. The gradient is the transpose."""
    dtype, degrees = combination.dtype, 40.0
    for shape in IMAGES:
        b, h, w, c = shape
        x, dy = numbers(shape, dtype), numbers(shape, dtype, 1)
        y, dx = F.random_rotation(x, degrees, 0.25, seed=5), F.random_rotation(dy, degrees, 0.25, True, seed=5)
        expected, gradient, sizes = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for n, i, j in np.ndindex(b, h, w):
            angle = np.deg2rad(degrees) * ((words(n, 5)[0] + 0.5) / 2 ** 31 - 1)
            down, aside = i - (h - 1) / 2, j - (w - 1) / 2
            at = ((h - 1) / 2 + np.cos(angle) * down - np.sin(angle) * aside,
                  (w - 1) / 2 + np.sin(angle) * down + np.cos(angle) * aside)
            for k, m in np.ndindex(h + 4, w + 4):
                weight = max(0, 1 - abs(at[0] - (k - 2))) * max(0, 1 - abs(at[1] - (m - 2)))
                if not weight:
                    continue
                inside = 0 <= k - 2 < h and 0 <= m - 2 < w
                expected[n, i, j] += weight * (x[n, k - 2, m - 2] if inside else 0.25)
                if inside:
                    gradient[n, k - 2, m - 2] += weight * dy[n, i, j]
                    sizes[n, k - 2, m - 2] += weight * abs(dy[n, i, j])
            far = weight_outside(at, h, w)
            expected[n, i, j] += far * 0.25
        error = rounding(dtype, 16) * max(h, w)
        assert_close(y, expected, error * (np.abs(x).max() + 1), f"{shape}")
        assert_close(dx, gradient, error * (sizes + np.abs(dy).max()), f"dx {shape}")


def weight_outside(at, h, w):
    """What lies more than two pixels outside, where the loop above does not look."""
    return 1.0 - sum(max(0, 1 - abs(at[0] - k)) * max(0, 1 - abs(at[1] - m))
                     for k, m in np.ndindex(h + 4, w + 4) for k, m in ((k - 2, m - 2),))


def test_no_rotation_is_the_image(combination):
    x = numbers((9, 4, 5, 3), combination.dtype)
    assert_same_bits(F.random_rotation(x, 0.0), x)


def test_another_each_step(combination):
    x = numbers((9, 6, 6, 2), combination.dtype)
    for function in (F.random_flip, F.random_shift, F.random_rotation):
        assert_same_bits(function(x, seed=1), function(x, seed=1))
        for other in ({"seed": 2}, {"seed": 1, "update": 2}, {"seed": 1, "instance": 1}):
            assert (function(x, **other) != function(x, seed=1)).any()
