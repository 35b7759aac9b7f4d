"""What every command promises: an example in its help, one JSON document, exit codes, errors of one line."""
import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
from command import SOURCES, TAKES_SIGINT, python
from fastnn import catalogue
from fastnn.cli import main, make_parser
from fastnn.commands import COMMANDS
from fastnn.flags import EXIT_CODES

README = Path(__file__).resolve().parents[1] / "README.md"
NAMES = [command.__name__.rpartition(".")[2] for command in COMMANDS]
NEEDS = {"lesson": "matplotlib", "report": "matplotlib"}
QUICK = {"bench": ["--rounds", "1", "--seconds", "0.001"]}  # added to an example that takes long


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the examples name: a table, another without its target, a model of it."""
    datasets = pytest.importorskip("sklearn.datasets")
    folder = tmp_path_factory.mktemp("examples")
    iris = datasets.load_iris()
    names = [name.replace(" (cm)", "").replace(" ", "_") for name in iris.feature_names]
    rows = [[*x, iris.target_names[y]] for x, y in zip(iris.data.tolist(), iris.target, strict=True)]
    for name, width in (("iris.csv", 5), ("new.csv", 4)):
        with open(folder / name, "w", newline="") as file:
            csv.writer(file).writerows([[*names, "species"][:width], *(row[:width] for row in rows)])
    assert main(["train", "--data", str(folder / "iris.csv"), "--epochs", "40", "--quiet", "--output",
                 str(folder / "iris.safetensors")]) == 0
    return folder


@pytest.fixture(autouse=True)
def folder(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def helped(name):
    """What --help prints."""
    actions = make_parser()._subparsers._group_actions
    return actions[0].choices[name].format_help()


def examples(name):
    return re.findall(r"fastnn .+", helped(name).partition("\nexample")[2])


def test_each_command_is_listed(run):
    code, lines, _ = run("--help")
    text = "\n".join(lines)
    assert code == 0 and all(re.search(rf"^    {name} ", text, re.MULTILINE) for name in NAMES)
    assert all(f"{code}  {meaning}" in text for code, meaning in EXIT_CODES.items())


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_the_help_run(name, run):
    pytest.importorskip(NEEDS.get(name, "numpy"))
    found = examples(name)
    assert found
    for example in found:
        program, *arguments = shlex.split(example)
        code, lines, err = run(*arguments, *QUICK.get(name, []))
        assert program == "fastnn" and arguments[0] == name and (err == "" or "--json" in arguments)
        assert code == (1 if name == "diagnose" else 0) and (lines or "--output" in arguments)


PAGE = README.parent / "docs" / "command_line.md"
KEYS = {  # of each command's document: up to the semicolon those that it always has
    name: re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", keys.partition(";")[0]))
    for name, keys in re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
} if PAGE.is_file() else {}
CALLS = {
    "train": "--data iris.csv --epochs 2 --output json.safetensors", "evaluate": "iris.safetensors --data iris.csv",
    "predict": "iris.safetensors --data new.csv", "report": "iris.safetensors --data iris.csv",
    "diagnose": "--data iris.csv", "info": "", "lesson": "--list",
    "gradcheck": "'activation relu' --backend numpy --dtype float64", "bench": "4-16-3 --rounds 1 --seconds 0.001"}


@pytest.mark.skipif(not KEYS, reason="the documentation is not here")
def test_every_document_is_described():
    assert set(KEYS) == set(NAMES) == set(CALLS) and all(map(len, KEYS.values()))


@pytest.mark.parametrize("name", CALLS)
def test_one_document(name, run):
    """On stdout alone, with --json before or after the command's name."""
    arguments = shlex.split(CALLS[name])
    pytest.importorskip(NEEDS.get(name, "numpy"))
    code, lines, err = run(name, *arguments, "--json")
    document = json.loads("\n".join(lines), parse_constant=pytest.fail)  # no NaN, no Infinity
    assert list(document)[:3] == ["command", "fastnn", "exit_code"]
    assert (document["command"], document["fastnn"], document["exit_code"]) == (name, fnn.__version__, code)
    assert set(KEYS.get(name, ())) <= document.keys() and "Traceback" not in err
    if name in ("evaluate", "info"):
        again = json.loads("\n".join(run("--json", name, *arguments)[1]))
        assert again.keys() == document.keys()


def test_documents_say_what_the_text_says(run):
    document = json.loads("\n".join(run("predict", "iris.safetensors", "--data", "new.csv", "--json",
                                        "--probabilities")[1]))
    header, *rows = csv.reader(run("predict", "iris.safetensors", "--data", "new.csv", "--probabilities")[1])
    assert document["columns"] == header
    assert document["predictions"] == [[name, *map(float, probabilities)] for name, *probabilities in rows]
    document = json.loads("\n".join(run("gradcheck", "activation relu", "--backend", "numpy", "--json")[1]))
    n = sum("activation relu" in case.title for case in catalogue.cases())
    assert document["passed"] == len(document["checks"]) == 2 * n and all(c["passed"] for c in document["checks"])


@pytest.mark.parametrize("arguments, message", [
    (["train", "--epochs", "0"], "argument --epochs"), (["train", "--data", "nowhere.csv"], "nowhere.csv"),
    ([], "required")])
def test_errors_are_documents_too(arguments, message, run):
    code, lines, err = run(*arguments, "--json")
    document = json.loads("\n".join(lines))
    assert code == document["exit_code"] == 2 and message in document["error"]
    assert document["error"] in err and err.count("\n") == 1


@pytest.mark.parametrize("where", [0, 1])
def test_a_traceback_only_if_asked_for(where, run):
    arguments = ["train", "--data", "nowhere.csv"]
    code, _, err = run(*arguments)
    assert code == 2 and "Traceback" not in err
    code, _, err = run(*arguments[:where], "--traceback", *arguments[where:])
    assert code == 2 and err.startswith("Traceback") and "in load_training" in err
    assert err.splitlines()[-1] == "fastnn train: error: nowhere.csv: expected a file, got nothing of that name"


def test_an_error_inside_is_no_users_error(monkeypatch, run):
    def broken(*_):
        raise KeyError("x")

    monkeypatch.setattr("fastnn.commands.evaluate.score", broken)
    code, lines, err = run("evaluate", "iris.safetensors", "--data", "iris.csv")
    assert code == 70 and lines == []
    assert err == ("fastnn evaluate: error inside fastnn, please report it with what --traceback prints: "
                   "KeyError: 'x'\n")


def test_warnings_are_one_line(run):
    """A checkpoint of the other backend goes on, and says what that means."""
    flags = ("train", "--data", "iris.csv", "--checkpoint", "run", "--output", "warned.safetensors", "--quiet")
    assert run(*flags, "--epochs", 1, "--backend", "numpy")[2] == ""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, err = run(*flags, "--epochs", 2, "--backend", "native" if fnn.backends.native else "numpy")
    assert code == 0
    if fnn.backends.native:
        assert err.startswith("fastnn train: warning: resume: the checkpoint is of") and err.count("\n") == 1


def test_a_wrong_result_is_not_timed(monkeypatch, run):
    monkeypatch.setattr("fastnn.commands.bench.TOLERANCE", 0.0)
    code, lines, _ = run("bench", "train 4-16-3", "--rounds", 1, "--seconds", 0.001, "--threads", 1)
    assert code == 1 and any("WRONG: expected " in line for line in lines)


def test_bench(run, monkeypatch):
    code, lines, err = run("bench", "predict", "train 64*", "--rounds", 2, "--seconds", 0.001, "--threads", 2)
    assert (code, err) == (0, "")
    flags = ("--rounds", 3, "--seconds", 0.001, "--threads", 2, "--json")
    document = json.loads("\n".join(run("bench", "4-16-3", *flags)[1]))
    rows = document["workloads"]
    native = [("native", 1), ("native", 2)] if fnn.backends.native else []
    assert [(row["backend"], row["threads"]) for row in rows] == [*native, ("numpy", None)]
    for row in rows:
        assert len(row["rounds_us"]) == 3 and row["wrong"] == "" and row["gflops"] > 0
        assert row["min_us"] <= row["median_us"] == np.median(row["rounds_us"]) <= row["max_us"]
    assert len(lines) - lines[-1].startswith("other programs") == 2 + 3 * len(rows)
    assert all(0 < row["processor"] for row in rows)
    monkeypatch.setattr("fastnn.commands.bench.ALONE", 2.0 if fnn.backends.native else 0.9)
    last = run("bench", "4-16-3", *flags[:-1])[1][-1]
    assert last.startswith("other programs took up to ") or not fnn.backends.native
    code, lines, _ = run("bench", "--list")
    assert code == 0 and len(lines) == 7
    code, _, err = run("bench", "fly")
    assert code == 2 and "argument NAME: nothing is called 'fly'; fastnn bench --list" in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_full_disk_under_stdout(flags):
    command = [sys.executable, "-m", "fastnn", "predict", "iris.safetensors", "--data", "new.csv", *flags]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True,
                              env=os.environ | {"PYTHONPATH": SOURCES})
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "No space left" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_ctrl_c_is_in_the_document():
    with python("-c", TAKES_SIGINT, "train", "--data", "iris.csv", "--epochs", "100000000", "--threads", "1", "--json",
                "--output", "stopped.safetensors") as process:
        for line in process.stderr:
            if line.startswith("Epoch"):
                break
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    document = json.loads(out)
    assert process.returncode == document["exit_code"] == 130 and document["interrupted"] is True
    assert fnn.load(document["model"]).classes == tuple(document["classes"])
    assert document["epochs"] >= 1 and len(document["history"]["loss"]) == document["epochs"]


@pytest.mark.skipif(not README.is_file(), reason="the README is not here")
class TestReadme:
    section = README.read_text(encoding="utf-8").partition("## On the command line\n")[2].partition("\n## ")[0] \
        if README.is_file() else ""

    @pytest.mark.skipif(os.name != "posix", reason="the README's commands are for a POSIX shell")
    def test_its_commands_run(self, tmp_path):
        """As they stand, with a fastnn and a python that find this one."""
        pytest.importorskip("pandas")
        bin_folder = tmp_path / "bin"
        bin_folder.mkdir()
        for name, start in (("fastnn", "-m fastnn"), ("python", "")):
            script = bin_folder / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {start} "$@"\n')
            script.chmod(0o755)
        block = re.search(r"^```sh\n(.*?)^```", self.section, re.MULTILINE | re.DOTALL)[1]
        found = {"PYTHONPATH": SOURCES, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(["sh", "-e", "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                              env=os.environ | found)
        assert done.returncode == 0, done.stderr
        assert "test accuracy 9" in done.stdout and "taken for" in done.stdout
        assert (tmp_path / "predictions.csv").read_text().startswith("prediction,probability_setosa,")

    def test_its_exit_codes(self):
        rows = dict(re.findall(r"^\| `?(\d+)`? \| (.+) \|$", self.section, re.MULTILINE))
        assert rows == {str(code): meaning for code, meaning in EXIT_CODES.items()}

    def test_its_flags(self):
        for flag in set(re.findall(r"`(--[a-z0-9-]+)", self.section)):
            assert any(flag in helped(name) for name in NAMES), flag
