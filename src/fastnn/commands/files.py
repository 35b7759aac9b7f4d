"""What commands read from files: tables (CSV), NPZ, and IDX with their labels."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks
from ..data import read_idx
from ..data.columns import Columns, choose_columns, codes_of, distinct, labels_of
from ..data.tables import DELIMITERS, STDIN, Table, TextColumn, read_table
from ..flags import UsageError

FEW = 20  # whole numbers of at most so many values, each on two rows or more, are taken for classes
LAST = "-1"  # the target's column, unless told otherwise


@dataclass(frozen=True)
class Samples:
    """Rows for a model.

    Attributes
    ----------
    name : str
        What messages call them.
    X, y : numpy.ndarray
        y: places among the classes, int64; or numbers, float64; None where there are none.
    classes : tuple or None
        What y stands for; None for numbers.
    columns : Columns or None
        Of a table.
    table : Table or None
        That they were read from.
    said : tuple of str
        What was found out on the way, for the user.
    """

    name: str
    X: np.ndarray
    y: np.ndarray | None = None
    classes: tuple[Any, ...] | None = None
    columns: Columns | None = None
    table: Table | None = field(default=None, repr=False)
    said: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.X)

    @property
    def rows(self) -> str:
        """What a row is."""
        return "images" if self.X.ndim > 2 else "rows"


def load_file(path: str, arguments: argparse.Namespace, like: Samples | None) -> Samples:
    """Samples of a file to train on; `like` others, whose columns and classes they must have."""
    if like is not None:
        samples = read_as(path, arguments, like.columns, like.classes)
        if samples.X.shape[1:] != like.X.shape[1:]:
            raise ValueError(f"{path}: expected samples of shape {like.X.shape[1:]}, got {samples.X.shape[1:]}")
        return samples
    kind = kind_of(path)
    if kind == "table":
        return _load_table(path, arguments)
    X, y = _load_npz(path, arguments) if kind == "npz" else _load_idx(path, arguments)
    assert y is not None
    classes, why = _classes_of_array(y, arguments.task, path)
    if problem := _problem(classes, len(y)):
        raise ValueError(f"{path}: {problem}")
    return Samples(path, X, to_targets(y, classes, path), classes,
                   said=(f"target: {_described(classes)}, because {why}",))


def read_as(path: str, arguments: argparse.Namespace, columns: Columns | None, classes: tuple[Any, ...] | None,
            targets: bool = True, leave_out: Sequence[str] = ()) -> Samples:
    """Samples of a file for a model of these columns and classes; with their targets, or without.

    `leave_out` are columns of a table that are no inputs.
    """
    kind = kind_of(path)
    if kind == "table":
        return _read_table_as(path, arguments, columns, classes, targets, leave_out)
    X, y = (_load_npz if kind == "npz" else _load_idx)(path, arguments, targets)
    return Samples(path, X, None if y is None else to_targets(y, classes, path), classes)


def kind_of(path: str) -> str:
    """What a file is, by its first bytes: "npz", "idx" or "table"."""
    if Path(path).is_dir():
        raise UsageError("--data", f"expected a file, got the folder {path!r}; MNIST's files are read with "
                                   "--data mnist --path FOLDER")
    if path == STDIN or not Path(path).is_file():
        return "table"  # whose reader says what is wrong
    with open(path, "rb") as file:
        start = file.read(4)
    if start[:2] == b"\x1f\x8b":
        import gzip
        import zlib
        try:
            with gzip.open(path) as file:
                start = file.read(4)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return "idx"  # whose reader says so
    if start == b"PK\x03\x04":
        return "npz"
    return "idx" if len(start) == 4 and start[:2] == b"\0\0" else "table"


def _load_npz(path: str, arguments: argparse.Namespace, targets: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """X and y of an NPZ file; nothing in it is unpickled."""
    x_name, y_name = arguments.x or "X", targets and arguments.y or "y"
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            X = _array(file, path, "--x", x_name)
            y = _array(file, path, "--y", y_name) if targets else None
    except (ValueError, OSError, MemoryError):
        raise
    except Exception as error:  # of zipfile, zlib, struct, ...
        raise ValueError(f"{path}: expected an NPZ file, got one that is damaged, or another zip archive ({error}); "
                         "save spreadsheets as CSV") from None
    if X.ndim < 2 or X.dtype.kind not in "biuf" or not len(X):
        raise ValueError(f"{path}: expected {x_name!r} as numbers, a row for each sample, got shape {X.shape}, "
                         f"dtype {X.dtype}")
    checks.check_finite(X, f"{path}: {x_name}")
    if y is not None and (y.ndim not in (1, 2) or len(y) != len(X)):
        raise ValueError(f"{path}: expected {y_name!r} with {len(X)} rows, as {x_name!r} has, got shape "
                         f"{y.shape}")
    if y is None:
        return X, None
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    return X, np.char.decode(y, "utf-8") if y.dtype.kind == "S" else y


def _array(file: Any, path: str, flag: str, name: str) -> np.ndarray:
    if name not in file.files:
        raise UsageError(flag, f"{path} has no array {name!r}; it has {', '.join(map(repr, file.files)) or 'none'}")
    try:
        return file[name]
    except ValueError as error:
        raise ValueError(f"{path}: array {name!r}: expected numbers or text, got Python objects, which are never "
                         f"unpickled, or a damaged array ({error}); save it with a dtype of its own") from None


def _load_idx(path: str, arguments: argparse.Namespace, targets: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """Images and labels of a pair of IDX files."""
    X = read_idx(path)
    if X.ndim < 2 or not len(X):
        raise ValueError(f"{path}: expected images or rows, got shape {X.shape}; give the labels with --labels")
    if not targets:
        return X, None
    labels = arguments.labels
    if labels is None:
        file = Path(path)
        labels = str(file.with_name(file.name.replace("images", "labels").replace(f"idx{X.ndim}", "idx1")))
        if labels == path or not Path(labels).is_file():
            raise UsageError("--labels", f"expected with the images {path}: the IDX file of their labels")
    y = read_idx(labels)
    if y.shape != (len(X),):
        raise ValueError(f"{labels}: expected {len(X)} labels, one for each image of {path}, got shape {y.shape}")
    return X, y


def _classes_of_array(y: np.ndarray, task: str | None, path: str) -> tuple[tuple[Any, ...] | None, str]:
    """The classes of a target, None for numbers, and why."""
    if y.dtype.kind == "U" and y.ndim == 1:
        if task == "regress":
            raise UsageError("--task", f"expected classify: the target of {path} is text")
        return tuple(np.unique(y).tolist()), "it is text"
    if y.dtype.kind not in "biuf":
        raise ValueError(f"{path}: expected numbers, or one text a row, as targets, got shape {y.shape}, dtype "
                         f"{y.dtype}")
    if y.ndim == 2:
        if task == "classify":
            raise UsageError("--task", f"expected regress: the target of {path} has {y.shape[1]} columns")
        return None, f"it has {y.shape[1]} columns"
    checks.check_finite(y, f"{path}: target")
    found = distinct(y)
    if task is not None:
        return (found, "--task classify says so") if task == "classify" else (None, "--task regress says so")
    if y.dtype.kind == "b":
        return found, "it is true or false"
    if all(type(value) is int for value in found) and len(found) <= min(FEW, len(y) // 2):
        return found, "its values are few whole numbers (--task regress for numbers)"
    return None, f"its values are {len(found):,} different numbers (--task classify for classes)"


def _described(classes: tuple[Any, ...] | None) -> str:
    if classes is None:
        return "numbers"
    listed = ", ".join(map(str, classes[:10])) + ", ..." * (len(classes) > 10)
    return f"{len(classes)} classes ({listed})"


def to_targets(y: np.ndarray, classes: tuple[Any, ...] | None, path: str) -> np.ndarray:
    """Targets as a model takes them: places among the classes, or float64."""
    if classes is None:
        if y.dtype.kind not in "biuf":
            raise ValueError(f"{path}: expected numbers as targets, got dtype {y.dtype}")
        return y.astype(np.float64)
    if y.ndim != 1:
        raise ValueError(f"{path}: expected one label a row as targets, got shape {y.shape}")
    place = {value: i for i, value in enumerate(classes)}
    values, inverse = np.unique(y, return_inverse=True)
    codes = np.array([place.get(value, -1) for value in values.tolist()], np.int64)[inverse]
    if (codes < 0).any():
        row = int((codes < 0).argmax())
        raise ValueError(f"{path}: row {row}: expected one of the classes {', '.join(map(str, classes)):.200}, got "
                         f"{y[row]!r:.80}")
    return codes


# ---- tables ----


def _load_table(path: str, arguments: argparse.Namespace) -> Samples:
    table = read_table(path, header=arguments.header, delimiter=arguments.delimiter, text=arguments.categories)
    if len(table.names) == 1:
        raise ValueError(f"{table.path}: expected a target and columns to say it from, got one column, "
                         f"{table.names[0]!r:.80}; if its fields are not between commas, semicolons or tabs, say "
                         "--delimiter")
    categories = {table.index(name) for name in arguments.categories}
    ignored = {table.index(name) for name in arguments.ignore}
    target = table.index(arguments.target or LAST, "target column")
    if target in ignored:
        raise UsageError("--ignore", f"expected columns other than the target {table.names[target]!r}")
    classes, why = _classes_of_column(table, target, arguments.task, target in categories)
    if problem := _problem(classes, len(table)):
        raise table.error(f"{problem}; is it the right --target?", target)
    columns = choose_columns(table, target, ignored, categories)
    y = table.numbers(target) if classes is None else codes_of(table, target, classes)
    return Samples(table.path, columns.encode(table), y, classes, columns, table, (
        f"{table.path}: {len(table):,} rows, {len(table.names)} columns between "
        f"{DELIMITERS.get(table.delimiter, repr(table.delimiter))}, {'with' if table.header else 'without'} a header",
        f"target: {table.names[target]!r}{', the last column' * (arguments.target is None)}: {_described(classes)}, "
        f"because {why}", _inputs(columns), *_counters(table, columns)))


def _classes_of_column(table: Table, target: int, task: str | None,
                       of_names: bool) -> tuple[tuple[Any, ...] | None, str]:
    values = table.columns[target]
    if not isinstance(values, TextColumn):
        return _classes_of_array(table.numbers(target), task, table.path)
    table.require_complete(target)
    if task == "regress" or (task is None and not of_names and table.is_spoilt(target)):
        raise table.not_a_number(target)
    return labels_of(table, target), "it is text"


def _problem(classes: tuple[Any, ...] | None, n_rows: int) -> str:
    """What is wrong with classes, if anything is."""
    if classes is None or 2 <= len(classes) <= max(FEW, n_rows // 2):
        return ""
    if len(classes) == 1:
        return f"expected at least two classes, got {classes[0]!r} in every row"
    return f"expected classes, some rows of each, got {len(classes)} on {n_rows} rows"


def _inputs(columns: Columns) -> str:
    of_names = [column for column in columns.inputs if column.categories is not None]
    n = len(columns.inputs) - len(of_names)
    parts = [f"{n} number{'s' * (n != 1)}"] * bool(n)
    if of_names:
        k = sum(len(column.features) for column in of_names)
        parts.append(f"{len(of_names)} column{'s' * (len(of_names) != 1)} of names as {k} zeros and ones")
    return f"inputs: {' and '.join(parts)}"


def _counters(table: Table, columns: Columns) -> list[str]:
    """A note for each input that only counts the rows, as an index that was written with the table does."""
    notes = []
    for column in columns.inputs:
        values = table.columns[table.index(column.name)]
        if isinstance(values, np.ndarray) and len(values) > FEW and (np.diff(values) == 1).all():
            notes.append(f"note: {column.name!r} only counts the rows; if it should not be an input, say --ignore "
                         f"{table.index(column.name)}")
    return notes


def _read_table_as(path: str, arguments: argparse.Namespace, columns: Columns | None, classes: tuple[Any, ...] | None,
                   targets: bool, leave_out: Sequence[str]) -> Samples:
    text = [*leave_out, *(columns.text if columns else ())]
    if targets and columns and classes is not None and isinstance(classes[0], str):
        text.append(columns.target)
    table = read_table(path, header=arguments.header, delimiter=arguments.delimiter, text=text)
    not_inputs = {table.index(name) for name in (*arguments.ignore, *leave_out)}
    target = None
    others = len(table.names) - len(not_inputs)
    if arguments.target is not None or targets or (
            columns and columns.target in table.names and others > len(columns.inputs)):
        name = arguments.target or (columns.target if columns else LAST)
        target = table.index(name, "target column")
        not_inputs.add(target)
    if columns is None:  # a model that does not know any: all of them, in order
        inputs = [table.numbers(i) for i in range(len(table.names)) if i not in not_inputs]
        X = np.stack(inputs, axis=1) if inputs else np.zeros((len(table), 0))
    else:
        X = columns.encode(table, not_inputs)
    y = None
    if targets and target is not None:
        y = table.numbers(target) if classes is None else codes_of(table, target, classes)
    return Samples(table.path, X, y, classes, columns, table)
