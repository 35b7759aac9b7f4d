"""The checks of samples that checks.py offers, and what checks_targets.py shares with them.

Arrays are not copied where that can be helped. An array that the kernels can read as it stands is
called gatherable (see `is_gatherable`); a memory-mapped file is never read as a whole.
"""
from __future__ import annotations

import math
import mmap
import numbers
import reprlib
from collections.abc import Iterable
from typing import Any

import numpy as np

# What a gather can convert while it copies; '>f4' and the like are not equal to any of these.
GATHERABLE_DTYPES = frozenset(np.dtype(code) for code in "fdbBhHiIlLqQ")
BLOCK = 1 << 17  # elements looked at together: large enough to hide NumPy's overhead, at home in the cache


def is_memmap(array: np.ndarray) -> bool:
    """Whether the array's memory is a mapped file, through any number of views.

    Examples
    --------
    >>> is_memmap(np.zeros(3))
    False
    """
    owner: Any = array
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    return isinstance(owner, mmap.mmap)


def is_gatherable(array: np.ndarray) -> bool:
    """Whether the kernels can copy rows out of the array as it stands.

    They read native, aligned integers of 1 to 8 bytes, float32 and float64; a row is contiguous, and
    the distance between rows is at least a row.

    Examples
    --------
    >>> X = np.zeros((8, 6))
    >>> is_gatherable(X[::2, 1:4]), is_gatherable(X.T), is_gatherable(X[::-1])
    (True, False, False)
    """
    if array.dtype not in GATHERABLE_DTYPES or not array.ndim or not array.size or not array.flags.aligned:
        return False
    row = array[:1]
    return row.flags.c_contiguous and (len(array) == 1 or array.strides[0] >= row.nbytes)


def as_input(X: Any, input_shape: tuple[int, ...], dtype: np.dtype[Any], name: str = "X") -> np.ndarray:
    """The samples as an array of shape ``(n, *input_shape)`` that rows can be gathered from.

    Takes lists and whatever offers ``__array__``, DLPack or a buffer. A gatherable array is returned
    without a copy, whatever its dtype; booleans become a uint8 view; another array is converted to
    `dtype`. A memory-mapped file is returned as it is even where it is not gatherable: the caller
    reads it block by block. Values are not looked at, see `check_finite`.

    Examples
    --------
    >>> as_input([[1, 2], [3, 4]], (2,), np.dtype("float32")).shape
    (2, 2)
    """
    if (type(X) is np.ndarray and X.dtype in GATHERABLE_DTYPES and X.shape[1:] == input_shape
            and len(X) and X.flags.c_contiguous and X.flags.aligned):
        return X  # the common case, kept short: it is part of every call of predict
    array = as_real_array(X, name, f"an array of numbers of shape {rows_of(input_shape)}",
                           "replace what is no number, for example encode categories as one-hot columns")
    if array.ndim != len(input_shape) + 1 or array.shape[1:] != input_shape:
        raise ValueError(f"{name} must have shape {rows_of(input_shape)}, got {describe(array)}; "
                         f"{_input_hint(array.shape, input_shape, name)}")
    if array.dtype == bool:
        array = array.view(np.uint8)
    if is_gatherable(array) or is_memmap(array):
        return array
    return _convert(array, dtype, name)


def check_finite(array: np.ndarray, name: str = "X", dtype: Any = None, first_row: int = 0) -> None:
    """Refuse NaN, infinities, and values that overflow in `dtype`; name the first one.

    One pass at about the speed of memory, without a temporary of the array's size. A memory-mapped
    file is not looked at: its rows are checked as they are gathered.

    Parameters
    ----------
    array : numpy.ndarray
        With at least one axis. Integers are finite and not looked at.
    name : str
        What the user calls the array.
    dtype : dtype-like, optional
        What the values will be converted to; by default they stay what they are.
    first_row : int
        The row of the user's array at which `array`, a block of it, begins.

    Examples
    --------
    >>> check_finite(np.ones((3, 2)), "X")
    """
    if not is_memmap(array):
        refuse_nonfinite(array, name, dtype, first_row)


def nonfinite_row(array: np.ndarray, row: int, name: str = "X", dtype: Any = None) -> ValueError:
    """The error for a row that turned out not to be finite while it was gathered.

    Examples
    --------
    >>> print(nonfinite_row(np.array([[0.0, 1.0], [2.0, np.nan]]), 1))
    X[1, 1] is nan (row 1, column 1) but every value must be finite; remove such rows or fill in values
    """
    return (_nonfinite(array[row:row + 1], name, dtype, row)
            or ValueError(f"row {row} of {name} has a value that is not finite"))


def check_same_length(n_rows: int, array: np.ndarray, name: str, reference: str = "X") -> None:
    """Refuse an array that has not one row for each of the `n_rows` rows of `reference`.

    Examples
    --------
    >>> check_same_length(3, np.zeros(3), "y")
    """
    if len(array) == n_rows:
        return
    if array.ndim == 2 and array.shape[1] == n_rows:
        hint = f"; rows are samples: pass {name}.T"
    elif n_rows == 1:
        hint = f"; one row needs {name}[np.newaxis]"
    else:
        hint = ""
    raise ValueError(f"{name} must have one row for each of the {n_rows} rows of {reference}, "
                     f"got {len(array)} ({describe(array)}){hint}")


def describe(value: Any) -> str:
    """A value in the words of an error message.

    Examples
    --------
    >>> describe(np.zeros(3)), describe("tanh")
    ('shape (3,), dtype float64', "'tanh' of type str")
    """
    if isinstance(value, np.ndarray):
        return f"shape {value.shape}, dtype {value.dtype}"
    return "None" if value is None else f"{reprlib.repr(value)} of type {type(value).__name__}"


def rows_of(shape: tuple[int, ...]) -> str:
    """How a message writes the shape of rows of that shape."""
    return f"(n, {', '.join(map(str, shape))})"


def place(name: str, position: Iterable[int]) -> tuple[str, str]:
    """How code and how words say where an entry is."""
    places = [int(i) for i in position]
    axes = ["row", "column"] if len(places) <= 2 else ["row", *(f"axis {i}:" for i in range(1, len(places)))]
    words = ", ".join(f"{axis} {i}" for axis, i in zip(axes, places, strict=False))
    return f"{name}[{', '.join(map(str, places))}]", words


def first_entry(bad: np.ndarray) -> tuple[int, ...]:
    """Where the first True is."""
    return tuple(map(int, np.unravel_index(int(bad.argmax()), bad.shape)))


def read_array(value: Any) -> np.ndarray:
    """Any array-like as an ndarray, without a copy where it has none to make."""
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def as_any_array(value: Any, name: str, expected: str) -> np.ndarray:
    """Any array-like as an ndarray, of whatever it holds, with rows: a sparse matrix or a masked entry is refused."""
    expected = f"{name} must be {expected}"
    if np.ma.is_masked(value):
        code, _ = place(name, np.argwhere(np.ma.getmaskarray(value))[0])
        raise ValueError(f"{expected}, got a masked array whose first masked entry is {code}; "
                         f"fill it in with {name}.filled(...) or drop such rows")
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise TypeError(f"{expected}, got a sparse {type(value).__name__} of shape {value.shape}; "
                        f"pass {name}.toarray()")
    try:
        array = read_array(value)
    except Exception as error:  # whatever the object's own code raises
        ragged = "inhomogeneous" in str(error)
        reason = "rows of different lengths" if ragged else f"{type(value).__name__}, which says: {error}"
        action = "make all rows equally long" if ragged else "make it an array in this machine's memory first"
        raise (ValueError if ragged else TypeError)(f"{expected}, got {reason}; {action}") from error
    if not array.ndim and array.dtype.kind not in "buif":
        raise TypeError(f"{expected}, got {_not_real(array, value, name, '')}")
    if not array.ndim:
        raise ValueError(f"{expected}, got the single value {describe(value)}")
    return array


def as_numbers(value: Any, name: str, expected: str, hint: str) -> np.ndarray:
    """`as_any_array` of real numbers."""
    array = as_any_array(value, name, expected)
    if array.dtype == object and hasattr(value, "dtypes") and \
            all(isinstance(item, numbers.Real) for item in array.flat):
        array = array.astype(np.float64)  # a pandas frame of nullable columns without a missing value
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} must be {expected}, got {_not_real(array, value, name, hint)}")
    return array


def as_real_array(value: Any, name: str, expected: str, hint: str) -> np.ndarray:
    """Any array-like as an ndarray of numbers with at least one row, without a copy where it has none to make."""
    array = as_numbers(value, name, expected, hint)
    if not array.size:
        raise ValueError(f"{name} must be {expected} with at least one row, got an empty array of shape "
                         f"{array.shape}")
    return array


def _not_real(array: np.ndarray, value: Any, name: str, hint: str) -> str:
    """What came instead of numbers, and what to try."""
    if array.dtype.kind == "c":
        return f"{describe(array)}; pass np.real({name}), or real and imaginary parts as columns"
    if array.ndim == 0:
        hint = f"pass np.array(list({name}))" if hasattr(value, "__next__") else "pass an array or a list"
        return f"{describe(value)}; {hint}"
    if array.dtype.kind not in "OSU":
        return f"{describe(array)}; convert it with {name}.astype('float32')"
    for i, item in enumerate(array.flat):
        if not isinstance(item, numbers.Real):
            code, _ = place(name, map(int, np.unravel_index(i, array.shape)))
            return f"{describe(array)} with {code} = {reprlib.repr(item)}; {hint}"
    return f"{describe(array)}; its entries are numbers: pass np.asarray({name}, dtype=float)"


def _input_hint(shape: tuple[int, ...], input_shape: tuple[int, ...], name: str) -> str:
    wanted = ", ".join(map(str, input_shape))
    if shape == input_shape:
        return f"a single sample needs {name}[np.newaxis]"
    if len(shape) > 2 and shape[1:] == input_shape[-1:] + input_shape[:-1]:
        return f"channels come last: pass np.moveaxis({name}, 1, -1)"
    if len(shape) > 1 and math.prod(shape[1:]) == math.prod(input_shape):
        if len(input_shape) == 1:
            return (f"flatten the samples with {name}.reshape(len({name}), -1), or begin the model with "
                    f"Flatten() and input_shape={shape[1:]}")
        return f"give the samples their shape with {name}.reshape(-1, {wanted})"
    if len(shape) == 1 and input_shape == (1,):
        return f"one number per row needs {name}.reshape(-1, 1)"
    if math.prod(shape) == math.prod(input_shape):
        return f"a single sample needs {name}.reshape(1, {wanted})"
    if len(shape) == 2 and shape[:1] == input_shape:
        return f"rows are samples: pass {name}.T"
    other = f" or build the model with input_shape={shape[1:]}" if len(shape) > 1 else ""
    return f"pass rows of shape {input_shape}{other}"


def refuse_nonfinite(array: np.ndarray, name: str, dtype: Any = None, first_row: int = 0) -> None:
    """`check_finite`, of mapped files too."""
    error = _nonfinite(array, name, dtype, first_row)
    if error is not None:
        raise error


def _nonfinite(array: np.ndarray, name: str, dtype: Any, first_row: int) -> ValueError | None:
    if array.dtype.kind != "f":
        return None
    dtype = array.dtype if dtype is None else np.dtype(dtype)
    largest = np.finfo(dtype).max
    narrowing = largest < np.finfo(array.dtype).max
    n_rows = max(1, BLOCK // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), n_rows):
        block = array[start:start + n_rows]
        # NaN and infinities survive a sum and NaN any comparison. A block that fails may still be
        # innocent (sums overflow), so it is looked at entry by entry.
        with np.errstate(over="ignore", invalid="ignore"):
            if narrowing:
                innocent = block.max() <= largest and block.min() >= -largest
            else:
                innocent = np.isfinite(block.sum())
            if innocent:
                continue
            bad = ~np.isfinite(block.astype(dtype, copy=False))
        if not bad.any():
            continue
        position = first_entry(bad)
        value = block[position]
        code, words = place(name, (position[0] + start + first_row, *position[1:]))
        if np.isfinite(value):
            return ValueError(f"{code} is {value:g} ({words}), too large for {dtype}, which ends at "
                              f"{largest:.2g}; scale the data or build the model with dtype='float64'")
        return ValueError(f"{code} is {value} ({words}) but every value must be finite; "
                          "remove such rows or fill in values")
    return None


def packed(array: np.ndarray, dtype: Any) -> np.ndarray:
    """C-contiguous and aligned, which NumPy's ascontiguousarray is not always."""
    return np.require(array, dtype, ["C", "A"])


def _convert(array: np.ndarray, dtype: Any, name: str) -> np.ndarray:
    if array.dtype.kind == "f" and np.finfo(dtype).max < np.finfo(array.dtype).max:
        refuse_nonfinite(array, name, dtype)  # while the value that overflows can still be named
    return packed(array, dtype)
