"""Reports: every section says what the numbers are; each missing one says why; nothing of others gets through."""
import copy
import gc
import pickle
import re
import subprocess
import sys
import time
import weakref

import numpy as np
import pytest

import fastnn as fnn
from fastnn import metrics, profiling
from fastnn.report import write_report
from pages import check_page
from reports import (  # noqa: F401  (a fixture)
    X_TEST,
    Y_TEST,
    X,
    Y,
    classifier,
    figures,
    missing,
    network,
    outcome,
    quick,
    report,
    table_data,
)

HOSTILE = '<script>alert("1")</script> & \'$\\frac\x00'


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """(model, history, page) of a training with validation, judged by test images."""
    model = classifier(optimizer=fnn.Adam(fnn.CosineDecay(5e-3, total=400)))
    history = model.fit(X, Y, epochs=6, validation_split=0.2, verbose=0)
    path = tmp_path_factory.mktemp("report") / "digits.html"
    return model, history, report(history, path, X_TEST, Y_TEST, data_name="test images", title="Digits")


class TestClassifier:
    def test_numbers_are_evaluates(self, digits):
        model, _, page = digits
        expected = model.evaluate(X_TEST, Y_TEST)
        found = figures(page)
        assert {name: found[name] for name in expected} == expected
        rows = page.by_id("results").parent.all("data")
        for i, (name, value) in enumerate(expected.items()):
            assert float(rows[4 * i].attributes["value"]) == value, name

    def test_outcome_says_it_in_a_sentence(self, digits):
        model, history, page = digits
        right = int((model.predict(X_TEST).argmax(1) == Y_TEST).sum())
        best = int(np.argmin(history["val_loss"])) + 1
        text = outcome(page)
        assert text.startswith(f"On {len(X_TEST)} test images the network gets {right} of {len(X_TEST)} right (")
        assert f"The validation loss was lowest after epoch {best} of 6." in text
        assert "The doctor found nothing wrong." in text and "seen them all" not in text
        assert page.one("h1").text == "Digits"

    def test_sections(self, digits):
        page = digits[2]
        assert [s.attributes["aria-labelledby"] for s in page.all("section")] == [
            "curves", "doctor", "layers", "classes", "profile", "settings", "environment"]
        assert missing(page) == []
        assert len(page.source.encode()) < 400_000

    def test_confusion_matrix(self, digits):
        model, _, page = digits
        said = model.predict(X_TEST).argmax(1)
        counts = np.zeros((10, 10), int)
        np.add.at(counts, (Y_TEST, said), 1)
        header, *rows, last = page.table("matrix")
        assert header == ["true \\ predicted", *map(str, range(10)), "in all"]
        assert [[int(n) for n in row[1:]] for row in rows] == [[*line, line.sum()] for line in counts]
        assert [int(n) for n in last[1:]] == [*counts.sum(0), len(Y_TEST)]

    def test_each_class(self, digits):
        model, _, page = digits
        outputs = model.predict(X_TEST)
        *_, mean = page.table("each")
        assert mean[0] == "mean of 10" and mean[1] == mean[2] == str(len(Y_TEST))
        expected = [metric(Y_TEST, outputs) for metric in (metrics.precision, metrics.recall, metrics.f1)]
        assert mean[3:] == [f"{value:.2%}" for value in expected]
        row = page.table("each")[4]  # the header, 0, 1, 2, 3
        three = [metric((Y_TEST == 3).astype(int), (outputs.argmax(1) == 3).astype(float))
                 for metric in (metrics.precision, metrics.recall, metrics.f1)]
        assert row[:2] == ["3", str((Y_TEST == 3).sum())]
        assert row[3:] == [f"{value:.2%}".replace("100.00%", "100%") for value in three]

    def test_worst_errors_are_images(self, digits):
        model, _, page = digits
        outputs = model.predict(X_TEST)
        wrong = np.flatnonzero(outputs.argmax(1) != Y_TEST)
        order = wrong[np.argsort(outputs[wrong, Y_TEST[wrong]], kind="stable")][:24]
        images = page.one("ul", "images").all("img")
        assert [int(re.match(r"row (\d+): a (\d) that was taken for (\d)", i.attributes["alt"])[1])
                for i in images] == order.tolist()
        assert all(image.attributes["src"].startswith("data:image/png;base64,") for image in images)

    def test_curves_and_layers(self, digits):
        model, history, page = digits
        captions = [c.text for c in page.section("curves").all("figcaption")]
        assert [c.split(":")[0] for c in captions] == ["Loss", "Accuracy", "F1", "Learning rate"]
        rows = page.table("epochs")
        assert rows[0] == ["epoch", *(name.replace("_", " ") for name in history.history)] and len(rows) == 7
        assert sum("(best)" in row[0] for row in rows) == 1
        assert [row[0] for row in page.table("architecture")[1:]] == [
            "flatten (Flatten)", "standardize (Standardize)", "dense (Dense)", "dense_1 (Dense)", "total"]
        inside = {row[0]: row for row in page.table("inside")[1:]}
        assert inside["dense"][1] == "relu" and inside["dense_1"][1] == "softmax"
        measured = fnn.diagnose(model, X[:1151], Y[:1151], history=history).measurements[0].layers[0]
        assert inside["dense"][6] == f"{measured.gradient:.2e}" and inside["dense"][8] == f"{measured.weight_std:.3g}"

    def test_calibration(self, digits):
        model, _, page = digits
        outputs = model.predict(X_TEST).astype(np.float64)
        sure, right = outputs.max(1), outputs.argmax(1) == Y_TEST
        rows = page.table("sure")[1:]
        assert sum(int(row[2].replace(",", "")) for row in rows) == len(Y_TEST)
        top = sure >= 0.9
        assert rows[-1] == [f"{sure[top].mean():.1%}", f"{right[top].mean():.1%}", str(top.sum())]

    def test_settings_and_profile(self, digits):
        model, history, page = digits
        chosen = dict(row for row in page.table("choices")[1:])
        assert chosen["batch size"] == "32" and chosen["epochs"] == "6 of 6 asked for"
        assert chosen["optimizer"] == repr(model.optimizer) and chosen["rows trained on"] == "1,151"
        assert chosen["validation rows"] == "287" and chosen["updates so far"] == str(model.update_count)
        ops = [row[0] for row in page.table("ops")[1:]]
        assert "dense: dense_forward" in ops and "input: gather" in ops
        assert dict(page.table("machine")[1:])["fastnn"] == fnn.__version__

    def test_profile_takes_no_longer_for_more_rows(self):
        """Of however many steps there are, as many are taken as fit into the time."""
        taken = []

        class Run:
            def execute(self, first, last):
                taken.append(last - first)
                time.sleep(0.001 * (last - first))

        _, done = profiling._measure(Run(), 100_000, 0.02)
        assert done == sum(taken) <= 64 and taken[:4] == [1, 1, 2, 4]

    def test_same_but_for_times(self, digits, tmp_path, monkeypatch):
        """What is not measured in seconds is the same each time."""
        monkeypatch.undo()  # pictures too
        _, history, page = digits
        again = report(history, tmp_path / "again.html", X_TEST, Y_TEST, data_name="test images", title="Digits")
        for name in ("curves", "doctor", "layers", "classes"):
            texts = [re.search(f'<section aria-labelledby="{name}">.*?</section>', p.source, re.DOTALL)[0]
                     for p in (page, again)]
            assert texts[0] == texts[1], name

    def test_model_stays_as_it_is(self, tmp_path):
        model = classifier()
        history = model.fit(X[:300], Y[:300], epochs=1, verbose=0)
        before = model.snapshot()
        history.report(tmp_path / "r.html")
        after = model.snapshot()
        for name, array in before["arrays"].items():
            np.testing.assert_array_equal(after["arrays"][name], array)
        assert (before["update_count"], before["shuffles"]) == (after["update_count"], after["shuffles"])
        assert model.fit(X[:300], Y[:300], epochs=1, verbose=0).history == copy.deepcopy(
            _trained_twice(X[:300], Y[:300])).history


def _trained_twice(X, y):
    model = classifier()
    model.fit(X, y, epochs=1, verbose=0)
    return model.fit(X, y, epochs=1, verbose=0)


class TestWhatItIsOf:
    def test_validation_rows_by_default(self, tmp_path):
        model = classifier()
        history = model.fit(X, Y, epochs=1, validation_data=(X_TEST, Y_TEST), verbose=0)
        page = report(history, tmp_path / "r.html")
        assert outcome(page).startswith(f"On {len(X_TEST)} validation rows ")
        assert figures(page)["loss"] == model.evaluate(X_TEST, Y_TEST)["loss"] == history["val_loss"][-1]

    def test_training_rows_where_there_is_nothing_else(self, tmp_path):
        history = classifier().fit(X[:200], Y[:200], epochs=1, verbose=0)
        assert "On 200 training rows" in (text := outcome(report(history, tmp_path / "r.html")))
        assert "It has seen them all in training, so this says little of new rows." in text

    def test_history_keeps_the_model_alive(self, tmp_path):
        """A function may return the history alone."""
        history = (lambda: classifier().fit(X[:100], Y[:100], epochs=1, verbose=0))()
        gc.collect()
        assert "On 100 training rows" in outcome(report(history, tmp_path / "r.html"))

    def test_nothing_is_kept_in_a_circle(self):
        """Models go when nobody holds them, without the collector."""
        model = classifier()
        history, gone = model.fit(X[:100], Y[:100], epochs=1, verbose=0), weakref.ref(model)
        gc.disable()
        try:
            del model
            assert gone() is history.trained.model
            del history
            assert gone() is None
        finally:
            gc.enable()

    def test_class_weights_are_for_training(self, tmp_path):
        model = classifier()
        history = model.fit(X[:200], Y[:200], epochs=1, verbose=0, class_weight=dict.fromkeys(range(5), 9.0))
        assert figures(report(history, tmp_path / "r.html"))["loss"] == model.evaluate(X[:200], Y[:200])["loss"]

    def test_model_keeps_no_rows_alive(self):
        model, rows = classifier(), X[:100].copy()
        gone = weakref.ref(rows)
        history = model.fit(rows, Y[:100], epochs=1, verbose=0)
        assert history.trained.rows[0] is rows and model.history is history
        del rows, history
        gc.collect()
        assert gone() is None and len(model.history) == 1

    def test_history_of_a_model_that_is_gone(self, tmp_path):
        history = pickle.loads(pickle.dumps(classifier().fit(X[:100], Y[:100], epochs=1, verbose=0)))
        with pytest.raises(RuntimeError, match=r"belongs to no model.*write_report\(model, path, history=history\)"):
            history.report(tmp_path / "r.html")
        assert history.settings["batch_size"] == 32

    def test_copies_and_pickles_hold_no_rows(self):
        history = classifier().fit(X, Y, epochs=1, verbose=0)
        for other in (copy.copy(history), copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
            assert other.trained is None and other.history == history.history and other.seconds == history.seconds
        assert len(pickle.dumps(history)) < 2000

    def test_loaded_model(self, tmp_path):
        """Has its curves; the settings of the run and the rows are not in the file."""
        model = classifier()
        model.fit(X, Y, epochs=3, verbose=0)
        model.save(tmp_path / "m.safetensors")
        loaded = fnn.load(tmp_path / "m.safetensors")
        page = report(loaded.history, tmp_path / "r.html")
        assert len(page.section("curves").all("figure")) == 3
        assert "cannot be said here: there are no rows to judge the model by; give X and y." in outcome(page)
        assert len(missing(page)) == 4 and all("give X and y" in reason for reason in missing(page))
        assert "not known: the history is from a file" in dict(page.table("choices")[1:])["batch size"]
        page = report(loaded.history, tmp_path / "r.html", X_TEST, Y_TEST)
        assert missing(page) == [] and figures(page)["accuracy"] == model.evaluate(X_TEST, Y_TEST)["accuracy"]
        assert outcome(page).startswith("On 359 rows given ")

    def test_checkpoint(self, tmp_path):
        model = classifier()
        model.fit(X, Y, epochs=2, verbose=0, checkpoint=tmp_path / "run")
        loaded = fnn.load(tmp_path / "run" / "best.safetensors")
        assert len(report(loaded.history, tmp_path / "r.html", X_TEST, Y_TEST).table("epochs")) == 3
        resumed = classifier()
        history = resumed.fit(X, Y, epochs=4, verbose=0, checkpoint=tmp_path / "run", resume=True)
        page = report(history, tmp_path / "r.html")
        assert dict(page.table("choices")[1:])["resumed"] == "from a checkpoint" and len(history.seconds) == 2
        assert dict(page.table("choices")[1:])["epochs"] == "4 of 4 asked for"

    def test_model_trained_on_since(self, tmp_path):
        model = classifier()
        history = model.fit(X[:64], Y[:64], epochs=1, verbose=0)
        model.fit(X[:64], Y[:64], epochs=2, verbose=0)
        assert "the model has been trained for 4 more steps" in outcome(report(history, tmp_path / "r.html"))

    def test_not_compiled(self, tmp_path):
        page = report(fnn.Sequential([fnn.Dense(3, "softmax")], input_shape=(4,)), tmp_path / "r.html")
        assert "the model is not compiled with a loss" in outcome(page)
        assert "there is no history of a training" in missing(page)[0]

    def test_batches(self, tmp_path):
        model = network(fnn.Dense(3, "softmax"), shape=(4,))
        rows = table_data(64)
        labels = rows[:, :3].argmax(1)
        history = model.fit([(rows[:32], labels[:32]), (rows[32:], labels[32:])], epochs=2, verbose=0)
        page = report(history, tmp_path / "r.html")
        assert dict(page.table("choices")[1:])["rows trained on"] == "batches of the caller's"
        assert "give X and y" in outcome(page)
        history = model.fit([(rows, labels)], epochs=1, verbose=0, validation_data=(rows, labels))
        assert missing(report(history, tmp_path / "r.html")) == []

    def test_after_ctrl_c(self, tmp_path):
        class Stop(fnn.Callback):
            def on_epoch_end(self, epoch, logs):
                if epoch == 1:
                    raise KeyboardInterrupt

        model = classifier()
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, epochs=9, verbose=0, callbacks=Stop())
        page = report(model.history, tmp_path / "r.html", X_TEST, Y_TEST)
        assert dict(page.table("choices")[1:])["epochs"] == "2 of 9 asked for"

    def test_lbfgs(self, tmp_path):
        pytest.importorskip("scipy", reason="SciPy is not installed")
        model = network(fnn.Dense(1), shape=(4,), loss="squared_error")
        rows = table_data()
        page = report(fnn.fit_lbfgs(model, rows, rows.sum(1), max_iterations=5), tmp_path / "r.html")
        assert missing(page) == [] and page.section("numbers")


class TestSafety:
    def test_hostile_names_are_text(self, tmp_path):
        rows = table_data()
        model = fnn.Sequential([fnn.Dense(3, "softmax", name="<img src=x onerror=1>")], input_shape=(4,))
        model.compile(metrics=["accuracy"])
        history = model.fit(rows, rows[:, :3].argmax(1), epochs=1, verbose=0)
        names = [HOSTILE, "</table>", "\ud800 \u4e2d"]
        page = report(history, tmp_path / "r.html", title=HOSTILE, data_name=HOSTILE, class_names=names,
                      feature_names=[f"{HOSTILE}{i}" for i in range(4)])
        assert page.one("h1").text == HOSTILE.replace("\x00", "\ufffd")
        assert page.table("matrix")[0][2] == "</table>" and page.table("matrix")[1][0].startswith("<script>")
        assert "<img src=x" not in page.source and "&lt;img src=x" in page.source

    def test_written_whole_or_not_at_all(self, tmp_path, monkeypatch):
        history = classifier().fit(X[:100], Y[:100], epochs=1, verbose=0)
        path = tmp_path / "r.html"
        path.write_text("before")
        with pytest.raises(ValueError, match="class_names: expected 10, one for each class of 'dense_1', got 2"):
            history.report(path, class_names=["a", "b"])
        monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            history.report(path)
        assert path.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["r.html"]

    @pytest.mark.parametrize(("settings", "error", "message"), [
        ({"X": X}, ValueError, "X, y: expected both or neither"),
        ({"feature_names": "abc"}, TypeError, "feature_names: expected a sequence of names"),
        ({"class_names": {"other": []}}, ValueError, "other"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"history": {}}, TypeError, "history: expected what fit returned"),
        ({"training": 1}, TypeError, r"training: expected \(X, y\)"),
        ({"image_shape": (3, 3)}, ValueError, "image_shape: expected the shape of 64 numbers"),
    ])
    def test_wrong_arguments(self, settings, error, message, tmp_path):
        model = classifier()
        model.fit(X[:50], Y[:50], epochs=1, verbose=0)
        with pytest.raises(error, match=message):
            write_report(model, tmp_path / "r.html", **settings)
        assert not list(tmp_path.iterdir())

    def test_without_matplotlib(self, tmp_path):
        """All but the charts, and why they are not there."""
        code = f"""if True:
            import sys
            sys.modules["matplotlib"] = None
            import fastnn as fnn
            from fastnn.data import load_digits
            X, y = load_digits()
            model = fnn.Sequential([fnn.Flatten(), fnn.Standardize(), fnn.Dense(10, "softmax")], input_shape=(8, 8))
            model.compile(metrics=["accuracy"])
            model.fit(X, y, epochs=1, verbose=0).report({str(tmp_path / "r.html")!r})
        """
        subprocess.run([sys.executable, "-c", code], check=True)
        page = check_page((tmp_path / "r.html").read_text())
        assert not page.all("figure", "chart") and page.all("ul", "images") and page.table("matrix")
        charts = [reason for reason in missing(page) if reason.startswith("Not here: the picture")]
        assert len(charts) == 5 and all('pip install "fastnn-cpu[plot]"' in reason for reason in charts)
