"""What `fit` does with rows: batches, shuffling, validation, weights, iterators, callbacks, mapped files."""
import functools

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close, assert_same_bits, rounding
from fastnn.data import load_digits, train_test_split
from fastnn.optimizers import OPTIMIZERS
from steps import net, samples


@functools.cache
def digits():
    return train_test_split(*load_digits())


def small(dtype="float64", optimizer="adam", seed=1, **compiled):
    model = net((20, 9, 3), dtype, optimizer, seed=seed)
    model.compile(optimizer, "cross_entropy", **compiled)
    return model


def assert_same_model(got, expected, error=None):
    for (name, a), b in zip(got.named_parameters().items(), expected.get_weights(), strict=True):
        if error is None:
            assert_same_bits(a, b, name)
        else:
            assert_close(a, b, error, name)


# ---------------------------------------------------------------------------------------------- accuracy

@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_digits(backend, dtype):
    X, X_test, y, y_test = digits()
    layers = [fnn.Flatten(), fnn.Standardize(), fnn.Dense(64, "relu"), fnn.Dense(10, "softmax")]
    model = fnn.Sequential(layers, (8, 8), dtype=dtype, seed=0)
    model.compile(fnn.Adam(3e-3), "cross_entropy", ["accuracy"])
    history = model.fit(X, y, epochs=20, validation_data=(X_test, y_test), verbose=0)
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"} and len(history) == 20
    assert history["loss"][-1] < 0.01 < history["loss"][0]
    results = model.evaluate(X_test, y_test)
    assert results["accuracy"] >= 0.96
    assert results == {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns(backend, optimizer):
    X, X_test, y, y_test = digits()
    layers = [fnn.Flatten(), fnn.Standardize(), fnn.Dense(32, "tanh"), fnn.Dense(10, "softmax")]
    model = fnn.Sequential(layers, (8, 8))
    model.compile(optimizer, metrics="accuracy")
    rates = {"sgd": 0.1, "momentum": 0.02, "nesterov": 0.02, "adagrad": 0.05, "adadelta": 1.0}
    model.optimizer.learning_rate = rates.get(optimizer, 0.003)
    model.fit(X, y, epochs=10, verbose=0)
    assert model.evaluate(X_test, y_test)["accuracy"] > 0.93


def test_regression(backend):
    X = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    y = X @ [2.0, -3.0] + 1
    model = fnn.Sequential([fnn.Dense(1)], (2,), "float64")
    model.compile(fnn.Adam(0.05), "mse", ["r2", "mae"])
    history = model.fit(X, y, epochs=60, verbose=0)
    assert history["r2"][-1] > 0.9999 and history["mae"][-1] < 0.01
    assert_close(model.layers[0].weight[:, 0], [2, -3], 0.01)
    assert_close(model.layers[0].bias, [1], 0.01)


# ----------------------------------------------------------------------------------------- batches, order

@pytest.mark.parametrize("batch_size", [1, 7, 32, 99, 100, 1000])
def test_batches(combination, batch_size):
    """Steps taken one at a time over consecutive rows, the last short one included, are the epoch."""
    X, y = samples(100)
    whole, steps = small(combination.dtype), small(combination.dtype)
    history = whole.fit(X, y, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
    losses = [[], []]
    for epoch, start in ((e, s) for e in range(2) for s in range(0, 100, batch_size)):
        part = slice(start, start + batch_size)
        losses[epoch].append((steps.train_on_batch(X[part], y[part])["loss"], len(X[part])))
    assert_same_model(whole, steps)
    means = [sum(a * n for a, n in epoch) / 100 for epoch in losses]
    assert_close(history["loss"], means, 1e-14)
    assert whole.update_count == 2 * -(-100 // batch_size)


def test_a_batch_in_blocks(backend, monkeypatch):
    """A batch too large for the arena is run in blocks: the same losses, metrics and weights."""
    X, y = samples(300)
    once = small(metrics=["accuracy"])
    expected = once.fit(X, y, batch_size=130, epochs=2, verbose=0)
    blocks = small(metrics=["accuracy"])
    monkeypatch.setattr(type(blocks._compiled), "block_rows", lambda self, batch: min(batch, 48))
    got = blocks.fit(X, y, batch_size=130, epochs=2, verbose=0)
    for name in expected.history:
        assert_close(got[name], expected[name], rounding("float64", 300), name)
    assert_same_model(blocks, once, rounding("float64", 300))


@pytest.mark.slow
def test_a_huge_batch(backend):
    X, y = samples(20_000)
    model = small(optimizer=fnn.SGD(0.1))
    before = model.evaluate(X, y)["loss"]
    assert model.fit(X, y, batch_size=20_000, verbose=0)["loss"][0] == pytest.approx(before, rel=1e-12)


def test_seed_fixes_everything(backend):
    X, y = samples(100)
    models = [small(seed=seed) for seed in (1, 1, 2)]
    losses = [m.fit(X, y, epochs=3, verbose=0)["loss"] for m in models]
    assert losses[0] == losses[1] != losses[2]
    assert_same_model(models[0], models[1])
    again = small()
    for _ in range(3):
        again.fit(X, y, verbose=0)  # three epochs in three calls draw the same orders
    assert_same_model(again, models[0])


def test_shuffle_visits_every_row_in_a_new_order(backend):
    """A linear model without bias on one-hot rows: each step moves the weights of the rows in it."""
    model = fnn.Sequential([fnn.Dense(1, use_bias=False, kernel_initializer="zeros")], (40,), "float64")
    model.compile(fnn.SGD(1.0), "squared_error")
    orders = []

    class Watch(fnn.Callback):
        def on_epoch_begin(self, epoch, logs):
            model.layers[0].weight[...] = 0
            orders.append([])

        def on_batch_end(self, step, logs):
            orders[-1].append(tuple(np.flatnonzero(model.layers[0].weight)))

    model.fit(np.eye(40), np.ones(40), batch_size=4, epochs=3, callbacks=Watch(), verbose=0)
    for epoch in orders:
        assert [len(rows) for rows in epoch] == list(range(4, 41, 4))
    assert len({tuple(epoch) for epoch in orders}) == 3
    orders.clear()
    model.fit(np.eye(40), np.ones(40), batch_size=4, shuffle=False, callbacks=Watch(), verbose=0)
    assert orders == [[tuple(range(n)) for n in range(4, 41, 4)]]


# -------------------------------------------------------------------------------------------- validation

def test_validation_split_takes_the_last_rows(backend):
    X, y = samples(100)
    weight = np.linspace(0.5, 1.5, 100)
    split, data = small(metrics=["accuracy"]), small(metrics=["accuracy"])
    a = split.fit(X, y, validation_split=0.25, sample_weight=weight, epochs=2, verbose=0)
    b = data.fit(X[:75], y[:75], validation_data=(X[75:], y[75:], weight[75:]), sample_weight=weight[:75],
                 epochs=2, verbose=0)
    assert a.history == b.history
    assert_same_model(split, data)
    assert a["val_loss"][-1] == split.evaluate(X[75:], y[75:], sample_weight=weight[75:])["loss"]
    with pytest.raises(ValueError, match="both"):
        split.fit(X, y, validation_split=0.1, validation_data=(X, y), verbose=0)


def test_validation_changes_nothing(backend):
    X, y = samples(100)
    with_, without = small(), small()
    with_.fit(X[:80], y[:80], validation_data=(X[80:], y[80:]), epochs=2, verbose=0)
    without.fit(X[:80], y[:80], epochs=2, verbose=0)
    assert_same_model(with_, without)


# ---------------------------------------------------------------------------------------------- weights

def test_weights_stand_for_rows(backend):
    """Weight 0 is a row that is absent, weight 2 a row that is there twice; the scale does not matter."""
    X, y = samples(30)
    count = np.arange(30) % 3
    weighted, repeated, scaled = (small(optimizer=fnn.SGD(0.5)) for _ in range(3))
    for _ in range(5):
        loss = weighted.train_on_batch(X, y, sample_weight=count)["loss"]
        rows = np.repeat(np.arange(30), count)
        assert_close(repeated.train_on_batch(X[rows], y[rows])["loss"], loss, rounding("float64", 30))
        scaled.train_on_batch(X, y, 7.5 * count)
    assert_same_model(weighted, repeated, rounding("float64", 150))
    assert_same_model(weighted, scaled, rounding("float64", 150))


def test_weights_follow_their_rows(backend):
    """Shuffled, with a short last batch: the loss of the epoch is the weighted mean."""
    X, y = samples(50)
    weight = np.random.default_rng(0).random(50)
    model = small(optimizer=fnn.SGD(1e-12))  # weights that stay
    expected = model.evaluate(X, y, sample_weight=weight)["loss"]
    history = model.fit(X, y, batch_size=8, sample_weight=weight, epochs=2, verbose=0)
    assert_close(history["loss"], [expected] * 2, 1e-9)
    assert_same_bits(*[small().fit(X, y, sample_weight=w, verbose=0)["loss"][0] for w in (None, np.ones(50))])


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_of_weight_zero_moves_nothing(backend, shuffle):
    X, y = samples(40)
    weight = np.zeros(40)
    weight[20:24] = 1
    model, few = small(optimizer=fnn.SGD(0.5)), small(optimizer=fnn.SGD(0.5))
    history = model.fit(X, y, batch_size=4, sample_weight=weight, shuffle=shuffle, verbose=0)
    assert np.isfinite(history["loss"][0])
    if not shuffle:
        few.train_on_batch(X[20:24], y[20:24])
        assert_same_model(model, few)


def test_metrics_of_an_epoch_are_over_its_rows(backend):
    """Targets and outputs stand together, whatever the order."""
    X, y = samples(50)
    seen = []

    def correct(targets, outputs):
        seen.append((targets, outputs))
        return np.mean(outputs.argmax(1) == targets)

    model = small(optimizer=fnn.SGD(1e-12), metrics=[correct])
    history = model.fit(X, y, batch_size=8, verbose=0)
    assert history["correct"][0] == np.mean(model.predict(X).argmax(1) == y)
    assert sorted(seen[0][0]) == sorted(y) and seen[0][1].shape == (50, 3)


# --------------------------------------------------------------------------------------------- iterators

def test_iterators_of_batches(backend):
    X, y = samples(50)
    weight = np.linspace(0.5, 1, 50)
    parts = [slice(0, 20), slice(20, 25), slice(25, 50)]
    batches = [(X[p].tolist(), y[p], weight[p]) for p in parts]
    from_list, one_by_one = small(metrics=["accuracy"]), small()
    history = from_list.fit(batches, epochs=2, verbose=0)
    for p in parts * 2:
        one_by_one.train_on_batch(X[p], y[p], weight[p])
    assert_same_model(from_list, one_by_one)
    assert len(history) == 2 and set(history.history) == {"loss", "accuracy"}
    one_epoch = small()
    one_epoch.fit(((X[p], y[p]) for p in parts), verbose=0)
    assert one_epoch.update_count == 3
    with pytest.raises(ValueError, match="generator"):
        one_epoch.fit(((X[p], y[p]) for p in parts), epochs=2, verbose=0)
    with pytest.raises(TypeError, match="batch 0"):
        one_epoch.fit([X], verbose=0)
    with pytest.raises(TypeError, match="targets"):
        one_epoch.fit(X, verbose=0)


# --------------------------------------------------------------------------------------------- callbacks

class Record(fnn.Callback):
    def __init__(self, name, calls, batches=True):
        self.name, self.calls = name, calls
        if not batches:
            self.on_batch_end = fnn.Callback.on_batch_end

    def __getattribute__(self, attribute):
        if attribute.startswith("on_") and attribute != "on_progress":
            calls, name = object.__getattribute__(self, "calls"), object.__getattribute__(self, "name")
            return lambda *arguments: calls.append((name, attribute, *arguments[:-1]))
        return object.__getattribute__(self, attribute)

    def on_batch_end(self, step, logs):
        """Wanted."""


def test_callbacks_in_order(backend):
    X, y = samples(30)
    calls = []
    callbacks = [Record("a", calls), Record("b", calls)]
    model = small()
    model.fit(X, y, batch_size=16, epochs=2, callbacks=callbacks, verbose=0)
    expected = [("on_train_begin",)]
    for epoch in range(2):
        expected += [("on_epoch_begin", epoch), ("on_batch_end", 0), ("on_batch_end", 1),
                     ("on_epoch_end", epoch)]
    expected.append(("on_train_end",))
    assert calls == [(name, *call) for call in expected for name in "ab"]
    assert callbacks[0].model is model
    assert callbacks[0].params == {"epochs": 2, "steps": 2, "batch_size": 16, "rows": 30,
                                       "resumed": False}


def test_stop_training(backend):
    X, y = samples(64)

    def stop_after(number):
        return lambda step, logs: setattr(model, "stop_training", step == number)

    at_epoch = fnn.LambdaCallback(on_epoch_end=stop_after(2))
    at_step = fnn.LambdaCallback(on_batch_end=stop_after(1))
    model = small()
    assert len(model.fit(X, y, epochs=9, callbacks=at_epoch, verbose=0)) == 3
    model = small()
    assert len(model.fit(X, y, batch_size=16, epochs=9, callbacks=at_step, verbose=0)) == 1
    assert model.update_count == 2
    assert len(model.fit(X, y, epochs=2, verbose=0)) == 2  # a new fit goes on


def test_early_stopping_restores_the_best(backend):
    X, y = samples(60)
    model = small(optimizer=fnn.Adam(0.02))
    kept = []
    keep = fnn.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    stop = fnn.EarlyStopping(patience=3)
    history = model.fit(X, y, validation_split=0.5, epochs=200, callbacks=[keep, stop], verbose=0)
    best = int(np.argmin(history["val_loss"]))
    assert len(history) == best + 4 < 200 and stop.best == history["val_loss"][best]
    for a, b in zip(model.get_weights(), kept[best], strict=True):
        assert_same_bits(a, b)


def test_rates_are_set_between_steps(backend):
    """A learning rate that a callback sets, and one that is a function of the updates done."""
    X, y = samples(40)
    by_callback, by_function = small(optimizer=fnn.SGD(1.0)), small(optimizer=fnn.SGD(lambda n: 1 / (1 + n)))

    def lower(step, logs):
        by_callback.optimizer.learning_rate = 1 / (1 + by_callback.update_count)

    by_callback.fit(X, y, batch_size=8, epochs=2, callbacks=fnn.LambdaCallback(on_batch_end=lower), verbose=0)
    by_function.fit(X, y, batch_size=8, epochs=2, verbose=0)
    assert_same_model(by_callback, by_function)


# -------------------------------------------------------------------------------------------- Standardize

@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_standardize(backend, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal([0, 5, -1000, 3, 1e-3], [1, 10, 0.1, 0, 1e-6], (10_000, 5))
    X[:, 3] = 0.1
    y = rng.integers(0, 3, 10_000)
    model = fnn.Sequential([fnn.Standardize(), fnn.Dense(3, "softmax")], (5,), dtype)
    model.compile()
    model.fit(X[:9000], y[:9000], validation_split=0.1, verbose=0)
    train, state = X[:8100], model.state_dict()
    eps = np.finfo(dtype).eps
    assert_close(state["standardize.mean"], train.mean(0), 4 * eps * np.abs(train.mean(0)) + 1e-12, "mean")
    expected = 1 / np.where(np.arange(5) == 3, np.inf, train.std(0))
    assert_close(state["standardize.scale"], expected, 1e-11 * expected + 4 * eps * expected, "scale")
    z = ((X[9000:].astype(dtype) - state["standardize.mean"]) * state["standardize.scale"]).astype(np.float64)
    assert not z[:, 3].any()
    logits = z @ model.layers[1].weight + model.layers[1].bias
    e = np.exp(logits - logits.max(1, keepdims=True))
    assert_close(model.predict(X[9000:]), e / e.sum(1, keepdims=True), rounding(dtype, 60))
    model.fit(100 * X, y, verbose=0)  # the first training set's numbers stay
    assert_same_bits(model.state_dict()["standardize.mean"], state["standardize.mean"])


def test_standardize_for_all_features():
    X = np.random.default_rng(0).uniform(0, 16, (100, 4, 4)).round()
    X[:, 0] = 0
    layers = [fnn.Standardize(per_feature=False), fnn.Flatten(), fnn.Dense(2, "softmax")]
    model = fnn.Sequential(layers, (4, 4))
    model.compile()
    model.fit(X, np.arange(100) % 2, verbose=0)
    state = model.state_dict()
    assert_close(state["standardize.mean"], np.full(16, X.mean()), 1e-5)
    assert_close(state["standardize.scale"], np.full(16, 1 / X.std()), 1e-5)


# ------------------------------------------------------------------------------------------ mapped files

@pytest.mark.parametrize("code", ["<f4", "<f8", "u1", ">f4", ">f8", ">i2", "f2", "?"])
def test_memmaps(backend, code, tmp_path):
    """Rows and targets of any dtype in a file: the bits of the same rows in memory."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 2 if code == "?" else 100, (100, 20)).astype(code), rng.integers(0, 3, 100)
    mapped = np.memmap(tmp_path / "X", code, "w+", shape=X.shape)
    mapped[...] = X
    mapped.flush()
    rows = np.memmap(tmp_path / "y", "u1", "w+", shape=(100, 3))
    rows[...] = np.eye(3)[y]
    for targets, shuffle in ((y, True), (y, False), (rows, True), (rows, False)):
        from_file, from_memory = (small("float32", metrics=["accuracy"]) for _ in range(2))
        got = from_file.fit(np.memmap(tmp_path / "X", code, "r", shape=X.shape), targets, batch_size=16,
                            shuffle=shuffle, validation_split=0.2, epochs=2, verbose=0)
        expected = from_memory.fit(X.astype("f4"), np.array(targets), batch_size=16, shuffle=shuffle,
                                   validation_split=0.2, epochs=2, verbose=0)
        assert got.history == expected.history, f"shuffle {shuffle}, targets {targets.dtype}"
        assert_same_model(from_file, from_memory)
    assert_same_bits(from_file.predict(mapped), from_memory.predict(X.astype("f4")))
    assert from_file.evaluate(mapped, rows) == from_memory.evaluate(X.astype("f4"), np.array(rows))


def test_targets_in_a_file_beside_rows_in_memory(backend, tmp_path):
    """Rows that are read where they stand do not make the targets be."""
    X, y = samples(400, dtype="float32")
    for code in ("u1", "<f8", "<f4"):
        rows = np.memmap(tmp_path / "y", code, "w+", shape=(400, 3))
        rows[...] = np.eye(3)[y]
        model = small("float32", metrics=["accuracy"])
        assert model.evaluate(X, rows) == model.evaluate(X, np.array(rows))
        other = model.copy()
        got = model.fit(X, rows, shuffle=False, validation_data=(X, rows), verbose=0)
        assert got.history == other.fit(X, np.array(rows), shuffle=False, validation_data=(X, np.array(rows)),
                                        verbose=0).history, code
