"""Checkpoints: a training that stops anywhere and goes on ends with the bits of one that never stopped."""
import os
import resource
import signal
import warnings

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn import bundles
from fastnn.io import atomic
from fastnn.optimizers import OPTIMIZERS

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 4)), RNG.integers(0, 3, 50)
WEIGHT = RNG.uniform(0.5, 2.0, 50)


class Stopped(Exception):
    pass


class StopAt(fnn.Callback):
    """Ends a training the hard way after a step of an epoch, or after an epoch (step None)."""

    def __init__(self, epoch, step=None):
        self.at, self.epoch = (epoch, step), 0
        if step is not None:
            self.on_batch_end = self._after_step

    def on_epoch_begin(self, epoch, logs):
        self.epoch = epoch

    def _after_step(self, step, logs):
        if (self.epoch, step) == self.at:
            raise Stopped

    def on_epoch_end(self, epoch, logs):
        if (epoch, None) == self.at:
            raise Stopped


def classifier(optimizer="adam", dtype="float32", metrics=("accuracy",), seed=3):
    layers = [fnn.Standardize(), fnn.Dense(6, "tanh", kernel_regularizer="l2"), fnn.Dropout(0.3),
              fnn.Dense(3, "softmax")]
    model = fnn.Sequential(layers, (4,), dtype, seed)
    model.compile(optimizer, metrics=list(metrics))
    return model


def same_training(a, b):
    """Weights, optimizer state, counts and history, bit for bit."""
    assert a.history.history == b.history.history and a.history.epoch == b.history.epoch
    assert (a.update_count, a.shuffles) == (b.update_count, b.shuffles)
    for mine, its in ((a.state_dict(), b.state_dict()),
                      *zip(a._numbers.states(), b._numbers.states(), strict=True)):
        for name, value in mine.items():
            assert_same_bits(its[name], value, name)


def interrupted(folder, at, make=classifier, data=(X, Y), callbacks=lambda: [], **settings):
    """A model and its callbacks: trained to `at`, stopped, and gone on with by another model."""
    settings = {"verbose": 0, "batch_size": 8, "epochs": 4, "checkpoint": folder, **settings}
    with pytest.raises(Stopped):
        make().fit(*data, callbacks=[*callbacks(), StopAt(*at)], **settings)
    model, again = make(), callbacks()
    model.fit(*data, callbacks=again, **settings, resume=True)
    return model, again


def whole(make=classifier, data=(X, Y), callbacks=lambda: [], **settings):
    model, given = make(), callbacks()
    model.fit(*data, callbacks=given, **{"verbose": 0, "batch_size": 8, "epochs": 4, **settings})
    return model, given


@pytest.fixture(autouse=True)
def nothing_left_over(monkeypatch):
    """Outputs that metrics gather begin as NaN, not as what freed memory holds: those of another training."""
    empty = fnn.Model._empty_outputs

    def spoilt(self, X):
        outputs = empty(self, X)
        for array in bundles.parts(outputs):
            array.fill(np.nan)
        return outputs
    monkeypatch.setattr(fnn.Model, "_empty_outputs", spoilt)


PLACES = [(0,), (2,), (3,), (0, 1), (1, 0), (2, 3), (3, 4)]  # after an epoch, or after a step of it, of 5


@pytest.mark.parametrize("at", PLACES, ids=str)
def test_stopped_anywhere(backend, at, tmp_path):
    model, _ = interrupted(tmp_path, at, checkpoint_every=2, validation_split=0.2)
    same_training(model, whole(validation_split=0.2)[0])


WAYS = {
    "no shuffle": {"shuffle": False}, "weights": {"sample_weight": WEIGHT},
    "class weights": {"class_weight": "balanced"}, "one batch": {"batch_size": 50},
    "validation data": {"validation_data": (X[:9], Y[:9], WEIGHT[:9])}, "every step": {"checkpoint_every": 1},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", [(1,), (2, 0)], ids=str)
def test_arguments_of_fit(way, at, tmp_path):
    settings = WAYS[way]
    model, _ = interrupted(tmp_path, at, **{"checkpoint_every": 3, **settings})
    settings = {name: value for name, value in settings.items() if name != "checkpoint_every"}
    same_training(model, whole(**settings)[0])


class Batches:
    def __iter__(self):
        return ((X[i:i + 9], Y[i:i + 9], WEIGHT[i:i + 9]) for i in range(0, 50, 9))


@pytest.mark.parametrize("at", [(1,), (0, 2), (2, 5)], ids=str)
def test_batches(at, tmp_path):
    model, _ = interrupted(tmp_path, at, data=(Batches(),), checkpoint_every=2)
    same_training(model, whole(data=(Batches(),))[0])


@pytest.mark.parametrize("kind", [np.float32, np.uint8, np.float16])
def test_kinds_of_rows(kind, tmp_path):
    """Those that the core reads where they stand, and those that are converted first."""
    data = (np.abs(X * 10).astype(kind), Y)
    model, _ = interrupted(tmp_path, (1, 3), data=data, checkpoint_every=2)
    same_training(model, whole(data=data)[0])


RATES = {"schedule": lambda: fnn.SGD(fnn.WarmUp(fnn.CosineDecay(0.1, total=20), updates=5)),
         "one cycle": lambda: fnn.Momentum(fnn.OneCycle(0.1, total=28)),
         "a function": lambda: fnn.SGD(lambda update: 0.1 / (1 + update))}


@pytest.mark.parametrize("name", [*OPTIMIZERS, *RATES])
def test_every_optimizer(name, tmp_path):
    def make():
        return classifier(RATES[name]() if name in RATES else OPTIMIZERS[name](weight_decay=0.01))
    model, _ = interrupted(tmp_path, (1, 4), make, checkpoint_every=2)
    same_training(model, whole(make)[0])


@pytest.mark.parametrize("at", [(0, 4), (2,), (3, 2), (4, 0), (4,)], ids=str)
def test_callbacks_go_on(at, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def callbacks():
        return [fnn.EarlyStopping("val_accuracy", patience=4), fnn.EMA(0.9, at_end=False),
                fnn.ReduceOnPlateau("loss", 0.5, patience=1, min_delta=0.05), fnn.SWA(2, at_end=False),
                fnn.CSVLogger("log.csv"),
                fnn.ModelCheckpoint("best", "val_accuracy", save_best_only=True)]

    settings = {"callbacks": callbacks, "epochs": 9, "validation_split": 0.2}
    expected, its = whole(**settings)
    lines, best = open("log.csv").read(), open("best", "rb").read()
    os.unlink("best")
    model, mine = interrupted("run", at, checkpoint_every=2, **settings)
    same_training(model, expected)
    for a, b in zip(mine, its, strict=True):
        for name in a.state_names:
            np.testing.assert_equal(getattr(a, name), getattr(b, name), f"{type(a).__name__}.{name}")
    assert open("log.csv").read() == lines and open("best", "rb").read() == best
    assert len(mine[2].rates) == len(model.history) and mine[2].rates[-1] < mine[2].rates[0]


def test_a_callback_of_yours(tmp_path):
    class Gather(fnn.Callback):
        state_names = ("seen", "where")

        def on_train_begin(self, logs):
            self.seen, self.where = [], {}

        def on_epoch_begin(self, epoch, logs):
            self.seen.append(("begin", epoch, np.float32(0.5)))

        def on_batch_end(self, step, logs):
            self.seen.append((step, logs["loss"]))
            self.where[step] = np.arange(step)

    _, (mine,) = interrupted(tmp_path, (1, 3), callbacks=lambda: [Gather()], checkpoint_every=2)
    _, (its,) = whole(callbacks=lambda: [Gather()])
    np.testing.assert_equal(mine.state(), its.state())
    assert mine.seen == its.seen and type(mine.seen[0]) is tuple


def test_a_training_that_was_over(tmp_path):
    """Stopped early or at its last epoch: nothing is trained, the best weights come back all the same."""
    def callbacks():
        return [fnn.EarlyStopping("loss", patience=1, min_delta=10.0)]
    settings = {"callbacks": callbacks, "checkpoint": tmp_path, "epochs": 9}
    expected, _ = whole(**settings)
    model, (stopping,) = whole(**settings, resume=True)
    same_training(model, expected)
    assert stopping.stopped_epoch == 1 and len(model.history) == 2


class StopsWithin(fnn.Callback):
    """Asks for the end after the first step of epoch 1, which fit heeds after the epoch; then fails, if told to."""

    def __init__(self, fails):
        self.fails = fails

    def on_epoch_begin(self, epoch, logs):
        self.epoch = epoch

    def on_progress(self, step, logs):
        if self.epoch == 1:
            self.model.stop_training |= step == 1
            if step == 4 and self.fails:
                raise Stopped


def test_an_end_that_was_asked_for_within_the_epoch(tmp_path):
    with pytest.raises(Stopped):
        whole(callbacks=lambda: [StopsWithin(True)], checkpoint=tmp_path, checkpoint_every=1)
    model, _ = whole(checkpoint=tmp_path, checkpoint_every=1, resume=True)
    assert model.history.epoch == [0, 1]


def test_the_best_stays_the_best(tmp_path):
    """Of the epochs before the stop, too."""
    checkpoint = fnn.Checkpoint(tmp_path, monitor="loss", mode="max")
    whole(lambda: classifier(fnn.SGD(0.3)), checkpoint=checkpoint, epochs=2)
    model, _ = whole(lambda: classifier(fnn.SGD(0.3)), checkpoint=checkpoint, epochs=4, resume=True)
    losses = model.history["loss"]
    assert losses[0] == max(losses), "the first epoch was to be the best by far"
    assert fnn.load(tmp_path / "best.safetensors").history.epoch == [0]


def test_more_epochs(tmp_path):
    whole(checkpoint=tmp_path, epochs=2)
    model, _ = whole(checkpoint=tmp_path, epochs=5, resume=True)
    same_training(model, whole(epochs=5)[0])


def test_functions_of_yours_go_on(tmp_path):
    def loss(output, target):
        return ((output - target) ** 2).sum(axis=1), 2 * (output - target)

    def make():
        model = fnn.Sequential([fnn.Dense(4, (np.sin, np.cos)), fnn.Dense(1)], (4,))
        model.compile("adam", loss, metrics=[lambda t, y: float(np.abs(t - y).max())])
        return model
    model, _ = interrupted(tmp_path, (1, 3), make, (X, X[:, :1]), checkpoint_every=2)
    same_training(model, whole(make, (X, X[:, :1]))[0])
    with pytest.raises(fnn.ModelFileError, match="layer 'dense': its activation is a Python function"):
        fnn.load(tmp_path / "best.safetensors")


# ---- which files there are ----


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_the_last_few_and_the_best(tmp_path):
    checkpoint = fnn.Checkpoint(tmp_path, every=3, keep=2, monitor="val_accuracy")
    model, _ = whole(checkpoint=checkpoint, epochs=6, validation_split=0.2)
    assert names(tmp_path) == ["best.safetensors", "checkpoint-000000000028.safetensors",
                               "checkpoint-000000000030.safetensors"]
    best = fnn.load(tmp_path / "best.safetensors")
    scores = model.history["val_accuracy"]
    assert len(best.history) == 1 + scores.index(max(scores))
    assert best.evaluate(X[40:], Y[40:])["accuracy"] == max(scores)
    last = fnn.load(tmp_path / "checkpoint-000000000030.safetensors")
    same_training(last, model)


def test_going_on_from_further_back(tmp_path):
    expected, _ = whole(checkpoint=fnn.Checkpoint(tmp_path, keep=9))
    model, _ = whole(checkpoint=tmp_path, resume=tmp_path / "checkpoint-000000000014.safetensors", epochs=3)
    assert names(tmp_path)[1:] == [f"checkpoint-{n:012d}.safetensors" for n in (7, 14, 21)]
    model, _ = whole(checkpoint=tmp_path / "other", resume=tmp_path)
    same_training(model, expected)
    assert names(tmp_path / "other") == ["best.safetensors", "checkpoint-000000000028.safetensors"]


def test_unfinished_files_are_removed(tmp_path):
    whole(checkpoint=tmp_path)
    before = names(tmp_path)
    for name in ("checkpoint-000000000009.safetensors.7-8.partial", "best.safetensors.7-8.partial"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "mine.partial").write_bytes(b"stays")
    whole(checkpoint=tmp_path, resume=True)
    assert names(tmp_path) == [*before, "mine.partial"]


def test_damaged_ones_are_passed_over(tmp_path):
    expected, _ = whole(checkpoint=tmp_path)
    for name in names(tmp_path)[2:]:
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-3])
    with pytest.warns(UserWarning, match="cut short; going on from the checkpoint before it"):
        model, _ = whole(checkpoint=tmp_path, resume=True)
    same_training(model, expected)
    for name in names(tmp_path):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(fnn.ModelFileError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole(checkpoint=tmp_path, resume=True)


# ---- errors ----


@pytest.mark.parametrize("settings, error, words", [
    ({"checkpoint_every": 3}, ValueError, "checkpoint_every: expected with checkpoint"),
    ({"checkpoint": "run", "checkpoint_every": 0}, ValueError, "checkpoint_every"),
    pytest.param({"checkpoint": fnn.Checkpoint("run"), "checkpoint_every": 3}, ValueError, "Checkpoint has its own",
                 id="checkpoint_every twice"),
    ({"checkpoint": True}, TypeError, "expected a folder or a fastnn.Checkpoint, got True"),
    ({"resume": True}, ValueError, "True together with checkpoint"),
    ({"resume": 3}, TypeError, "expected a folder, a checkpoint file or True, got 3"),
    ({"resume": "nothing"}, FileNotFoundError, "nothing"),
    ({"resume": "empty"}, FileNotFoundError, "expected checkpoints in 'empty', found none"),
    ({"resume": "model"}, fnn.ModelFileError, "holds a model, expected a checkpoint"),
], ids=str)
def test_arguments(settings, error, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("empty")
    classifier().save("model")
    with pytest.raises(error, match=words):
        whole(**settings)


def test_a_folder_in_use(tmp_path):
    whole(checkpoint=tmp_path)
    with pytest.raises(ValueError, match="holds checkpoints of another training; .* resume=True"):
        whole(checkpoint=tmp_path)
    os.mkdir(tmp_path / "other")
    whole(checkpoint=tmp_path / "other")
    with pytest.raises(ValueError, match="holds checkpoints of another"):
        whole(checkpoint=tmp_path / "other", resume=tmp_path)


@pytest.mark.parametrize("change, words", [
    ({"batch_size": 9}, "batch_size, 8 there and 9 here"), ({"shuffle": False}, "shuffle, True there"),
    ({"data": (X + 1, Y)}, "not the same: X, "), ({"data": (X, Y[::-1].copy())}, "same: y, "),
    ({"data": (X[:49], Y[:49])}, "same: X,.* y,"), ({"sample_weight": WEIGHT}, "same: weight, None there"),
    ({"validation_split": 0.1}, "X,.*validation, None there"),
    ({"make": lambda: classifier(seed=4)}, "same: layers, "),
    ({"make": lambda: classifier(dtype="float64")}, "same: layers, "),
    ({"make": lambda: classifier("sgd")}, "optimizer, .*Adam.* there and .*SGD.* here"),
    ({"make": lambda: classifier(fnn.Adam(0.5))}, "learning_rate, 0.001 there and 0.5 here"),
    ({"make": lambda: classifier(metrics=[])}, "metrics, "),
    ({"callbacks": lambda: []}, "callbacks: expected .* EarlyStopping; there is none to take"),
    ({"data": (Batches(),)}, "batches, None there and True here"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_another_training_is_refused(change, words, tmp_path):
    def callbacks():
        return [fnn.EarlyStopping("loss", patience=9)]
    whole(checkpoint=tmp_path, callbacks=callbacks, epochs=2)
    with pytest.raises(ValueError, match=words):
        whole(**{"callbacks": callbacks, **change}, checkpoint=tmp_path, resume=True)


def test_another_backend_is_told(tmp_path, native):
    whole(checkpoint=tmp_path, epochs=2)
    with fnn.use_backend("numpy"), pytest.warns(UserWarning, match="native .* here is numpy.* by rounding"):
        whole(checkpoint=tmp_path, resume=True)


# ---- the disk ----


def test_a_full_disk(tmp_path):
    """fit says so, and the checkpoints that were there are whole: the training goes on from them."""
    whole(checkpoint=tmp_path, epochs=2)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            whole(checkpoint=tmp_path, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    same_training(whole(checkpoint=tmp_path, resume=True)[0], whole()[0])


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("nth", range(1, 6))
def test_a_disk_that_fails(tmp_path, monkeypatch, call, nth):
    """At the n-th fsync or rename; then the training goes on."""
    count, original = 0, getattr(os, call)

    def fail(*arguments):
        nonlocal count
        count += 1
        if count == nth:
            raise OSError(28, "No space left on device")
        return original(*arguments)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(atomic.os, call, fail)
        whole(checkpoint=tmp_path)
    assert not any(name.endswith(".partial") for name in names(tmp_path))
    same_training(whole(checkpoint=tmp_path, resume=True)[0], whole()[0])


def test_what_diverged_is_not_kept(tmp_path):
    model = classifier(fnn.SGD(1e30))
    with pytest.raises(FloatingPointError):
        model.fit(X, Y, batch_size=8, epochs=9, verbose=0, checkpoint=tmp_path, checkpoint_every=1)
    for name in names(tmp_path):
        for value in fnn.load(tmp_path / name).state_dict().values():
            assert np.isfinite(value).all()
