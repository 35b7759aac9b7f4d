"""Penalties and constraints against formulas in float64: kernels, training, gradient checks, files."""
import doctest

import numpy as np
import pytest

import fastnn as fnn
from cases import EDGES
from conftest import assert_close, assert_same_bits, rounding
from fastnn import regularizers
from fastnn.compilation import Compiled
from fastnn.functional import call

SHAPES = [*((n,) for n in EDGES), *((7, n) for n in EDGES), (100, 33)]
PENALTIES = {"l1": fnn.L1(0.3), "l2": fnn.L2(0.7), "elastic_net": fnn.ElasticNet(0.3, 0.7)}


def normal(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def classifier(dtype="float64", kernel=None, bias=None, constraint=None, optimizer="sgd"):
    layers = [fnn.Dense(17, "tanh", kernel_regularizer=kernel, bias_regularizer=bias,
                        kernel_constraint=constraint),
              fnn.Dense(3, "softmax", kernel_regularizer=kernel)]
    model = fnn.Sequential(layers, input_shape=(5,), dtype=dtype, seed=1)
    model.compile(optimizer, "cross_entropy")
    model.layers[0].bias[...] = normal(17, seed=2)
    return model


def data(n=23):
    return normal((n, 5)), np.random.default_rng(1).integers(0, 3, n)


def penalty_of(model):
    """The sum of the model's penalties by their formulas."""
    total = 0.0
    for layer in model.layers:
        regularizers = layer.kernel_regularizer, layer.bias_regularizer
        for w, regularizer in zip((layer.weight, layer.bias), regularizers, strict=True):
            if regularizer is not None:
                w = w.astype(np.float64)
                total += regularizer.l1 * np.abs(w).sum() + regularizer.l2 / 2 * (w ** 2).sum()
    return total


def test_examples():
    assert doctest.testmod(regularizers).failed == 0


# ------------------------------------------------------------------------------------------------- kernels

@pytest.mark.parametrize("l1, l2", [(0.3, 0.0), (0.0, 0.7), (0.3, 0.7)])
def test_penalty(combination, l1, l2):
    dtype = combination.dtype
    for shape in SHAPES:
        w, dw = normal(shape, dtype), normal(shape, dtype, 1)
        w.flat[::5] = 0
        rows = np.atleast_2d(w).astype(float)
        got, row_penalty = dw.copy(), np.full(len(rows), np.nan)
        call("penalty", (w, got, row_penalty), l1=l1, l2=l2)
        expected = dw + l1 * np.sign(w.astype(float)) + l2 * w.astype(float)
        assert_close(got, expected, rounding(dtype) * (np.abs(dw) + l1 + l2 * np.abs(w)), f"dw {shape}")
        per_row = l1 * np.abs(rows).sum(1) + l2 / 2 * (rows ** 2).sum(1)
        assert_close(row_penalty, per_row, rounding(np.float64, rows.shape[1]) * per_row, f"penalty {shape}")
        only_loss = np.empty_like(row_penalty)
        call("penalty", (w, None, only_loss), l1=l1, l2=l2)
        np.testing.assert_array_equal(only_loss, row_penalty)


def test_penalty_sum(combination):
    for n in (1, 7, 8, 9, 1000):
        rows = np.abs(normal((n,)))
        loss = call("penalty_sum", (rows,), real=combination.dtype)
        assert loss == pytest.approx(rows.sum(), rel=rounding(np.float64, n))


def test_max_norm(combination):
    dtype = combination.dtype
    for rows in (1, 5, 33):
        for n in EDGES:
            w = normal((rows, n), dtype)
            w[:, ::3] *= 0.01
            wide = w.astype(float)
            norm, limit = np.sqrt((wide ** 2).sum(0)), 0.8
            expected = wide * np.where(norm > limit, limit / norm, 1)
            got = w.copy()
            call("max_norm", (got,), limit=limit)
            assert_close(got, expected, rounding(dtype) * np.abs(expected), f"{rows}x{n}")
            np.testing.assert_array_equal(got[:, norm <= limit], w[:, norm <= limit])


def test_max_norm_leaves_nan_to_be_found(combination):
    w = np.ones((3, 20), combination.dtype)
    w[1, 4] = np.nan
    call("max_norm", (w,), limit=0.5)
    assert np.isnan(w).sum() == 1 and np.isnan(w[1, 4])


# ------------------------------------------------------------------------------------------------ training

@pytest.mark.parametrize("name", PENALTIES)
def test_gradients(backend, name):
    check = fnn.check_gradients(classifier(kernel=PENALTIES[name], bias=fnn.L2(0.2)), *data(7))
    assert check.passed, check


@pytest.mark.parametrize("name", PENALTIES)
def test_training_and_evaluation_report_the_penalty(combination, name):
    X, y = data()
    plain = classifier(combination.dtype)
    model = classifier(combination.dtype, PENALTIES[name], fnn.L1(0.1))
    loss = plain.evaluate(X, y)["loss"] + penalty_of(model)
    error = 100 * float(np.finfo(combination.dtype).eps) * loss
    for batch_size in (None, 4, 23):
        assert model.evaluate(X, y, batch_size)["loss"] == pytest.approx(loss, abs=error)
    assert model.bind(X, y).loss() == pytest.approx(loss, abs=error)
    assert model.train_on_batch(X, y)["loss"] == pytest.approx(loss, abs=error)


def test_a_step_takes_the_penaltys_gradient(backend):
    X, y = data()
    plain, model = classifier(), classifier(kernel=PENALTIES["elastic_net"], bias=fnn.L2(0.2))
    before = {name: w.copy() for name, w in plain.named_parameters().items()}
    data_gradients = {name: g.copy() for name, g in plain.bind(X, y).gradients().items()}
    model.train_on_batch(X, y)
    for name, w in model.named_parameters().items():
        l1, l2 = {"dense.bias": (0, 0.2), "dense_1.bias": (0, 0)}.get(name, (0.3, 0.7))
        g = data_gradients[name] + l1 * np.sign(before[name]) + l2 * before[name]
        assert_close(w, before[name] - 0.01 * g, 1e-15 * (1 + np.abs(g)), name)


def test_blocks_of_a_large_batch_add_the_penalty_once(backend, monkeypatch):
    """Loss and step are those of the formula."""
    monkeypatch.setattr(Compiled, "block_rows", lambda self, rows: 16)
    X, y = data(50)
    model, plain = classifier(kernel=fnn.L2(0.7)), classifier()
    loss = plain.evaluate(X, y)["loss"] + penalty_of(model)
    gradients = {name: g.copy() for name, g in model.bind(X, y).gradients().items()}
    before = {name: w.copy() for name, w in model.named_parameters().items()}
    history = model.fit(X, y, batch_size=50, shuffle=False, verbose=0)
    assert history["loss"][0] == pytest.approx(loss, rel=1e-12)
    for name, w in model.named_parameters().items():
        assert_close(w, before[name] - 0.01 * gradients[name], 1e-14, name)


def test_any_team_gives_the_same_bits(native, team):
    X, y = data(300)
    results = []
    for threads in (1, 2, 3):
        team(threads)
        model = classifier("float32", fnn.ElasticNet(0.01, 0.1), fnn.L2(0.1), fnn.MaxNorm(0.9))
        history = model.fit(X, y, batch_size=37, epochs=2, verbose=0)
        results.append([*model.get_weights(), np.array(history["loss"])])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert_same_bits(b, a)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_max_norm_holds_after_every_update(backend, optimizer):
    X, y = data()
    model = classifier(constraint=fnn.MaxNorm(0.5), optimizer=optimizer)
    free = classifier(optimizer=optimizer)
    for m in (model, free):
        m.train_on_batch(X, y)
    norm = np.linalg.norm(free.layers[0].weight, axis=0)
    expected = free.layers[0].weight * np.minimum(1, 0.5 / norm)
    assert (norm > 0.5).any()
    assert_close(model.layers[0].weight, expected, 1e-15)
    np.testing.assert_array_equal(model.layers[1].weight, free.layers[1].weight)
    model.fit(X, y, batch_size=4, epochs=3, verbose=0)
    assert (np.linalg.norm(model.layers[0].weight, axis=0) <= 0.5 + 1e-15).all()


def test_l1_makes_weights_small(backend):
    X, y = data(200)
    model, plain = classifier(kernel=fnn.L1(0.05)), classifier()
    for m in (model, plain):
        m.fit(X, y, batch_size=20, epochs=30, verbose=0)
    assert np.abs(model.layers[0].weight).mean() < 0.6 * np.abs(plain.layers[0].weight).mean()


# ------------------------------------------------------------------------------------- arguments and files

def test_names_settings_and_files(tmp_path):
    model = classifier(kernel="l2", bias=fnn.ElasticNet(0.1, 0.2), constraint="max_norm")
    model.save(tmp_path / "model.safetensors")
    again = fnn.Sequential.from_config(model.get_config())
    for other in (fnn.load(tmp_path / "model.safetensors"), model.copy(), again):
        first, last = other.layers
        assert repr(first.kernel_regularizer) == "L2(l2=0.01)" and isinstance(last.kernel_regularizer, fnn.L2)
        assert repr(first.bias_regularizer) == "ElasticNet(l1=0.1, l2=0.2)" and last.bias_regularizer is None
        assert repr(first.kernel_constraint) == "MaxNorm(max_value=2.0)"
    X, y = data()
    assert model.copy().evaluate(X, y) == model.evaluate(X, y)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"kernel_regularizer.*'l3'"):
        fnn.Dense(3, kernel_regularizer="l3")
    with pytest.raises(TypeError, match=r"kernel_regularizer: expected a name .*got float"):
        fnn.Dense(3, kernel_regularizer=0.1)
    with pytest.raises(TypeError, match="kernel_constraint: expected a name"):
        fnn.Dense(3, kernel_constraint=fnn.L2(0.1))
    with pytest.raises(ValueError, match="l2 must be a finite number of at least 0, got -1"):
        fnn.L2(-1)
    with pytest.raises(ValueError, match="max_value must be a finite number above 0"):
        fnn.MaxNorm(0)

    class Mine(fnn.Regularizer):
        pass

    with pytest.raises(ValueError, match="Mine is not registered"):
        classifier(kernel=Mine(0.1)).get_config()


def test_registries_hold_defaults():
    for name, cls in regularizers.REGULARIZERS.items():
        assert regularizers.config(cls()) == {"name": name, **cls().get_config()}
