"""Images into and out of lanes, max pooling: every backend, instruction set and dtype."""
import numpy as np
import pytest

from conftest import assert_close, assert_same_bits, rounding
from fastnn import backends, passes
from fastnn.backends.run import Memory, Pass
from fastnn.functional import call
from fastnn.program import Builder, Layout


@pytest.mark.parametrize("batch,n", [(1, 1), (3, 15), (16, 16), (17, 33), (33, 100), (40, 7)])
def test_lanes(combination, batch, n):
    x = np.random.default_rng(0).standard_normal((batch, n)).astype(combination.dtype)
    images, back = np.empty((batch, 1, n, 1), x.dtype), np.empty_like(x)
    call("rows_to_lanes", (x, images))
    assert_same_bits(images.reshape(batch, n), x, "rows_to_lanes")
    call("lanes_to_rows", (images, back))
    assert_same_bits(back, x, "lanes_to_rows")


WINDOW = "kernel_y kernel_x stride_y stride_x pad_y pad_x".split()
# batch, (h, w), c, (oh, ow), settings
POOLS = [(1, (1, 1), 1, (1, 1), (1, 1, 1, 1, 0, 0)), (17, (6, 8), 3, (3, 4), (2, 2, 2, 2, 0, 0)),
         (16, (7, 9), 2, (3, 4), (2, 2, 2, 2, 0, 0)), (3, (7, 7), 17, (3, 3), (3, 3, 2, 2, 0, 0)),
         (2, (5, 6), 1, (3, 4), (3, 2, 2, 2, 1, 1)), (33, (4, 5), 2, (4, 5), (3, 3, 1, 1, 1, 1)),
         (2, (9, 1), 5, (3, 1), (1, 1, 4, 1, 0, 0)), (2, (1, 11), 4, (1, 5), (1, 3, 1, 2, 0, 0)),
         (2, (20, 20), 2, (1, 1), (20, 20, 20, 20, 0, 0))]


def pooled(x, small, window):
    """The largest of each window, and where it is: loops over windows."""
    ky, kx, sy, sx, py, px = window
    y, index = np.empty((len(x), *small, x.shape[3]), x.dtype), np.empty((len(x), *small, x.shape[3]), np.int32)
    for oy, ox in np.ndindex(*small):
        best = np.full((len(x), x.shape[3]), -np.inf)
        for i, j in np.ndindex(ky, kx):
            iy, ix = oy * sy + i - py, ox * sx + j - px
            if 0 <= iy < x.shape[1] and 0 <= ix < x.shape[2]:
                better = x[:, iy, ix] > best
                best = np.where(better, x[:, iy, ix], best)
                index[:, oy, ox][better] = i * kx + j
        y[:, oy, ox] = best
    return y, index


def unpooled(dy, index, shape, window):
    """The gradient, in float64: each window's goes to its largest."""
    ky, kx, sy, sx, py, px = window
    dx = np.zeros(shape)
    for b, oy, ox, c in np.ndindex(*dy.shape):
        i, j = divmod(int(index[b, oy, ox, c]), kx)
        dx[b, oy * sy + i - py, ox * sx + j - px, c] += dy[b, oy, ox, c]
    return dx


@pytest.mark.parametrize("batch,size,c,small,window", POOLS)
def test_max_pool(combination, batch, size, c, small, window):
    rng, dtype, settings = np.random.default_rng(0), combination.dtype, dict(zip(WINDOW, window, strict=True))
    x = rng.standard_normal((batch, *size, c)).astype(dtype)
    x = np.where(x > 1, dtype.type(1), x)  # ties
    y, index = pooled(x, small, window)
    kind = np.uint8 if window[0] * window[1] <= 256 else np.int32
    got, alone, at = np.empty_like(y), np.empty_like(y), np.empty(y.shape, kind)
    call("max_pool_forward", (x, got, at), **settings)
    assert_same_bits(got, y, "y")
    assert_same_bits(at, index.astype(kind), "index")
    call("max_pool_forward", (x, alone, None), **settings)
    assert_same_bits(alone, y, "y without index")
    dy, dx = rng.standard_normal(y.shape).astype(dtype), np.full_like(x, np.nan)
    call("max_pool_backward", (dy, at, dx), **settings)
    error = rounding(dtype, window[0] * window[1]) * unpooled(np.abs(dy), index, x.shape, window)
    assert_close(dx, unpooled(dy, index, x.shape, window), error, "dx")


def test_max_pool_of_what_is_not_finite(combination):
    """NaN is the largest; minus infinity is larger than nothing at all."""
    x = np.full((2, 3, 3, 1), -np.inf, combination.dtype)
    x[1, 1, 1] = np.nan
    y, index = np.empty((2, 2, 2, 1), x.dtype), np.empty((2, 2, 2, 1), np.uint8)
    call("max_pool_forward", (x, y, index), **dict(zip(WINDOW, (3, 3, 2, 2, 1, 1), strict=True)))
    assert (y[0] == -np.inf).all() and np.isnan(y[1]).all()
    assert index[0].ravel().tolist() == [4, 3, 1, 0] and index[1].ravel().tolist() == [8, 6, 2, 0]


@pytest.mark.parametrize("source", ["real", "u1", "i8"])
@pytest.mark.parametrize("batch,n", [(1, 3), (16, 16), (21, 300)])
def test_gather_lanes(combination, batch, n, source):
    """Rows of a bound array in any order and of any dtype; one that is not finite stops the run."""
    dtype, rng = combination.dtype, np.random.default_rng(0)
    X = rng.integers(0, 200, (2 * batch, n)).astype(dtype if source == "real" else source)
    builder = Builder(Layout(dtype), Layout(dtype), training=False)
    images, rows = builder.arena(("B", 1, n, 1), layout="lanes"), builder.arena(("B", n))
    builder.emit("gather_lanes", builder.bound(0, ("B", n), X.dtype), images, check_finite=1)
    builder.emit("lanes_to_rows", images, rows)
    builder.emit("store", rows, builder.bound(1, ("B", n), dtype))
    memory = Memory(*(np.zeros(0, dtype) for _ in range(4)))
    run = backends.make_run(passes.finish(builder), memory, batch)
    y, index = np.empty((2 * batch, n), dtype), rng.permutation(2 * batch)
    run.bind(0, X)
    run.bind(1, y)
    run.begin(Pass(2 * batch, batch, batch, index))
    assert run.execute(0, 2) is None
    assert_same_bits(y, X[index].astype(dtype))
    if source == "real":
        X[index[-1], -1] = np.nan
        run.begin(Pass(2 * batch, batch, batch, index))
        halt = run.execute(0, 2)
        assert halt.reason == "nonfinite_input" and halt.row == 2 * batch - 1


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("pool", [(2, 2, 2, 2), (1, 3, 2, 3), (3, 2, 3, 4)])
def test_conv_pool_is_conv_then_pool(combination, pool, index):
    """The same bits, though the map between is never stored whole."""
    dtype, rng = combination.dtype, np.random.default_rng(0)
    ky, kx, sy, sx = pool
    for c, o, activation in ((1, 6, "relu"), (3, 7, "tanh"), (9, 2, "identity")):
        x, w, b = (rng.standard_normal(s).astype(dtype) for s in ((18, 9, 14, c), (6 * c, o), (o,)))
        settings = {**dict(zip(WINDOW, (3, 2, 1, 1, 1, 0), strict=True)), "dilation_y": 1, "dilation_x": 1, "groups": 1,
                    "activation": activation}
        below = np.empty((18, 9, 13, o), dtype)
        small = (9 - ky) // sy + 1, (13 - kx) // sx + 1
        y, got = np.empty((2, 18, *small, o), dtype)
        at, got_at = np.full((2, *y.shape), 255, np.uint8)
        call("conv_forward", (x, w, b, below, None), **settings)
        call("max_pool_forward", (below, y, at if index else None), **dict(zip(WINDOW, (*pool, 0, 0), strict=True)))
        call("conv_pool_forward", (x, w, b, got, got_at if index else None), pool_y=ky, pool_x=kx, pool_stride_y=sy,
             pool_stride_x=sx, **settings)
        assert_same_bits(got, y, f"y, {activation}")
        assert_same_bits(got_at, at, f"index, {activation}")


@pytest.mark.parametrize("pool", [(2, 2, 2, 2), (1, 3, 2, 3), (3, 2, 3, 4)])
def test_gradient_of_a_pool_spreads_on_the_way(combination, pool):
    """conv_backward_parameters of a pooled gradient and its index has the bits of that of the map that they make."""
    dtype, rng = combination.dtype, np.random.default_rng(0)
    ky, kx, sy, sx = pool
    small = (9 - ky) // sy + 1, (13 - kx) // sx + 1
    for c, o in ((1, 6), (3, 7), (9, 17)):
        x, dy = (rng.standard_normal(s).astype(dtype) for s in ((37, 9, 14, c), (37, *small, o)))
        index, below = rng.integers(0, ky * kx, dy.shape).astype(np.uint8), np.empty((37, 9, 13, o), dtype)
        call("max_pool_backward", (dy, index, below), **dict(zip(WINDOW, (*pool, 0, 0), strict=True)))
        settings = {**dict(zip(WINDOW, (3, 2, 1, 1, 1, 0), strict=True)), "dilation_y": 1, "dilation_x": 1, "groups": 1}
        dw, got = np.empty((2, 6 * c, o), dtype)
        db, got_db = np.empty((2, 1, o), dtype)
        call("conv_backward_parameters", (x, below, None, dw, db), **settings)
        call("conv_backward_parameters", (x, dy, index, got, got_db), pool_y=ky, pool_x=kx, pool_stride_y=sy,
             pool_stride_x=sx, map_y=9, map_x=13, **settings)
        assert_same_bits(got, dw, "dw")
        assert_same_bits(got_db, db, "db")
