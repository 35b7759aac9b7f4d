"""What commands read: tables (CSV), NPZ, IDX, the digits and MNIST; their flags, and the split."""

from __future__ import annotations

import argparse
import math
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks
from ..data import load_digits, load_mnist, read_idx, train_test_split
from ..data.columns import Columns, choose_columns, codes_of, distinct, labels_of
from ..data.tables import DELIMITERS, STDIN, Table, TextColumn, read_table
from ..flags import UsageError, number, whole

BUILT_IN = ("digits", "mnist")
FEW = 20  # whole numbers of at most so many values, each on two rows or more, are taken for classes
LAST = "-1"  # the target's column, unless told otherwise
TEST = 0.2  # the share that is held out, unless told otherwise


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


# ---- flags ----


def add_data_flags(parser: argparse.ArgumentParser, trains: bool, text: bool = False) -> None:
    """The flags that say what is read; with `trains` also which part is held out."""
    flag = parser.add_argument_group("data").add_argument
    of_text = "; or a text, whose next character is to be said" if text else ""
    flag("--data", metavar="DATA", **({"default": "digits"} if trains else {"required": True}),
         help="a table (CSV: commas, semicolons or tabs; '-' reads it from stdin), an NPZ file with X and y, an IDX "
              "file of images; or a name: digits, the 8x8 digits that come with fastnn; mnist, MNIST's IDX files in "
              f"--path{of_text}")
    flag("--path", metavar="PATH", help="where MNIST's files are, gzipped or plain" + "; the text file" * text)
    flag("--target", metavar="COLUMN", help="the column to be said, by its name or its number: 0 is the first, -1 the "
         "last" + (" (default: -1)" if trains else "; the one that the model was trained on if not given"))
    flag("--ignore", type=names, default=(), metavar="COLUMN,...", help="columns to leave out")
    flag("--header", action=argparse.BooleanOptionalAction,
         help="whether the table's first line has the names of its columns; looked at if not given")
    flag("--delimiter", type=delimiter, metavar="C", help="what is between the fields of a table, one character or "
         "'tab'; looked at if not given")
    flag("--x", metavar="NAME", help="the array of samples in an NPZ file (default: X)")
    flag("--y", metavar="NAME", help="the array of targets in an NPZ file (default: y)")
    flag("--labels", metavar="FILE", help="the IDX file with the labels of --data's images; if not given the file "
                                          "beside it with 'labels' for 'images' in its name")
    if trains:
        flag("--task", choices=("classify", "regress"),
             help="say which class a row is of, or a number; by the target's values if not given")
        flag("--categories", type=names, default=(), metavar="COLUMN,...",
             help="columns whose values are names of something, even if they look like numbers; text always is")
        flag("--test", type=number("a share from 0 up to 1", lambda x: 0 <= x < 1), metavar="SHARE",
             help="share of the rows that is held out and tested on at the end, of each class alike "
                  f"(default: {TEST}); data with a test part of its own is not split")
        flag("--test-data", metavar="FILE", help="test on this file instead, of the same kind as --data")
        flag("--split-seed", type=whole(0), metavar="N", help="fixes which rows are held out (default: 0)")
        flag("--train-rows", type=whole(1), metavar="N", help="rows to train on; the others are held out")


FILES = ("table", "npz", "idx")
KINDS = {"table": "a table", "npz": "an NPZ file", "idx": "an IDX file", "digits": "--data digits", "mnist":
         "--data mnist", "text": "--data text"}
ONLY_WITH: dict[str, tuple[str, ...]] = {  # kinds of data that a flag is for
    "path": ("mnist", "text"), "target": ("table",), "ignore": ("table",), "categories": ("table",),
    "header": ("table",), "delimiter": ("table",), "x": ("npz",), "y": ("npz",), "labels": ("idx",),
    "task": FILES, "test_data": FILES, "test": (*FILES, *BUILT_IN), "split_seed": (*FILES, "digits"),
    "train_rows": (*FILES, *BUILT_IN)}


def check_flags(arguments: argparse.Namespace) -> None:
    """Refuse flags that the data has no use for, and a name without its path."""
    kind = arguments.data if arguments.data in (*BUILT_IN, "text") else kind_of(arguments.data)
    for name, kinds in ONLY_WITH.items():
        if getattr(arguments, name, None) not in (None, ()) and kind not in kinds:
            raise UsageError(f"--{name.replace('_', '-')}", f"expected only with {' or '.join(KINDS[k] for k in kinds)}"
                             f", got --data {arguments.data}")
    if kind == "mnist" and arguments.path is None:
        raise UsageError("--path", "expected with --data mnist: the folder of train-images-idx3-ubyte.gz and "
                                   "the others")
    if kind == "text" and arguments.path is None:
        raise UsageError("--path", "expected with --data text: a UTF-8 text file")


def names(text: str) -> tuple[str, ...]:
    """A type for argparse: columns, by name or number, with commas between them.

    Examples
    --------
    >>> names("id,note"), names("-1")
    (('id', 'note'), ('-1',))
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())


def delimiter(text: str) -> str:
    """A type for argparse: one character, or "tab"."""
    text = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(text) != 1 or text in '"\r\n':
        raise argparse.ArgumentTypeError(f"expected one character, or tab, got {text!r}")
    return text


# ---- to train on ----


def load_training(arguments: argparse.Namespace) -> tuple[Samples, Samples | None]:
    """What is trained on, and what is tested on, if anything is."""
    check_flags(arguments)
    if arguments.data in BUILT_IN:
        train, test = _load_built_in(arguments)
    else:
        train, test = _load_file(arguments.data, arguments, None), None
        if arguments.test_data is not None:
            test = _load_file(arguments.test_data, arguments, train)
    if test is not None:
        if arguments.test is not None:
            raise UsageError("--test", f"expected without test rows of their own, which --data {arguments.data} has")
        n = _at_most("--train-rows", arguments.train_rows, len(train))
        train = _rows(train, slice(n))
    else:
        train, test = split(train, _held_out(arguments, len(train)), arguments.split_seed or 0,
                            in_order=arguments.data == "mnist")  # the digits are ordered by writer, MNIST's are not
    return train, test


def _load_built_in(arguments: argparse.Namespace) -> tuple[Samples, Samples | None]:
    parts = {"all": load_digits()} if arguments.data == "digits" else load_mnist(arguments.path)
    classes = tuple(range(max(10, 1 + max(int(y.max()) for _, y in parts.values()))))
    found = [Samples(arguments.data, X, y, classes) for X, y in parts.values()]
    return (found[0], found[1]) if len(found) == 2 else (found[0], None)


def _held_out(arguments: argparse.Namespace, n: int) -> int:
    """How many rows to hold out."""
    if arguments.train_rows is not None:
        if arguments.test is not None:
            raise UsageError("--test", "expected without --train-rows, after which all other rows are held out")
        return n - _at_most("--train-rows", arguments.train_rows, n - 1)
    share = TEST if arguments.test is None else arguments.test
    held_out = round(share * n)
    if share and not 0 < held_out < n:
        raise UsageError("--test", f"expected a share that leaves some of {n} rows for each part, got "
                                   f"{share}, which holds {held_out} out; --test 0 trains on all")
    return held_out


def split(samples: Samples, held_out: int, seed: int = 0, in_order: bool = False) -> tuple[Samples, Samples | None]:
    """Hold rows out: at random, of each class alike; or the last ones."""
    if not held_out:
        return samples, None
    if in_order:
        n = len(samples) - held_out
        return _rows(samples, slice(n)), _rows(samples, slice(n, None))
    assert samples.y is not None
    X_train, X_test, y_train, y_test = train_test_split(samples.X, samples.y, held_out, seed)
    return replace(samples, X=X_train, y=y_train), replace(samples, X=X_test, y=y_test)


def _rows(samples: Samples, rows: slice) -> Samples:
    return replace(samples, X=samples.X[rows], y=None if samples.y is None else samples.y[rows])


def first_rows(flag: str, samples: Samples, wanted: int | None) -> Samples:
    """So many rows, or all."""
    return _rows(samples, slice(_at_most(flag, wanted, len(samples))))


def _at_most(flag: str, wanted: int | None, available: int) -> int:
    if wanted is not None and wanted > available:
        raise UsageError(flag, f"expected at most {available}, got {wanted}")
    return wanted or available


def as_inputs(model: Any, samples: Samples) -> np.ndarray:
    """Samples in the shape that a model takes: rows as images, images with an axis for their one channel."""
    shape, X = model.input_shape, samples.X
    if None not in shape and math.prod(shape) == math.prod(X.shape[1:]):
        return X.reshape(len(X), *shape)
    raise ValueError(f"{samples.name}: expected samples of shape {shape}, as the model takes them, got {X.shape[1:]}")


# ---- files ----


def _load_file(path: str, arguments: argparse.Namespace, like: Samples | None) -> Samples:
    """Samples of a file with their targets; `like` others, whose columns and classes they must have."""
    kind = kind_of(path)
    if kind == "table":
        return _load_table(path, arguments, like)
    X, y = _load_npz(path, arguments) if kind == "npz" else _load_idx(path, arguments)
    assert y is not None
    name = Path(path).name
    if like is not None:
        if X.shape[1:] != like.X.shape[1:]:
            raise ValueError(f"{path}: expected samples of shape {like.X.shape[1:]}, got {X.shape[1:]}")
        return Samples(name, X, to_targets(y, like.classes, path), like.classes)
    classes, why = _classes_of_array(y, arguments.task, path)
    return Samples(name, X, to_targets(y, classes, path), classes,
                   said=(f"target: {_described(classes)}, because {why}",))


def kind_of(path: str) -> str:
    """What a file is, by its first bytes: "npz", "idx" or "table"."""
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
    x_name, y_name = arguments.x or "X", arguments.y or "y"
    try:
        with np.load(path, allow_pickle=False) as file:
            X = _array(file, path, "--x", x_name)
            y = _array(file, path, "--y", y_name) if targets else None
    except (zipfile.BadZipFile, EOFError, KeyError) as error:
        raise ValueError(f"{path}: expected an NPZ file, got one that is damaged, or another zip archive ({error}); "
                         "save spreadsheets as CSV") from None
    if X.ndim < 2 or X.dtype.kind not in "biuf" or not len(X):
        raise ValueError(f"{path}: expected {x_name!r} as numbers, a row for each sample, got shape {X.shape}, "
                         f"dtype {X.dtype}")
    checks.check_finite(X, f"{path}: {x_name}")
    if y is not None and (y.ndim not in (1, 2) or len(y) != len(X)):
        raise ValueError(f"{path}: expected {y_name!r} with {len(X)} rows, as {x_name!r} has, got shape "
                         f"{y.shape}")
    return X, y[:, 0] if y is not None and y.ndim == 2 and y.shape[1] == 1 else y


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
    if y.dtype.kind in "US":
        if task == "regress":
            raise UsageError("--task", f"expected classify: the target of {path} is text")
        return tuple(np.unique(y).tolist()), "it is text"
    if y.dtype.kind not in "biuf":
        raise ValueError(f"{path}: expected numbers or text as targets, got dtype {y.dtype}")
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
    place = {value: i for i, value in enumerate(classes)}
    values, inverse = np.unique(y, return_inverse=True)
    codes = np.array([place.get(value, -1) for value in values.tolist()], np.int64)[inverse.ravel()]
    if (codes < 0).any():
        row = int((codes < 0).argmax())
        raise ValueError(f"{path}: row {row}: expected one of the classes {', '.join(map(str, classes)):.200}, got "
                         f"{y[row]!r:.80}")
    return codes


# ---- tables ----


def _load_table(path: str, arguments: argparse.Namespace, like: Samples | None) -> Samples:
    if like is not None and like.columns is not None:
        return read_for(path, arguments, like.columns, like.classes)
    table = read_table(path, header=arguments.header, delimiter=arguments.delimiter, text=arguments.categories)
    for name in arguments.categories:
        table.index(name)
    ignored = {table.index(name) for name in arguments.ignore}
    target = table.index(arguments.target or LAST, "target column")
    if target in ignored:
        raise UsageError("--ignore", f"expected columns other than the target {table.names[target]!r}")
    classes, why = _classes_of_column(table, target, arguments.task)
    columns = choose_columns(table, target, ignored)
    y = table.numbers(target) if classes is None else codes_of(table, target, classes)
    return Samples(table.path, columns.encode(table), y, classes, columns, table, (
        f"{table.path}: {len(table):,} rows, {len(table.names)} columns between "
        f"{DELIMITERS.get(table.delimiter, repr(table.delimiter))}, {'with a' if table.header else 'without'} header",
        f"target: {table.names[target]!r}{', the last column' * (arguments.target is None)}: {_described(classes)}, "
        f"because {why}", _inputs(columns)))


def _classes_of_column(table: Table, target: int, task: str | None) -> tuple[tuple[Any, ...] | None, str]:
    values = table.columns[target]
    if not isinstance(values, TextColumn):
        return _classes_of_array(table.numbers(target), task, table.path)
    table.require_complete(target)
    if task == "regress" or (task is None and table.is_spoilt(target)):
        raise table.not_a_number(target)
    classes = labels_of(table, target)
    if len(classes) > max(FEW, len(table) // 2):
        raise table.error(f"expected classes, some rows of each, got {len(classes)} different texts on {len(table)} "
                          "rows; is it the right --target?", target)
    return classes, "it is text"


def _inputs(columns: Columns) -> str:
    of_names = [column for column in columns.inputs if column.categories is not None]
    n = len(columns.inputs) - len(of_names)
    parts = [f"{n} number{'s' * (n != 1)}"] * bool(n)
    if of_names:
        k = sum(len(column.features) for column in of_names)
        parts.append(f"{len(of_names)} column{'s' * (len(of_names) != 1)} of names as {k} zeros and ones")
    return f"inputs: {' and '.join(parts)}"


def read_for(path: str, arguments: argparse.Namespace, columns: Columns, classes: tuple[Any, ...] | None,
             targets: bool = True, leave_out: tuple[str, ...] = ()) -> Samples:
    """A table for a model that was trained on these columns; with its target, or without."""
    text = [*columns.text, *([columns.target] if classes and isinstance(classes[0], str) else [])]
    table = read_table(path, header=arguments.header, delimiter=arguments.delimiter, text=text)
    not_inputs = {table.index(name) for name in (*arguments.ignore, *leave_out)}
    target = None
    if targets or arguments.target is not None or columns.target in table.names:
        target = table.index(arguments.target or columns.target, "target column")
        not_inputs.add(target)
    X, y = columns.encode(table, not_inputs), None
    if targets and target is not None:
        y = table.numbers(target) if classes is None else codes_of(table, target, classes)
    return Samples(table.path, X, y, classes, columns, table)
