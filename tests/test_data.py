"""The bundled digits, IDX files, splits."""
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

import fastnn.data
from fastnn.data import load_digits, load_mnist, read_idx, train_test_split

CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def idx(array, code=None):
    """The bytes of an IDX file."""
    code = CODES[array.dtype.str.lstrip("|")] if code is None else code
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


@pytest.fixture
def labels():
    return np.array([3, 1, 4, 1, 5], np.uint8)


class TestDigits:
    def test_is_what_scikit_learn_has(self):
        X, y = load_digits()
        theirs = pytest.importorskip("sklearn.datasets").load_digits()
        np.testing.assert_array_equal(X, theirs.images)
        np.testing.assert_array_equal(y, theirs.target)

    def test_form(self):
        X, y = load_digits()
        assert X.shape == (1797, 8, 8) and X.dtype == np.uint8 and X.flags.c_contiguous and X.max() == 16
        assert y.shape == (1797,) and y.dtype == np.int64 and set(y) == set(range(10))

    def test_calls_do_not_share_memory(self):
        first, _ = load_digits()
        first[...] = 0
        assert load_digits()[0].any()

    def test_file_is_small_and_names_its_licence(self):
        folder = Path(fastnn.data.__file__).parent
        assert (folder / "digits.npz").stat().st_size < 50_000
        text = (folder / "digits.txt").read_text()
        assert "CC BY 4.0" in text and "Alpaydin" in text
        assert "CC BY 4.0" in fastnn.data.__doc__


class TestIdx:
    @pytest.mark.parametrize("dtype", CODES)
    @pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (0, 4)])
    def test_every_type(self, tmp_path, dtype, shape):
        array = (np.random.default_rng(0).normal(size=shape) * 50).astype(dtype)
        (tmp_path / "a").write_bytes(idx(array))
        read = read_idx(tmp_path / "a")
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype.newbyteorder("=") and read.dtype.isnative and read.flags.writeable

    def test_gzip_is_seen_by_content(self, tmp_path, images):
        (tmp_path / "plain.gz").write_bytes(idx(images))
        (tmp_path / "packed").write_bytes(gzip.compress(idx(images)))
        np.testing.assert_array_equal(read_idx(tmp_path / "plain.gz"), images)
        np.testing.assert_array_equal(read_idx(str(tmp_path / "packed")), images)

    @pytest.mark.parametrize(("spoil", "message"), [
        (lambda b: b"", "empty file"),
        (lambda b: b"<html>not found</html>", "expected an IDX file.*3c 68 74 6d"),
        (lambda b: b"\0\0\x07" + b[3:], "expected an IDX file.*00 00 07 03"),
        (lambda b: b"\0\0\x08\0" + b[4:], "at least one axis"),
        (lambda b: b[:9], "header of 16 bytes for 3 axes, got 9 bytes"),
        (lambda b: b[:-1], r"expected 60 bytes of data for shape \(5, 4, 3\), got 59"),
        (lambda b: b + b"\0", "got more"),
        (lambda b: b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"x", "a shape that NumPy can have"),
        (lambda b: b"\0\0\x08\3" + b"\0" * 4 + b"\xff" * 8, "a shape that NumPy can have"),
        (lambda b: b[:4] + b"\xff" * 12 + b[16:], "got 60"),
        (lambda b: gzip.compress(b)[:-9], "damaged or cut short"),
        (lambda b: gzip.compress(b)[:12] + b"\xff" * 4 + gzip.compress(b)[16:], "damaged or cut short"),
    ])
    def test_spoilt_files(self, tmp_path, images, spoil, message):
        (tmp_path / "a").write_bytes(spoil(idx(images)))
        with pytest.raises(ValueError, match=message) as error:
            read_idx(tmp_path / "a")
        assert str(tmp_path / "a") in str(error.value)

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            read_idx(tmp_path / "a")


class TestMnist:
    @pytest.mark.parametrize("dot", "-.")
    @pytest.mark.parametrize("ending", ["", ".gz"])
    @pytest.mark.parametrize("prefixes", [("train",), ("t10k",), ("train", "t10k")])
    def test_spellings(self, tmp_path, images, labels, dot, ending, prefixes):
        pack = gzip.compress if ending else bytes
        for prefix in prefixes:
            (tmp_path / f"{prefix}-images{dot}idx3-ubyte{ending}").write_bytes(pack(idx(images)))
            (tmp_path / f"{prefix}-labels{dot}idx1-ubyte{ending}").write_bytes(pack(idx(labels)))
        parts = load_mnist(tmp_path)
        assert list(parts) == ["train" if prefix == "train" else "test" for prefix in prefixes]
        for X, y in parts.values():
            np.testing.assert_array_equal(X, images)
            np.testing.assert_array_equal(y, labels)
            assert X.dtype == np.uint8 and y.dtype == np.int64

    def test_nothing_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nothing of that name"):
            load_mnist(tmp_path / "no")
        with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte\.gz"):
            load_mnist(tmp_path)
        (tmp_path / "file").touch()
        with pytest.raises(FileNotFoundError, match="got a file"):
            load_mnist(tmp_path / "file")

    def test_half_a_part(self, tmp_path, labels):
        (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
        with pytest.raises(FileNotFoundError, match="t10k-images-idx3-ubyte"):
            load_mnist(tmp_path)

    def test_parts_that_do_not_fit(self, tmp_path, images, labels):
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels[:4]))
        (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images))
        with pytest.raises(ValueError, match="expected as many images as .* has labels, 4, got 5"):
            load_mnist(tmp_path)
        (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(labels))
        with pytest.raises(ValueError, match="expected uint8 with 3 axes, got shape"):
            load_mnist(tmp_path)


class TestSplit:
    def test_every_row_once_and_in_step(self):
        X, y = np.arange(100), np.arange(100) % 7
        X_train, X_test, y_train, y_test = train_test_split(X, y, test=0.3)
        assert len(X_test) == len(y_test) == 30
        np.testing.assert_array_equal(np.sort(np.concatenate([X_train, X_test])), X)
        np.testing.assert_array_equal(y_train, X_train % 7)
        np.testing.assert_array_equal(y_test, X_test % 7)

    @pytest.mark.parametrize("test", [0.2, 359])
    def test_classes_keep_their_shares(self, test):
        X, y = load_digits()
        _, _, y_train, y_test = train_test_split(X, y, test=test)
        assert len(y_test) == 359
        np.testing.assert_allclose(np.bincount(y_test), np.bincount(y) * 359 / 1797, atol=1)

    def test_seed(self):
        X, y = np.arange(50), np.zeros(50, int)
        held_out = [train_test_split(X, y, seed=seed)[1].tolist() for seed in (0, 0, 1)]
        assert held_out[0] == held_out[1] != held_out[2]

    @pytest.mark.parametrize("y", [np.linspace(0, 1, 20), np.eye(4)[np.arange(20) % 4], list(range(20))])
    def test_any_targets(self, y):
        X_train, X_test, y_train, y_test = train_test_split(np.arange(20), y, test=5)
        assert len(y_train) == 15 and len(y_test) == len(X_test) == 5

    @pytest.mark.parametrize("test", [0.0, 0.01, 20, 1.5, -1, "half"])
    def test_no_part_is_empty(self, test):
        with pytest.raises((ValueError, TypeError), match="test"):
            train_test_split(np.arange(20), np.zeros(20), test=test)

    def test_lengths_differ(self):
        with pytest.raises(ValueError, match="y"):
            train_test_split(np.arange(20), np.zeros(19))
