"""Gradient clipping against formulas in float64, as kernels and inside training steps."""
import doctest

import numpy as np
import pytest

import fastnn as fnn
from cases import EDGES
from conftest import assert_close, assert_same_bits, rounding
from fastnn import clipping
from fastnn.compilation import Entry
from fastnn.functional import call

SHAPES = [*((n,) for n in EDGES), *((7, n) for n in EDGES), (100, 33)]
WAYS = [{"clipnorm": 0.05}, {"clipvalue": 0.01}, {"global_clipnorm": 0.1}]


def normal(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def classifier(optimizer, dtype="float64", **settings):
    layers = [fnn.Dense(17, "tanh", **settings), fnn.Dense(3, "softmax")]
    model = fnn.Sequential(layers, input_shape=(5,), dtype=dtype, seed=1)
    model.compile(optimizer, "cross_entropy")
    return model


def data(n=23):
    return normal((n, 5)), np.random.default_rng(1).integers(0, 3, n)


def clipped(gradients, clipnorm=None, clipvalue=None, global_clipnorm=None):
    """The gradients by name after clipping, by the formulas."""
    if clipvalue:
        return {name: np.clip(g, -clipvalue, clipvalue) for name, g in gradients.items()}
    if clipnorm:
        return {name: g * min(1, clipnorm / np.linalg.norm(g)) for name, g in gradients.items()}
    norm = np.sqrt(sum((g ** 2).sum() for g in gradients.values()))
    return {name: g * min(1, global_clipnorm / norm) for name, g in gradients.items()}


def test_examples():
    assert doctest.testmod(clipping).failed == 0


# ------------------------------------------------------------------------------------------------- kernels

def test_clip_value(combination):
    for shape in SHAPES:
        g = normal(shape, combination.dtype)
        limit = float(combination.dtype.type(0.7))
        got = g.copy()
        call("clip_value", (got,), limit=limit)
        np.testing.assert_array_equal(got, np.clip(g, -limit, limit))


def test_row_squares_and_norm_square(combination):
    for shape in SHAPES:
        g = normal(shape, combination.dtype)
        rows = np.atleast_2d(g).astype(float)
        got = np.full(len(rows), np.nan)
        call("row_squares", (g, got))
        expected = (rows ** 2).sum(1)
        assert_close(got, expected, rounding(np.float64, rows.shape[1]) * expected, f"{shape}")
        for before in (None, np.array([3.0])):
            total = np.full(1, np.nan)
            call("norm_square", (expected, before, total), real=combination.dtype)
            wanted = expected.sum() + (0 if before is None else 3)
            assert_close(total, [wanted], rounding(np.float64, len(expected)) * wanted, f"{shape}")


def test_row_squares_do_not_overflow_in_float32(combination):
    got = np.zeros(1)
    call("row_squares", (np.full((1, 20), 1e30, combination.dtype), got))
    assert got[0] == pytest.approx(20e60, rel=1e-6)


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_clip_norm(combination, limit):
    for shape in SHAPES:
        g = normal(shape, combination.dtype)
        norm = np.linalg.norm(g.astype(float))
        got = g.copy()
        call("clip_norm", (np.array([norm ** 2]), got), limit=limit, real=combination.dtype)
        expected = g * min(1, limit / norm)
        assert_close(got, expected, rounding(combination.dtype) * np.abs(expected), f"{shape}")
        if norm < limit:
            np.testing.assert_array_equal(got, g)


def test_nan_stays_to_be_found(combination):
    g = np.ones(20, combination.dtype)
    g[3] = np.nan
    for name, total in (("clip_value", ()), ("clip_norm", (np.array([np.nan]),))):
        got = g.copy()
        call(name, (*total, got), limit=0.5, real=combination.dtype)
        assert np.isnan(got[3]) and np.isfinite(np.delete(got, 3)).all()


# ------------------------------------------------------------------------------------------------ training

@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("penalty", [None, fnn.L2(0.5)], ids=["plain", "penalty"])
def test_a_step_takes_the_clipped_gradient(backend, way, penalty):
    """Of the loss and the penalties together, as in Keras."""
    X, y = data()
    model = classifier(fnn.SGD(0.5, **way), kernel_regularizer=penalty)
    before = {name: w.copy() for name, w in model.named_parameters().items()}
    gradients = {name: g.copy() for name, g in model.bind(X, y).gradients().items()}
    expected = clipped(gradients, **way)
    assert any((expected[name] != g).any() for name, g in gradients.items())
    model.train_on_batch(X, y)
    for name, w in model.named_parameters().items():
        assert_close(w, before[name] - 0.5 * expected[name], 1e-14, name)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_large_limits_change_nothing(backend, way):
    X, y = data()
    results = []
    for settings in ({}, dict.fromkeys(way, 1000000.0)):
        model = classifier(fnn.Adam(0.01, **settings))
        model.fit(X, y, batch_size=8, epochs=2, verbose=0)
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_update_is_not_fused_into_the_gradient(way):
    def ops(optimizer):
        return [o.name for o in classifier(optimizer)._compiled.program(Entry("train", True, fused=True)).ops]

    assert "dense_backward_update" in ops(fnn.SGD(0.1))
    assert "dense_backward_update" not in ops(fnn.SGD(0.1, **way))


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_any_team_and_any_blocks_give_the_same_bits(native, team, way):
    X, y = data(300)
    results = []
    for threads in (1, 2, 3):
        team(threads)
        model = classifier(fnn.Momentum(0.1, **way), "float32")
        model.fit(X, y, batch_size=37, epochs=2, verbose=0)
        results.append(model.get_weights())
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert_same_bits(b, a)


def test_backends_agree():
    X, y = data(100)
    results = []
    for name in ("native", "numpy"):
        try:
            with fnn.use_backend(name):
                model = classifier(fnn.Adam(0.01, global_clipnorm=0.1))
                model.fit(X, y, batch_size=16, epochs=3, verbose=0)
        except ValueError:
            pytest.skip("the native core is not built")
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        assert_close(a, b, 1e-11)


def test_gradients_are_checked_before_clipping(backend):
    check = fnn.check_gradients(classifier(fnn.SGD(0.1, clipvalue=1e-4)), *data(7))
    assert check.passed, check


def test_settings_are_kept(tmp_path):
    for way in WAYS:
        model = classifier(fnn.SGD(0.1, **way))
        assert model.optimizer.get_config().items() >= way.items()
        model.save(tmp_path / "model.safetensors")
        for other in (fnn.load(tmp_path / "model.safetensors"), model.copy()):
            assert other.optimizer.clipping.get_config() == way


def test_bad_arguments():
    with pytest.raises(ValueError, match="clipnorm and clipvalue: expected at most one way"):
        fnn.Adam(clipnorm=1.0, clipvalue=0.5)
    with pytest.raises(ValueError, match="clipnorm must be a finite number above 0, got -1"):
        fnn.SGD(0.1, clipnorm=-1)
    with pytest.raises(TypeError, match="clip_norm"):
        fnn.SGD(0.1, clip_norm=1.0)
