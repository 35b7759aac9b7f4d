"""Initial weights: their distribution, their settings, and models that keep them."""

import dataclasses
import math

import numpy as np
import pytest

import fastnn as fnn
from fastnn import initializers as init
from fastnn.initializers import CLASSES, INITIALIZERS, get

N_IN, N_OUT = 300, 200

# the mean, where it is not zero, and the variance that each name is meant to give
MEANS = {"ones": 1.0, "identity": 1 / N_IN}
VARIANCES = {
    "zeros": 0.0, "ones": 0.0, "standard_normal": 1.0, "scaled_normal": 1 / N_IN,
    "glorot_uniform": 2 / (N_IN + N_OUT), "glorot_normal": 2 / (N_IN + N_OUT),
    "he_uniform": 2 / N_IN, "he_normal": 2 / N_IN, "lecun_uniform": 1 / N_IN, "lecun_normal": 1 / N_IN,
    "truncated_normal": (0.05 * 0.87962566) ** 2, "uniform": 0.05 ** 2 / 3, "orthogonal": 1 / N_IN,
    "identity": 1 / N_IN - 1 / N_IN ** 2,
}


def draw(initializer, shape=(N_IN, N_OUT), seed=0):
    return initializer(np.random.default_rng(seed), shape, shape[0], shape[-1])


def test_every_name_and_class_is_tested():
    assert set(VARIANCES) == set(INITIALIZERS)
    assert {type(i) for i in INITIALIZERS.values()} <= set(CLASSES.values())


@pytest.mark.parametrize("name", INITIALIZERS)
def test_mean_and_variance(name):
    """Within five standard errors of 60,000 values."""
    values = draw(INITIALIZERS[name])
    assert values.shape == (N_IN, N_OUT) and values.dtype == np.float64
    assert abs(values.mean() - MEANS.get(name, 0.0)) <= 1e-15 + 5 * math.sqrt(VARIANCES[name] / values.size)
    assert values.var() == pytest.approx(VARIANCES[name], rel=5 * math.sqrt(2 / values.size))
    if name.endswith("uniform"):
        assert np.abs(values).max() <= math.sqrt(3 * VARIANCES[name])
    elif name.endswith("normal") and name != "truncated_normal":
        kurtosis = (values**4).mean() / VARIANCES[name] ** 2
        assert kurtosis == pytest.approx(3.0, abs=0.1)


def test_truncated_normal_has_no_tails():
    values = draw(init.TruncatedNormal(0.1))
    assert 0.19 < np.abs(values).max() <= 0.2


@pytest.mark.parametrize("shape", [(7, 7), (12, 5), (5, 12), (3, 3, 4, 9), (1, 6), (6, 1)])
def test_orthogonal(shape):
    values = init.Orthogonal(1.5)(np.random.default_rng(0), shape, math.prod(shape[:-1]), shape[-1])
    matrix = values.reshape(-1, shape[-1]) / 1.5
    product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-14)


def test_nielsen_and_names_for_one_thing():
    """Variance 1 / n_in is LeCun's, Nielsen's 1 / sqrt(n_in) and deeplearning.ai's for tanh."""
    assert INITIALIZERS["scaled_normal"] == INITIALIZERS["lecun_normal"] == init.VarianceScaling(1.0)


@pytest.mark.parametrize("value", [*INITIALIZERS, init.Constant(0.3), init.Normal(0.02), init.Uniform(0.1),
                                   init.TruncatedNormal(0.1), init.Orthogonal(2.0),
                                   init.VarianceScaling(0.5, "n_out", "uniform")], ids=str)
def test_in_a_model_saved_and_loaded(value, tmp_path):
    """The layer draws what the initializer draws; biases are zero; the file keeps the setting."""
    layers = [fnn.Dense(6, "tanh", kernel_initializer=value), fnn.Dense(2, kernel_initializer=value)]
    model = fnn.Sequential(layers, input_shape=(4,), dtype="float64", seed=3)
    rng = np.random.default_rng([3, 0])
    for layer, shape in zip(model.layers, ((4, 6), (6, 2)), strict=True):
        np.testing.assert_array_equal(layer.weight, get("", value)(rng, shape, *shape))
        np.testing.assert_array_equal(layer.bias, 0)
    model.save(tmp_path / "model.safetensors")
    loaded = fnn.load(tmp_path / "model.safetensors")
    assert get("", loaded.layers[0].kernel_initializer) == get("", value)
    assert model.copy().get_config() == model.get_config() == loaded.get_config()


@pytest.mark.parametrize("name", CLASSES)
def test_config(name):
    if not name.startswith("Ramp"):
        initializer = CLASSES[name]()
        assert get("", initializer.get_config()) == initializer
        assert dataclasses.is_dataclass(initializer)


def test_bad_settings():
    with pytest.raises(ValueError, match="unknown kernel_initializer 'glorot', did you mean"):
        fnn.Dense(3, kernel_initializer="glorot")
    with pytest.raises(TypeError, match="kernel_initializer"):
        fnn.Dense(3, kernel_initializer=0.5)
    with pytest.raises(ValueError, match="mode"):
        init.VarianceScaling(1.0, "fan_in")
    with pytest.raises(ValueError, match="std"):
        init.Normal(-1.0)
    with pytest.raises(ValueError, match="value"):
        init.Constant(math.nan)
