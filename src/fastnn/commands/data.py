"""The data of commands: flags, what is held out, and what a trained model is given."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import fastnn as fnn

from ..data import load_digits, load_mnist, train_test_split
from ..flags import UsageError, number, whole
from .files import Samples, kind_of, load_file, read_as, to_targets

BUILT_IN = ("digits", "mnist")
TEST = 0.2  # the share that is held out, unless told otherwise


# ---- flags ----


def add_data_flags(parser: argparse.ArgumentParser, trains: bool, text: bool = False, targets: bool = True) -> None:
    """The flags that say what is read, with its targets; with `trains` also which part is held out."""
    flag = parser.add_argument_group("data").add_argument
    of_text = "; text, the file in --path, each character of which is to be said from those before" if text else ""
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
    if targets:
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


def load_training(arguments: argparse.Namespace, model: fnn.Model | None = None) -> tuple[Samples, Samples | None]:
    """What is trained on, and what is tested on, if anything is; of a model that goes on its columns and classes."""
    check_flags(arguments)
    test: Samples | None
    if arguments.data in BUILT_IN:
        train, test = _load_built_in(arguments, model)
    else:
        train, test = load_file(arguments.data, arguments, None) if model is None else \
            read_as(arguments.data, arguments, model.columns, classes_of(model)), None
        if arguments.test_data is not None:
            test = load_file(arguments.test_data, arguments, train)
    if test is not None:
        if arguments.test is not None:
            raise UsageError("--test", f"expected without test rows of their own, which --data {arguments.data} has")
        n = _at_most("--train-rows", arguments.train_rows, len(train))
        train = _rows(train, slice(n))
    else:
        train, test = split(train, _held_out(arguments, len(train)), arguments.split_seed or 0,
                            in_order=arguments.data == "mnist")  # the digits are ordered by writer, MNIST's are not
    return train, test


def _load_built_in(arguments: argparse.Namespace, model: fnn.Model | None = None) -> tuple[Samples, Samples | None]:
    parts = {"all": load_digits()} if arguments.data == "digits" else load_mnist(arguments.path)
    classes: tuple[Any, ...] | None = tuple(range(max(10, 1 + max(int(y.max()) for _, y in parts.values()))))
    classes = classes if model is None else classes_of(model)
    found = [Samples(arguments.data, X, to_targets(y, classes, arguments.data), classes) for X, y in parts.values()]
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


# ---- for a trained model ----


def load_model(path: str) -> fnn.Model:
    """The model of a file, with one input and one output."""
    if not Path(path).is_file():
        got = "a folder" if Path(path).is_dir() else "nothing of that name"
        raise FileNotFoundError(f"{path}: expected a model file, as `fastnn train` writes, got {got}")
    model = fnn.load(path)
    if len(model.input_names) > 1 or len(model.output_names) > 1:
        raise ValueError(f"{path}: expected a model with one input and one output, got {len(model.input_names)} and "
                         f"{len(model.output_names)}; use it in Python")
    if len(model.output_shape) > 1 and classes_of(model) is not None:
        raise ValueError(f"{path}: expected a model that says one class for each row, this one has outputs of shape "
                         f"{model.output_shape}; use it in Python")
    return model


def classes_of(model: fnn.Model) -> tuple[Any, ...] | None:
    """What a model's outputs stand for: its classes, or their numbers; None if it says numbers."""
    if model.classes is not None or model.loss is None:
        return model.classes
    n = model.output_shape[-1]
    if model.target_kind in ("labels", "labels_or_rows") or (model.target_kind in ("binary", "signs") and n == 1):
        return tuple(range(max(n, 2)))
    return None


def load_for(model: fnn.Model, arguments: argparse.Namespace, targets: bool = True,
             leave_out: Sequence[str] = ()) -> Samples:
    """Rows for a trained model, in its shape, its classes and its columns; with targets, or without.

    Of digits and mnist the part that `fastnn train` tests on. `leave_out` are columns of a table that are no inputs.
    """
    check_flags(arguments)
    classes = classes_of(model)
    if arguments.data in BUILT_IN:
        train, test = _load_built_in(arguments, model if targets else None)
        if test is None and arguments.data == "digits":
            test = split(train, round(TEST * len(train)))[1]
        samples = test or train
    else:
        samples = read_as(arguments.data, arguments, model.columns, classes, targets, leave_out)
    return replace(samples, X=as_inputs(model, samples))


def as_inputs(model: fnn.Model, samples: Samples) -> np.ndarray:
    """Samples in the shape that a model takes: rows as images, images with an axis for their one channel."""
    shape, X = model.input_shape, samples.X
    if len(shape) == X.ndim - 1 and all(size in (None, n) for size, n in zip(shape, X.shape[1:], strict=True)):
        return X
    if None not in shape and math.prod(shape) == math.prod(X.shape[1:]):
        return X.reshape(len(X), *shape)
    raise ValueError(f"{samples.name}: expected samples of shape {shape}, as the model takes them, got {X.shape[1:]}")
