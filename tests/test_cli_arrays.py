"""``fastnn train``, ``evaluate`` and ``predict`` on arrays: NPZ and IDX files."""
import gzip
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
from command import read_json, write_idx
from fastnn.data import load_digits
from hostile_files import damage


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestArrays:
    def test_npz(self, run):
        X, y = load_digits()
        np.savez("digits.npz", X=X, y=y, pixels=X.reshape(-1, 64), names=np.array(["even", "odd"])[y % 2], wide=X[:, 0])
        code, lines, _ = run("train", "--data", "digits.npz", "--epochs", 3)
        assert code == 0 and lines[1] == "digits.npz: 1,438 images to train on, 359 to test"
        code, lines, _ = run("train", "--data", "digits.npz", "--x", "pixels", "--y", "names", "--epochs", 5,
                             "--output", "odd.safetensors")
        assert code == 0 and lines[0] == "target: 2 classes (even, odd), because it is text"
        document = read_json(run("evaluate", "odd.safetensors", "--data", "digits.npz", "--y", "names", "--json"))
        assert document["accuracy"] > 0.9 and list(document["classes"]) == ["even", "odd"]
        code, lines, _ = run("train", "--data", "digits.npz", "--x", "pixels", "--y", "wide", "--epochs", 40)
        assert code == 0 and lines[0] == "target: numbers, because it has 8 columns" and float(
            lines[-1].split()[2].strip(",")) > 0.7
        lines = run("predict", "digits.safetensors", "--data", "digits.npz", "--x", "pixels")[1]
        assert lines[0] == ",".join(f"prediction_{i}" for i in range(8)) and len(lines) == 1798

    def test_idx(self, run):
        X, y = load_digits()
        write_idx(Path("some-images-idx3-ubyte.gz"), X)
        write_idx(Path("some-labels-idx1-ubyte.gz"), y)
        Path("plain").write_bytes(gzip.decompress(Path("some-images-idx3-ubyte.gz").read_bytes()))
        code, lines, _ = run("train", "--data", "some-images-idx3-ubyte.gz", "--model", "lenet", "--epochs", 2,
                             "--output", "m.safetensors")
        assert code == 0 and "1,438 images to train on" in lines[1]
        code, _, err = run("evaluate", "m.safetensors", "--data", "plain")
        assert code == 2 and "argument --labels: expected with the images plain" in err
        code, lines, _ = run("evaluate", "m.safetensors", "--data", "plain", "--labels", "some-labels-idx1-ubyte.gz")
        assert code == 0 and "accuracy" in lines[0]
        assert len(run("predict", "m.safetensors", "--data", "plain")[1]) == 1798
        code, lines, _ = run("evaluate", "m.safetensors", "--data", "digits")
        assert code == 0 and " of 359 images)" in lines[0]

    def test_targets_of_every_dtype(self, run):
        X = np.random.default_rng(0).normal(size=(40, 3))
        for y, classes in (((X[:, 0] > 0), (False, True)), (np.where(X[:, 0] > 0, b"yes", b"no"), ("no", "yes")),
                           ((X[:, :1] > 0).astype(np.uint8) + 3, (3, 4)), ((X[:, 0] > 0) / 2, (0.0, 0.5))):
            np.savez("t.npz", X=X, y=y)
            code, lines, _ = run("train", "--data", "t.npz", "--task", "classify", "--epochs", 2)
            assert code == 0 and fnn.load("t.safetensors").classes == classes
        np.savez("t.npz", X=X, y=np.eye(2)[np.arange(40) % 2])
        code, _, err = run("evaluate", "t.safetensors", "--data", "t.npz")
        assert code == 2 and "expected one label a row as targets, got shape (40, 2)" in err

    def test_damaged_archives(self, run):
        """Whatever the bytes are, it is the user's error or it is read."""
        X, y = load_digits()
        np.savez("t.npz", X=X[:60], y=y[:60])
        np.savez_compressed("c.npz", X=X[:60], y=y[:60])
        originals, rng = [Path(name).read_bytes() for name in ("t.npz", "c.npz")], np.random.default_rng(0)
        for i in range(100):
            Path("d.npz").write_bytes(damage(originals[i % 2], rng))
            code, _, err = run("train", "--data", "d.npz", "--epochs", 1, "--hidden", "none", "--quiet")
            assert code in (0, 2) and err.count("\n") <= 1, err

    @pytest.mark.parametrize("arrays, flags, message", [
        ({"X": np.zeros((4, 2))}, [], "argument --y: t.npz has no array 'y'; it has 'X'"),
        ({"X": np.zeros((4, 2)), "y": np.array([1, "a", 2, 3], object)}, [], "Python objects, which are never unpick"),
        ({"X": np.zeros((4, 2)), "y": np.zeros(3)}, [], "expected 'y' with 4 rows, as 'X' has, got shape (3,)"),
        ({"X": np.zeros((4, 2)), "y": np.full((4, 2), "a")}, [], "expected numbers, or one text a row, as targets"),
        ({"X": np.full((4, 2), np.nan), "y": np.zeros(4)}, [], "t.npz: X"),
        ({"X": np.zeros(4), "y": np.zeros(4)}, [], "a row for each sample, got shape (4,)"),
        ({"X": np.zeros((4, 2)), "y": np.zeros(4)}, ["--target", "1"], "argument --target: expected only with a table"),
        ({"X": np.zeros((4, 2)), "y": np.arange(4)}, ["--model", "lenet"], "is no image but has shape (2,)")])
    def test_what_is_refused(self, run, arrays, flags, message):
        np.savez("t.npz", **arrays)
        code, _, err = run("train", "--data", "t.npz", *flags)
        assert code == 2 and message in err and err.count("\n") == 1

    def test_other_zip_archives(self, run):
        Path("t.xlsx").write_bytes(b"PK\3\4" + bytes(40))
        code, _, err = run("train", "--data", "t.xlsx")
        assert code == 2 and "save spreadsheets as CSV" in err
