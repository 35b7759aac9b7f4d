"""Hostile arguments: what they are, and the judge of what becomes of them.

A call either answers, or raises a `ValueError` or `TypeError` that fastnn itself raises (no error from inside),
whose message names the argument and stays short. Nothing is warned of, and no array of the caller's changes.

``python tests/hostile.py`` runs the whole suite, its long part too, and prints how many cases there were.
"""
import datetime
import decimal
import fractions
import linecache
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from fastnn.divergence import DivergenceError

INF, NAN = float("inf"), float("nan")

# What may stand where a number, a name, a flag or a shape is expected.
NUMBERS = {
    "nan": NAN, "inf": INF, "-inf": -INF, "0": 0, "-1": -1, "0.0": 0.0, "-0.5": -0.5, "2.5": 2.5, "1.0": 1.0,
    "True": True, "None": None, "10^400": 10 ** 400, "2^63": 2 ** 63, "-2^63": -2 ** 63, "2^40": 2 ** 40,
    "1e-320": 1e-320, "1e300": 1e300, "1j": 1j, "'8'": "8", "''": "", "'relu'": "relu", "long text": "x" * 100_000,
    "b'3'": b"3", "Decimal": decimal.Decimal("0.5"), "Fraction": fractions.Fraction(1, 2), "date": datetime.date.max,
    "int64": np.int64(3), "uint8": np.uint8(3), "float32": np.float32(0.5), "float64 nan": np.float64(NAN),
    "float16": np.float16(2), "longdouble": np.longdouble(0.25), "np.True_": np.True_,
    "datetime64": np.datetime64("2020"), "array": np.array([1, 2]), "array of one": np.array(2),
    "array of nan": np.array(NAN), "long array": np.zeros(1000), "[]": [], "{}": {}, "set": {1},
    "(1, 2, 3)": (1, 2, 3), "[[1], [2]]": [[1], [2]], "(nan, nan)": (NAN, NAN), "(-1, -1)": (-1, -1),
    "(True, True)": (True, True), "object": object(), "class": int, "function": lambda *given: 1,
}

LONGEST = 2500  # characters of a message
FASTNN = str(Path(__import__("fastnn").__file__).parent)
TALLY = Counter()


def deliberate(error):
    """Whether fastnn has raised it, by a statement that says so."""
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    path = frame.tb_frame.f_code.co_filename
    return path.startswith(FASTNN) and linecache.getline(path, frame.tb_lineno).strip().startswith("raise")


def outcome(call, *names, diverges=False, words=()):
    """What the call returns, or the error that it raises, which must be one of those described above.

    The message must hold one of `names` and all `words`. With `diverges` training may also end in a
    `DivergenceError`; an `OSError` is the system's own word on a path.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = call()
        except (ValueError, TypeError) as error:
            text = str(error)
            assert deliberate(error), f"an error from inside: {type(error).__name__}: {text[:300]}"
            assert not names or any(name in text for name in names), f"none of {names} in: {text[:300]}"
            assert len(text) < LONGEST, f"{len(text)} characters: {text[:300]}"
            assert all(word in text for word in words), f"not all of {words} in: {text[:300]}"
            TALLY["refused"] += 1
            return error
        except DivergenceError as error:
            assert diverges, f"diverged: {error}"
            TALLY["refused"] += 1
            return error
        except OSError as error:
            assert error.errno or deliberate(error), f"no word of the system's: {error}"
            TALLY["refused"] += 1
            return error
    TALLY["answered"] += 1
    return result


def refused(result):
    """Whether `outcome` returned an error."""
    return isinstance(result, Exception)


# ------------------------------------------------------------------------------------------- arrays

class Subclass(np.ndarray):
    """A subclass that does nothing."""


class WithArray:
    """Another library's array: only ``__array__``."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


class WithDLPack:
    """Another library's tensor: only DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **settings):
        return self.array.__dlpack__(**settings)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Broken:
    """Its own code fails."""

    def __array__(self, dtype=None, copy=None):
        raise KeyError("broken")


class Lying:
    """It says that it is an array."""

    shape, ndim, dtype = (3, 2), 2, np.dtype("f4")

    def __array__(self, dtype=None, copy=None):
        return "text"


class Endless:
    """A sequence whose length and items cannot be had."""

    def __len__(self):
        raise RuntimeError("no length")

    def __getitem__(self, i):
        raise RuntimeError("no item")


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    raw[...] = array
    return raw


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def mapped(array, order="C"):
    path = tempfile.mktemp()
    (array.T if order == "F" else array).copy().tofile(path)
    found = np.memmap(path, array.dtype, "r", shape=array.shape, order=order)
    Path(path).unlink()  # the pages stay
    return found


# The same numbers in other clothes: every entry takes them, with the same bits.
FORMS = {
    "list": lambda a: a.tolist(), "list of arrays": list, "Fortran": np.asfortranarray,
    "tuple": lambda a: tuple(map(tuple, a.tolist())) if a.ndim > 1 else tuple(a.tolist()),
    "negative strides": lambda a: a[::-1].copy()[::-1], "strided": lambda a: np.repeat(a, 2, -1)[..., ::2],
    "every second row": lambda a: np.repeat(a, 2, 0)[::2], "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "unaligned": unaligned, "read-only": read_only, "broadcast": lambda a: np.broadcast_to(a, a.shape),
    "subclass": lambda a: a.view(Subclass), "recarray": lambda a: a.view(np.recarray), "masked": np.ma.masked_array,
    "memmap": mapped, "memmap, Fortran": lambda a: mapped(a, "F"), "memoryview": lambda a: memoryview(a.copy()),
    "__array__": WithArray, "DLPack": WithDLPack, "longdouble": lambda a: a.astype("g"),
    "float16": lambda a: a.astype("f2"),  # the numbers are exact in it
}
MATRICES = {"np.matrix": np.asmatrix}  # of two axes


def pandas_forms(ndim):
    """The same as frames or series; none without pandas."""
    try:
        import pandas as pd
    except ImportError:
        return {}
    if ndim == 1:
        return {"Series": pd.Series, "Series, other index": lambda a: pd.Series(a, index=range(50, 50 + len(a))),
                "nullable": lambda a: pd.Series(a).astype("Int64" if a.dtype.kind in "iu" else "Float64"),
                "Index": pd.Index, "extension array": pd.array}
    return {"DataFrame": pd.DataFrame, "nullable": lambda a: pd.DataFrame(a).astype("Float64"),
            "DataFrame, mixed": lambda a: pd.DataFrame({"a": a[:, 0].astype("f4"), "b": a[:, 1]}),
            "DataFrame, names": lambda a: pd.DataFrame(a, columns=list("ab"), index=range(100, 100 + len(a)))}


def no_arrays():
    """What is no array of three rows of two numbers; a new table for each test, since some are used up."""
    itself = []
    itself.append(itself)
    things = {
        "None": None, "text": "abc", "bytes": b"123", "number": 3, "nan": NAN, "object": object(), "class": int,
        "function": len, "module": np, "dict": {"a": 1}, "set": {1, 2}, "generator": (i for i in range(3)),
        "complex": np.ones((3, 2), complex), "dates": np.zeros((3, 2), "M8[s]"), "times": np.zeros((3, 2), "m8[s]"),
        "text array": np.full((3, 2), "1.5"), "bytes array": np.full((3, 2), b"1.5"), "text list": [["1", "2"]] * 3,
        "None inside": np.array([[1, None], [2, 3], [4, 5]], object), "lists inside": np.array([1, [2], (3,)], object),
        "ragged": [[1, 2], [3], [4, 5]], "ragged arrays": [np.zeros(2), np.zeros(3), np.zeros(2)], "itself": itself,
        "no rows": np.zeros((0, 2)), "no columns": np.zeros((3, 0)), "single value": np.array(1.0),
        "three columns": np.zeros((3, 3)), "deep": [[[[1]]]], "records": np.zeros(3, [("a", "f4"), ("b", "f4")]),
        "void": np.zeros((3, 2), "V4"), "2^70": [[2 ** 70, 1], [2, 3], [4, 5]], "broken": Broken(), "lying": Lying(),
        "endless": Endless(), "masked": np.ma.masked_array(np.ones((3, 2)), mask=[[0, 0], [0, 1], [0, 0]]),
    }
    try:
        import scipy.sparse
        things |= {"sparse": scipy.sparse.csr_matrix(np.ones((3, 2))),
                   "sparse array": scipy.sparse.coo_array(np.ones((3, 2)))}
    except ImportError:
        pass
    try:
        import pandas as pd
        one = [1.0, 2.0, 3.0]
        things |= {"missing": pd.DataFrame({"a": pd.array([1, None, 2], "Int64"), "b": one}),
                   "texts": pd.DataFrame({"a": ["x", "y", "z"], "b": one}),
                   "categories": pd.DataFrame({"a": pd.Categorical(["x", "y", "x"]), "b": one}),
                   "pandas dates": pd.DataFrame({"a": pd.to_datetime(["2020"] * 3), "b": one})}
    except ImportError:
        pass
    return things


def main():
    """Run the suite and print the figures."""
    import pytest

    folder = Path(__file__).parent
    status = pytest.main(["-q", "-m", "", "-p", "no:cacheprovider", *map(str, folder.glob("test_hostile_*.py")),
                          *sys.argv[1:]])
    tally = sys.modules["hostile"].TALLY  # the tests' own, where this file is __main__
    print(f"{sum(tally.values()):,} cases: {tally['answered']:,} answered, {tally['refused']:,} refused")
    return status


if __name__ == "__main__":
    sys.exit(main())
