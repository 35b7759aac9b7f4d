"""Convolutions and their gradients: every backend, instruction set and dtype against float64 sums."""
import itertools

import numpy as np
import pytest

from conftest import assert_close, assert_same_bits, rounding
from fastnn.activations import ACTIVATIONS
from fastnn.functional import call


class Shape:
    """A convolution of x (batch, h, w, c) with kernels (ky, kx) to (oh, ow, o)."""

    def __init__(self, batch, size, c, o, kernel, stride=(1, 1), dilation=(1, 1), pad=(0, 0), after=(0, 0), groups=1):
        self.batch, self.size, self.c, self.o, self.groups = batch, size, c, o, groups
        self.kernel, self.stride, self.dilation, self.pad = kernel, stride, dilation, pad
        self.small = tuple((n + p + q - (k - 1) * d - 1) // s + 1 for n, p, q, k, d, s in
                           zip(size, pad, after, kernel, dilation, stride, strict=True))
        assert min(self.small) > 0
        names = "kernel_y kernel_x stride_y stride_x dilation_y dilation_x pad_y pad_x".split()
        values = [*kernel, *stride, *dilation, *pad]
        self.settings = {**dict(zip(names, values, strict=True)), "groups": groups}

    def __repr__(self):
        return (f"{self.batch}x{self.size[0]}x{self.size[1]}x{self.c}-{self.o} k{self.kernel} s{self.stride} "
                f"d{self.dilation} p{self.pad} g{self.groups}")

    def random(self, dtype, seed=0):
        rng = np.random.default_rng(seed)
        rows = self.kernel[0] * self.kernel[1] * self.c // self.groups
        shapes = ((self.batch, *self.size, self.c), (rows, self.o), (self.o,), (self.batch, *self.small, self.o))
        return [rng.standard_normal(s).astype(dtype) for s in shapes]

    def meetings(self):
        """(ky, kx, oy, ox, iy, ix) of every tap that meets a pixel inside."""
        for ky, kx, oy, ox in itertools.product(*map(range, (*self.kernel, *self.small))):
            iy = oy * self.stride[0] + ky * self.dilation[0] - self.pad[0]
            ix = ox * self.stride[1] + kx * self.dilation[1] - self.pad[1]
            if 0 <= iy < self.size[0] and 0 <= ix < self.size[1]:
                yield ky, kx, oy, ox, iy, ix

    def matrix(self, w):
        """The convolution of one image as a matrix (h w c, oh ow o), in float64."""
        ci, oo = self.c // self.groups, self.o // self.groups
        w = w.astype(np.float64).reshape(*self.kernel, ci, self.o)
        m = np.zeros((*self.size, self.c, *self.small, self.o))
        for ky, kx, oy, ox, iy, ix in self.meetings():
            for g in range(self.groups):
                i, o = slice(g * ci, (g + 1) * ci), slice(g * oo, (g + 1) * oo)
                m[iy, ix, i, oy, ox, o] += w[ky, kx, :, o]
        return m.reshape(-1, np.prod(self.small) * self.o)

    def weight_sums(self, x, dy):
        """dw (rows, o) in float64."""
        ci, oo = self.c // self.groups, self.o // self.groups
        dw = np.zeros((*self.kernel, ci, self.o))
        x, dy = x.astype(np.float64), dy.astype(np.float64)
        for ky, kx, oy, ox, iy, ix in self.meetings():
            for g in range(self.groups):
                i, o = slice(g * ci, (g + 1) * ci), slice(g * oo, (g + 1) * oo)
                dw[ky, kx, :, o] += x[:, iy, ix, i].T @ dy[:, oy, ox, o]
        return dw.reshape(-1, self.o)


PLAIN = [Shape(b, (h, w), c, o, k) for b, h, w, c, o, k in (
    (1, 1, 1, 1, 1, (1, 1)), (3, 5, 7, 2, 3, (3, 3)), (17, 6, 4, 3, 7, (2, 3)), (16, 9, 9, 1, 6, (5, 5)),
    (33, 6, 6, 6, 16, (5, 5)), (2, 3, 3, 17, 33, (1, 1)), (5, 4, 9, 16, 5, (3, 3)), (1, 1, 33, 3, 4, (1, 5)),
    (15, 7, 1, 2, 2, (4, 1)), (2, 4, 3, 9, 13, (2, 2)))]
SPECIAL = [
    Shape(3, (7, 6), 2, 3, (3, 3), stride=(2, 2)), Shape(2, (9, 8), 3, 4, (3, 2), stride=(3, 1)),
    Shape(5, (8, 9), 2, 5, (2, 2), stride=(3, 3)), Shape(17, (5, 6), 3, 2, (3, 3), pad=(1, 1), after=(1, 1)),
    Shape(2, (4, 4), 1, 7, (5, 5), pad=(2, 2), after=(2, 2)),
    Shape(2, (3, 3), 2, 3, (4, 4), pad=(3, 0), after=(1, 2)),
    Shape(1, (9, 9), 3, 2, (3, 3), dilation=(2, 2)), Shape(2, (9, 7), 1, 3, (3, 2), dilation=(3, 2), pad=(2, 1)),
    Shape(3, (7, 8), 2, 3, (3, 3), stride=(2, 2), dilation=(2, 3), pad=(2, 3), after=(2, 3)),
    Shape(3, (6, 5), 4, 6, (3, 3), groups=2), Shape(18, (5, 5), 6, 6, (3, 3), pad=(1, 1), after=(1, 1), groups=6),
    Shape(2, (6, 6), 3, 9, (2, 3), stride=(2, 1), groups=3), Shape(2, (8, 8), 5, 5, (3, 3), dilation=(2, 2), groups=5),
    Shape(2, (7, 7), 16, 8, (3, 3), stride=(2, 2), pad=(1, 1), after=(1, 1), groups=4),
    Shape(1, (3, 40), 9, 5, (3, 3), pad=(1, 1), after=(1, 1)),
    Shape(1, (2, 150), 2, 3, (1, 7), pad=(0, 3), after=(0, 3))]
SHAPES = PLAIN + SPECIAL
each = pytest.mark.parametrize("shape", SHAPES, ids=repr)


def flat(a):
    return a.reshape(len(a), -1).astype(np.float64)


@each
def test_conv_forward(combination, shape):
    dtype = combination.dtype
    x, w, b, y = shape.random(dtype)
    m = shape.matrix(w)
    expected = (flat(x) @ m).reshape(y.shape) + b
    error = rounding(dtype, len(w)) * ((np.abs(flat(x)) @ np.abs(m)).reshape(y.shape) + np.abs(b))
    call("conv_forward", (x, w, b, y, None), activation="identity", **shape.settings)
    assert_close(y, expected, error, "y")
    call("conv_forward", (x, w, None, y, None), activation="identity", **shape.settings)
    assert_close(y, expected - b, error, "y without b")


@each
def test_conv_backward_input(combination, shape):
    dtype = combination.dtype
    dx, w, _, dy = shape.random(dtype)
    m = shape.matrix(w)
    error = rounding(dtype, m.shape[1]) * (np.abs(flat(dy)) @ np.abs(m.T)).reshape(dx.shape)
    call("conv_backward_input", (dy, w, None, dx), activation="identity", **shape.settings)
    assert_close(dx, (flat(dy) @ m.T).reshape(dx.shape), error, "dx")


@each
def test_conv_transpose(combination, shape):
    """Its forward is the other's input gradient with a bias, its input gradient the other's forward."""
    dtype = combination.dtype
    big, w, _, small = shape.random(dtype)
    b = np.random.default_rng(1).standard_normal(shape.c).astype(dtype)
    m = shape.matrix(w)
    expected = (flat(small) @ m.T).reshape(big.shape) + b
    error = rounding(dtype, m.shape[1]) * ((np.abs(flat(small)) @ np.abs(m.T)).reshape(big.shape) + np.abs(b))
    y, dx = np.empty_like(big), np.empty_like(small)
    call("conv_transpose_forward", (small, w, b, y, None), activation="identity", **shape.settings)
    assert_close(y, expected, error, "y")
    call("conv_transpose_backward_input", (big, w, None, dx), activation="identity", **shape.settings)
    error = rounding(dtype, len(w)) * (np.abs(flat(big)) @ np.abs(m)).reshape(small.shape)
    assert_close(dx, (flat(big) @ m).reshape(small.shape), error, "dx")


@each
def test_conv_backward_parameters(combination, shape):
    dtype = combination.dtype
    x, w, b, dy = shape.random(dtype)
    expected, size = shape.weight_sums(x, dy), shape.weight_sums(np.abs(x), np.abs(dy))
    terms = shape.batch * int(np.prod(shape.small))
    dw, db = np.full_like(w, np.nan), np.full((1, shape.o), np.nan, dtype)
    call("conv_backward_parameters", (x, dy, None, dw, db), **shape.settings)
    assert_close(dw, expected, rounding(dtype, terms) * size, "dw")
    assert_close(db[0], dy.sum((0, 1, 2), dtype=np.float64), rounding(dtype, terms) * np.abs(dy).sum((0, 1, 2)), "db")
    dw2, db2 = np.full_like(w, np.nan), np.full((1, shape.c), np.nan, dtype)
    call("conv_transpose_backward_parameters", (dy, x, dw2, db2), **shape.settings)
    assert_same_bits(dw2, dw, "dw transposed")
    assert_close(db2[0], x.sum((0, 1, 2), dtype=np.float64),
                 rounding(dtype, x[..., 0].size) * np.abs(x).sum((0, 1, 2)), "db transposed")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_epilogues(combination, name):
    """The fused activation and slope are those of activation_forward and activation_backward."""
    dtype, shape = combination.dtype, Shape(3, (5, 6), 2, 7, (3, 3), pad=(1, 0), after=(0, 1))
    x, w, b, y = shape.random(dtype)
    for forward, source, bias, made in (("conv_forward", x, b, y),
                                          ("conv_transpose_forward", y, b[:2].copy(), x)):
        z, alone, expected, result = (np.empty_like(made) for _ in range(4))
        call(forward, (source, w, bias, alone, None), activation="identity", **shape.settings)
        call(forward, (source, w, bias, result, z), activation=name, **shape.settings)
        assert_same_bits(z, alone, "z")
        rows = len(z), -1
        call("activation_forward", (z.reshape(rows), expected.reshape(rows)), activation=name)
        error = float(np.finfo(dtype).eps) * np.abs(expected)
        assert_close(result, expected, error, f"y of {forward}")
        call(forward, (source, w, bias, alone, None), activation=name, **shape.settings)
        assert_close(alone, expected, error, f"y of {forward} without z")
    for backward, dy, f in (("conv_backward_input", y, x), ("conv_transpose_backward_input", x, y)):
        dx, plain, sloped = (np.empty_like(f) for _ in range(3))
        rows = len(f), -1
        call(backward, (dy, w, None, plain), activation="identity", **shape.settings)
        call("activation_backward", (plain.reshape(rows), f.reshape(rows), sloped.reshape(rows)), activation=name)
        call(backward, (dy, w, f, dx), activation=name, **shape.settings)
        assert_close(dx, sloped, 2 * float(np.finfo(dtype).eps) * np.abs(sloped), f"dx of {backward}")


def test_an_image_alone_is_as_in_the_batch(combination):
    shape = Shape(37, (6, 7), 3, 10, (3, 3), pad=(1, 1), after=(1, 1))
    x, w, b, y = shape.random(combination.dtype)
    call("conv_forward", (x, w, b, y, None), activation="tanh", **shape.settings)
    for i in (0, 15, 16, 36):
        alone = np.empty_like(y[:1])
        call("conv_forward", (x[i:i + 1].copy(), w, b, alone, None), activation="tanh", **shape.settings)
        if combination.backend == "native":
            assert_same_bits(alone[0], y[i], f"image {i}")
        else:
            assert_close(alone[0], y[i], rounding(combination.dtype, len(w)), f"image {i}")


@pytest.mark.parametrize("batch", [1, 16, 17, 40, 150])
def test_sum_chunks(combination, batch):
    """As many parts add up as there are chunks of the batch's images; the others are never looked at."""
    dtype, used, rng = combination.dtype, min(-(-batch // 16), 5), np.random.default_rng(0)
    dy = np.ones((batch, 1, 1, 1), dtype)
    for n in (1, 15, 33):
        parts, dw = rng.standard_normal((5, n)).astype(dtype), np.full(n, np.nan, dtype)
        parts[used:] = np.nan
        call("sum_chunks", (parts, dy, dw))
        expected, size = (a[:used].sum(0, dtype=np.float64) for a in (parts, np.abs(parts)))
        assert_close(dw, expected, rounding(dtype, used) * size, f"{n} columns")
