"""Average pooling, frames and enlarging of images: every backend, instruction set and dtype against plain loops."""
import itertools

import numpy as np
import pytest

from conftest import assert_close, assert_same_bits, rounding
from fastnn import functional as F

IMAGES = [(1, 5, 6, 1), (3, 4, 4, 3), (17, 7, 5, 2), (33, 6, 8, 5)]


def numbers(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def by_loops(x, kernel, stride, pad, count_padding):
    """Means of windows, and the sums of the absolute values that they are made of."""
    x = x.astype(np.float64)
    (ky, kx), (sy, sx), (py, px) = kernel, stride, pad
    size = (x.shape[1] + 2 * py - ky) // sy + 1, (x.shape[2] + 2 * px - kx) // sx + 1
    y = np.zeros((2, len(x), *size, x.shape[3]))
    for i, j in np.ndindex(*size):
        window = x[:, max(i * sy - py, 0):i * sy - py + ky, max(j * sx - px, 0):j * sx - px + kx]
        count = ky * kx if count_padding else window.shape[1] * window.shape[2]
        y[:, :, i, j] = window.sum((1, 2)) / count, np.abs(window).sum((1, 2)) / count
    return y


WINDOWS = [((2, 2), (2, 2), (0, 0)), ((3, 2), (1, 2), (1, 1)), ((3, 3), (2, 1), (2, 1)), ((1, 4), (3, 3), (0, 2))]


@pytest.mark.parametrize("count_padding", [False, True])
@pytest.mark.parametrize("kernel, stride, pad", WINDOWS)
def test_average_pool(combination, kernel, stride, pad, count_padding):
    """The mean of each window, and its transpose: <pool(x), dy> = <x, pool_backward(dy)>."""
    dtype = combination.dtype
    for shape in IMAGES:
        x, how = numbers(shape, dtype), (kernel, stride, pad, count_padding)
        expected, size = by_loops(x, *how)
        got = F.average_pool_forward(x, *how)
        error = rounding(dtype, sum(kernel))
        assert_close(got, expected, error * size, f"{shape}")
        dy = numbers(got.shape, dtype, 1)
        dx = F.average_pool_backward(dy, shape[1:3], *how)
        expected = np.zeros(shape)
        sizes = np.zeros(shape)
        for i, j, c in np.ndindex(*shape[1:]):
            pixel = np.zeros((1, *shape[1:]))
            pixel[0, i, j, c] = 1
            share = by_loops(pixel, *how)[0]
            expected[:, i, j, c] = (share * dy).sum((1, 2, 3))
            sizes[:, i, j, c] = (share * np.abs(dy)).sum((1, 2, 3))
        assert_close(dx, expected, rounding(dtype, kernel[0] * kernel[1]) * sizes, f"dx {shape}")


def test_crop_pad(combination):
    for shape in IMAGES:
        x = numbers(shape, combination.dtype)
        for above, below, left, right in itertools.product((-2, 0, 3), (-1, 2), (-1, 0, 2), (-2, 1)):
            framed = np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)))
            h, w = shape[1:3]
            expected = framed[:, 3 - above:3 + h + below, 3 - left:3 + w + right]
            got = F.crop_pad(x, ((above, below), (left, right)))
            assert_same_bits(got, expected, f"{shape} {above, below, left, right}")


def enlarged(n, factor, bilinear):
    """The matrix (n factor, n), entry by entry from where the centres of pixels are."""
    matrix = np.zeros((n * factor, n))
    for i in range(n * factor):
        at = min(max((i + 0.5) / factor - 0.5, 0), n - 1) if bilinear else i // factor
        for j in range(n):
            matrix[i, j] = max(0, 1 - abs(at - j))
    return matrix


@pytest.mark.parametrize("bilinear", [False, True])
def test_upsample(combination, bilinear):
    dtype = combination.dtype
    for shape, (fy, fx) in itertools.product([(1, 1, 1, 1), (3, 2, 5, 3), (17, 4, 3, 2)], [(1, 1), (2, 3), (5, 2)]):
        x = numbers(shape, dtype)
        rows, columns = enlarged(shape[1], fy, bilinear), enlarged(shape[2], fx, bilinear)

        def apply(a, rows=rows, columns=columns):
            return np.einsum("bhwc,yh,xw->byxc", a.astype(np.float64), rows, columns)

        got = F.upsample_forward(x, (fy, fx), bilinear)
        assert_close(got, apply(x), rounding(dtype, 8) * apply(np.abs(x)), f"{shape} by {fy, fx}")
        dy = numbers(got.shape, dtype, 1)
        dx, sizes = (np.einsum("byxc,yh,xw->bhwc", a.astype(np.float64), rows, columns) for a in (dy, np.abs(dy)))
        got = F.upsample_backward(dy, (fy, fx), bilinear)
        assert_close(got, dx, rounding(dtype, 4 * fy * fx) * sizes, f"dx {shape} by {fy, fx}")


@pytest.mark.parametrize("bilinear", [False, True])
def test_upsample_beside_pytorch(native, bilinear):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x = numbers((3, 4, 5, 2), np.float64)
    how = {"mode": "bilinear", "align_corners": False} if bilinear else {}
    there = torch.nn.functional.interpolate(torch.tensor(x.transpose(0, 3, 1, 2)), scale_factor=(2.0, 3.0), **how)
    got = F.upsample_forward(x, (2, 3), bilinear)
    np.testing.assert_allclose(got, there.numpy().transpose(0, 2, 3, 1), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("count_padding", [False, True])
def test_average_pool_beside_pytorch(native, count_padding):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x = numbers((3, 7, 5, 2), np.float64)
    there = torch.nn.functional.avg_pool2d(torch.tensor(x.transpose(0, 3, 1, 2)), (3, 2), (2, 1), (1, 1),
                                           count_include_pad=count_padding)
    got = F.average_pool_forward(x, (3, 2), (2, 1), (1, 1), count_padding)
    np.testing.assert_allclose(got, there.numpy().transpose(0, 2, 3, 1), rtol=1e-12, atol=1e-14)
