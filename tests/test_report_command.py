"""`fastnn train --report` and `fastnn report`: the same page, whose numbers are those of the commands."""
import json

import numpy as np
import pytest

import fastnn as fnn
from fastnn.cli import main
from pages import check_page
from reports import figures, missing, network, outcome, quick, table_data  # noqa: F401  (quick is a fixture)


class TestCommand:
    @pytest.fixture(autouse=True)
    def run(self, tmp_path, monkeypatch, capsys):
        """``self.run(*arguments)``: exit code, what --json printed, what was said of errors."""
        monkeypatch.chdir(tmp_path)

        def run(*arguments):
            code = main([*arguments, "--json"])
            out, err = capsys.readouterr()
            return code, json.loads(out), err

        self.run, self.folder = run, tmp_path

    def page(self, name):
        return check_page((self.folder / name).read_text(encoding="utf-8"))

    def test_train_then_report(self):
        """Numbers are those of the command's last line, and of `evaluate`; the report of the file says the same."""
        code, document, _ = self.run("train", "--epochs", "2", "--report", "r.html")
        page = self.page("r.html")
        assert code == 0 and document["report"] == "r.html" and missing(page) == []
        assert figures(page)["accuracy"] == document["test"]["accuracy"]
        assert figures(page)["loss"] == document["test"]["loss"]
        assert outcome(page).startswith("On 359 test images ") and page.one("h1").text == "Training on digits"
        code, evaluated, _ = self.run("evaluate", "digits.safetensors", "--data", "digits")
        code, document, _ = self.run("report", "digits.safetensors", "--data", "digits", "--title", "A <title>",
                                     "--batch-size", "100")
        page = self.page("digits.html")
        assert code == 0 and page.one("h1").text == "A <title>" and document["report"] == "digits.html"
        for name in ("loss", "accuracy"):
            assert figures(page)[name] == document[name] == evaluated[name]
        assert document["confusion"] == [[int(n) for n in row[1:-1]] for row in page.table("matrix")[1:-1]]
        assert outcome(page).startswith("On 359 images of digits ") and missing(page) == []
        assert "A step on 100 rows takes" in page.section("profile").text
        assert len(page.table("epochs")) == 3  # the history is in the file

    @pytest.mark.parametrize("task", ["classify", "regress"])
    def test_table(self, task):
        """Names of classes and columns come along in the model's file."""
        rows = table_data(80, 2)
        said = ["<b>" if a > 0 else "under, way" for a in rows[:, 0]] if task == "classify" else rows[:, 0] * 2
        lines = [f'{a},{b},"{t}"' for (a, b), t in zip(rows, said, strict=True)]
        (self.folder / "t.csv").write_text("\n".join(['left,"<i>right",what', *lines]))
        assert self.run("train", "--data", "t.csv", "--epochs", "1", "--task", task)[0] == 0
        code, document, _ = self.run("report", "t.safetensors", "--data", "t.csv", "--output", "o.html")
        page = self.page("o.html")
        assert code == 0 and outcome(page).startswith("On 80 rows of t.csv ")
        assert page.table("worst")[0][-2:] == ["left", "<i>right"]
        if task == "classify":
            assert [row[0] for row in page.table("matrix")[1:3]] == ["<b>", "under, way"]
        else:
            assert page.table("errors")[1][::3] == ["what", f"{document['r2']:.4f}", page.table("errors")[1][6]]

    def test_logits_are_decided_at_zero(self):
        """`evaluate` and `report` see the outputs as metrics do, where the loss has the sigmoid."""
        rows = table_data(200, 2)
        y = (rows[:, 0] > 0.3).astype(int)
        model = network(fnn.Dense(1), shape=(2,), loss=fnn.BinaryCrossEntropy(from_logits=True), metrics=["accuracy"],
                        optimizer=fnn.SGD(0.3))
        model.fit(rows, y, epochs=2, verbose=0)
        model.save("m.safetensors")
        np.savez("d.npz", X=rows, y=y)
        logits = model.predict(rows)[:, 0]
        right = float(((logits > 0) == y).mean())
        assert right != float(((logits > 0.5) == y).mean())
        for command in ("evaluate", "report"):
            code, document, _ = self.run(command, "m.safetensors", "--data", "d.npz")
            assert code == 0 and document["accuracy"] == right == model.evaluate(rows, y)["accuracy"]
        assert figures(self.page("m.html"))["accuracy"] == right

    def test_text(self):
        (self.folder / "t.txt").write_text("to be or not to be, that is the question\n" * 40)
        code, _, _ = self.run("train", "--data", "text", "--path", "t.txt", "--model", "gru", "--hidden", "8",
                              "--steps", "20", "--epochs", "1", "--sample", "0", "--report", "r.html")
        page = self.page("r.html")
        assert code == 0 and "steps right" in outcome(page) and page.table("each")[1][0].startswith("'")

    @pytest.mark.parametrize(("arguments", "message"), [
        (["train", "--epochs", "1", "--report", "nowhere/r.html"], "argument --report: expected a file in a folder"),
        (["report", "none.safetensors", "--data", "digits"], "none.safetensors: expected a model file"),
        (["report", "none.safetensors"], "--data"),
        (["report", "none.safetensors", "--data", "digits", "--output", "nowhere/r.html"], "argument --output"),
    ])
    def test_errors(self, arguments, message):
        code, document, err = self.run(*arguments)
        assert code == 2 and message in document["error"] and err.count("\n") == 1
        assert not list(self.folder.iterdir())
