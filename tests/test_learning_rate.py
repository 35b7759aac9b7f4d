"""find_learning_rate: the suggestion against a sweep, and a model left as it was."""

import os

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn.data import load_digits, load_mnist

OPTIMIZERS = {"sgd": fnn.SGD, "adam": fnn.Adam}


def network(X, optimizer, seed=0, dtype="float32"):
    layers = [fnn.Flatten(), fnn.Standardize(per_feature=False), fnn.Dense(32, "relu"),
              fnn.Dense(10, "softmax")]
    model = fnn.Sequential(layers, input_shape=X.shape[1:], seed=seed, dtype=dtype)
    model.compile(optimizer, "cross_entropy")
    return model


def digits():
    return load_digits()


def mnist():
    """3000 rows, where FASTNN_MNIST names the folder."""
    folder = os.environ.get("FASTNN_MNIST")
    if not folder:
        pytest.skip("FASTNN_MNIST is not set: no MNIST rows to search on")
    X, y = load_mnist(folder)["test"]
    return X[:3000], y[:3000]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("data", [digits, mnist], ids=["digits", "mnist"])
def test_within_ten_percent_of_a_sweep(data, name, seed):
    """Training at the suggestion ends within 10% of the best of 19 rates over four and a half decades."""
    X, y = data()
    model = network(X, OPTIMIZERS[name](), seed)
    found = fnn.find_learning_rate(model, X, y, epochs=3)

    def end(rate):
        trained = network(X, OPTIMIZERS[name](rate), seed)
        try:
            trained.fit(X, y, epochs=3, verbose=0)
        except FloatingPointError:
            return np.inf
        return trained.evaluate(X, y)["loss"]

    sweep = {float(rate): end(float(rate)) for rate in np.geomspace(1e-4, 3, 19)}
    best = min(sweep, key=sweep.get)
    got = end(found.suggestion)
    print(f"{name}, seed {seed}: {got:.4g} at the suggested {found.suggestion:.3g}, {sweep[best]:.4g} at "
          f"{best:.3g}, ratio {got / sweep[best]:.3f}")
    assert got <= 1.1 * sweep[best]


def test_model_is_put_back(backend):
    """Weights, optimizer state, counts, history and rate; training goes on as if nothing had been."""
    X, y = load_digits()
    schedule = fnn.CosineDecay(0.01, total=1000)
    model, twin = (network(X, fnn.Adam(schedule)) for _ in range(2))
    for m in (model, twin):
        m.fit(X[:300], y[:300], verbose=0)
    before = model.snapshot()
    fnn.find_learning_rate(model, X[:300], y[:300], steps=30)
    after = model.snapshot()
    assert model.optimizer.learning_rate is schedule and not model.stop_training
    assert (before["update_count"], before["shuffles"]) == (after["update_count"], after["shuffles"])
    assert before["history"].history == after["history"].history
    for arrays in (lambda s: [s["arrays"]], lambda s: s["states"]):
        for a, b in zip(arrays(after), arrays(before), strict=True):
            for array_name, array in a.items():
                assert_same_bits(array, b[array_name], array_name)
    for m in (model, twin):
        m.fit(X[:300], y[:300], verbose=0)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert_same_bits(a, b)


def test_untrained_model_is_put_back(backend):
    """Also before the first training: no state of a trial is left, and input statistics are not adapted."""
    X, y = load_digits()
    model, twin = (network(X, fnn.Adam(0.01)) for _ in range(2))
    fnn.find_learning_rate(model, X[:200], y[:200], steps=30)
    for m in (model, twin):
        m.fit(X, y, verbose=0)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert_same_bits(a, b)


def test_suggested_training_is_the_trial(backend):
    X, y = load_digits()
    model = network(X, fnn.SGD())
    found = fnn.find_learning_rate(model, X, y, batch_size=64)
    model.optimizer.learning_rate = found.suggestion
    model.fit(X, y, batch_size=64, verbose=0)
    assert model.evaluate(X, y)["loss"] == found.trials[found.suggestion] == min(found.trials.values())


def test_range_test_alone(backend):
    X, y = load_digits()
    model = network(X, fnn.SGD())
    found = fnn.find_learning_rate(model, X, y, trials=False, sample_weight=np.ones(len(X)))
    assert not found.trials and 0.03 < found.suggestion < 0.6
    assert len(found.rates) == len(found.losses) == len(found.smoothed) and (np.diff(found.rates) > 0).all()
    assert found.losses[-1] > 2 * found.losses.min()
    assert str(found).endswith(f"suggested learning rate: {found.suggestion:.3g}")


def test_bad_arguments():
    X, y = load_digits()
    model = network(X, fnn.SGD())
    with pytest.raises(ValueError, match="lowest: expected less than highest"):
        fnn.find_learning_rate(model, X, y, lowest=1.0, highest=0.1)
    with pytest.raises(TypeError, match="epochs must be an integer"):
        fnn.find_learning_rate(model, X, y, epochs=0.5)
    with pytest.raises(ValueError, match="diverges at a learning rate of"):
        fnn.find_learning_rate(network(X, "sgd"), X * 1e30, y, lowest=1e30, highest=1e35, steps=3)
    with pytest.raises(RuntimeError, match="not compiled"):
        fnn.find_learning_rate(fnn.Sequential([fnn.Dense(2)], input_shape=(3,)), X, y)
