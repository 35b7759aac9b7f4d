"""``fastnn train``, ``evaluate`` and ``predict`` on tables and arrays of files, as a user has them."""
import csv
import io
import os
import signal
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
from command import TAKES_SIGINT, python, read_json
from fastnn.commands.scores import Scores

datasets = pytest.importorskip("sklearn.datasets")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_table(path, names, rows, delimiter=","):
    with open(path, "w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([names, *rows] if names else rows)


def flowers():
    """Names and rows of iris, the species by their names."""
    iris = datasets.load_iris()
    names = [name.replace(" (cm)", "").replace(" ", "_") for name in iris.feature_names]
    kinds = iris.target_names[iris.target]
    return [*names, "species"], [[*x, kind] for x, kind in zip(iris.data.tolist(), kinds, strict=True)]


def mushrooms(n=600):
    """Rows that are text but for one column; poisonous by a rule."""
    rng = np.random.default_rng(0)
    cap, colour, size = rng.choice(list("bcx"), n), rng.choice(["red", "green"], n), rng.normal(size=n)
    kind = np.where((cap == "b") & (colour == "red"), "poisonous", "edible")
    return ["class", "cap", "colour", "size"], [list(row) for row in zip(kind, cap, colour, size.round(3), strict=True)]


@pytest.fixture
def iris(folder):
    write_table("iris.csv", *flowers())
    return "iris.csv"


@pytest.fixture
def model(iris, run):
    assert run("train", "--data", iris, "--quiet")[0] == 0
    return "iris.safetensors"


def read_csv(lines):
    return list(csv.reader(lines))


@pytest.mark.parametrize("n_out, loss", [
    (1, fnn.BinaryCrossEntropy(from_logits=True)), (2, fnn.CrossEntropy(from_logits=True)), (1, fnn.Hinge()),
    (2, fnn.losses.MultiClassHinge())], ids=lambda value: getattr(value, "name", value))
def test_logits_and_scores_are_decided_at_zero(n_out, loss, run):
    """And become probabilities where the loss says how."""
    net = fnn.Sequential([fnn.Dense(n_out, use_bias=False)], input_shape=(1,), seed=0)
    net.set_weights([[[1.0]] if n_out == 1 else [[0.0, 1.0]]])
    net.compile(loss=loss)
    net.classes = ["no", "yes"]
    net.save("net.safetensors")
    write_table("x.csv", ["x"], [[-0.25], [0.25], [0.75]])
    code, out, _ = run("predict", "net.safetensors", "--data", "x.csv")
    assert code == 0 and [row[0] for row in read_csv(out)[1:]] == ["no", "yes", "yes"]
    code, out, err = run("predict", "net.safetensors", "--data", "x.csv", "--probabilities")
    if "hinge" in loss.name:
        assert code == 2 and f"{loss.name} makes its outputs scores" in err
        return
    yes = [float(row[2]) for row in read_csv(out)[1:]]
    np.testing.assert_allclose(yes, 1 / (1 + np.exp([0.25, -0.25, -0.75])), rtol=1e-6)



class TestClasses:
    def test_train(self, iris, run):
        code, lines, err = run("train", "--data", iris, "--target", "species")
        assert (code, err) == (0, "")
        assert lines[:4] == [
            "iris.csv: 150 rows, 5 columns between commas, with a header",
            "target: 'species': 3 classes (setosa, versicolor, virginica), because it is text",
            "inputs: 4 numbers", "iris.csv: 120 rows to train on, 30 to test"]
        assert lines[4].startswith("network: 4-64-32-3, relu, 2,499 parameters, float32; Adam(")
        assert len([line for line in lines if line.startswith("Epoch ")]) == 100  # 4 steps each
        assert lines[-2] == "saved: iris.safetensors" and " of 30 rows), " in lines[-1]
        model = fnn.load("iris.safetensors")
        assert model.classes == ("setosa", "versicolor", "virginica") and model.columns.target == "species"
        names, rows = flowers()
        X, y = [row[:4] for row in rows], [model.classes.index(row[4]) for row in rows]
        assert model.evaluate(X, y)["accuracy"] > 0.95  # the raw numbers of the table

    @pytest.mark.parametrize("target, place", [(None, 4), ("4", 4), ("-1", 4), ("-5", 0), ("0", 0)])
    def test_target_by_number(self, run, target, place):
        names, rows = flowers()
        order = [4, 0, 1, 2, 3] if place == 0 else range(5)
        write_table("t.csv", [names[i] for i in order], [[row[i] for i in order] for row in rows])
        code, lines, _ = run("train", "--data", "t.csv", *([] if target is None else ["--target", target]),
                             "--epochs", 1)
        said = ", the last column" if target is None else ""
        assert code == 0 and lines[1].startswith(f"target: 'species'{said}: 3 classes")

    def test_the_split_is_stratified_and_fixed_by_its_seed(self, iris, run):
        flags = ("train", "--data", iris, "--epochs", 1, "--json")
        documents = [read_json(run(*flags, "--split-seed", seed)) for seed in (0, 0, 1)]
        rows = [[c["rows"] for c in d["test"]["classes"].values()] for d in documents]
        assert rows == [[10, 10, 10]] * 3
        assert documents[0]["test"] == documents[1]["test"] != documents[2]["test"]
        code, lines, _ = run("train", "--data", iris, "--test", "0", "--epochs", 1)
        assert code == 0 and lines[3] == "iris.csv: 150 rows to train on, none to test"
        assert " of 150 rows) of those trained on, none held out, " in lines[-1]

    def test_evaluate(self, model, run):
        code, lines, err = run("evaluate", model, "--data", "iris.csv")
        assert (code, err) == (0, "")
        assert lines[0].startswith("iris.csv: accuracy 9") and ", loss 0." in lines[0]
        assert lines[2].split() == ["class", "precision", "recall", "F1", "rows"]
        matrix = [list(map(int, line.split()[1:])) for line in lines[-3:]]
        assert np.sum(matrix) == 150 and np.sum(matrix, axis=1).tolist() == [50, 50, 50]
        for i, name in enumerate(("setosa", "versicolor", "virginica")):
            cells = lines[3 + i].split()
            assert cells[0] == name and cells[4] == "50"
            assert float(cells[1]) == pytest.approx(matrix[i][i] / np.sum(matrix, axis=0)[i], abs=1e-4)
            assert float(cells[2]) == pytest.approx(matrix[i][i] / 50, abs=1e-4)

    def test_limits(self, model, run):
        assert run("evaluate", model, "--data", "iris.csv", "--min-accuracy", 0.9)[0] == 0
        code, lines, err = run("evaluate", model, "--data", "iris.csv", "--min-accuracy", 1)
        assert code == 1 and lines[-1].endswith("is less than the 1.0 asked for") and err == ""
        code, _, err = run("evaluate", model, "--data", "iris.csv", "--min-r2", 0.5)
        assert code == 2 and "argument --min-r2: expected with a model that has one" in err

    def test_predict(self, model, run):
        code, lines, err = run("predict", model, "--data", "iris.csv", "--probabilities")
        rows = read_csv(lines)
        assert (code, err) == (0, "") and len(rows) == 151
        assert rows[0] == ["prediction", "probability_setosa", "probability_versicolor", "probability_virginica"]
        outputs = fnn.load(model).predict([row[:4] for row in flowers()[1]])
        assert np.array_equal(np.array(rows[1:])[:, 1:].astype(np.float32), outputs)  # to the last bit
        assert [row[0] for row in rows[1:]] == [fnn.load(model).classes[i] for i in outputs.argmax(axis=1)]

    def test_columns_are_found_by_name(self, model, run):
        """In another order, with an id of leading zeros, without the target, with columns nobody knows."""
        names, rows = flowers()
        order = [3, 1, 0, 2]
        write_table("new.csv", ["id", *(names[i] for i in order), "note"],
                    [[f"{i:03}", *(row[j] for j in order), "?"] for i, row in enumerate(rows)])
        expected = read_csv(run("predict", model, "--data", "iris.csv")[1])
        code, lines, _ = run("predict", model, "--data", "new.csv", "--id", "id", "--output", "out.csv")
        assert code == 0 and lines == ["written: out.csv (150 rows)"]
        got = read_csv(Path("out.csv").read_text().splitlines())
        assert got[:2] == [["id", "prediction"], ["000", "setosa"]] and [row[1:] for row in got] == expected
        assert sorted(os.listdir()) == ["iris.csv", "iris.safetensors", "new.csv", "out.csv"]

    def test_without_headers_columns_are_found_by_place(self, run):
        write_table("train.csv", None, flowers()[1])
        assert run("train", "--data", "train.csv", "--epochs", 30, "--quiet")[0] == 0
        write_table("new.csv", None, [row[:4] for row in flowers()[1]])
        write_table("named.csv", flowers()[0][:4], [row[:4] for row in flowers()[1]])
        answers = [run("predict", "train.safetensors", "--data", name)[1] for name in
                   ("train.csv", "new.csv", "named.csv")]
        assert answers[0] == answers[1] == answers[2] and len(answers[0]) == 151
        code, lines, _ = run("evaluate", "train.safetensors", "--data", "train.csv")
        assert code == 0 and "accuracy" in lines[0]
        write_table("train.csv", None, [[row[4], *row[:4]] for row in flowers()[1]])  # the target is the first
        assert run("train", "--data", "train.csv", "--epochs", 30, "--quiet", "--target", 0)[0] == 0
        assert run("predict", "train.safetensors", "--data", "new.csv")[1] == run(
            "predict", "train.safetensors", "--data", "train.csv")[1]

    def test_labels_that_are_numbers(self, run):
        wine = datasets.load_wine()
        write_table("wine.csv", None, [[y * 2 + 1, *x] for x, y in zip(wine.data, wine.target, strict=True)], ";")
        code, lines, _ = run("train", "--data", "wine.csv", "--target", 0)
        assert code == 0 and "14 columns between semicolons, without a header" in lines[0]
        assert lines[1].startswith("target: 'column 0': 3 classes (1, 3, 5), because its values are few whole numbers")
        assert fnn.load("wine.safetensors").classes == (1, 3, 5)
        answers = run("predict", "wine.safetensors", "--data", "wine.csv")[1]
        assert set(answers[1:]) == {"1", "3", "5"}
        code, lines, _ = run("train", "--data", "wine.csv", "--target", 0, "--task", "regress", "--epochs", 1)
        assert code == 0 and "numbers, because --task regress says so" in lines[1]

    def test_text_becomes_zeros_and_ones(self, run):
        names, rows = mushrooms()
        write_table("mushrooms.csv", names, rows)
        code, lines, _ = run("train", "--data", "mushrooms.csv", "--target", "class")
        assert code == 0 and lines[2] == "inputs: 1 number and 2 columns of names as 5 zeros and ones"
        model = fnn.load("mushrooms.safetensors")
        assert model.columns.features == ("cap=b", "cap=c", "cap=x", "colour=green", "colour=red", "size")
        document = read_json(run("evaluate", "mushrooms.safetensors", "--data", "mushrooms.csv", "--json"))
        assert document["accuracy"] > 0.99
        write_table("new.csv", ["size", "colour", "cap"], [[0.1, "red", "b"], [0.1, "green", "b"]])
        assert run("predict", "mushrooms.safetensors", "--data", "new.csv")[1] == ["prediction", "poisonous", "edible"]
        write_table("new.csv", ["size", "colour", "cap"], [[0.1, "blue", "b"]])
        code, _, err = run("predict", "mushrooms.safetensors", "--data", "new.csv")
        assert code == 2 and "new.csv: line 2, column 'colour': expected one of the categories" in err
        code, lines, _ = run("train", "--data", "mushrooms.csv", "--target", "class", "--ignore", "colour,size",
                             "--epochs", 1)
        assert code == 0 and lines[2] == "inputs: 1 column of names as 3 zeros and ones"

    def test_numbers_that_are_names(self, run):
        write_table("t.csv", ["zip", "kind"], [["01", "a"], ["02", "b"]] * 20)
        code, lines, _ = run("train", "--data", "t.csv", "--categories", "zip")
        assert code == 0 and lines[2] == "inputs: 1 column of names as 2 zeros and ones"
        assert fnn.load("t.safetensors").columns.features == ("zip=01", "zip=02")
        assert run("predict", "t.safetensors", "--data", "t.csv")[1][:3] == ["prediction", "a", "b"]

    def test_goes_on_from_a_file(self, model, run):
        before = fnn.load(model)
        code, lines, _ = run("train", "--data", "iris.csv", "--from", model, "--epochs", 3, "--output", "more")
        assert code == 0 and lines[1].startswith("network: that of iris.safetensors, 2,499 parameters")
        assert fnn.load("more").update_count == before.update_count + 3 * 4
        run("train", "--data", "iris.csv", "--from", model, "--epochs", 1, "--optimizer", "sgd", "--output", "m")
        assert fnn.load("m").update_count == 4 and type(fnn.load("m").optimizer) is fnn.SGD
        code, _, err = run("train", "--data", "iris.csv", "--from", model, "--hidden", "3")
        assert code == 2 and "argument --hidden: expected without --from" in err

    def test_an_index_is_noticed(self, run):
        """As pandas writes it unless told not to: under an empty name."""
        names, rows = flowers()
        write_table("t.csv", ["", *names], [[i, *row] for i, row in enumerate(rows)])
        code, lines, _ = run("train", "--data", "t.csv", "--epochs", 1)
        assert code == 0 and lines[3] == ("note: 'column 0' only counts the rows; if it should not be an input, say "
                                          "--ignore 0")
        code, lines, _ = run("train", "--data", "t.csv", "--epochs", 1, "--ignore", 0)
        assert code == 0 and lines[2] == "inputs: 4 numbers" and "note" not in lines[3]

    def test_stdin(self, iris, run, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(iris).read_bytes())))
        code, lines, _ = run("train", "--data", "-", "--epochs", 1)
        assert code == 0 and lines[0].startswith("standard input: 150 rows") and Path("stdin.safetensors").exists()

    def test_a_file_to_test_on(self, run):
        names, rows = flowers()
        write_table("a.csv", names, rows[::2])
        write_table("b.csv", names[::-1], [row[::-1] for row in rows[1::2]])
        code, lines, _ = run("train", "--data", "a.csv", "--test-data", "b.csv")
        assert code == 0 and lines[3] == "a.csv: 75 rows to train on, 75 to test" and " of 75 rows), " in lines[-1]


class TestRegression:
    @pytest.fixture
    def diabetes(self):
        data = datasets.load_diabetes(scaled=False)
        write_table("diabetes.csv", [*data.feature_names, "progression"],
                    [[*x, y] for x, y in zip(data.data, data.target, strict=True)])
        return data

    def test_numbers_come_in_their_own_units(self, diabetes, run):
        code, lines, _ = run("train", "--data", "diabetes.csv")
        assert code == 0
        assert lines[1] == ("target: 'progression', the last column: numbers, because its values are 214 different "
                            "numbers (--task classify for classes)")
        last = dict(zip(*[iter(lines[-1].replace(",", "").split()[1:7])] * 2, strict=True))
        assert 0.4 < float(last["R2"]) < 0.6 and 40 < float(last["MAE"]) < 50 and 50 < float(last["RMSE"]) < 60
        model = fnn.load("diabetes.safetensors")
        answers = [float(x) for x in run("predict", "diabetes.safetensors", "--data", "diabetes.csv")[1][1:]]
        assert np.array_equal(np.float32(answers), model.predict(diabetes.data)[:, 0])
        assert np.mean(np.abs(diabetes.target - answers)) < 45
        losses = model.history["loss"]
        assert losses[0] < 1 and losses[-1] < 0.3  # training saw targets of deviation 1

    def test_evaluate(self, diabetes, run):
        run("train", "--data", "diabetes.csv", "--epochs", 30, "--quiet")
        document = read_json(run("evaluate", "diabetes.safetensors", "--data", "diabetes.csv", "--json"))
        said = fnn.load("diabetes.safetensors").predict(diabetes.data)[:, 0]
        rest = ((diabetes.target - said) ** 2).mean()
        assert document["r2"] == pytest.approx(1 - rest / diabetes.target.var(), rel=1e-5)
        assert document["rmse"] == pytest.approx(rest ** 0.5, rel=1e-5)
        assert document["mae"] == pytest.approx(np.abs(diabetes.target - said).mean(), rel=1e-5)
        code, lines, _ = run("evaluate", "diabetes.safetensors", "--data", "diabetes.csv", "--min-r2", 0.99)
        assert code == 1 and lines[-1].startswith("r2 0.") and lines[0].startswith("diabetes.csv: R2 0.")
        code, _, err = run("predict", "diabetes.safetensors", "--data", "diabetes.csv", "--probabilities")
        assert code == 2 and "argument --probabilities: expected with a model that says classes" in err

    def test_sgd_learns_too(self, diabetes, run):
        """The loss's gradient is that of targets of deviation 1, whatever their units."""
        code, lines, _ = run("train", "--data", "diabetes.csv", "--optimizer", "sgd", "--lr", 0.05)
        assert code == 0 and float(lines[-1].split()[2].strip(",")) > 0.4

    def test_a_constant_target(self, run):
        write_table("t.csv", ["x", "y"], [[i, 5.5] for i in range(30)])
        code, _, err = run("train", "--data", "t.csv", "--task", "regress")
        assert code == 2 and "target: expected different numbers, got 5.5 in every row" in err


TABLE = "a,b,kind\n1,2,x\n2,,y\n3,4,x\n"


@pytest.mark.parametrize("content, arguments, message", [
    (TABLE, ["train"], "t.csv: line 3, column 'b': expected a value, got '', a missing one"),
    (TABLE, ["train", "--target", "sort"], "no target column 'sort'; the columns are 'a', 'b', 'kind', or 0 to 2"),
    (TABLE, ["train", "--ignore", "c"], "there is no column 'c'"),
    (TABLE, ["train", "--ignore", "kind"], "argument --ignore: expected columns other than the target 'kind'"),
    (TABLE, ["train", "--categories", "c"], "there is no column 'c'"),
    (TABLE, ["train", "--delimiter", ";;"], "argument --delimiter: expected one character, or tab"),
    (TABLE, ["train", "--x", "X"], "argument --x: expected only with an NPZ file"),
    (TABLE, ["train", "--test", "0.01", "--ignore", "b"], "argument --test: expected a share that leaves some of 3"),
    (TABLE, ["train", "--test", "0.5", "--train-rows", "2", "--ignore", "b"], "argument --test: expected without --t"),
    (TABLE, ["train", "--task", "regress", "--ignore", "b"], "line 2, column 'kind': expected a number, got 'x'"),
    ("a;b\n1,5;2\n2,5;3\n", ["train"], "line 2, column 'a': expected a number, got '1,5'; decimal commas"),
    ("a,b\n1,2\n3\n", ["train"], "t.csv: line 3: expected 2 fields"),
    ("a,b\n", ["train"], "t.csv: expected rows of values, got a header only"),
    ("", ["train"], "t.csv: expected a table, got an empty file"),
    ("\0\1", ["train"], "binary file"),
    ("a,b\n" + "".join(f"{i},name {i}\n" for i in range(30)), ["train"], "some rows of each, got 30 on 30 rows"),
    ("a,b\n1,x\n2,x\n3,x\n", ["train"], "column 'b': expected at least two classes, got 'x' in every row"),
    ("a b\n1 2\n3 4\n", ["train"], "got one column, 'a b'; if its fields are not between commas, semicolons or tabs"),
    (TABLE, ["evaluate", "nowhere"], "nowhere: expected a model file, as `fastnn train` writes, got nothing"),
    (TABLE, ["predict", "t.csv"], "t.csv: "),
    (TABLE, ["predict", "."], ".: expected a model file, as `fastnn train` writes, got a folder")])
def test_one_line_and_code_2(folder, run, content, arguments, message):
    Path("t.csv").write_text(content)
    code, lines, err = run(*arguments, "--data", "t.csv")
    assert code == 2 and lines == [] and message in err
    assert err.count("\n") == 1 and err.startswith(f"fastnn {arguments[0]}: error: ")
    assert os.listdir() == ["t.csv"]


def test_rows_that_do_not_fit_the_model(model, run):
    write_table("t.csv", ["sepal_length", "species"], [[1, "setosa"]])
    code, _, err = run("predict", model, "--data", "t.csv")
    assert code == 2 and "there is no 'sepal_width', 'petal_length', 'petal_width' among 'sepal_length'" in err
    names, rows = flowers()
    write_table("t.csv", names, [*rows[:3], [*rows[3][:4], "tulip"]])
    code, _, err = run("evaluate", model, "--data", "t.csv")
    assert code == 2 and "t.csv: line 5, column 'species': expected one of the classes" in err and "'tulip'" in err
    code, _, err = run("predict", model, "--data", "digits")
    assert code == 2 and "digits: expected samples of shape (4,), as the model takes them, got (8, 8)" in err
    for output in ("nowhere/p.csv", ".", ""):
        code, _, err = run("predict", model, "--data", "iris.csv", "--output", output)
        assert code == 2 and "argument --output: expected a file in a folder that can be written to" in err
    code, _, err = run("predict", model, "--data", "iris.csv", "--id", "petal_width")
    assert code == 2 and "argument --id: 'petal_width' is an input of the model" in err


def test_classes_without_rows_and_many_classes():
    """A class that no row is in has figures of 0, and no part in the mean; of many the worst pairs are shown."""
    counts = np.diag([3, 2, 0])
    counts[0, 1] = 1
    scores = Scores("rows", 6, {"accuracy": 5 / 6}, ("a", "b", "c"), counts)
    assert scores.per_class()["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "rows": 0}
    assert scores.table().splitlines()[-1].split() == ["mean", f"{(1 + 2 / 3) / 2:.4f}", f"{(0.75 + 1) / 2:.4f}",
                                                       f"{(6 / 7 + 4 / 5) / 2:.4f}", "6"]
    counts = np.diag(np.full(20, 5))
    counts[3, 7], counts[11, 2] = 2, 4
    lines = Scores("images", 106, {"accuracy": 1.0}, tuple(range(20)), counts).matrix().splitlines()
    assert [line.split() for line in lines[1:]] == [["11", "2", "4"], ["3", "7", "2"]]


def test_ctrl_c_leaves_no_half_of_predictions(model, run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastnn.io.atomic.os.replace", interrupted)
    code, lines, err = run("predict", model, "--data", "iris.csv", "--output", "p.csv")
    assert code == 130 and lines == [] and err.startswith("fastnn predict: interrupted")
    assert sorted(os.listdir()) == ["iris.csv", "iris.safetensors"]


def test_models_made_in_python(iris, run):
    """Without columns and classes: all columns in order, classes by number."""
    model = fnn.Sequential([fnn.Dense(3, "softmax")], input_shape=(4,))
    model.save("bare.safetensors")
    code, lines, _ = run("predict", "bare.safetensors", "--data", iris, "--ignore", "species")
    assert code == 0 and lines[0] == "prediction_0,prediction_1,prediction_2"
    model.compile()
    model.save("bare.safetensors")
    code, lines, _ = run("predict", "bare.safetensors", "--data", iris, "--target", "species")
    assert code == 0 and lines[0] == "prediction" and set(lines[1:]) <= {"0", "1", "2"}


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_ctrl_c_leaves_a_model_that_predicts(iris, run):
    with python("-c", TAKES_SIGINT, "train", "--data", iris, "--epochs", "100000000", "--threads", "1") as process:
        for line in process.stdout:
            if line.startswith("Epoch"):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == "" and "Interrupted: kept " in out
    code, lines, _ = run("predict", "iris.safetensors", "--data", iris)
    assert code == 0 and set(lines[1:]) <= {"setosa", "versicolor", "virginica"}
