"""Exponential averages, averaged weights, and L-BFGS."""

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits


def model_of(optimizer="sgd", dtype="float64"):
    model = fnn.Sequential([fnn.Dense(7, "tanh"), fnn.Dense(3, "softmax")], input_shape=(5,), dtype=dtype)
    model.compile(optimizer, "cross_entropy")
    return model


def samples(n=60):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 5))
    return X, (X @ rng.standard_normal((5, 3))).argmax(1)


@pytest.mark.parametrize("corrected", [False, True])
def test_exponential_average(corrected):
    """The sum of (1 - beta) beta^(t - i) x_i; corrected, the weights add up to 1."""
    values = np.random.default_rng(1).standard_normal((20, 3))
    average = fnn.ExponentialAverage(0.8, bias_correction=corrected)
    assert average.value is None
    for t, value in enumerate(values, 1):
        weights = 0.2 * 0.8 ** (t - np.arange(1, t + 1))
        expected = weights @ values[:t] / (weights.sum() if corrected else 1)
        np.testing.assert_allclose(average.update(value), expected, rtol=1e-12)
    assert average.count == 20


class Path(fnn.Callback):
    """The weights after every step and every epoch."""

    def __init__(self):
        self.steps, self.epochs = [], []

    def on_batch_end(self, step, logs):
        self.steps.append(self.model.get_weights())

    def on_epoch_end(self, epoch, logs):
        self.epochs.append(self.model.get_weights())


@pytest.mark.parametrize("every", ["step", "epoch"])
def test_ema_of_weights(backend, every):
    X, y = samples()
    model, path, ema = model_of(), Path(), fnn.EMA(0.7, every)
    model.fit(X, y, batch_size=20, epochs=3, callbacks=[path, ema], verbose=0)
    weights = path.steps if every == "step" else path.epochs
    for i, got in enumerate(model.get_weights()):
        average = fnn.ExponentialAverage(0.7)
        for w in weights:
            average.update(w[i])
        np.testing.assert_allclose(got, average.value, rtol=1e-12)


def test_swa(backend):
    X, y = samples()
    model, path, swa = model_of(), Path(), fnn.SWA(start=2, every=2)
    model.fit(X, y, epochs=7, callbacks=[path, swa], verbose=0)
    assert swa.count == 3
    for i, got in enumerate(model.get_weights()):
        np.testing.assert_allclose(got, np.mean([path.epochs[e][i] for e in (2, 4, 6)], 0), rtol=1e-12)


def test_applied_for_a_while(backend):
    X, y = samples()
    model, ema = model_of(dtype="float32"), fnn.EMA(0.9, "epoch", at_end=False)
    model.fit(X, y, epochs=3, callbacks=ema, verbose=0)
    own = model.get_weights()
    with ema.applied():
        for got, (_, average) in zip(model.get_weights(), ema.weights().items(), strict=True):
            assert_same_bits(got, average.astype(np.float32))
    for got, expected in zip(model.get_weights(), own, strict=True):
        assert_same_bits(got, expected)


def test_lbfgs(backend):
    """It reaches a loss that gradient descent does not, and stops where the gradient is small."""
    pytest.importorskip("scipy", reason="SciPy is not installed: no L-BFGS")
    X, y = samples()
    weight = np.linspace(0.5, 1.5, len(X))
    model, descent = model_of(), model_of(fnn.SGD(0.5))
    start = model.evaluate(X, y, sample_weight=weight)["loss"]
    history = fnn.fit_lbfgs(model, X, y, sample_weight=weight, max_iterations=60, tolerance=1e-5)
    losses = history["loss"]
    assert model.history is history and len(losses) <= 60 and (np.diff(losses) <= 0).all()
    end = model.evaluate(X, y, sample_weight=weight)["loss"]
    assert end == pytest.approx(losses[-1], rel=1e-9) and end < losses[0] < start
    descent.fit(X, y, batch_size=len(X), epochs=60, sample_weight=weight, verbose=0)
    assert end < 0.5 * descent.evaluate(X, y, sample_weight=weight)["loss"]


def test_lbfgs_solves_least_squares(backend):
    pytest.importorskip("scipy", reason="SciPy is not installed: no L-BFGS")
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((30, 4)), rng.standard_normal((30, 2))
    model = fnn.Sequential([fnn.Dense(2)], input_shape=(4,), dtype="float64")
    model.compile(loss="squared_error")
    fnn.fit_lbfgs(model, X, y, tolerance=1e-10)
    exact = np.linalg.lstsq(np.c_[X, np.ones(30)], y, rcond=None)[0]
    np.testing.assert_allclose(np.r_[model.layers[0].weight, model.layers[0].bias[None]], exact, atol=1e-8)
