"""History, callbacks and the progress bar, with a stand-in for the model and with a real one."""
import copy
import csv
import io
import math
import pickle
import sys
import time

import numpy as np
import pytest

import fastnn as fnn
from fastnn import progress
from fastnn.callbacks import (
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    ProgressBar,
)
from fastnn.history import History
from fastnn.metrics import Metric, resolve


class FakeModel:
    """What callbacks need of a model; its only weight counts epochs."""

    def __init__(self, metrics=()):
        self.metrics = [resolve(metric) for metric in metrics]
        self.weight, self.stop_training, self.saved = -1, False, []

    def state_dict(self):
        return {"w": self.weight}

    def load_state_dict(self, state):
        self.weight = state["w"]

    def save(self, path):
        self.saved.append(str(path))


def fit(callbacks, epochs, model=None, steps=4, rows=100, pause=0.0):
    """The protocol of fit: `epochs` are the logs of each."""
    model = model or FakeModel()
    callbacks = CallbackList(callbacks)
    model.stop_training = False
    callbacks.set_model(model)
    callbacks.set_params({"epochs": len(epochs), "steps": steps, "batch_size": rows and 32, "rows": rows})
    logs = {}
    try:
        callbacks.on_train_begin({})
        for epoch, logs in enumerate(epochs):
            callbacks.on_epoch_begin(epoch, {})
            for step in range(steps):
                time.sleep(pause)
                callbacks.on_progress(step + 1, {"loss": logs.get("loss", 0.5)})
            model.weight = epoch
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
    finally:
        callbacks.on_train_end(logs)
    return model


def epochs_of(name, values):
    return [{"loss": 1.0, name: value} for value in values]


class TestHistory:
    def test_append(self):
        history = History()
        assert len(history) == 0 and history.last() == {} and "loss" not in history
        history.append(0, {"loss": np.float32(0.5)})
        history.append(1, {"loss": 0.25, "val_loss": 0.75})
        history.append(2, {"val_loss": 0.5})
        assert history.epoch == [0, 1, 2] and len(history) == 3
        assert history["loss"][:2] == [0.5, 0.25] and math.isnan(history["loss"][2])
        assert math.isnan(history.history["val_loss"][0]) and history["val_loss"][1:] == [0.75, 0.5]
        assert all(type(value) is float for values in history.history.values() for value in values)
        assert history.last()["val_loss"] == 0.5

    def test_unknown_name(self):
        history = History()
        history.append(0, {"loss": 0.5})
        with pytest.raises(KeyError, match="'acc'; the history holds loss"):
            history["acc"]

    def test_repr_and_copies(self):
        history = History()
        assert repr(history) == "History of 0 epochs"
        history.append(0, {"loss": 0.5})
        assert repr(history) == "History of 1 epoch: loss 0.5000 -> 0.5000"
        for other in (pickle.loads(pickle.dumps(history)), copy.deepcopy(history)):
            other.append(1, {"loss": 0.25})
            assert other.epoch == [0, 1] and history.epoch == [0]


class TestCallbackList:
    def test_calls_all_in_order(self):
        calls = []
        names = ["on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_batch_end",
                 "on_progress"]

        class Recorder(Callback):
            def __init__(self, name):
                self.name = name

        for hook in names:
            setattr(Recorder, hook, lambda self, *args, hook=hook: calls.append((self.name, hook, args)))
        callbacks = CallbackList([Recorder("a"), Recorder("b")])
        for hook in names:
            getattr(callbacks, hook)(*([{}] if "train" in hook else [0, {}]))
        assert [call[:2] for call in calls] == [(name, hook) for hook in names for name in "ab"]

    def test_sets_model_and_params(self):
        callback, model = Callback(), FakeModel()
        fit([callback], [{"loss": 1.0}], model)
        assert callback.model is model and callback.params["rows"] == 100

    def test_wants_batches(self):
        class Batches(Callback):
            def on_batch_end(self, step, logs):
                pass

        assert not CallbackList([]).wants_batches
        assert not CallbackList([Callback(), EarlyStopping(), ProgressBar(), LambdaCallback()]).wants_batches
        assert CallbackList([Callback(), Batches()]).wants_batches
        assert CallbackList([LambdaCallback(on_batch_end=print)]).wants_batches

    @pytest.mark.parametrize(("wrong", "hint"), [(EarlyStopping, "parentheses"), (print, "LambdaCallback")])
    def test_refuses_what_is_no_callback(self, wrong, hint):
        with pytest.raises(TypeError, match=f"callbacks: expected fastnn.Callback objects.*{hint}"):
            CallbackList([wrong])

    def test_lambda_callback(self):
        seen = []
        fit([LambdaCallback(on_train_begin=lambda logs: seen.append("begin"),
                            on_epoch_end=lambda epoch, logs: seen.append((epoch, logs["loss"])),
                            on_train_end=lambda logs: seen.append("end"))], [{"loss": 1.0}, {"loss": 0.5}])
        assert seen == ["begin", (0, 1.0), (1, 0.5), "end"]
        with pytest.raises(TypeError, match="on_epoch_end: expected a function"):
            LambdaCallback(on_epoch_end=3)


class TestEarlyStopping:
    @pytest.mark.parametrize(("patience", "stopped"), [(0, 2), (1, 2), (2, 5), (9, None)])
    def test_patience_and_best_weights(self, patience, stopped):
        stop = EarlyStopping(patience=patience)
        model = fit([stop], epochs_of("val_loss", [0.9, 0.5, 0.6, 0.4, 0.7, 0.8, 0.9]))
        assert stop.stopped_epoch == stopped
        assert model.weight == stop.best_epoch == (1 if patience < 2 else 3)
        assert stop.best == (0.5 if patience < 2 else 0.4)

    def test_without_restoring(self):
        assert fit([EarlyStopping(restore_best=False)], epochs_of("val_loss", [0.5, 0.6])).weight == 1

    def test_min_delta_adds_up_from_the_best(self):
        stop = EarlyStopping(patience=2, min_delta=0.1)
        fit([stop], epochs_of("val_loss", [1.0, 0.95, 0.89, 0.85, 0.84]))
        assert stop.best == 0.89 and stop.stopped_epoch == 4

    @pytest.mark.parametrize(("monitor", "mode", "best"), [
        ("val_loss", "auto", 0), ("loss", "auto", 0), ("val_mae", "auto", 0), ("val_accuracy", "auto", 2),
        ("f1", "auto", 2), ("val_top_3_accuracy", "auto", 2), ("val_mine", "auto", 2), ("val_r2", "min", 0),
        ("val_loss", "max", 2), ("other_loss", "auto", 0),
    ])
    def test_mode(self, monitor, mode, best):
        model = FakeModel(["f1", "top_3_accuracy", Metric("mine", lambda t, y: 1, larger_is_better=True)])
        stop = EarlyStopping(monitor, patience=9, mode=mode)
        fit([stop], [{monitor: value} for value in (0.1, 0.2, 0.3)], model)
        assert stop.best_epoch == best

    def test_mode_of_a_users_function_must_be_said(self):
        def mine(targets, outputs):
            return 1.0

        with pytest.raises(ValueError, match="expected mode 'min' or 'max' for 'val_mine'"):
            fit([EarlyStopping("val_mine")], epochs_of("val_mine", [1.0]), FakeModel([mine]))
        fit([EarlyStopping("val_mine", mode="max")], epochs_of("val_mine", [1.0]), FakeModel([mine]))

    @pytest.mark.parametrize(("logs", "message"), [
        ({"loss": 1.0, "f1": 0.5}, "monitors 'val_loss', but the logs hold 'loss', 'f1'; give fit"),
        ({"loss": 1.0, "val_accuracy": 0.5}, "hold 'loss', 'val_accuracy'$"),
    ])
    def test_unknown_monitor(self, logs, message):
        with pytest.raises(ValueError, match=message):
            fit([EarlyStopping()], [logs])

    def test_nan_is_never_best(self):
        stop = EarlyStopping(patience=2)
        model = fit([stop], epochs_of("val_loss", [math.nan, 0.5, math.nan, math.nan]))
        assert stop.best_epoch == model.weight == 1 and stop.stopped_epoch == 3
        assert fit([EarlyStopping()], epochs_of("val_loss", [math.nan])).weight == 0

    def test_interrupted_training_gets_the_best_weights_too(self):
        def interrupt(epoch, logs):
            if epoch == 2:
                raise KeyboardInterrupt

        model = FakeModel()
        with pytest.raises(KeyboardInterrupt):
            fit([EarlyStopping(patience=9), LambdaCallback(on_epoch_end=interrupt)],
                epochs_of("val_loss", [0.5, 0.4, 0.6]), model)
        assert model.weight == 1

    def test_can_be_used_again(self):
        stop = EarlyStopping()
        fit([stop], epochs_of("val_loss", [0.1, 0.2]))
        model = fit([stop], epochs_of("val_loss", [0.9, 0.8]))
        assert stop.stopped_epoch is None and stop.best == 0.8 and model.weight == 1

    @pytest.mark.parametrize("settings", [{"patience": -1}, {"min_delta": -0.1}, {"mode": "up"},
                                          {"restore_best": "no"}, {"patience": 1.5}])
    def test_bad_settings(self, settings):
        with pytest.raises((ValueError, TypeError), match=next(iter(settings))):
            EarlyStopping(**settings)


class TestModelCheckpoint:
    def test_names_and_folders(self, tmp_path):
        path = tmp_path / "new" / "{epoch:02d}-{loss:.2f}"
        assert fit([ModelCheckpoint(path)], [{"loss": 0.5}, {"loss": 0.25}]).saved == \
            [str(tmp_path / "new" / name) for name in ("01-0.50", "02-0.25")]
        assert path.parent.is_dir()

    def test_best_only(self, tmp_path):
        path = str(tmp_path / "{epoch}")
        model = fit([ModelCheckpoint(path, "val_accuracy", save_best_only=True)],
                    epochs_of("val_accuracy", [0.5, 0.4, 0.6]))
        assert model.saved == [str(tmp_path / "1"), str(tmp_path / "3")]

    def test_errors(self, tmp_path):
        with pytest.raises(ValueError, match=r"path: expected \{epoch\} and names of the logs \(loss\)"):
            fit([ModelCheckpoint(tmp_path / "{val_loss}")], [{"loss": 0.5}])
        with pytest.raises(ValueError, match="ModelCheckpoint monitors 'val_loss'"):
            fit([ModelCheckpoint(tmp_path / "a", save_best_only=True)], [{"loss": 0.5}])


class TestCSVLogger:
    def read(self, path, **settings):
        with open(path, newline="") as file:
            return list(csv.reader(file, **settings))

    def test_lines(self, tmp_path):
        path, seen = tmp_path / "log.csv", []
        fit([CSVLogger(path), LambdaCallback(on_epoch_end=lambda *_: seen.append(len(self.read(path))))],
            [{"loss": 0.5, "f1": 1 / 3}, {"loss": 0.25}, {"loss": 0.125, "other": 1.0}])
        assert self.read(path) == [["epoch", "loss", "f1"], ["0", "0.5", str(1 / 3)], ["1", "0.25", ""],
                                   ["2", "0.125", ""]]
        assert seen == [2, 3, 4]  # each line is there as soon as its epoch is over

    def test_append(self, tmp_path):
        path = tmp_path / "log.csv"
        logger = CSVLogger(path, append=True, separator=";")
        fit([logger], [{"loss": 0.5, "f1": 0.75}])
        fit([logger], [{"f1": 0.5, "loss": 0.25}])
        assert self.read(path, delimiter=";")[1:] == [["0", "0.5", "0.75"], ["0", "0.25", "0.5"]]
        fit([CSVLogger(path)], [{"loss": 1.0}])
        assert self.read(path) == [["epoch", "loss"], ["0", "1.0"]]


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def screen(self):
        """What stays on the screen: the last thing drawn over each line."""
        lines = []
        for line in self.getvalue().replace("\x1b[A", "").split("\n"):
            cells = []
            for part in line.split("\r"):
                cells[:len(part)] = part
            lines.append("".join(cells).rstrip())
        return lines


@pytest.fixture(params=["tqdm", "plain"])
def bar_kind(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    else:
        pytest.importorskip("tqdm")
    monkeypatch.setattr(ProgressBar, "first_draw", 0.0)
    monkeypatch.setattr(ProgressBar, "redraw", 0.0)
    return request.param


class TestProgressBar:
    logs = [{"loss": 0.5, "val_accuracy": 0.75}, {"loss": 0.25, "val_accuracy": 0.875}]

    def test_lines_only_where_nothing_can_be_redrawn(self, capsys, bar_kind):
        fit([ProgressBar(1)], self.logs, pause=0.001)
        out, err = capsys.readouterr()
        lines = out.splitlines()
        assert len(lines) == 2 and "\r" not in out and not err
        assert lines[0].startswith("Epoch 1/2  loss 0.5000  val_accuracy 0.7500  ")
        assert lines[1].endswith(" rows/s")

    def test_terminal(self, monkeypatch, bar_kind):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        fit([ProgressBar(1)], self.logs, pause=0.001)
        drawn = terminal.getvalue()
        assert drawn.count("\r") > 4 and "Epoch 1/2" in drawn and "100%" in drawn
        screen = terminal.screen()
        assert [line[:24] for line in screen] == ["Epoch 1/2  loss 0.5000  ", "Epoch 2/2  loss 0.2500  ", ""]

    def test_ctrl_c_leaves_no_broken_bar(self, monkeypatch, bar_kind):
        terminal, bar = Terminal(), ProgressBar(1)
        monkeypatch.setattr(sys, "stdout", terminal)

        def interrupt(step, logs):
            if step == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fit([bar, LambdaCallback(on_progress=interrupt)], self.logs)
        assert "Epoch 1/2" in terminal.getvalue()
        assert terminal.screen() == [""] and bar.bar is None

    @pytest.mark.parametrize(("verbose", "n_lines"), [(0, 0), (2, 2)])
    def test_verbose(self, monkeypatch, bar_kind, verbose, n_lines):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        fit([ProgressBar(verbose)], self.logs)
        assert terminal.getvalue().count("\n") == n_lines and "\r" not in terminal.getvalue()

    def test_quick_epochs_have_no_bar(self, monkeypatch):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        fit([ProgressBar()], self.logs)
        assert "\r" not in terminal.getvalue()

    def test_drawing_is_throttled(self, monkeypatch):
        monkeypatch.setattr(ProgressBar, "first_draw", 0.0)
        drawn = []

        class Bar:
            show = staticmethod(lambda n, text: drawn.append(n))
            close = staticmethod(lambda: None)

        monkeypatch.setattr(progress, "make_bar", lambda *_: Bar)
        monkeypatch.setattr(sys, "stdout", Terminal())
        fit([ProgressBar()], [{"loss": 1.0}], steps=1000)
        assert 1 <= len(drawn) < 100

    def test_unknown_number_of_rows(self, monkeypatch, bar_kind):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        fit([ProgressBar()], self.logs, rows=None)
        assert "steps" in terminal.getvalue() and "rows" not in terminal.getvalue()

    def test_without_a_stdout(self, monkeypatch):
        monkeypatch.setattr(sys, "stdout", None)
        fit([ProgressBar()], self.logs)

    def test_bad_verbose(self):
        with pytest.raises(ValueError, match="verbose: expected 0, 1 or 2, got 3"):
            ProgressBar(3)

    @pytest.mark.parametrize(("value", "text"), [
        (0, "0.0000"), (0.12345, "0.1235"), (12.5, "12.5000"), (3e-5, "3.00e-05"), (-1e7, "-1.00e+07"),
        (math.nan, "nan"), (math.inf, "inf"),
    ])
    def test_values(self, value, text):
        assert progress.format_value(value) == text


class TestWithAModel:
    @pytest.fixture
    def data(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(120, 3))
        return X, (X[:, 0] * X[:, 1] > 0).astype(int)

    @pytest.fixture
    def model(self):
        model = fnn.Sequential([fnn.Dense(8, "tanh"), fnn.Dense(2, "softmax")], input_shape=(3,), seed=0)
        model.compile(fnn.Adam(0.05), metrics=["accuracy"])
        return model

    def test_early_stopping_gives_the_best_epochs_weights(self, model, data):
        (X, y), stop = data, EarlyStopping(patience=3)
        held_out = X[80:], np.random.default_rng(1).integers(0, 2, 40)  # nothing can be learnt about these
        history = model.fit(X[:80], y[:80], epochs=200, validation_data=held_out, callbacks=[stop], verbose=0)
        assert len(history) == stop.stopped_epoch + 1 < 200
        assert model.evaluate(*held_out)["loss"] == min(history["val_loss"]) == stop.best

    def test_batches_and_stopping(self, model, data):
        steps = []
        model.fit(*data, batch_size=50, epochs=2, verbose=0,
                  callbacks=LambdaCallback(on_batch_end=lambda step, logs: steps.append((step, *logs))))
        assert steps == [(0, "loss"), (1, "loss"), (2, "loss")] * 2

    def test_files(self, model, data, tmp_path):
        history = model.fit(*data, epochs=3, validation_split=0.2, verbose=0, callbacks=[
            CSVLogger(tmp_path / "log.csv"), ModelCheckpoint(tmp_path / "model-{epoch}.safetensors")])
        with open(tmp_path / "log.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [float(row["val_accuracy"]) for row in rows] == history["val_accuracy"]
        np.testing.assert_array_equal(fnn.load(tmp_path / "model-3.safetensors").predict(data[0]),
                                      model.predict(data[0]))

    def test_lines(self, model, data, capsys):
        model.fit(*data, epochs=2, validation_split=0.2)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2
        for name in ("loss ", "accuracy ", "val_loss ", "val_accuracy ", " rows/s"):
            assert name in lines[1]
