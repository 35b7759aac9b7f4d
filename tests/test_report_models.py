"""Reports of all kinds of models: what they say is classes, numbers, marks, steps, several of these or samples."""
import re

import numpy as np
import pytest

import fastnn as fnn
from fastnn import metrics
from reports import (  # noqa: F401  (a fixture)
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


def test_regression(tmp_path):
    rows = table_data()
    y = 3 * rows[:, 0] + rows[:, 1]
    model = network(fnn.Dense(8, "tanh"), fnn.Dense(1), shape=(4,), loss="squared_error", metrics=["mae", "r2"])
    history = model.fit(rows, y, epochs=5, verbose=0)
    page = report(history, tmp_path / "r.html", feature_names=["age", "height", "<b>", "d"])
    said = model.predict(rows)[:, 0].astype(np.float64)
    (_, row), = [page.table("errors")]
    assert row[1:4] == [f"{metrics.mae(y, said):.4g}", f"{metrics.mse(y, said) ** 0.5:.4g}",
                        f"{metrics.r2(y, said):.4f}"]
    header, first, *_ = page.table("worst")
    worst = int(np.abs(said - y).argmax())
    assert header == ["row", "true", "predicted", "predicted - true", "age", "height", "<b>", "d"]
    assert first[0] == str(worst) and first[4] == f"{rows[worst, 0]:.4g}"
    assert float(first[3]) == pytest.approx(said[worst] - y[worst], rel=0.01)
    assert len(page.section("numbers").all("img")) == 2 and missing(page) == []
    assert f"is off by {metrics.mse(y, said) ** 0.5:.4g} (root mean square error)" in outcome(page)


def test_many_numbers(tmp_path):
    """An autoencoder: figures of some columns and of all."""
    rows = X.reshape(-1, 64)[:200] / 16.0
    model = network(fnn.Dense(8, "relu"), fnn.Dense(64), shape=(64,), loss="squared_error")
    page = report(model.fit(rows, rows, epochs=1, verbose=0), tmp_path / "r.html")
    assert len(page.table("errors")) == 1 + 40 + 1 and page.table("errors")[-1][0] == "all 64 columns"
    assert "Pictures are of the first 3 of 64 columns." in page.source


def test_one_output(tmp_path):
    rows = table_data()
    y = (rows[:, 0] > 0).astype(int)
    model = network(fnn.Dense(1, "sigmoid"), shape=(4,), loss="binary_cross_entropy", metrics=["accuracy"])
    page = report(model.fit(rows, y, epochs=2, verbose=0), tmp_path / "r.html", class_names=["no", "yes"])
    header, no, yes, _ = page.table("matrix")
    assert header[1:3] == ["no", "yes"] and int(no[1]) + int(yes[2]) == round(200 * figures(page)["accuracy"])
    assert page.table("sure")


def test_signs(tmp_path):
    rows = table_data()
    y = np.where(rows[:, 0] > 0, 1, -1)
    model = network(fnn.Dense(1), shape=(4,), loss="hinge")
    page = report(model.fit(rows, y, epochs=20, verbose=0), tmp_path / "r.html")  # decided at a score of 0
    right = int(((model.predict(rows)[:, 0] > 0) == (y > 0)).sum())
    assert f"gets {right} of 200 right" in outcome(page) and right > 100
    assert "its outputs are no probabilities" in missing(page)[0]


def test_one_hot_rows_with_the_quadratic_cost(tmp_path):
    model = network(fnn.Dense(10, "sigmoid"), loss="squared_error", metrics=["accuracy"])
    page = report(model.fit(X, np.eye(10)[Y], epochs=1, verbose=0), tmp_path / "r.html")
    right = sum(int(row[i + 1]) for i, row in enumerate(page.table("matrix")[1:11]))
    assert right == round(figures(page)["accuracy"] * len(X))


def test_several_classes_a_row(tmp_path):
    rows = table_data()
    marks = (rows[:, :3] > 0).astype(int)
    model = network(fnn.Dense(3, "sigmoid"), shape=(4,), loss="binary_cross_entropy",
                    metrics=["binary_accuracy", "f1"])
    page = report(model.fit(rows, marks, epochs=20, verbose=0), tmp_path / "r.html")
    each = [float(row[5].rstrip("%")) / 100 for row in page.table("each")[1:]]
    assert np.mean(each) == pytest.approx(figures(page)["f1"], abs=1e-4)
    assert "there is no confusion matrix" in page.section("classes").text


def test_ignored_labels(tmp_path):
    rows = table_data(90)
    y = rows[:, :3].argmax(1)
    y[::3] = -1
    model = network(fnn.Dense(3, "softmax"), shape=(4,), loss=fnn.CategoricalCrossEntropy(ignore_label=-1),
                    metrics=["accuracy"])
    page = report(model.fit(rows, y, epochs=1, verbose=0), tmp_path / "r.html")
    assert page.table("matrix")[-1][-1] == "60" and " of 60 right" in outcome(page)


def test_text(tmp_path):
    tokens = np.random.default_rng(0).integers(0, 40, (20, 9))
    model = fnn.Sequential([fnn.Embedding(40, 6), fnn.GRU(5, return_sequences=True), fnn.Dense(40, "softmax")],
                           input_shape=(None,))
    model.compile(metrics=["accuracy"])
    page = report(model.fit(tokens, np.roll(tokens, -1, 1), epochs=1, verbose=0), tmp_path / "r.html")
    assert " of 180 steps right" in outcome(page)
    assert missing(page) == ["Not here: the confusion matrix of 40 classes, which is too large to read; the pairs "
                             "that are confused most are below."]
    assert re.fullmatch(r"\d+, step \d", page.table("worst")[1][0])
    assert f"Perplexity {np.exp(figures(page)['loss']):.4g}: " in page.section("classes").text
    assert not any("unscaled inputs" in div.text for div in page.all("div", "finding"))  # tokens are no features


def test_carried_states_stay(tmp_path):
    model = fnn.Sequential([fnn.LSTM(4, stateful=True, batch_size=10), fnn.Dense(1)], input_shape=(7, 3))
    model.compile(loss="squared_error")
    rows = np.random.default_rng(0).standard_normal((20, 7, 3))
    history = model.fit(rows, rows.sum((1, 2)), batch_size=10, epochs=1, shuffle=False, verbose=0)
    before = model.state_dict()
    report(history, tmp_path / "r.html")
    assert all((model.state_dict()[name] == array).all() for name, array in before.items())


def test_very_many_classes(tmp_path, monkeypatch):
    """As many as a language has words, if it had few: nobody counts all pairs."""
    monkeypatch.setattr("fastnn.report.answers.confusion", lambda *_: pytest.fail("all pairs were counted"))
    n = 2000
    model = fnn.Sequential([fnn.Embedding(n, 2), fnn.GlobalAveragePool1D(), fnn.Dense(n, "softmax")], input_shape=(3,))
    model.compile()
    tokens = np.random.default_rng(0).integers(0, n, (300, 3))
    page = report(model.fit(tokens, tokens[:, 0], epochs=1, verbose=0), tmp_path / "r.html")
    assert len(page.table("each")) == 202 and "the 200 most frequent" in page.source
    assert len(page.table("confused")) == 13 and len(page.source) < 1_000_000


def test_steps_that_do_not_count(tmp_path):
    tokens = np.random.default_rng(0).integers(0, 4, (20, 9))
    model = fnn.Sequential([fnn.Embedding(4, 6, mask_zero=True), fnn.GRU(5, return_sequences=True),
                            fnn.Dense(4, "softmax")], input_shape=(9,))
    model.compile(metrics=["accuracy"])
    page = report(model.fit(tokens, tokens, epochs=1, verbose=0), tmp_path / "r.html")
    assert f" of {(tokens > 0).sum()} steps right" in outcome(page)


def test_sequences_to_numbers(tmp_path):
    rows = np.random.default_rng(0).standard_normal((30, 7, 3))
    model = fnn.Sequential([fnn.LSTM(4), fnn.Dense(1)], input_shape=(7, 3))
    model.compile(loss="squared_error")
    page = report(model.fit(rows, rows.sum((1, 2)), epochs=1, verbose=0), tmp_path / "r.html")
    assert not page.all("ul", "images") and page.table("worst")[0] == ["row", "true", "predicted",
                                                                      "predicted - true"]


def test_several_outputs(tmp_path):
    x = fnn.Input((4,))
    h = fnn.Dense(8, "relu")(x)
    model = fnn.Model(x, [fnn.Dense(3, "softmax", name="kind")(h), fnn.Dense(1, name="size")(h)])
    model.compile("adam", loss={"kind": "cross_entropy", "size": "squared_error"},
                  metrics={"kind": ["accuracy"]})
    rows = table_data(60)
    targets = {"kind": rows[:, :3].argmax(1), "size": rows.sum(1)}
    page = report(model.fit(rows, targets, epochs=1, verbose=0), tmp_path / "r.html",
                  class_names={"kind": ["a", "b", "c"]})
    assert page.section("classes-0") and page.section("numbers-1") and page.table("architecture")
    assert figures(page)["kind accuracy"] == model.evaluate(rows, targets)["kind_accuracy"]
    assert "right in kind (" in outcome(page) and "in size" in outcome(page)
    assert not missing(page)


def test_coloured_images(tmp_path):
    rng = np.random.default_rng(0)
    images, y = rng.integers(0, 255, (40, 6, 6, 3), dtype=np.uint8), rng.integers(0, 3, 40)
    model = fnn.Sequential([fnn.MinMax(), fnn.Conv2D(2, 3), fnn.Flatten(), fnn.Dense(3, "softmax")],
                           input_shape=(6, 6, 3))
    model.compile()
    page = report(model.fit(images, y, epochs=1, verbose=0), tmp_path / "r.html")
    assert page.one("ul", "images").all("img")[0].attributes["width"] == "6"


def test_flat_images(tmp_path):
    model = network(fnn.Dense(10, "softmax"), shape=(64,))
    history = model.fit(X.reshape(-1, 64), Y, epochs=1, verbose=0)
    assert not report(history, tmp_path / "r.html").all("ul", "images")
    assert report(history, tmp_path / "r.html", image_shape=(8, 8)).all("ul", "images")


def test_gan(tmp_path):
    gan = fnn.GAN(network(fnn.Dense(8, "relu"), fnn.Dense(36), fnn.Reshape((6, 6)), shape=(2,), loss=None),
                  network(fnn.Flatten(), fnn.Dense(8, "relu"), fnn.Dense(1), shape=(6, 6), loss="squared_error"))
    gan.compile()
    history = gan.fit(np.random.default_rng(0).standard_normal((64, 6, 6)), epochs=2, verbose=0)
    page = report(history, tmp_path / "r.html")
    assert len(page.one("ul", "images").all("img")) == 24 and len(page.section("curves").all("figure")) == 4
    assert "After 2 epochs the discriminator recognises" in outcome(page)
    assert page.table("generator")[-1][0] == page.table("discriminator")[-1][0] == "total"
    assert len(missing(page)) == 1 and "the players of a GAN have it from each other" in missing(page)[0]


def test_weights_that_are_no_use(tmp_path):
    """A network that gives no numbers any more has a report that says so."""
    rows = table_data()
    for model, y in ((network(fnn.Dense(1), shape=(4,), loss="squared_error", metrics=["r2"]), rows[:, 0]),
                     (network(fnn.Dense(3, "softmax"), shape=(4,), metrics=["accuracy"]), rows[:, :3].argmax(1))):
        history = model.fit(rows, y, epochs=1, verbose=0)
        model.layers[0].weight[...] = np.nan
        page = report(history, tmp_path / "r.html")
        assert "gives no finite numbers in 200 of 200, at a loss of nan" in outcome(page)
        assert len(missing(page)) == 1 and "no finite number" in missing(page)[0]
        assert "divergence" in page.section("doctor").text


def test_rate_that_callbacks_change(tmp_path):
    model = classifier(optimizer=fnn.SGD(1e-9))
    history = model.fit(X[:100], Y[:100], epochs=4, verbose=0, callbacks=fnn.ReduceOnPlateau(
        monitor="loss", patience=1, min_delta=1.0))
    assert history.rates[0] == 1e-9 > history.rates[-1]
    page = report(history, tmp_path / "r.html")
    assert "Learning rate: from 1e-09 to " in page.section("curves").text


def test_sick_network(tmp_path):
    layers = [fnn.Dense(20, "sigmoid", kernel_initializer="standard_normal") for _ in range(3)]
    model = network(*layers, fnn.Dense(10, "softmax"), optimizer=fnn.SGD(30.0))
    history = model.fit(X, Y, epochs=1, verbose=0)
    page = report(history, tmp_path / "r.html")
    diagnosis = fnn.diagnose(model, X, Y, history=history)
    articles = page.all("div", "finding")
    assert len(articles) == len(set(diagnosis.names())) > 1
    first = diagnosis.findings[0]
    assert first.severity in articles[0].attributes["class"] and first.remedy in articles[0].text
    assert first.why in articles[0].text and first.name.replace("_", " ") in articles[0].text
    assert f"The doctor found {sum(f.severity == 'error' for f in diagnosis.findings)} error" in outcome(page)


def test_overfitting_is_found_in_the_history(tmp_path):
    model = classifier()
    history = model.fit(X[:60], Y[:60], epochs=5, verbose=0, validation_split=0.3)
    history.history["val_loss"][:] = [1.0, 0.5, 0.9, 1.0, 1.2]
    page = report(history, tmp_path / "r.html")
    assert any("overfitting in network" in div.text for div in page.all("div", "finding"))
