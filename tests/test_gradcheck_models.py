"""Every activation, loss and layer against finite differences, on both backends."""
import doctest

import numpy as np
import pytest

import fastnn as fnn
from fastnn import gradcheck
from fastnn.activations import ACTIVATIONS, ROW_ACTIVATIONS
from fastnn.losses import LOSSES, get

N_IN, N_OUT = 5, 3


def ends():
    """The losses with the final activations they are fused with, and one more that they accept."""
    for loss in LOSSES:
        unfused = 0
        for activation in [*ACTIVATIONS, *ROW_ACTIVATIONS]:
            try:
                fused = get(loss).op(activation, N_OUT)
            except ValueError:
                continue
            unfused += not fused
            if fused or unfused == 1:
                yield loss, activation


def data(n, kind, n_out=N_OUT, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, N_IN))
    if kind in ("labels_or_rows", "labels"):
        return X, rng.integers(0, n_out, n)
    if kind in ("binary", "signs"):
        return X, rng.integers(0, 2, (n, n_out))
    if kind == "counts":
        return X, rng.poisson(1.5, (n, n_out))
    return X, rng.standard_normal((n, n_out))


def compiled(layers, loss="cross_entropy", input_shape=(N_IN,), dtype="float64"):
    model = fnn.Sequential(layers, input_shape=input_shape, dtype=dtype, seed=1)
    model.compile(loss=loss)
    rng = np.random.default_rng(2)  # biases that are not all 0: they would put ReLUs on their kinks
    for name, parameter in model.named_parameters().items():
        if name.endswith("bias"):
            parameter[...] = 0.1 * rng.standard_normal(parameter.shape)
    return model


def assert_passes(check):
    assert check.passed, check
    assert sum(t.kinks for t in check.tensors) <= 0.02 * sum(t.checked for t in check.tensors), check


def test_examples():
    assert doctest.testmod(gradcheck).failed == 0


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("hidden", [1, 15, 17])
def test_activations(backend, activation, n, hidden):
    model = compiled([fnn.Dense(hidden, activation), fnn.Dense(4, activation), fnn.Dense(N_OUT, "softmax")])
    assert_passes(fnn.check_gradients(model, *data(n, "labels_or_rows")))


@pytest.mark.parametrize("loss, activation", list(ends()))
@pytest.mark.parametrize("n, n_out", [(1, 3), (7, 2), (7, 17)])
def test_losses(backend, loss, activation, n, n_out):
    model = compiled([fnn.Dense(6, "tanh"), fnn.Dense(n_out, activation)], loss)
    X, y = data(n, get(loss).target_kind(activation, n_out), n_out)
    assert_passes(fnn.check_gradients(model, X, y))
    assert_passes(fnn.check_gradients(model, X, y, sample_weight=np.linspace(0.5, 2.0, n)))


def test_one_output(backend):
    for loss, activation in (("cross_entropy", "sigmoid"), ("squared_error", "identity")):
        model = compiled([fnn.Dense(6, "tanh"), fnn.Dense(1, activation)], loss)
        X, y = data(7, "binary", 1)
        assert_passes(fnn.check_gradients(model, X, y[:, 0]))


def test_probability_rows(backend):
    model = compiled([fnn.Dense(6, "tanh"), fnn.Dense(N_OUT, "softmax")])
    X, _ = data(7, "rows")
    rows = np.random.default_rng(3).dirichlet(np.ones(N_OUT), 7)
    assert_passes(fnn.check_gradients(model, X, rows))


@pytest.mark.parametrize("width", [15, 16, 31, 32, 33])
def test_widths_around_vector_edges(backend, width):
    model = compiled([fnn.Dense(width, "tanh"), fnn.Dense(N_OUT, "softmax")])
    assert_passes(fnn.check_gradients(model, *data(3, "labels_or_rows"), samples=40))


def test_layers(backend):
    X, y = data(7, "labels_or_rows")
    model = compiled([fnn.Flatten(), fnn.Standardize(), fnn.Dense(4, use_bias=False),
                      fnn.Activation("sigmoid"), fnn.Dense(N_OUT, "softmax")], input_shape=(N_IN, 1))
    assert_passes(fnn.check_gradients(model, X[:, :, np.newaxis], y))


def test_one_layer(backend):
    assert_passes(fnn.check_gradients(compiled([fnn.Dense(N_OUT, "softmax")]), *data(7, "labels_or_rows")))


def test_large_model_is_sampled(backend):
    model = compiled([fnn.Dense(120, "relu"), fnn.Dense(40, "tanh"), fnn.Dense(N_OUT, "softmax")])
    check = fnn.check_gradients(model, *data(3, "labels_or_rows"))
    assert_passes(check)
    assert [t.checked for t in check.tensors] == [100, 100, 100, 40, 100, 3]


def test_float32_model_is_checked_in_float64_and_left_alone(backend):
    model = compiled([fnn.Dense(4, "tanh"), fnn.Dense(N_OUT, "softmax")], dtype="float32")
    before = model.state_dict()
    assert_passes(fnn.check_gradients(model, *data(7, "labels_or_rows")))
    assert model.dtype == np.float32
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
