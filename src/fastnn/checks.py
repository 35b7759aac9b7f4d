"""Every message that a user's bad input can raise.

A function here takes what the user gave, returns it in the form that the rest of the package may
rely on, or raises: ``TypeError`` for the wrong kind of thing, ``ValueError`` for a wrong value or shape.
A message names the argument, says what was expected, what came and what to try. Names and numbers are
checked here, arrays in checks_arrays.py and checks_targets.py, whose functions this module offers too.
"""
from __future__ import annotations

import math
import numbers
import operator
import os
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from .checks_arrays import (
    as_input,
    check_finite,
    check_same_length,
    describe,
    is_gatherable,
    is_memmap,
    nonfinite_row,
)
from .checks_sequences import as_targets_of, as_tokens, known_shape
from .checks_targets import as_sample_weight, as_targets, without_ignored

__all__ = ["as_input", "as_sample_weight", "as_targets", "as_targets_of", "as_tokens", "boolean", "check_finite",
           "check_same_length", "choice", "describe", "file_path", "finite_float", "float_dtype", "fraction", "having",
           "is_gatherable", "is_memmap", "known_model", "known_shape", "lookup", "name_of", "nonfinite_row",
           "optional_name", "positive_float", "positive_int", "seed", "shape_tuple", "unknown_name", "without_ignored"]

T = TypeVar("T")
LARGEST = 2 ** 63 - 1  # what the core counts with
LONGEST_NAME = 200  # characters of a name
SMALLEST, LARGEST_FLOAT = float(np.finfo("f4").tiny), float(np.finfo("f4").max)  # that both dtypes hold


def unknown_name(kind: str, name: object, options: Iterable[str]) -> ValueError:
    """The error for a name that no registry row has, with the near ones suggested.

    Examples
    --------
    >>> print(unknown_name("activation", "rellu", ["relu", "tanh"]))
    unknown activation 'rellu', did you mean 'relu'? Options: 'relu', 'tanh'
    """
    from difflib import get_close_matches  # only now: few programs come here

    def plain(text: str) -> str:
        return "".join(c for c in text.lower() if c.isalnum())

    options = list(options)
    by_plain = {plain(option): option for option in options}
    near = [by_plain[match] for match in get_close_matches(plain(str(name)[:LONGEST_NAME]), by_plain, n=3)]
    question = f", did you mean {' or '.join(map(repr, near))}?" if near else "."
    return ValueError(f"unknown {kind} {reprlib.repr(name)}{question} Options: {', '.join(map(repr, options))}")


def lookup(kind: str, name: str, registry: Mapping[str, T]) -> T:
    """``registry[name]``, or an error that lists the registry's names.

    Examples
    --------
    >>> lookup("unit", "relu", {"relu": 1, "tanh": 2})
    1
    """
    if not isinstance(name, str):
        raise TypeError(f"{kind} must be a name, got {describe(name)}; "
                        f"options: {', '.join(map(repr, registry))}")
    if name not in registry:
        raise unknown_name(kind, name, registry)
    return registry[name]


def choice(name: str, value: str, options: Iterable[str]) -> str:
    """`value`, which must be one of the strings `options`.

    Examples
    --------
    >>> choice("reduction", "mean", ["mean", "sum"])
    'mean'
    """
    return lookup(name, value, {option: option for option in options})


def positive_int(name: str, value: Any, minimum: int = 1, maximum: int | None = LARGEST) -> int:
    """`value` as an int that is at least `minimum`, and at most `maximum` where there is one.

    Examples
    --------
    >>> positive_int("batch_size", np.int64(32))
    32
    """
    expected = f"{name} must be an integer of at least {minimum}"
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
        hint = f"; pass {int(value)}" if whole else ""
        raise TypeError(f"{expected}, got {describe(value)}{hint}") from None
    if number < minimum:
        raise ValueError(f"{expected}, got {reprlib.repr(number)}")
    if maximum is not None and number > maximum:
        raise ValueError(f"{expected} and at most {maximum}, got {reprlib.repr(number)}")
    return number


def seed(value: Any, name: str = "seed") -> int:
    """`value` as a seed: a whole number of any size, not negative.

    Examples
    --------
    >>> seed(2 ** 100) == 2 ** 100
    True
    """
    return positive_int(name, value, minimum=0, maximum=None)


def positive_float(name: str, value: Any, allow_zero: bool = False, wide: bool = False) -> float:
    """`value` as a finite float above zero, or at least zero; unless `wide`, a normal number in float32 too.

    Examples
    --------
    >>> positive_float("momentum", 0, allow_zero=True)
    0.0
    """
    expected = f"{name} must be a finite number {'of at least' if allow_zero else 'above'} 0"
    number = _real_number(expected, value)
    if not (math.isfinite(number) and (number > 0 or (allow_zero and number == 0))):
        raise ValueError(f"{expected}, got {reprlib.repr(value)}")
    if number and not wide and not SMALLEST <= number <= LARGEST_FLOAT:
        raise ValueError(f"{expected} that float32 can hold, {SMALLEST:.2g} to {LARGEST_FLOAT:.2g}, "
                         f"got {reprlib.repr(value)}")
    return number


def finite_float(name: str, value: Any) -> float:
    """`value` as a finite float of either sign.

    Examples
    --------
    >>> finite_float("fill", -1)
    -1.0
    """
    expected = f"{name} must be a finite number"
    number = _real_number(expected, value)
    if not abs(number) <= LARGEST_FLOAT:
        raise ValueError(f"{expected} that float32 can hold, up to {LARGEST_FLOAT:.2g}, got {reprlib.repr(value)}")
    return number


def fraction(name: str, value: Any) -> float:
    """`value` as a float with 0 <= value < 1.

    Examples
    --------
    >>> fraction("validation_split", 0.1)
    0.1
    """
    expected = f"{name} must be a fraction, 0 <= {name} < 1"
    number = _real_number(expected, value)
    if not 0 <= number < 1:
        hint = f"; {number:g}% is {number / 100:g}" if 1 < number < 100 else ""
        raise ValueError(f"{expected}, got {reprlib.repr(value)}{hint}")
    return number


def boolean(name: str, value: Any) -> bool:
    """`value` as a bool; numbers and strings are refused.

    Examples
    --------
    >>> boolean("shuffle", np.True_)
    True
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {describe(value)}")
    return bool(value)


def float_dtype(name: str, value: Any) -> np.dtype[Any]:
    """`value` as the dtype of a model: float32 or float64.

    Examples
    --------
    >>> float_dtype("dtype", "float32")
    dtype('float32')
    """
    dtype: np.dtype[Any]
    try:
        dtype = np.dtype(object if isinstance(value, (np.generic, np.ndarray)) else value)  # not a number's own
    except TypeError:
        dtype = np.dtype(object)
    if value is None or dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"{name} must be 'float32' or 'float64', got {reprlib.repr(value)}")
    return dtype


def shape_tuple(name: str, value: Any) -> tuple[int, ...]:
    """`value` as a tuple of positive sizes; a single size stands for a tuple of one.

    Examples
    --------
    >>> shape_tuple("input_shape", 784)
    (784,)
    """
    expected = f"{name} must be a tuple of positive sizes without the number of rows, such as (784,)"
    sizes = value if isinstance(value, (tuple, list)) else (value,)
    try:
        shape = tuple(positive_int(name, size) for size in sizes)
    except (TypeError, ValueError):
        shape = ()
    if not shape:
        raise ValueError(f"{expected}, got {reprlib.repr(value)}")
    return shape


def having(name: str, value: T, attribute: str, expected: str) -> T:
    """`value`, which must have what a thing of that kind has.

    Examples
    --------
    >>> having("callback", print, "__call__", "a function") is print
    True
    """
    if isinstance(value, type) or not hasattr(value, attribute):
        raise TypeError(f"{name}: expected {expected}, got {describe(value)}")
    return value


def known_model(value: T) -> T:
    """`value`, which must be a fastnn model."""
    return having("model", value, "_graph", "a fastnn model, such as fnn.Sequential")


def optional_name(name: str, value: Any) -> str | None:
    """`value` as a name of a thing: a string that is not empty; None stays None.

    Examples
    --------
    >>> optional_name("name", "encoder")
    'encoder'
    """
    return None if value is None else name_of(name, value)


def name_of(name: str, value: Any) -> str:
    """`value` as a name: a string that is not empty.

    Examples
    --------
    >>> name_of("monitor", "val_loss")
    'val_loss'
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {describe(value)}")
    if not 0 < len(value) <= LONGEST_NAME:
        raise ValueError(f"{name} must be a string of 1 to {LONGEST_NAME} characters, got {reprlib.repr(value)} of "
                         f"{len(value)}")
    return value


def file_path(name: str, value: Any) -> str:
    """`value`, a path-like, as a string.

    Examples
    --------
    >>> import pathlib
    >>> file_path("path", pathlib.PurePosixPath("models/a.safetensors"))
    'models/a.safetensors'
    """
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"{name} must be a path, a string or a pathlib.Path, got {describe(value)}")
    path = os.fsdecode(value)
    if not path:
        raise ValueError(f"{name} must be a path, got an empty one")
    return path


def _real_number(expected: str, value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{expected}, got {describe(value)}")
    try:
        return float(value)
    except OverflowError:
        return math.inf
