"""The Monitor callback: the doctor's figures during a training, which stays the same bit for bit."""

import json

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn.diagnostics import Probe
from sick import FEATURES, SICK, blobs, classifier, lines, network, softmax

NOT_DURING_FIT = {"learning_rate_high", "learning_rate_low"}  # they compare rates; rising_loss is there

pytestmark = pytest.mark.usefixtures("one_thread")


def watch(model, X, y, catch=(), **settings):
    """The monitor of a training, on all rows."""
    monitor = fnn.Monitor(rows=1000)
    try:
        model.fit(X, y, callbacks=monitor, verbose=0, **settings)
    except catch:
        pass
    return monitor


@pytest.mark.parametrize("row", [r for r in SICK if r.rule not in NOT_DURING_FIT], ids=lambda row: row.rule)
def test_sick_and_cured(row, backend):
    settings = row.training or {"epochs": 2, "batch_size": row.settings.get("batch_size", 32)}
    sick = watch(*row.make(True, 0), catch=FloatingPointError, **settings)
    assert (row.rule, row.layer) in [(f.name, f.layer) for f in sick.findings()], sick
    cured = watch(*row.make(False, 0), **settings)
    assert cured.findings() == [], cured


# ---- what arises while a network is trained that was healthy at the start ----

def between(first, last, rate, otherwise):
    """A learning rate that is another one for some updates."""
    return lambda update: rate if first <= update < last else otherwise


def one_step(activations, rate):
    """After two epochs one step that is far too large, and then none."""
    return lambda seed: classifier(activations, seed, rate=lambda update: (
        0.05 if update < 26 else rate if update == 26 else 1e-12))


def too_slow(seed):
    return classifier(["tanh"], seed, rate=between(2, 1000, 1e-7, 0.05))


def too_large_steps(seed):
    return network(["tanh"], fnn.Dense(1, name="last"), seed, loss="squared_error",
                   rate=between(26, 1000, 1.2, 0.02)), *lines(seed)


def knocked_out(rate):
    """Two steps that are far too large, on inputs that are all positive, end the life of ReLUs."""
    def make(seed):
        X, y = lines(seed)
        return network(["relu"], fnn.Dense(1, name="last"), seed, loss="squared_error",
                       rate=between(26, 28, rate, 0.02)), np.abs(X), y - 3.0
    return make


def driven_off(seed):
    """Two such steps take a sigmoid to where it says 0 to every sample, and squared error has no gradient."""
    X, y = lines(seed)
    return network([], fnn.Dense(1, "sigmoid", name="last"), seed, loss="squared_error",
                   rate=between(26, 28, 30.0, 0.01)), np.abs(X), (y > 1.0) * 1.0


ARISING = {
    ("saturated_units", "first"): one_step(["tanh"], 600.0),
    ("dead_units", "first"): knocked_out(3.0),
    ("growing_activations", "first"): one_step(["relu"], 2000.0),
    ("exploding_gradients", "first"): one_step(["relu"], 2000.0),
    ("vanishing_gradients", "first"): knocked_out(10.0),
    ("small_updates", "first"): too_slow,
    ("large_updates", "last"): too_large_steps,
    ("plateau", "network"): driven_off,
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("what", ARISING, ids=lambda what: what[0])
def test_arising(what, seed):
    """Found, with the epoch from which on; nothing of it before."""
    monitor = watch(*ARISING[what](seed), epochs=6, catch=FloatingPointError)
    found = {(f.name, f.layer): f for f in monitor.findings()}
    assert what in found, list(found)
    if what[0] != "plateau":  # of which only the end is looked at
        assert found[what].when.startswith(("from epoch", "epoch")), found[what].when


# ---- the record ----

@pytest.mark.parametrize("every", [None, 5])
def test_training_stays_the_same(backend, every):
    """Weights, optimizer state, history and dropout's masks are those of a training without a monitor."""
    results = []
    for callbacks in ([], [fnn.Monitor(every=every)]):
        layers = [fnn.Dense(16, "relu"), fnn.Dropout(0.2), softmax()]
        model = fnn.Sequential(layers, input_shape=(FEATURES,))
        model.compile(fnn.Adam(0.01), metrics=["accuracy"])
        history = model.fit(*blobs(0), epochs=3, callbacks=callbacks, verbose=0, validation_split=0.2)
        results.append((model, history))
    (plain, h1), (watched, h2) = results
    for a, b in zip(plain.get_weights(), watched.get_weights(), strict=True):
        assert_same_bits(a, b)
    assert_same_bits(plain._numbers.memory.state, watched._numbers.memory.state)
    if every is None:  # in chunks of one step losses are the same too, summed in the same order
        assert h1.history == h2.history
    assert plain.update_count == watched.update_count


def test_data_is_ready_to_plot(backend, tmp_path):
    model, X, y = classifier(["tanh", "relu"], 0, rate=0.1)
    monitor = watch(model, X, y, epochs=3, validation_split=0.25)
    data = monitor.data
    assert data["moments"] == ["before the training", "epoch 0", "epoch 1", "epoch 2"]
    assert data["update"].tolist() == [0, 10, 20, 30]
    assert all(data[name].shape == (4,) for name in ("loss", "penalty", "gradient"))
    assert (np.diff(data["loss"]) < 0).all() and set(data["history"]) == {"loss", "val_loss"}
    assert list(data["layers"]) == ["first", "second", "last"]
    for name, figures in data["layers"].items():
        for figure in ("saturated", "dead", "delta", "gradient", "update_ratio"):
            assert figures[figure].shape == (4,)
        for histogram in ("activations", "gradients"):
            counts, edges = figures[histogram]["counts"], figures[histogram]["edges"]
            assert counts.shape == (4, 40) and edges.shape == (4, 41) and (np.diff(edges) > 0).all()
            assert (counts.sum(axis=1) == 300 * (5 if name == "last" else 30)).all()
    monitor.save(tmp_path / "monitor.json")
    plain = json.loads((tmp_path / "monitor.json").read_text())
    assert plain == monitor.to_dict() and plain["findings"] == []
    assert plain["layers"]["first"]["saturated"] == data["layers"]["first"]["saturated"].tolist()
    assert plain["layers"]["last"]["saturated"] == [None] * 4
    assert "healthy" in str(monitor)


def test_last_look_is_the_model_now(backend):
    """The last measurement is what a probe of the trained model sees."""
    model, X, y = classifier(["tanh"], 0)
    monitor = fnn.Monitor(X[:64], y[:64], histograms=False)
    model.fit(X, y, epochs=2, callbacks=monitor, verbose=0)
    seen = Probe(model, *model._checked(X[:64], y[:64], None), 32).measure()
    got = monitor.measurements[-1]
    assert got.loss == seen.loss and got.gradient == seen.gradient and got.layers[0].histograms == {}
    assert [la.update_ratio for la in got.layers] == [la.update_ratio for la in seen.layers]


def test_every_so_many_steps():
    model, X, y = classifier(["tanh"], 0)
    monitor = fnn.Monitor(every=10)
    model.fit(X, y, epochs=2, callbacks=monitor, verbose=0)  # 13 steps an epoch
    assert monitor.moments == ["before the training", "step 10", "step 20"]
    assert monitor.data["update"].tolist() == [0, 10, 20] and len(monitor.history["loss"]) == 2


def test_changed_rates_are_seen():
    """A callback that lowers the rate lowers the steps that the monitor measures."""
    model, X, y = classifier(["tanh"], 0, rate=0.1)
    def end(epoch, logs):
        model.optimizer.learning_rate = 1e-9

    lower = fnn.LambdaCallback(on_epoch_end=end)
    monitor = fnn.Monitor()
    model.fit(X, y, epochs=1, callbacks=[lower, monitor], verbose=0)
    before, after = monitor.data["layers"]["first"]["update_ratio"]
    assert after < 1e-6 * before


def test_batches_need_rows():
    model, X, y = classifier(["tanh"], 0)
    batches = [(X[:50], y[:50]), (X[50:100], y[50:100])]
    with pytest.raises(ValueError, match=r"Monitor: expected X and y to look at"):
        model.fit(batches, callbacks=fnn.Monitor(), verbose=0)
    monitor = fnn.Monitor(X[100:200], y[100:200], sample_weight=np.ones(100))
    model.fit(batches, epochs=2, callbacks=monitor, verbose=0)
    assert monitor.moments == ["before the training", "epoch 0", "epoch 1"] and monitor.findings() == []


def test_passed_by_itself():
    """What was seen once and is over at the end is not told; what lasted is, with its epochs."""
    model, X, y = classifier(["relu"], 0)

    def bias(value):
        def act(epoch, logs):
            model.layers[0].bias[...] = value if epoch in (1, 2) else 0.0
        return fnn.LambdaCallback(on_epoch_end=act)

    monitor = fnn.Monitor()
    model.fit(X, y, epochs=5, callbacks=[bias(-50.0), monitor], verbose=0)
    lasted = {f.name: f for f in monitor.findings()}
    assert lasted["dead_units"].when == "from epoch 1 to epoch 2"
    monitor.measurements[2] = monitor.measurements[1]
    assert "dead_units" not in {f.name for f in monitor.findings()}


def test_bad_arguments():
    with pytest.raises(ValueError, match="X, y: expected both or neither"):
        fnn.Monitor([[1.0]])
    with pytest.raises(ValueError, match="sample_weight: expected with X and y"):
        fnn.Monitor(sample_weight=[1.0])
    with pytest.raises(ValueError, match="every"):
        fnn.Monitor(every=0)
    with pytest.raises(RuntimeError, match="no training was seen yet"):
        fnn.Monitor().findings()
    assert "no training" in str(fnn.Monitor())
    model, X, y = classifier(["tanh"], 0)
    with pytest.raises(ValueError, match="y"):
        model.fit(X, y, callbacks=fnn.Monitor(X, y[:-1]), verbose=0)


def test_goes_on_with_a_checkpoint(tmp_path):
    """The same figures and findings as of a training that never stopped."""
    X, y = blobs(0)

    def train(epochs, **settings):
        monitor = fnn.Monitor(every=7)
        classifier(["tanh"], 0)[0].fit(X, y, epochs=epochs, callbacks=monitor, verbose=0, **settings)
        return monitor

    train(1, checkpoint=tmp_path, checkpoint_every=5)
    names = sorted(path.name for path in tmp_path.iterdir())[1:]
    (tmp_path / names[-1]).unlink()  # as if it had stopped within the epoch
    again, whole = train(3, checkpoint=tmp_path, checkpoint_every=5, resume=True), train(3)
    assert json.dumps(again.to_dict()) == json.dumps(whole.to_dict()) and len(again.measurements) > 4
    assert str(again) == str(whole)
