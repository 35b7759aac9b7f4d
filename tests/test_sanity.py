"""fastnn.sanity_check: each check passes for a sound network and fails for one that is sick in that way."""

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn.data import load_digits
from fastnn.losses import LOSSES
from sick import blobs, lines, network, normal, softmax

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ["initial loss", "regularization", "overfitting", "gradients"]


class WrongSlope(fnn.Activation):
    """A layer whose backward pass forgets half of the slope."""

    def backward(self, builder, dy, *, need_dx):
        dx = builder.arena(dy.shape)
        builder.emit_host(lambda dy, dx: np.multiply(dy, 0.5, out=dx), [super().backward(
            builder, dy, need_dx=need_dx)], [dx])
        return dx


def sound(seed=0, **settings):
    return network(["tanh"], softmax(), seed, optimizer=fnn.Adam(0.01), kernel_regularizer="l2", **settings)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sound(backend, seed):
    report = fnn.sanity_check(sound(seed), *blobs(seed))
    assert report.passed and report.failed == []
    assert [item.name for item in report.items] == NAMES and all(item.passed for item in report.items)
    text = str(report).splitlines()
    assert len(text) == 5 and "around 1.609" in text[1] and text[2].count("ok") == 1


@pytest.mark.parametrize("loss, y, last", [
    ("cross_entropy", np.eye(5)[blobs(0)[1]], softmax),
    ("cross_entropy", np.eye(5)[blobs(0)[1]], lambda: fnn.Dense(5, "sigmoid")),
    ("squared_error", np.eye(5)[blobs(0)[1]], lambda: fnn.Dense(5, "sigmoid")),
    (fnn.CrossEntropy(from_logits=True), blobs(0)[1], lambda: fnn.Dense(5)),
    ("mean_squared_error", lines(0)[1], lambda: fnn.Dense(1))], ids=["rows", "binary", "squared", "logits",
                                                                        "line"])
def test_sound_of_every_kind(loss, y, last):
    model = network(["relu"], last(), 0, optimizer=fnn.Adam(0.01), loss=loss)
    report = fnn.sanity_check(model, blobs(0)[0], y, sample_weight=np.linspace(0.5, 1.5, len(y)))
    assert report.passed and report["regularization"].passed is None, report


@pytest.mark.parametrize("name", LOSSES)
def test_sound_with_every_loss(name):
    """Nothing is said against a sound network with any registered loss, and every figure is a number."""
    for activation in (None, "softmax", "sigmoid", "exponential"):
        try:
            model = network(["tanh"], fnn.Dense(5, activation, name="last"), 0, loss=name,
                            optimizer=fnn.Adam(0.01))
            break
        except ValueError:
            continue
    (X, labels), kind = blobs(0), model.target_kind
    rows = np.tanh(X[:, :5])
    y = labels if kind.startswith("labels") else {
        "rows": rows, "binary": np.eye(5)[labels], "signs": np.sign(rows), "counts": np.round(3 + rows)}[kind]
    diagnosis, report = fnn.diagnose(model, X, y), fnn.sanity_check(model, X, y)
    assert diagnosis.names() == [] and np.isfinite(diagnosis.outcome).all(), diagnosis
    assert report.passed and report["initial loss"].passed, report


def test_soft_targets_with_little_to_gain():
    """Where saying nothing is nearly right, a usual start is a multiple of that loss, and no sickness."""
    X, labels = blobs(0)
    y = np.full((len(X), 5), 0.2) + 0.05 * (np.eye(5)[labels] - 0.2)
    model = network(["tanh"], softmax(), 0, loss="kl_divergence")
    assert "initial_loss" not in fnn.diagnose(model, X, y).names()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_initial_loss(backend, seed):
    model = network(["tanh"], softmax(kernel_initializer=normal(3.0)), seed, optimizer=fnn.Adam(0.01))
    report = fnn.sanity_check(model, *blobs(seed))
    assert report.failed == ["initial loss"] and "0.805 to 3.22, around 1.609" in str(report)


def test_initial_loss_of_numbers():
    model = network(["tanh"], fnn.Dense(1, kernel_initializer=normal(5.0)), 0, optimizer=fnn.Adam(0.01),
                    loss="squared_error")
    assert fnn.sanity_check(model, *lines(0)).failed == ["initial loss"]


def test_regularization(backend):
    """A penalty that is there and costs nothing is none."""
    model = network(["tanh"], softmax(), 0, optimizer=fnn.Adam(0.01), kernel_regularizer=fnn.L2(0.0))
    assert fnn.sanity_check(model, *blobs(0)).failed == ["regularization"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_overfitting(backend, seed):
    """Dead units learn nothing by heart with any optimizer; a rate that is too small is told apart."""
    model = network(["relu"], softmax(), seed, optimizer=fnn.Adam(0.01))
    model.layers[0].bias[...] = -100.0
    report = fnn.sanity_check(model, *blobs(seed))
    assert report.failed == ["overfitting"] and "not with Adam either" in str(report)
    slow = network(["relu"], softmax(), seed, rate=1e-6)
    report = fnn.sanity_check(slow, *blobs(seed))
    assert report.failed == ["overfitting"] and "it is the optimizer" in str(report)
    wild = network(["relu"], softmax(), seed, rate=1e6)
    assert fnn.sanity_check(wild, *blobs(seed)).failed == ["overfitting"]


def test_overfitting_leaves_noise_and_penalties_out():
    """What keeps a network from learning by heart on purpose is taken away first."""
    for layers in ([fnn.Dense(30, "relu", kernel_regularizer=fnn.L2(5.0)),
                    softmax(kernel_regularizer=fnn.L2(5.0))],
                   [fnn.Dense(30, "relu"), fnn.Dropout(0.995), softmax()]):
        model = fnn.Sequential(layers, input_shape=(20,))
        model.compile(fnn.Adam(0.01))
        assert fnn.sanity_check(model, *blobs(0))["overfitting"].passed


def test_gradients(backend):
    layers = [fnn.Dense(30), WrongSlope("tanh"), softmax()]
    model = fnn.Sequential(layers, input_shape=(20,))
    model.compile(fnn.Adam(0.01))
    # the config cannot make the user's layer again, so the class must be known
    fnn.layers.LAYERS["WrongSlope"] = WrongSlope
    try:
        report = fnn.sanity_check(model, *blobs(0))
    finally:
        del fnn.layers.LAYERS["WrongSlope"]
    assert report.failed == ["gradients"] and "dense.weight, dense.bias, X is wrong" in str(report)


def test_trained_model_is_looked_at_afresh():
    X, y = load_digits()
    layers = [fnn.Flatten(), fnn.Standardize(), fnn.Dense(32, "relu"), fnn.Dense(10, "softmax")]
    model = fnn.Sequential(layers, input_shape=(8, 8))
    model.compile(fnn.Adam(0.01))
    fresh = fnn.sanity_check(model, X, y)
    model.fit(X, y, epochs=5, verbose=0)
    before = model.get_weights()
    again = fnn.sanity_check(model, X, y)
    assert again.passed and again["initial loss"].figure == fresh["initial loss"].figure
    for a, b in zip(model.get_weights(), before, strict=True):
        assert_same_bits(a, b)
