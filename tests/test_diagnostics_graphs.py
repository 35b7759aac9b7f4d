"""The doctor on graphs: several inputs, several outputs, layers side by side."""
import numpy as np
import pytest

import fastnn as fnn
from fastnn.data import load_digits

X, DIGIT = load_digits()
X = (X.reshape(-1, 64) / 8 - 1)[:600]
DIGIT = DIGIT[:600]
TOKENS = np.random.default_rng(0).integers(1, 500, (600, 3))
SIZE = X.sum(1) / 20


def network(hidden="tanh", size_activation=None, seed=0):
    """The digit from its pixels; how much ink, from both inputs."""
    pixels, tokens = fnn.Input((64,), name="pixels"), fnn.Input((3,), name="tokens")
    h = fnn.Dense(24, hidden, name="hidden")(pixels)
    words = fnn.Flatten()(fnn.Embedding(500, 4)(tokens))
    kind = fnn.Dense(10, "softmax", name="kind")(fnn.Add()([h, fnn.Dense(24, hidden, name="skip")(h)]))
    size = fnn.Dense(1, size_activation, name="size")(fnn.Concatenate()([h, words]))
    model = fnn.Model([pixels, tokens], [kind, size], seed=seed)
    model.compile(fnn.SGD(0.1), {"kind": "cross_entropy", "size": "squared_error"}, metrics={"kind": "accuracy"})
    return model


def diagnose(model, pixels=X, size=SIZE, **settings):
    return fnn.diagnose(model, [pixels, TOKENS], [DIGIT, size], **settings)


def test_healthy(backend):
    model = network()
    before = {name: value.copy() for name, value in model.state_dict().items()}
    diagnosis = diagnose(model)
    assert diagnosis.healthy, str(diagnosis)
    names = ["hidden", "skip", "kind", "embedding", "size"]
    assert [layer.name for layer in diagnosis.measurements[0].layers] == names
    silent = np.log(10) + (SIZE ** 2).mean() / 2  # the digit by chance, the size zero
    assert diagnosis.expected_loss == pytest.approx(silent, rel=0.05)  # of the probed rows
    assert diagnosis.measurements[0].inputs.shape == (64 + 4,)  # of all steps
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name, place, make", [
    ("dead_units", "skip", lambda: (_with_bias(network("relu"), "skip", -30.0), X, SIZE)),
    ("unscaled_inputs", "input", lambda: (network(), X * 100, SIZE)),
    ("unscaled_targets", "targets of size", lambda: (network(), X, SIZE * 100)),
    ("unreachable_targets", "targets of size", lambda: (network(size_activation="sigmoid"), X, SIZE)),
    ("symmetric_units", "hidden", lambda: (_alike(), X, SIZE)),
], ids=lambda value: value if isinstance(value, str) else "")
def test_finds_what_is_planted(name, place, make):
    model, pixels, size = make()
    found = [(f.name, f.layer) for f in diagnose(model, pixels, size, steps=20).findings]
    assert (name, place) in found, found


def _with_bias(model, name, value):
    next(layer for layer in model.layers if layer.name == name).bias[...] = value
    return model


def _alike():
    """A chain in a graph whose hidden units all are the same."""
    pixels, tokens = fnn.Input((64,), name="pixels"), fnn.Input((3,), name="tokens")
    h = fnn.Dense(24, "tanh", kernel_initializer=fnn.initializers.Constant(0.1), name="hidden")(pixels)
    kind = fnn.Dense(10, "softmax", kernel_initializer=fnn.initializers.Constant(0.1), name="kind")(fnn.Dropout(0.0)(h))
    size = fnn.Dense(1, name="size")(fnn.Flatten()(fnn.Embedding(500, 4)(tokens)))
    model = fnn.Model([pixels, tokens], [kind, size])
    model.compile(fnn.SGD(0.1), {"kind": "cross_entropy", "size": "squared_error"})
    return model


def test_monitor_of_a_graph():
    model, monitor = network(), fnn.Monitor()
    model.fit([X, TOKENS], [DIGIT, SIZE], epochs=2, callbacks=[monitor], verbose=0)
    assert monitor.findings() == [] and set(monitor.data["layers"]) == {"hidden", "embedding", "skip", "kind", "size"}


def test_sanity_check_wants_one_of_each():
    with pytest.raises(ValueError, match="model: expected one input and one output, got 2 and 2"):
        fnn.sanity_check(network(), [X, TOKENS], [DIGIT, SIZE])
