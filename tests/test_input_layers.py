"""Layers that normalise inputs: their numbers, their files, their order; the kernels behind them."""
import doctest

import numpy as np
import pytest

import fastnn as fnn
from cases import EDGES
from conftest import assert_close, assert_same_bits, rounding
from fastnn.functional import call, row_normalize_backward, standardize_backward
from fastnn.layers import AdaptedLayer, inputs


def rows(n=200, features=5, seed=0):
    """Correlated features of different sizes, off zero."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((features, features))
    scale, centre = np.linspace(0.1, 20, features), np.linspace(-5, 30, features)
    return rng.standard_normal((n, features)) @ mix * scale + centre


def fitted(layers, X, dtype="float64"):
    """A model of these layers alone, fitted to X: its prediction is what they make of samples."""
    layers = layers if isinstance(layers, list) else [layers]
    model = fnn.Sequential(layers, X.shape[1:], dtype)
    model.compile("sgd", "squared_error")
    model.fit(X, np.zeros((len(X), *model.output_shape)), verbose=0)
    return model


def test_examples():
    assert doctest.testmod(inputs).failed == 0


# ------------------------------------------------------------------------------------------------- numbers

def test_min_max(combination):
    X, later = rows(), rows(50, seed=1)
    X[:, 2] = 7.0
    X[0, 2] += 1e-15
    eps = float(np.finfo(combination.dtype).eps)
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (2.0, 5.0)):
        model = fitted(fnn.MinMax(low, high), X, combination.dtype.name)
        least, most = X.min(0), X.max(0)
        scale = (high - low) / (most - least)
        scale[2] = 0
        for Z in (X, later):
            expected = low + (Z - least) * scale
            expected[:, 2] = 0  # never varies
            error = 8 * eps * (np.abs(scale) * (np.abs(Z) + np.abs(least) + np.abs(most)) + 5)
            assert_close(model.predict(Z), expected, error, f"{low} {high}")
        if low == 0:
            assert model.predict(X).min() >= -4 * eps and model.predict(X).max() <= 1 + 4 * eps


@pytest.mark.parametrize("order, norm", [(1, "l1"), (2, "l2")])
def test_row_normalize(combination, order, norm):
    dtype = combination.dtype
    for n in EDGES:
        x = np.random.default_rng(n).standard_normal((7, n)).astype(dtype)
        x[2] = 0
        y = np.full_like(x, np.nan)
        call("row_normalize", (x, y), order=order)
        wide = x.astype(float)
        size = np.linalg.norm(wide, order, axis=1, keepdims=True)
        expected = wide / np.where(size == 0, 1, size)
        assert_close(y, expected, rounding(dtype) * np.abs(expected), f"{n} columns")
        model = fnn.Sequential([fnn.RowNormalize(norm)], (n,), dtype.name)
        assert_close(model.predict(x), y, float(np.finfo(dtype).eps))


@pytest.mark.parametrize("order, norm", [(1, "l1"), (2, "l2")])
def test_row_normalize_backward(combination, order, norm):
    """dx = J^T dy with the Jacobian of x / |x| written out."""
    dtype = combination.dtype
    for n in EDGES:
        x, dy = (np.random.default_rng([n, i]).standard_normal((7, n)).astype(dtype) for i in range(2))
        x[2] = 0
        x[3, 0] = 0
        got = row_normalize_backward(dy, x, norm)
        for i in range(7):
            wide, size = x[i].astype(float), np.linalg.norm(x[i].astype(float), order)
            u = np.sign(wide) if order == 1 else wide / (size or 1)
            jacobian = (np.eye(n) - np.outer(wide, u) / (size or 1)) / size if size else np.zeros((n, n))
            error = rounding(dtype) * np.abs(jacobian.T) @ np.abs(dy[i]) + 1e-14
            assert_close(got[i], jacobian.T @ dy[i], error, f"{n} columns, row {i}")


def test_standardize_backward(combination):
    for n in EDGES:
        rng = np.random.default_rng(n)
        dy, scale = (rng.standard_normal(shape).astype(combination.dtype) for shape in ((7, n), n))
        np.testing.assert_array_equal(standardize_backward(dy, scale), dy * scale)


def test_row_normalize_does_not_overflow_in_float32(combination):
    x, y = np.full((1, 20), 1e30, combination.dtype), np.empty((1, 20), combination.dtype)
    call("row_normalize", (x, y), order=2)
    assert_close(y, np.full((1, 20), 1 / np.sqrt(20)), 1e-6)


@pytest.mark.parametrize("kept", [None, 3])
def test_pca_whitening(combination, kept):
    """Against NumPy's singular values: U and lambda of X - mean = V S U^T are U and S^2 / n."""
    X, later = rows(), rows(50, seed=1)
    layer = fnn.PCAWhitening(kept, epsilon=1e-3)
    model = fitted(layer, X, combination.dtype.name)
    centre = X.mean(0)
    _, s, directions = np.linalg.svd(X - centre, full_matrices=False)
    largest = directions[np.arange(5), np.abs(directions).argmax(1)]
    directions = directions * np.sign(largest)[:, None]
    projection = (directions / np.sqrt(s ** 2 / len(X) + 1e-3)[:, None]).T[:, :kept]
    eps = float(np.finfo(combination.dtype).eps)
    assert_close(model.state_dict()["pca_whitening.directions"], projection,
                 1e-9 + 2 * eps * np.abs(projection).max(), "directions")
    for Z in (X, later):
        error = 20 * eps * (np.abs(Z) + np.abs(centre)) @ np.abs(projection) + 1e-8
        assert_close(model.predict(Z), (Z - centre) @ projection, error)


def test_whitened_features_have_the_identity_as_covariance(backend):
    X = rows(1000)
    model = fitted(fnn.PCAWhitening(epsilon=0.0), X)
    y = model.predict(X)
    assert_close(y.mean(0), np.zeros(5), 1e-10)
    assert_close(y.T @ y / len(X), np.eye(5), 1e-9)


def test_directions_without_variance_become_zero(backend):
    X = rows(100)
    X[:, 4] = X[:, 0] + X[:, 1]
    model = fitted(fnn.PCAWhitening(epsilon=0.0), X)
    y = model.predict(X)
    assert_close(y.std(0)[:4], np.ones(4), 1e-8)
    assert np.isfinite(y).all()


@pytest.mark.parametrize("layer", [fnn.MinMax, fnn.PCAWhitening, fnn.Standardize])
def test_statistics_do_not_depend_on_blocks(layer):
    X = rows(1000)
    one, many = (fitted(layer(), X).layers[0].statistics(X, block) for block in (1000, 7))
    for name, value in one.items():
        assert_close(many[name], value, 1e-10 * (1 + np.abs(value)), name)


# ------------------------------------------------------------------------------------------------ in models

ADAPTED = [fnn.MinMax, fnn.PCAWhitening, fnn.Standardize]


@pytest.mark.parametrize("layer", ADAPTED)
def test_the_first_fit_counts_and_files_keep_it(backend, layer, tmp_path):
    X, later = rows(), rows(50, seed=1)
    model = fitted(layer(), X)
    taken = model.state_dict()
    model.fit(later, np.zeros((50, 5)), verbose=0)
    for name, a in taken.items():
        assert_same_bits(model.state_dict()[name], a, name)
    model.save(tmp_path / "model.safetensors")
    for other in (fnn.load(tmp_path / "model.safetensors"), model.copy()):
        assert_same_bits(other.predict(later), model.predict(later))


def test_layers_are_adapted_from_the_lowest_up(backend):
    """Each to the rows as they reach it, block after block."""
    X = rows(5000)
    layers = [fnn.RowNormalize(), fnn.Standardize(), fnn.PCAWhitening(3), fnn.MinMax()]
    model = fitted(layers, X)
    reached = X / np.linalg.norm(X, axis=1, keepdims=True)
    state = model.state_dict()
    assert_close(state["standardize.mean"], reached.mean(0), 1e-13)
    reached = (reached - reached.mean(0)) / reached.std(0)
    assert_close(state["pca_whitening.mean"], np.zeros(5), 1e-12)
    reached = reached @ state["pca_whitening.directions"]
    assert_close(state["min_max.zero"], reached.min(0), 1e-10)
    assert_close(state["min_max.scale"], 1 / np.ptp(reached, axis=0), 1e-10)


def test_samples_of_any_shape(backend):
    X = rows(60, 12).reshape(60, 3, 4)
    for layers, flat in (([fnn.PCAWhitening(5)], fnn.PCAWhitening(5)),
                         ([fnn.MinMax(), fnn.Flatten()], fnn.MinMax()),
                         ([fnn.RowNormalize(), fnn.Flatten()], fnn.RowNormalize())):
        expected = fitted(flat, X.reshape(60, 12)).predict(X.reshape(60, 12))
        assert_same_bits(fitted(layers, X).predict(X), expected)


def test_other_sources_of_rows(backend):
    """Integers, rows in float32 and strided rows give the numbers of the same rows in float64."""
    X = rows().round()
    reference = fitted(fnn.PCAWhitening(), X).state_dict()["pca_whitening.directions"]
    for Z in (X.astype(np.int64), X.astype(np.float32), np.repeat(X, 2, axis=0)[::2]):
        got = fitted(fnn.PCAWhitening(), Z).state_dict()["pca_whitening.directions"]
        assert_same_bits(got, reference)


@pytest.mark.parametrize("layer", [*ADAPTED, fnn.RowNormalize])
def test_gradients_of_the_layers_above(backend, layer):
    X = rows(7)
    model = fnn.Sequential([layer(), fnn.Dense(4, "tanh"), fnn.Dense(3, "softmax")], (5,), "float64", seed=1)
    model.compile("sgd")
    model.fit(X, np.arange(7) % 3, verbose=0)
    check = fnn.check_gradients(model, X, np.arange(7) % 3)
    assert check.passed, check


def test_bad_arguments():
    for layer in (*ADAPTED, fnn.RowNormalize):
        with pytest.raises(ValueError, match="must come before every layer with weights"):
            fnn.Sequential([fnn.Dense(3), layer()], (5,))
    with pytest.raises(ValueError, match="norm.*'l3'"):
        fnn.RowNormalize("l3")
    with pytest.raises(ValueError, match="low, high: expected finite numbers, low < high, got 1.0 and 1.0"):
        fnn.MinMax(1.0, 1.0)
    with pytest.raises(ValueError, match="n_components must be at most the 5 features of a sample, got 6"):
        fnn.Sequential([fnn.PCAWhitening(6)], (5,))
    X = rows()
    X[17, 2] = np.nan
    with pytest.raises(ValueError, match="17"):
        fitted(fnn.MinMax(), X)


def test_every_adapted_layer_is_tested_here():
    assert {cls for cls in fnn.layers.LAYERS.values() if issubclass(cls, AdaptedLayer)} == set(ADAPTED)
