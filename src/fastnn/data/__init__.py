"""Real data to try things on: the digits that come with the package, and a reader for MNIST's files.

The digits are the UCI Machine Learning Repository's "Optical Recognition of Handwritten Digits"
(E. Alpaydin and C. Kaynak, 1998, https://doi.org/10.24432/C50P49), licensed CC BY 4.0; see digits.txt.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks
from ..checks_arrays import as_any_array

__all__ = ["load_digits", "load_mnist", "read_idx", "train_test_split"]

IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
BLOCK = 1 << 24  # bytes read at a time


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 handwritten digits that come with the package.

    Returns
    -------
    X : numpy.ndarray
        (1797, 8, 8), uint8, the raw pixels from 0 (paper) to 16 (ink).
    y : numpy.ndarray
        (1797,), int64, the digits 0 to 9.

    Notes
    -----
    From the UCI Machine Learning Repository, "Optical Recognition of Handwritten Digits" (E. Alpaydin and
    C. Kaynak, 1998), licensed CC BY 4.0. The same images in the same order as scikit-learn's
    ``load_digits``.

    Examples
    --------
    >>> X, y = load_digits()
    >>> X.shape, y[:5].tolist()
    ((1797, 8, 8), [0, 1, 2, 3, 4])
    """
    with resources.files(__package__).joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        return np.ascontiguousarray(arrays["images"]), arrays["labels"].astype(np.int64)


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an array from an IDX file, MNIST's format, plain or gzipped.

    Parameters
    ----------
    path : path-like
        The file. Whether it is gzipped is seen from its first bytes, not from its name.

    Returns
    -------
    numpy.ndarray
        In the file's shape and this machine's byte order.

    Raises
    ------
    ValueError
        If the file is no IDX file, or shorter or longer than its header says.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels-idx1-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
    ...     read_idx(path)
    array([5, 0, 4], dtype=uint8)
    """
    with open(checks.file_path("path", path), "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            return _parse_idx(file, path)
        try:
            with gzip.open(file) as content:
                return _parse_idx(content, path)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path}: expected a whole gzip file, got one that is damaged or cut short "
                             f"({error}); fetch it again") from None


def _parse_idx(file: Any, path: str | os.PathLike[str]) -> np.ndarray:
    """The array of an open IDX file; no more is read, and made room for, than its header says."""
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in IDX_DTYPES:
        raise ValueError(f"{path}: expected an IDX file, which begins with 00 00, a type from 08 to 0e and "
                         f"the number of axes, got {start.hex(' ') or 'an empty file'}; MNIST's files "
                         "have names such as train-images-idx3-ubyte.gz")
    dtype, n_axes = np.dtype(IDX_DTYPES[start[2]]), start[3]
    sizes = file.read(4 * n_axes)
    if not n_axes or len(sizes) < 4 * n_axes:
        raise ValueError(f"{path}: expected at least one axis and a header of {4 + 4 * n_axes} bytes for "
                         f"{n_axes} axes, got {4 + len(sizes)} bytes; fetch the file again")
    shape = tuple(int(n) for n in np.frombuffer(sizes, ">u4"))
    expected, data = math.prod(shape) * dtype.itemsize, bytearray()
    while part := file.read(min(expected + 1 - len(data), BLOCK)):
        data += part
    if len(data) != expected:
        got = f"{len(data)}" if len(data) < expected else "more"
        raise ValueError(f"{path}: expected {expected} bytes of data for shape {shape}, got {got}; the file "
                         "is damaged or cut short, fetch it again")
    try:
        array = np.frombuffer(data, dtype).reshape(shape)
    except ValueError as error:
        raise ValueError(f"{path}: expected a shape that NumPy can have, got {shape}: {error}") from None
    return array.astype(dtype.newbyteorder("="), copy=False)


def load_mnist(folder: str | os.PathLike[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read MNIST, or a set in its format such as Fashion-MNIST, from a folder of IDX files.

    Parameters
    ----------
    folder : path-like
        Holds ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, or the same with ``t10k`` for
        ``train``, or all four; plain or ending in ``.gz``, also spelt ``train-images.idx3-ubyte``.

    Returns
    -------
    dict
        ``{"train": (images, labels), "test": (images, labels)}`` with the parts that are there: images
        uint8 (n, 28, 28), labels int64 (n,).

    Examples
    --------
    >>> parts = load_mnist("/data/mnist")              # doctest: +SKIP
    >>> X, y = parts["train"]                          # doctest: +SKIP
    """
    folder = Path(checks.file_path("folder", folder))
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected a folder with MNIST's files, "
                                f"got {'a file' if folder.exists() else 'nothing of that name'}")
    parts = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = (_find_idx(folder, f"{prefix}-{kind}") for kind in ("images", "labels"))
        if images and labels:
            parts[part] = _read_part(images, labels)
        elif images or labels:
            here, missing = ("images", "labels") if images else ("labels", "images")
            raise FileNotFoundError(f"{folder}: expected {here} with their {missing}, got {prefix}-{here} "
                                    f"only; fetch {prefix}-{missing}-idx{1 if images else 3}-ubyte.gz too")
    if not parts:
        raise FileNotFoundError(f"{folder}: expected MNIST's files, such as train-images-idx3-ubyte.gz with "
                                "train-labels-idx1-ubyte.gz or the same with t10k, found none of them")
    return parts


def train_test_split(X: np.ndarray, y: np.ndarray, test: float | int = 0.2, seed: int = 0,
                     stratify: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Hold random rows out for testing.

    Parameters
    ----------
    X, y : array-like
        Samples and targets, one row each.
    test : float or int
        A fraction of the rows, or their number.
    seed : int
        The same seed gives the same rows.
    stratify : bool
        Hold out the same share of each class (rounded), when `y` has integer labels.

    Returns
    -------
    X_train, X_test, y_train, y_test : numpy.ndarray
        Copies; the rows keep their order.

    Examples
    --------
    >>> X, y = load_digits()
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, test=0.2)
    >>> len(X_train), len(X_test)
    (1438, 359)
    """
    X, y = (as_any_array(value, name, "an array of rows") for value, name in ((X, "X"), (y, "y")))
    n, seed, stratify = len(X), checks.seed(seed), checks.boolean("stratify", stratify)
    checks.check_same_length(n, y, "y")
    if isinstance(test, (float, np.floating)):
        n_test = round(checks.fraction("test", test) * n)
    else:
        n_test = checks.positive_int("test", test)
    if not 0 < n_test < n:
        raise ValueError(f"test: expected some of {n} rows for each part, got {test!r}, which holds {n_test} "
                         "out; try 0.2")
    # Rows in random order, ranked within their class; the held-out ones have the smallest relative ranks.
    order = np.random.default_rng(seed).permutation(n)
    if stratify and y.ndim == 1 and y.dtype.kind in "iub":
        labels = y[order]
        position = np.empty(n)
        for label in np.unique(labels):
            rows = np.flatnonzero(labels == label)
            position[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
        order = order[np.argsort(position, kind="stable")]
    held_out = np.zeros(n, bool)
    held_out[order[:n_test]] = True
    return X[~held_out], X[held_out], y[~held_out], y[held_out]


def _find_idx(folder: Path, stem: str) -> Path | None:
    """The file of `stem`, in whichever spelling; a plain one before a gzipped one."""
    axes = 3 if stem.endswith("images") else 1
    names = (f"{stem}{dot}idx{axes}-ubyte{ending}" for ending in ("", ".gz") for dot in "-.")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read_part(images_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = read_idx(images_path), read_idx(labels_path)
    for path, array, n_axes in ((images_path, images, 3), (labels_path, labels, 1)):
        if array.ndim != n_axes or array.dtype != np.uint8:
            raise ValueError(f"{path}: expected uint8 with {n_axes} {'axes' if n_axes > 1 else 'axis'}, "
                             f"got shape {array.shape}, dtype {array.dtype}")
    if len(images) != len(labels):
        raise ValueError(f"{images_path}: expected as many images as {labels_path.name} has labels, "
                         f"{len(labels)}, got {len(images)}; both files must be of one set")
    return images, labels.astype(np.int64)
