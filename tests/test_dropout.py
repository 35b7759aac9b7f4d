"""Random numbers from counters, Dropout and GaussianNoise."""
import doctest
import functools

import numpy as np
import pytest

import fastnn as fnn
from cases import EDGES
from conftest import assert_close, assert_same_bits
from fastnn import backends
from fastnn.backends.numpy_kernels.random import philox
from fastnn.compilation import Compiled
from fastnn.functional import call
from fastnn.layers import noise

# counter, key, words: Random123's kat_vectors, philox4x32 with 10 rounds
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]
SETTINGS = {"instance": 3, "own_seed": -1, "first_group": 0}


def drop(x, rate, *, row=0, update=1, seed=0, **settings):
    y = np.full_like(x, np.nan)
    call("dropout", (x, y), share=rate, row=row, update=update, seed=seed, **{**SETTINGS, **settings})
    return y


def noise_of(shape, dtype, *, deviation=1.0, **settings):
    x, y = np.zeros(shape, dtype), np.full(shape, np.nan, dtype)
    call("gaussian_noise", (x, y), deviation=deviation, **{**SETTINGS, **settings})
    return y


@functools.cache
def words_of(shape, row=0, update=1, seed=0, instance=3):
    """The word of each element, one block at a time, as the docstring of csrc/random.inc says."""
    words = np.zeros(shape, np.uint64)
    for i, j in np.ndindex(shape):
        counter = [np.array(c, np.uint64) for c in (16 * (j // 64) + j % 16, row + i, update, instance)]
        words[i, j] = philox(counter, seed)[j // 16 % 4]
    return words


def model_with(*layers, dtype="float64", seed=3):
    model = fnn.Sequential([*layers, fnn.Dense(3, "softmax")], input_shape=(5,), dtype=dtype, seed=seed)
    model.compile("sgd", "cross_entropy")
    return model


def data(n=23):
    return np.random.default_rng(0).standard_normal((n, 5)), np.random.default_rng(1).integers(0, 3, n)


def test_examples():
    assert doctest.testmod(noise).failed == 0


# ----------------------------------------------------------------------------------------- random numbers

@pytest.mark.parametrize("counter, key, words", KNOWN)
def test_known_answers_in_numpy(counter, key, words):
    got = philox([np.array(c, np.uint64) for c in counter], key[0] | key[1] << 32)
    assert tuple(int(w) for w in got) == words


@pytest.mark.parametrize("counter, key, words", KNOWN)
def test_known_answers_in_every_kernel(combination, counter, key, words):
    """A value is kept at the rate word / 2^32 and dropped at the next one: that tells the whole word."""
    x = np.ones((1, 64), combination.dtype)
    settings = {"first_group": counter[0], "row": counter[1], "update": counter[2], "instance": counter[3],
                "seed": key[0] | key[1] << 32}
    for k, word in enumerate(words):
        assert drop(x, word / 2 ** 32, **settings)[0, 16 * k] > 0
        assert drop(x, (word + 1) / 2 ** 32, **settings)[0, 16 * k] == 0


def test_each_element_has_a_word_of_its_own():
    words = words_of((9, 200), row=4)
    assert len(np.unique(words)) == words.size


# ------------------------------------------------------------------------------------------------ kernels

@pytest.mark.parametrize("rate", [0.25, 0.5, 0.9])
def test_dropout(combination, rate):
    dtype = combination.dtype
    for n in EDGES:
        x = np.random.default_rng(n).standard_normal((5, n)).astype(dtype)
        keep = words_of(x.shape, row=7, update=11, seed=2 ** 63 + 5) >= round(rate * 2 ** 32)
        expected = np.where(keep, x * dtype.type(1 / (1 - rate)), dtype.type(0))
        assert_same_bits(drop(x, rate, row=7, update=11, seed=2 ** 63 + 5), expected, f"{n} columns")


def test_a_seed_of_its_own(combination):
    x = np.ones((5, 33), combination.dtype)
    assert_same_bits(drop(x, 0.5, seed=1, own_seed=8), drop(x, 0.5, seed=8))
    assert (drop(x, 0.5, seed=1) != drop(x, 0.5, seed=8)).any()


def test_dropped_nan_is_gone_and_kept_nan_stays(combination):
    y = drop(np.full((20, 20), np.nan, combination.dtype), 0.5)
    keep = words_of((20, 20)) >= 2 ** 31
    assert np.isnan(y[keep]).all() and (y[~keep] == 0).all()


def test_gaussian_noise(combination):
    """Within 4 ULP of the formula in float64."""
    dtype = combination.dtype
    for n in EDGES:
        words = words_of((5, -(-n // 32) * 32), row=7)
        groups = words.reshape(5, -1, 2, 16)
        u = (np.floor(groups[:, :, 0] / 2 ** 9) + 0.5) / 2 ** 23
        angle = (np.floor(groups[:, :, 1] / 2 ** 8) + 0.5) / 2 ** 24 * 2 * np.pi - np.pi / 4
        radius = np.sqrt(-2 * np.log(u))
        z = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=2).reshape(5, -1)[:, :n]
        error = 4 * float(np.finfo(dtype).eps) * np.abs(z) + 1e-15  # the last: of the angle written here
        assert_close(noise_of((5, n), dtype, row=7), z, error, f"{n} columns")
        x, y = np.full((5, n), 3, dtype), np.empty((5, n), dtype)
        call("gaussian_noise", (x, y), row=7, deviation=0.5, **SETTINGS)
        assert_close(y, 3 + 0.5 * z, 6 * float(np.finfo(dtype).eps), f"x, {n} columns")


def test_normal_numbers_of_both_dtypes_are_alike(combination):
    z = noise_of((300, 100), combination.dtype)
    with fnn.use_backend("numpy"):
        exact = noise_of((300, 100), np.float64)
    assert_close(z, exact, 4 * float(np.finfo(combination.dtype).eps) * np.abs(exact))


def test_statistics(backend):
    """Shares and moments within five standard errors; neighbours in row, column and step are uncorrelated."""
    n = 400 * 500
    x = np.ones((400, 500))
    masks = [drop(x, 0.3, update=t) for t in (1, 2)]
    assert abs((masks[0] == 0).mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / n)
    assert abs(masks[0].mean() - 1) < 5 * np.sqrt(0.3 / 0.7 / n)
    z = [noise_of((400, 500), np.float64, update=t) for t in (1, 2)]
    for a, b in (masks, z):
        a, b = (a - a.mean()) / a.std(), (b - b.mean()) / b.std()
        for left, right in ((a, b), (a[1:], a[:-1]), (a[:, 1:], a[:, :-1]), (a[:, 16:], a[:, :-16])):
            assert abs((left * right).mean()) < 5 / np.sqrt(left.size)
    z = z[0]
    assert abs(z.mean()) < 5 / np.sqrt(n) and abs(z.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs((z ** 3).mean()) < 5 * np.sqrt(15 / n) and abs((z ** 4).mean() - 3) < 5 * np.sqrt(96 / n)
    assert np.abs(z).max() < 5.77
    for edge, share in ((1, 0.682689), (2, 0.954500), (3, 0.997300)):
        assert abs((np.abs(z) < edge).mean() - share) < 5 * np.sqrt(share * (1 - share) / n)


# ----------------------------------------------------------------------------------------------- in models

def test_the_mask_is_one_on_all_backends_threads_blocks_and_dtypes(team):
    """Training with the same masks gives the same weights, up to rounding between backends and dtypes."""
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((100, 40)), rng.standard_normal((100, 2))

    def weights(dtype="float64"):
        layers = [fnn.Dropout(0.5), fnn.Dense(70, "tanh"), fnn.Dropout(0.3), fnn.Dense(2)]
        model = fnn.Sequential(layers, input_shape=(40,), dtype=dtype, seed=6)
        model.compile(fnn.SGD(0.1), "squared_error")
        model.fit(X, y, batch_size=30, epochs=2, verbose=0)
        return model.get_weights()

    with fnn.use_backend("numpy"):
        reference = weights()
    for a, b in zip(reference, weights("float32"), strict=True):
        assert_close(b, a, 1e-4)
    if not backends.native:
        return
    for isa in backends.native.supported_isas():
        with backends.use_isa(isa):
            for a, b in zip(reference, weights(), strict=True):
                assert_close(b, a, 1e-11, isa)
    team(1)
    alone = weights()
    for threads in (2, 3):
        team(threads)
        for a, b in zip(alone, weights(), strict=True):
            assert_same_bits(b, a)


def test_blocks_of_a_step_draw_what_the_whole_step_draws(backend, monkeypatch):
    X, y = data(50)
    results = []
    for block in (50, 16):
        monkeypatch.setattr(Compiled, "block_rows", lambda self, rows, block=block: block)
        model = model_with(fnn.Dropout(0.4), fnn.GaussianNoise(0.5))
        loss = model.train_on_batch(X, y)["loss"]
        results.append((loss, *model.get_weights()))
    for a, b in zip(*results, strict=True):
        assert_close(b, a, 1e-13)


def test_identity_at_inference(backend):
    X, y = data()
    plain, model = model_with(), model_with(fnn.Dropout(0.5), fnn.GaussianNoise(1.0))
    assert_same_bits(model.predict(X), plain.predict(X))
    assert model.evaluate(X, y) == plain.evaluate(X, y)
    assert model.bind(X, y).loss() != plain.bind(X, y).loss()
    for layer in (fnn.Dropout(0.0), fnn.GaussianNoise(0.0)):
        assert model_with(layer).bind(X, y).loss() == plain.bind(X, y).loss()


def test_the_backward_pass_has_the_mask_of_the_forward_pass(backend):
    X, y = data(7)
    layers = [fnn.Dropout(0.3), fnn.Dense(17, "tanh"), fnn.Dropout(0.5), fnn.GaussianNoise(0.3),
              fnn.Dense(9, "relu"), fnn.Dropout(0.2)]
    model = model_with(*layers)
    check = fnn.check_gradients(model, X, y)
    assert check.passed, check
    bound = model.bind(X, y)
    assert bound.loss() == bound.loss()


def test_a_step_takes_the_gradient_that_bind_shows(backend):
    X, y = data()
    model = model_with(fnn.Dropout(0.5))
    for _ in range(3):
        before, bound = model.layers[1].weight.copy(), model.bind(X, y)
        gradient, loss = bound.gradients()["dense.weight"].copy(), bound.loss()
        assert model.train_on_batch(X, y)["loss"] == pytest.approx(loss, rel=1e-13)
        assert_close(model.layers[1].weight, before - 0.01 * gradient, 1e-15)


def test_masks_differ_between_steps_layers_and_seeds(backend):
    def mask(seed=0, updates=0, layers=1, own_seed=None):
        below = [fnn.GaussianNoise(1e-9)] * (layers - 1)
        line = fnn.Dense(1, kernel_initializer="zeros")
        model = fnn.Sequential([*below, fnn.Dropout(0.5, own_seed), line], (40,), seed=seed)
        model.compile(loss="squared_error")
        model.update_count = updates
        gradient = model.bind(np.ones((1, 40)), [1.0]).gradients()["dense.weight"]
        return tuple((np.abs(gradient) > 1e-3).ravel().tolist())

    masks = [mask(), mask(seed=1), mask(updates=1), mask(layers=2), mask(own_seed=1, updates=2)]
    assert len(set(masks)) == len(masks)
    assert mask() == mask()


def test_training_is_repeatable_and_copies_go_on_alike(backend):
    X, y = data()
    first, second = model_with(fnn.Dropout(0.5, seed=9)), model_with(fnn.Dropout(0.5, seed=9))
    for model in (first, second):
        model.fit(X, y, batch_size=5, verbose=0)
    third = first.copy()
    for model in (first, second, third):
        model.fit(X, y, batch_size=5, verbose=0)
    for a, b, c in zip(first.get_weights(), second.get_weights(), third.get_weights(), strict=True):
        assert_same_bits(b, a)
        assert_same_bits(c, a)


def test_settings_are_kept(tmp_path):
    model = model_with(fnn.Dropout(0.25, seed=4), fnn.GaussianNoise(0.5))
    model.save(tmp_path / "model.safetensors")
    dropout, gaussian, _ = fnn.load(tmp_path / "model.safetensors").layers
    assert (dropout.rate, dropout.seed, gaussian.stddev, gaussian.seed) == (0.25, 4, 0.5, None)


def test_bad_arguments():
    with pytest.raises(ValueError, match="rate must be a fraction, 0 <= rate < 1, got 1"):
        fnn.Dropout(1.0)
    with pytest.raises(ValueError, match="rate must be a fraction.*50% is 0.5"):
        fnn.Dropout(50)
    with pytest.raises(ValueError, match="stddev must be a finite number of at least 0"):
        fnn.GaussianNoise(-1.0)
    with pytest.raises(ValueError, match="seed"):
        fnn.Dropout(0.5, seed=-1)
