"""The command, run in this process on few epochs; Ctrl-C in a process of its own."""
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
from command import TAKES_SIGINT, python, write_idx
from fastnn import catalogue
from fastnn.activations import ACTIVATIONS
from fastnn.cli import make_parser
from fastnn.data import load_digits, train_test_split

LAST_LINE = re.compile(
    r"test accuracy (?P<accuracy>[\d.]+)% \((?P<right>\d+) of (?P<n>\d+) images\), (?P<rate>[\d,]+) images/s "
    r"in training, (?P<backend>\w+) backend, .*threads?.*")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_mnist(folder, prefix, X, y):
    write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", X)
    write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", y)


class TestTrain:
    def test_defaults_reach_97_percent(self, run, folder):
        code, lines, err = run("train")
        assert (code, err) == (0, "")
        assert lines[0] == "digits: 1,438 images to train on, 359 to test"
        assert lines[1].startswith("network: 64-256-128-10, relu, 50,826 parameters, float32; Adam(")
        epochs = [line for line in lines if line.startswith("Epoch ")]
        assert len(epochs) == 20
        assert all(re.search(r"  loss .*  accuracy .*  val_loss .*  val_accuracy ", line) for line in epochs)
        assert lines[-2] == "saved: digits.safetensors"
        last = LAST_LINE.fullmatch(lines[-1])
        assert float(last["accuracy"]) >= 97 and last["n"] == "359"
        assert int(last["rate"].replace(",", "")) > 0 and last["backend"] == fnn.backend()

    def test_saved_model_takes_raw_pixels(self, run, folder):
        code, lines, _ = run("train", "--epochs", 3, "--quiet")
        assert code == 0 and len(lines) == 1
        _, X_test, _, y_test = train_test_split(*load_digits())
        right = (fnn.load("digits.safetensors").predict(X_test).argmax(axis=1) == y_test).sum()
        assert right == int(LAST_LINE.fullmatch(lines[0])["right"])

    def test_every_flag(self, run, folder):
        code, lines, _ = run(
            "train", "--data", "digits", "--train-rows", 600, "--test-rows", 100, "--validation", 0.25,
            "--hidden", "24,12", "--activation", "tanh", "--dtype", "float64", "--optimizer", "sgd",
            "--lr", 0.05, "--momentum", 0.8, "--epochs", 2, "--batch-size", 50, "--patience", 5, "--seed", 3,
            "--backend", "numpy", "--output", "my.safetensors")
        assert code == 0
        assert lines[:2] == ["digits: 450 images to train on, 150 to validate, 100 to test",
                             "network: 64-24-12-10, tanh, 1,990 parameters, float64; "
                             "SGD(learning_rate=0.05, momentum=0.8, nesterov=False)"]
        assert lines[-2] == "saved: my.safetensors" and "numpy backend" in lines[-1]
        model = fnn.load("my.safetensors")
        assert model.dtype == np.float64 and model.seed == 3 and model.optimizer.momentum == 0.8
        assert [layer.output_shape for layer in model.layers][-3:] == [(24,), (12,), (10,)]

    def test_goes_on_with_a_checkpoint(self, run, folder):
        """Two epochs, and then two more, are four: the same file."""
        flags = ("train", "--train-rows", 300, "--hidden", "16")
        run(*flags, "--epochs", 4, "--output", "whole.safetensors")
        assert run(*flags, "--epochs", 2, "--checkpoint", "run")[0] == 0
        code, lines, _ = run(*flags, "--epochs", 4, "--checkpoint", "run", "--output", "halves.safetensors")
        assert code == 0 and [line[:9] for line in lines if line.startswith("Epoch")] == ["Epoch 3/4", "Epoch 4/4"]
        assert Path("halves.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()
        code, _, err = run(*flags, "--epochs", 4, "--checkpoint", "run", "--lr", 0.5)
        assert code == 2 and "learning_rate, 0.001 there and 0.5 here" in err

    def test_machine_is_put_back(self, run):
        before = fnn.backend(), fnn.backends.isa(), fnn.get_num_threads()
        code, lines, _ = run("train", "--epochs", 1, "--threads", 1, "--backend", "numpy", "--quiet")
        assert code == 0 and lines[0].endswith("1 thread")
        assert (fnn.backend(), fnn.backends.isa(), fnn.get_num_threads()) == before

    @pytest.mark.skipif(fnn.backends.isa() is None, reason="the compiled core was not built")
    def test_every_isa(self, run):
        for isa in fnn.backends.native.supported_isas():
            code, lines, _ = run("train", "--epochs", 1, "--threads", 1, "--backend", "native", "--isa", isa,
                                 "--quiet")
            assert code == 0 and lines[0].endswith(f"native backend, {isa}, 1 thread")

    def test_seed_fixes_the_result(self, run, folder):
        for seed, name in ((1, "a"), (1, "b"), (2, "c")):
            run("train", "--epochs", 1, "--seed", seed, "--output", name)
        a, b, c = ((folder / name).read_bytes() for name in "abc")
        assert a == b != c

    def test_softmax_regression(self, run):
        code, lines, _ = run("train", "--hidden", "none", "--epochs", 2)
        assert code == 0 and lines[1].startswith("network: 64-10, ")

    def test_lenet(self, run, folder):
        code, lines, err = run("train", "--model", "lenet")
        assert (code, err) == (0, "")
        assert lines[1].startswith("network: LeNet-5, 64-120-84-10, relu, 19,754 parameters, ")
        assert float(LAST_LINE.fullmatch(lines[-1])["accuracy"]) >= 97
        kinds = [type(layer).__name__ for layer in fnn.load("digits.safetensors").layers]
        assert kinds == ["Standardize", *["Conv2D", "MaxPool2D"] * 2, "Flatten", *["Dense"] * 3]

    def test_early_stopping(self, run):
        code, lines, _ = run("train", "--validation", 0.1, "--patience", 1, "--epochs", 500)
        assert code == 0 and 3 < len(lines) < 100


class TestDiagnose:
    def test_healthy(self, run, folder):
        code, lines, err = run("diagnose", "--hidden", "32", "--sanity")
        assert (code, err) == (0, "") and lines[0].split()[:2] == ["layer", "activation"]
        assert "healthy: none of the rules found anything" in lines
        checks = ["initial", "regularization", "overfitting", "gradients"]
        assert [line.split()[0] for line in lines[-4:]] == checks
        assert not any(folder.iterdir())  # nothing is trained, nothing is saved

    def test_sick(self, run):
        code, lines, err = run("diagnose", "--hidden", "30,30", "--activation", "tanh", "--initializer",
                               "standard_normal", "--backend", "numpy", "--steps", "5")
        assert (code, err) == (1, "")
        assert any(line.startswith("warning: saturated_units in dense: ") for line in lines)
        assert any(line.startswith("  try: ") for line in lines)

    def test_sanity_alone_decides_too(self, run):
        code, lines, _ = run("diagnose", "--hidden", "8", "--optimizer", "sgd", "--lr", "0.001", "--sanity")
        assert code == 1 and any(line.startswith("overfitting     FAILED") for line in lines)

    @pytest.mark.parametrize("flags, message", [
        (["--activation", "relux"], "unknown activation 'relux'"), (["--initializer", "he"], "'he'"),
        (["--steps", "0"], "argument --steps: expected a whole number of at least 1, got '0'"),
        (["--epochs", "3"], "unrecognized arguments: --epochs 3")])
    def test_errors_are_one_line(self, run, flags, message):
        code, lines, err = run("diagnose", *flags)
        assert code == 2 and lines == [] and message in err and err.count("\n") == 1

class TestMnist:
    def test_one_part_is_split(self, run, folder):
        X, y = load_digits()
        write_mnist(folder, "t10k", X, y)
        code, lines, _ = run("train", "--data", "mnist", "--path", ".", "--train-rows", 1500, "--epochs", 5)
        assert code == 0 and lines[0] == "mnist: 1,500 images to train on, 297 to test"
        assert lines[-2] == "saved: mnist.safetensors"
        right = (fnn.load("mnist.safetensors").predict(X[1500:]).argmax(axis=1) == y[1500:]).sum()
        assert right == int(LAST_LINE.fullmatch(lines[-1])["right"])
        code, lines, _ = run("train", "--data", "mnist", "--path", ".", "--epochs", 1)
        assert code == 0 and lines[0] == "mnist: 1,438 images to train on, 359 to test"

    @pytest.mark.skipif("FASTNN_MNIST" not in os.environ, reason="FASTNN_MNIST names no folder with MNIST's files")
    def test_lenet_on_mnist(self, run):
        """The last 2,000 of its test images, after the first 8,000."""
        code, lines, _ = run("train", "--model", "lenet", "--data", "mnist", "--path", os.environ["FASTNN_MNIST"],
                             "--train-rows", 8000, "--epochs", 12, "--batch-size", 64)
        assert code == 0 and float(LAST_LINE.fullmatch(lines[-1])["accuracy"]) >= 97.5

    def test_both_parts(self, run, folder):
        X, y = load_digits()
        write_mnist(folder, "train", X[:1000], y[:1000])
        write_mnist(folder, "t10k", X[1000:], y[1000:])
        code, lines, _ = run("train", "--data", "mnist", "--path", ".", "--epochs", 1)
        assert code == 0 and lines[0] == "mnist: 1,000 images to train on, 797 to test"
        code, _, err = run("train", "--data", "mnist", "--path", ".", "--test", 0.1)
        assert code == 2 and "argument --test: expected without test rows of their own" in err
        code, lines, _ = run("train", "--data", "mnist", "--path", ".", "--epochs", 1, "--train-rows", 500,
                             "--test-rows", 200)
        assert code == 0 and lines[0] == "mnist: 500 images to train on, 200 to test"


class TestErrors:
    @pytest.mark.parametrize(("arguments", "message"), [
        ([], "required: {train,"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--wings", "2"], "unrecognized arguments: --wings 2"),
        (["train", "--epoch", "2"], "fastnn train: error: unrecognized arguments: --epoch 2; did you mean --epochs?"),
        (["train", "--epochs", "0"], "argument --epochs: expected a whole number of at least 1, got '0'"),
        (["train", "--batch-size", "1.5"], "argument --batch-size: expected a whole number"),
        (["train", "--seed", "-1"], "argument --seed: expected a whole number of at least 0"),
        (["train", "--lr", "0"], "argument --lr: expected a number above 0, got '0'"),
        (["train", "--lr", "nan"], "argument --lr"),
        (["train", "--momentum", "1"], "argument --momentum: expected a number from 0 up to 1"),
        (["train", "--momentum", "0.9"], "argument --momentum: adam has none"),
        (["train", "--validation", "1"], "argument --validation"),
        (["train", "--validation", "0.0001"], "some of 1438 rows for each part"),
        (["train", "--patience", "3"], "argument --patience: expected with --validation"),
        (["train", "--hidden", "128,0"], "argument --hidden: expected sizes such as 128 or 128,64"),
        (["train", "--hidden", ""], "argument --hidden"),
        (["train", "--activation", "rellu"], "unknown activation 'rellu', did you mean 'relu'"),
        (["train", "--optimizer", "adm"], "unknown optimizer 'adm', did you mean 'adam'"),
        (["train", "--backend", "gpu"], "argument --backend: invalid choice: 'gpu'"),
        (["train", "--isa", "mmx"], "mmx"),
        (["train", "--threads", "0"], "argument --threads"),
        (["train", "--train-rows", "1797"], "argument --train-rows: expected at most 1796, got 1797"),
        (["train", "--test-rows", "360"], "argument --test-rows: expected at most 359, got 360"),
        (["train", "--path", "."], "argument --path: expected only with --data mnist"),
        (["train", "--data", "mnist"], "argument --path: expected with --data mnist"),
        (["train", "--data", "mnist", "--path", "nowhere"], "nowhere: expected a folder with MNIST's files"),
        (["train", "--data", "mnist", "--path", "."], "found none of them"),
        (["train", "--output", "nowhere/a"], "argument --output: expected a file in a folder"),
        (["train", "--output", "."], "argument --output"),
        (["train", "--output", ""], "argument --output"),
        (["train", "--optimizer", "sgd", "--lr", "1e30"], "diverged"),
    ])
    def test_one_line_and_code_2(self, run, folder, arguments, message):
        code, _, err = run(*arguments)
        assert code == 2 and message in err
        assert err.count("\n") == 1 and err.startswith("fastnn") and ": error: " in err
        assert not list(folder.iterdir())

    def test_damaged_file(self, run, folder):
        X, y = load_digits()
        write_mnist(folder, "train", X, y)
        images = folder / "train-images-idx3-ubyte.gz"
        images.write_bytes(images.read_bytes()[:-20])
        code, _, err = run("train", "--data", "mnist", "--path", folder)
        assert code == 2 and "damaged or cut short" in err and err.count("\n") == 1


class TestOther:
    def test_info(self, run, monkeypatch):
        info = fnn.backends.info()  # what it measures varies: once
        monkeypatch.setattr(fnn.backends, "info", lambda: info)
        code, lines, err = run("info")
        assert (code, err) == (0, "")
        shown = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in lines)
        assert shown["fastnn"] == fnn.__version__ and shown["backend"] == fnn.backend()
        assert shown["NumPy"] == np.__version__
        assert shown["ISA"] == f"{info['isa'] or 'none'} ({info['isa_reason']})"
        if info["isa"]:
            assert shown["threads"].startswith(str(fnn.get_num_threads()))
            assert shown["compiler"] == info["compiler"] and "GFLOP/s float32" in shown["peak FMA rate"]

    def test_info_without_the_core(self, run, monkeypatch):
        monkeypatch.setattr(fnn.backends, "info", lambda: {
            "backend": "numpy", "numpy": "2.0", "isa": None, "isa_reason": "the core was not built",
            "isas": [], "threads": 1, "compiler": None, "fma_gflops_f32": None, "fma_gflops_f64": None,
            "fork_join_us": None})
        code, lines, _ = run("info")
        assert code == 0 and ["ISA", "none (the core was not built)"] in [s.split(None, 1) for s in lines]

    def test_version_and_help(self, run):
        assert run("--version") == (0, [f"fastnn {fnn.__version__}"], "")
        code, lines, _ = run("--help")
        assert code == 0 and lines[0].startswith("usage: fastnn")

    def test_help_names_the_defaults(self, run):
        code, lines, _ = run("train", "--help")
        text = " ".join(" ".join(lines).split())
        assert code == 0 and "default: 64,32; of images 256,128" in text
        assert "default: None" not in text and "default: False" not in text and "default: ()" not in text
        assert "fixes initial weights and shuffling (default: 0)" in text

    def test_flags_of_the_readme(self):
        make_parser().parse_args(
            "train --hidden 128,64 --activation relu --optimizer adam --lr 1e-3 --epochs 20 --batch-size 64 "
            "--seed 0 --backend numpy --dtype float64 --threads 1".split())

    def test_module(self):
        with python("-m", "fastnn", "--version") as process:
            assert process.communicate(timeout=60) == (f"fastnn {fnn.__version__}\n", "")
        assert process.returncode == 0

    @pytest.mark.skipif(os.name != "posix", reason="pipes and their errors are POSIX's")
    def test_reader_of_the_pipe_goes_away(self):
        code = "import sys; from fastnn.cli import main; sys.exit(main(['train', '--epochs', '1']))"
        with python("-c", code) as process:
            process.stdout.close()
            assert process.wait(timeout=60) == 141 and process.stderr.read() == ""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
class TestInterrupt:
    @pytest.mark.parametrize("backend", ["native", "numpy"])
    def test_keeps_and_saves(self, folder, backend):
        if backend == "native" and fnn.backends.isa() is None:
            pytest.skip("the compiled core was not built")
        arguments = ["train", "--epochs", "1000000", "--backend", backend]
        with python("-c", TAKES_SIGINT, *arguments) as process:
            for line in process.stdout:
                if line.startswith("Epoch"):
                    break
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 130 and err == ""
        kept, saved, last = out.splitlines()[-3:]
        epochs = int(re.match(r"Interrupted: kept (\d+) of 1000000 epochs", kept)[1])
        assert epochs >= 1 and saved == "saved: digits.safetensors"
        _, X_test, _, y_test = train_test_split(*load_digits())
        right = (fnn.load("digits.safetensors").predict(X_test).argmax(axis=1) == y_test).sum()
        assert right == int(LAST_LINE.fullmatch(last)["right"])

    def test_before_the_training(self, monkeypatch, run):
        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("fastnn.commands.data.load_digits", interrupt)
        code, lines, err = run("train")
        assert code == 130 and lines == [] and err == "fastnn train: interrupted before there was anything to keep\n"


class TestGradcheck:
    def test_table(self, run):
        code, lines, err = run("gradcheck", "layer dense", "activation relu", "--samples", 5)
        assert (code, err) == (0, "")
        assert lines[0].split() == ["case", "backend", "dtype", "values", "kinks", "worst", "tensor", "error",
                                    "tolerance"]
        rows = lines[1:-2]
        backends = 1 + (fnn.backends.isa() is not None)
        chosen = {case.title for case in catalogue.cases()
                  if "layer dense" in case.title or "activation relu" in case.title}
        assert {"layer dense", "layer dense-deep", "activation relu"} <= chosen
        assert {row.split("  ")[0].strip() for row in rows} == chosen
        assert len(rows) == len(chosen) * 2 * backends and all(row.endswith("  ok") for row in rows)
        assert lines[-1] == f"{len(rows)} of {len(rows)} checks passed"

    def test_options(self, run):
        before = fnn.backend()
        code, lines, _ = run("gradcheck", "loss focal after softmax labels weighted", "--backend", "numpy",
                             "--dtype", "float32", "--directions", 2, "--rows", 3, "--seed", 5)
        assert code == 0 and lines[1].split()[-9:-7] == ["numpy", "float32"] and len(lines) == 4
        assert fnn.backend() == before

    def test_list_names_everything(self, run):
        code, lines, _ = run("gradcheck", "--list")
        assert code == 0 and lines == [case.title for case in catalogue.cases()]

    def test_a_wrong_gradient_is_told(self, run, monkeypatch):
        relu = ACTIVATIONS["relu"]
        wrong = replace(relu, slope=lambda y, alpha: 1.1 * relu.slope(y, alpha))
        monkeypatch.setitem(ACTIVATIONS, "relu", wrong)
        code, lines, err = run("gradcheck", "activation relu", "activation tanh", "--backend", "numpy")
        assert (code, err) == (1, "")
        verdicts = {line.split("  ")[0].strip(): line.split()[-1] for line in lines[1:5]}
        assert verdicts == {"activation relu": "FAILED", "activation tanh": "ok"}
        assert "activation relu, numpy: dense.weight, dense.bias, dense_1.weight, dense_1.bias, X" in lines
        assert any(line.startswith("dense_1.bias") and line.endswith("FAILED") for line in lines)
        assert lines[-1] == "2 of 4 checks passed, 2 FAILED"

    def test_unknown_name(self, run):
        code, lines, err = run("gradcheck", "dens3")
        assert code == 2 and not lines and "argument NAME: nothing is called 'dens3'" in err
