"""What does not count of sequences: in losses over batches, in metrics, in training in blocks."""
import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close

T = 5


def samples(n, seed=0):
    """Sequences that are short in the first half, long in the second; labels, and the steps that count."""
    rng = np.random.default_rng(seed)
    X, lengths = rng.standard_normal((n, T, 3)), np.where(np.arange(n) < n // 2, 1, rng.integers(2, T + 1, n))
    mask = np.arange(T) < lengths[:, np.newaxis]
    X[~mask] = 0
    return X, rng.integers(0, 2, (n, T)), mask


def tagger(masking=fnn.Masking):
    layers = [masking(), fnn.GRU(4, return_sequences=True), fnn.Dropout(0.3), fnn.Dense(2, "softmax")]
    model = fnn.Sequential(layers, (T, 3), "float64", seed=0)
    model.compile(fnn.Adam(0.01), fnn.CrossEntropy(ignore_label=-1), metrics=["accuracy"])
    return model


def by_hand(model, X, y, counts):
    """Mean loss and accuracy over the steps that count, weighed by `counts`."""
    P = model.predict(X)
    loss = -np.log(np.take_along_axis(P, np.maximum(y, 0)[..., np.newaxis], 2)[..., 0])
    return {"loss": (loss * counts).sum() / counts.sum(), "accuracy": (P.argmax(2) == y)[counts > 0].mean()}


def test_evaluation_is_a_mean_over_steps_that_count(backend):
    """Whatever the batches are, and how many steps of each count."""
    model, (X, y, mask) = tagger(), samples(70)
    for size in (None, 1, 7, 64):
        assert model.evaluate(X, y, batch_size=size) == pytest.approx(by_hand(model, X, y, mask), rel=1e-13)
    weight = np.random.default_rng(1).random(70)
    got = model.evaluate(X, y, batch_size=16, sample_weight=weight)
    assert got["loss"] == pytest.approx(by_hand(model, X, y, mask * weight[:, np.newaxis])["loss"], rel=1e-13)
    assert got["accuracy"] == by_hand(model, X, y, mask)["accuracy"]
    y[::3, 0] = -1  # ignored
    assert model.evaluate(X, y, batch_size=16) == pytest.approx(by_hand(model, X, y, mask & (y >= 0)), rel=1e-13)


def test_ignored_labels_without_a_mask(backend):
    model, (X, y, mask) = tagger(lambda: fnn.Dense(3)), samples(30)
    y[~mask] = -1
    assert model.evaluate(X, y, batch_size=8) == pytest.approx(by_hand(model, X, y, mask), rel=1e-13)


def test_masks_of_tokens_and_behind_layers(backend):
    """Two outputs: tokens that are 0 do not count for one; of the other, steps that a layer has made zero."""
    tokens, steps = fnn.Input((T,), name="tokens"), fnn.Input((T, 3), name="steps")
    one = fnn.Dense(2, "softmax", name="one", kernel_regularizer="l2")(fnn.LSTM(3, return_sequences=True)(
        fnn.Embedding(9, 4, mask_zero=True)(tokens)))
    positive = fnn.Masking()(fnn.Activation("relu")(steps))
    other = fnn.Dense(2, "softmax", name="other")(fnn.Bidirectional(fnn.GRU(2, return_sequences=True))(positive))
    model = fnn.Model([tokens, steps], [one, other], dtype="float64", seed=0)
    model.compile("sgd", "cross_entropy", metrics="accuracy", loss_weights=[1.0, 0.5])
    X, y, _ = samples(40)
    numbers = np.random.default_rng(2).integers(0, 3, (40, T))
    outputs, got = model.predict([numbers, X]), model.evaluate([numbers, X], [y, y], batch_size=9)
    for name, P, mask in zip(("one", "other"), outputs, (numbers != 0, (X > 0).any(2)), strict=True):
        assert 0 < mask.mean() < 1
        assert got[f"{name}_accuracy"] == (P.argmax(2) == y)[mask].mean()
        assert got[f"{name}_loss"] == pytest.approx(-np.log(P[y[..., np.newaxis] == np.arange(2)].reshape(40, T)
                                                            )[mask].mean(), rel=1e-13)
    penalty = model.bind([numbers, X], [y, y]).loss("penalty")
    assert penalty > 0 and got["loss"] == pytest.approx(got["one_loss"] + 0.5 * got["other_loss"] + penalty, rel=1e-13)


def test_training_shows_the_same_mean(backend):
    """An epoch at rate 0: its loss and metrics are those of an evaluation; from arrays and from batches."""
    X, y, mask = samples(60)
    layers = [fnn.Masking(), fnn.GRU(4, return_sequences=True), fnn.Dense(2, "softmax")]
    model = fnn.Sequential(layers, (T, 3), "float64", seed=0)
    model.compile(fnn.SGD(1e-300), "cross_entropy", metrics=["accuracy"])
    expected = by_hand(model, X, y, mask)
    batches = [(X[i:i + 7], y[i:i + 7]) for i in range(0, 60, 7)]
    for history in (model.fit(X, y, batch_size=7, epochs=1, verbose=0), model.fit(batches, epochs=1, verbose=0)):
        assert {name: values[-1] for name, values in history.history.items()} == pytest.approx(expected, rel=1e-12)


def test_large_steps_are_not_cut_into_blocks(backend, monkeypatch):
    """A mean over the steps that count is not one over blocks of rows."""
    from fastnn import compilation
    X, y, _ = samples(24)
    models = [tagger() for _ in range(2)]
    models[0].fit(X, y, batch_size=12, epochs=2, verbose=0)
    monkeypatch.setattr(compilation, "CACHED_BLOCK", 5)
    monkeypatch.setattr(compilation, "LARGEST_BLOCK", 5)
    assert models[1]._compiled.block_rows(12) == 5
    models[1].fit(X, y, batch_size=12, epochs=2, verbose=0)
    for name, value in models[1].state_dict().items():
        assert_close(value, models[0].state_dict()[name], 1e-13, name)


def test_nothing_counts(backend):
    model, (X, y, _) = tagger(), samples(6)
    got = model.evaluate(X * 0, y)
    assert got["loss"] == 0 and np.isnan(got["accuracy"])
