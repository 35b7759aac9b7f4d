"""Samples: every accepted form of input, and every message for the others."""
import array as array_module
import mmap

import numpy as np
import pytest

from fastnn import checks
from fastnn.checks import as_input, as_sample_weight, as_targets
from test_checks import DTYPES, F32, F64, refused

# -------------------------------------------------------------------------------- samples, accepted

class Subclass(np.ndarray):
    pass


class WithArray:
    def __array__(self, dtype=None, copy=None):
        return np.arange(6.0).reshape(3, 2)


class WithDLPack:
    """As a tensor of another library: no __array__, no buffer."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **settings):
        return self.array.__dlpack__(**settings)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def read_only(X):
    X.setflags(write=False)
    return X


def unaligned(X):
    bytes_ = np.zeros(X.nbytes + 1, np.uint8)
    view = bytes_[1:].view(X.dtype).reshape(X.shape)
    view[...] = X
    return view


BASE = np.arange(6.0).reshape(3, 2)
FORMS = {
    "list": lambda: BASE.tolist(),
    "tuples": lambda: tuple(map(tuple, BASE.tolist())),
    "list of arrays": lambda: list(BASE),
    "__array__": WithArray,
    "dlpack": lambda: WithDLPack(BASE.copy()),
    "buffer": lambda: memoryview(BASE.copy()),
    "bytes in shape": lambda: memoryview(bytearray(range(6))).cast("B", (3, 2)),
    "array module": lambda: np.array(array_module.array("f", range(6))).reshape(3, 2),
    "fortran": lambda: np.asfortranarray(BASE),
    "transposed": lambda: BASE.T.copy().T,
    "every second column": lambda: np.repeat(BASE, 2, axis=1)[:, ::2],
    "every second row": lambda: np.repeat(BASE, 2, axis=0)[::2],
    "some columns": lambda: np.hstack([BASE, BASE])[:, :2],
    "reversed": lambda: BASE[::-1].copy()[::-1],
    "read-only": lambda: read_only(BASE.copy()),
    "read-only fortran": lambda: read_only(np.asfortranarray(BASE)),
    "unaligned": lambda: unaligned(BASE),
    "subclass": lambda: BASE.copy().view(Subclass),
    "mask of nothing": lambda: np.ma.masked_array(BASE, mask=False),
    "field of records": lambda: np.array([((0, 1),), ((2, 3),), ((4, 5),)], [("x", "f4", 2)])["x"],
    **{dtype: (lambda d=dtype: BASE.astype(d)) for dtype in (
        "f2", "f4", "f8", "g", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8",
        ">f2", ">f4", ">f8", ">i2", ">u4", ">i8")},
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_input_forms(form, dtype):
    X = as_input(FORMS[form](), (2,), dtype)
    assert type(X) is np.ndarray
    assert X.shape == (3, 2)
    assert checks.is_gatherable(X)
    np.testing.assert_array_equal(X, BASE)
    checks.check_finite(X)


def test_booleans_become_a_view():
    X = np.eye(3, dtype=bool)
    converted = as_input(X, (3,), F32)
    assert converted.dtype == np.uint8
    assert np.shares_memory(converted, X)
    assert checks.is_gatherable(converted)
    np.testing.assert_array_equal(as_input(np.asfortranarray(X), (3,), F32), np.eye(3))


@pytest.mark.parametrize("code", "fdbBhHiIlLqQ")
def test_gatherable_input_is_not_copied(code):
    X = np.ones((6, 4), code)
    assert as_input(X, (4,), F32) is X
    for view, width in ((X[1:], 4), (X[::2], 4), (X[:, 1:3], 2), (X[:1, ::2], 2), (X[:, :1], 1)):
        converted = as_input(view, (width,), F32)
        if width == 2 and len(view) == 1:  # columns apart
            assert not np.shares_memory(converted, X)
        else:
            assert converted.dtype == X.dtype
            assert np.shares_memory(converted, X)
    images = np.ones((5, 3, 4), code)
    assert as_input(images, (3, 4), F32) is images
    assert np.shares_memory(as_input(images[::2], (3, 4), F32), images)
    assert np.shares_memory(as_input(images[:, 1:], (2, 4), F32), images)  # a row is contiguous
    assert not np.shares_memory(as_input(images[:, :, 1:], (3, 3), F32), images)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_not_gatherable_becomes_the_models_dtype(dtype):
    X = np.arange(12, dtype="u1").reshape(4, 3)
    for view in (X.T.copy().T, X[::-1], np.broadcast_to(X[0], (4, 3)), X.astype(">i4"), X.astype("f2"),
                 unaligned(X.astype("f8"))):
        converted = as_input(view, (3,), dtype)
        assert converted.dtype == dtype
        assert converted.flags.c_contiguous
        np.testing.assert_array_equal(converted, view)


def test_is_gatherable():
    X = np.zeros((4, 6), "f4")
    for array in (X, X[::2], X[:, :3], X[:1], X[:, 0], X.ravel(), np.zeros((4, 2, 3))[1::2],
                  X[:1, ::-1][:, :1]):
        assert checks.is_gatherable(array)
    for array in (X.T, X[::-1], X[:, ::2], np.broadcast_to(X[:1], (4, 6)), X.astype(">f4"), X.astype("f2"),
                  X.astype(complex), X.astype(bool), unaligned(X), X[:0], np.float64(1) * np.ones(()),
                  np.zeros((4, 3, 2)).transpose(0, 2, 1),
                  np.lib.stride_tricks.sliding_window_view(X.ravel(), 6)):
        assert not checks.is_gatherable(array)


# ----------------------------------------------------------------------------------- samples, refused

@pytest.mark.parametrize("value, error, words", [
    (None, TypeError, ["X must be an array of numbers of shape (n, 2)", "got None", "an array or a list"]),
    ({"a": 1}, TypeError, ["of type dict", "pass an array"]),
    ("text", TypeError, ["'text' of type str"]),
    ((x for x in [1]), TypeError, ["of type generator", "np.array(list(X))"]),
    (3.5, ValueError, ["the single value 3.5"]),
    ([[1, 2], [3]], ValueError, ["rows of different lengths", "make all rows equally long"]),
    (np.ones((3, 2), complex), TypeError, ["(n, 2)", "shape (3, 2), dtype complex128", "np.real(X)"]),
    ([[1, 2], ["a", 3]], TypeError, ["dtype <U", "X[0, 0] = ", "encode categories"]),
    (np.array([[1, 2], [3, "four"]], object), TypeError, ["dtype object", "X[1, 1] = 'four'", "one-hot"]),
    (np.array([[1, 2], [None, 4]], object), TypeError, ["dtype object", "X[1, 0] = None"]),
    (np.array([[1, 2], [3, 4]], object), TypeError, ["entries are numbers", "np.asarray(X, dtype=float)"]),
    (np.zeros((2, 2), "M8[s]"), TypeError, ["dtype datetime64[s]", "X.astype('float32')"]),
    (np.zeros(2, [("a", "f4"), ("b", "f4")]), TypeError, ["got shape (2,), dtype [('a'"]),
    (np.zeros((0, 2)), ValueError, ["at least one row", "empty array of shape (0, 2)"]),
    ([], ValueError, ["empty array of shape (0,)"]),
    (np.zeros((3, 0)), ValueError, ["empty array of shape (3, 0)"]),
    (np.ma.masked_array(BASE, mask=[[0, 0], [0, 1], [0, 0]]), ValueError, ["masked", "X[1, 1]", "filled"]),
])
def test_input_that_is_no_array_of_numbers(value, error, words):
    with refused(error, *words):
        as_input(value, (2,), F32)


class Unreadable:
    def __init__(self, error):
        self.error = error

    def __array__(self, dtype=None, copy=None):
        raise self.error


class ElsewhereDLPack:
    def __dlpack__(self, **settings):
        raise BufferError("not on the CPU")

    def __dlpack_device__(self):
        return (2, 0)


@pytest.mark.parametrize("value", [
    Unreadable(RuntimeError("requires grad, use detach()")), Unreadable(TypeError("device cuda, use cpu()")),
    ElsewhereDLPack(),
])
def test_tensor_that_cannot_be_read(value):
    with refused(TypeError, "X must be an array of numbers", type(value).__name__, "this machine's memory"):
        as_input(value, (2,), F32)


def test_sparse_matrix():
    class csr_matrix:
        shape, nnz = (3, 2), 1

        def toarray(self):
            return BASE

    with refused(TypeError, "a sparse csr_matrix of shape (3, 2)", "pass X.toarray()"):
        as_input(csr_matrix(), (2,), F32)


@pytest.mark.parametrize("shape, input_shape, words", [
    ((784,), (784,), ["must have shape (n, 784), got shape (784,), dtype float64", "X[np.newaxis]"]),
    ((28, 28), (28, 28), ["(n, 28, 28)", "a single sample needs X[np.newaxis]"]),
    ((5, 28, 28), (784,), ["X.reshape(len(X), -1)", "Flatten() and input_shape=(28, 28)"]),
    ((5, 784), (28, 28), ["X.reshape(-1, 28, 28)"]),
    ((5, 28, 28), (28, 28, 1), ["X.reshape(-1, 28, 28, 1)"]),
    ((5, 3, 32, 32), (32, 32, 3), ["channels come last", "np.moveaxis(X, 1, -1)"]),
    ((28, 28), (784,), ["a single sample needs X.reshape(1, 784)"]),
    ((5,), (1,), ["X.reshape(-1, 1)"]),
    ((3, 90), (3,), ["(n, 3)", "rows are samples: pass X.T"]),
    ((90, 5), (4,), ["(n, 4)", "got shape (90, 5)", "input_shape=(5,)"]),
    ((90,), (4,), ["(n, 4)", "pass rows of shape (4,)"]),
])
def test_input_of_the_wrong_shape(shape, input_shape, words):
    with refused(ValueError, *words):
        as_input(np.zeros(shape), input_shape, F32)


def test_the_arguments_name_is_used():
    with refused(ValueError, "X_test must have shape (n, 3)", "X_test.T"):
        as_input(np.zeros((3, 4)), (3,), F32, "X_test")


# ------------------------------------------------------------------------------------ finite or not

@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", ">f8"])
@pytest.mark.parametrize("shape, position", [
    ((3, 4), (0, 0)), ((3, 4), (2, 3)), ((40_000, 7), (39_999, 6)), ((40_000, 7), (20_000, 0)),
    ((2, 200_000), (1, 199_999)), ((300_000,), (299_999,)), ((1000, 5, 60), (999, 2, 1)),
])
def test_check_finite_names_the_first(shape, position, dtype, value):
    array = np.ones(shape, dtype)
    checks.check_finite(array)
    array[-1:] = value  # later ones do not matter
    array[-1:] = 1
    array[position] = value
    words = [f"X[{', '.join(map(str, position))}] is {value}", f"row {position[0]}",
             "every value must be finite"]
    if len(position) == 2:
        words.append(f"column {position[1]}")
    with refused(ValueError, *words):
        checks.check_finite(array)
    with refused(ValueError, f"W[{', '.join(map(str, (position[0] + 100, *position[1:])))}] is {value}"):
        checks.check_finite(array, "W", first_row=100)


def test_check_finite_reports_the_first_of_several():
    array = np.ones((50_000, 6), "f4")
    array[30_000, 2] = np.inf
    array[30_000, 4] = array[49_000, 0] = np.nan
    with refused(ValueError, "X[30000, 2] is inf (row 30000, column 2)"):
        checks.check_finite(array)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_sum_that_overflows_is_no_reason_to_refuse(dtype):
    checks.check_finite(np.full((1000, 300), np.finfo(dtype).max, dtype))
    checks.check_finite(np.full((1000, 300), -np.finfo(dtype).max, dtype))


@pytest.mark.parametrize("view", [
    lambda X: X[::2], lambda X: X[:, 1:4], lambda X: X.T, lambda X: X[::-1], lambda X: X[:, ::2],
])
def test_check_finite_of_views(view):
    X = np.ones((40_000, 6))
    checks.check_finite(view(X))
    view(X)[-1, -1] = np.nan
    with refused(ValueError, f"X[{view(X).shape[0] - 1}, {view(X).shape[1] - 1}] is nan"):
        checks.check_finite(view(X))


def test_integers_are_not_scanned():
    checks.check_finite(np.zeros((3, 2), "i8"))
    checks.check_finite(np.zeros((3, 2), bool))


@pytest.mark.parametrize("value", [1e39, -1e39, 3.5e38])
def test_values_too_large_for_the_models_dtype(value):
    X = np.ones((30_000, 7))
    X[20_000, 3] = value
    assert as_input(X, (7,), F32) is X
    checks.check_finite(X)
    checks.check_finite(X, dtype=F64)
    words = [f"X[20000, 3] is {value:g} (row 20000, column 3)", "too large for float32", "3.4e+38",
             "scale the data"]
    with refused(ValueError, *words):
        checks.check_finite(X, dtype=F32)
    for form in (np.asfortranarray(X), X.astype(">f8"), X.astype("g")):  # converted, yet the value is named
        with refused(ValueError, *words):
            as_input(form, (7,), F32)
        as_input(form, (7,), F64)


def test_largest_values_are_finite():
    largest = float(np.finfo("f4").max)
    X = np.array([[largest, -largest, largest * (1 + 2.0 ** -26)]])  # the last one rounds to the largest
    checks.check_finite(X, dtype=F32)


def test_check_finite_makes_no_large_temporary():
    import tracemalloc
    X = np.ones((100_000, 50), "f4")
    X[99_999, 49] = np.nan
    tracemalloc.start()
    with pytest.raises(ValueError):
        checks.check_finite(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 10


def test_nonfinite_row():
    X = np.ones((5, 3))
    X[3, 1] = np.inf
    assert str(checks.nonfinite_row(X, 3)).startswith("X[3, 1] is inf (row 3, column 1)")
    assert "row 2 of X_val" in str(checks.nonfinite_row(X, 2, "X_val"))
    X[4, 0] = 1e300
    assert "too large for float32" in str(checks.nonfinite_row(X, 4, dtype=F32))


# ------------------------------------------------------------------------------------- mapped files

@pytest.fixture
def mapped(tmp_path):
    """mapped(dtype, shape, order) -> a memory-mapped file of ones."""
    def make(dtype, shape=(8, 3), order="C"):
        path = tmp_path / "data.bin"
        np.ones(int(np.prod(shape)), dtype).tofile(path)
        return np.memmap(path, dtype, "r", shape=shape, order=order)
    return make


def test_is_memmap(mapped):
    X = mapped("f4")
    for view in (X, X[2:], np.asarray(X), np.asarray(X)[::2].T, X.reshape(-1), np.asarray(memoryview(X))):
        assert checks.is_memmap(view)
    for array in (np.ones(3), X + 1, X[[0, 1]], np.array(X), X.astype("f8"), np.frombuffer(bytearray(8))):
        assert not checks.is_memmap(array)
    assert checks.is_memmap(np.frombuffer(mmap.mmap(-1, 64), "f4"))


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i8", "f2", ">f4", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_mapped_input_is_left_where_it_is(mapped, dtype, order):
    X = mapped(dtype, order=order)
    for view in (X, X[1:6]):
        kept = as_input(view, (3,), F32)
        assert np.shares_memory(kept, X)
        assert kept.shape == view.shape
        assert checks.is_memmap(kept)
        assert checks.is_gatherable(kept) == (order == "C" and dtype not in ("f2", ">f4"))


def test_mapped_input_is_not_scanned(tmp_path):
    path = tmp_path / "data.bin"
    np.full(24, np.nan, "f4").tofile(path)
    X = np.memmap(path, "f4", "r", shape=(8, 3))
    checks.check_finite(as_input(X, (3,), F32))
    with refused(ValueError, "X[5, 0] is nan"):
        raise checks.nonfinite_row(X, 5)
    with refused(ValueError, "X[4, 0] is nan"):
        checks.check_finite(np.array(X[4:6]), first_row=4)  # a block that the caller read
    y = as_targets(X, "rows", 3, 8, F64)
    assert np.shares_memory(X, y)
    assert np.shares_memory(X, as_targets(X, "labels_or_rows", 3, 8, F32))
    with refused(ValueError, "y[0, 0] is nan"):  # not gatherable: read, so looked at
        as_targets(np.memmap(path, "f4", "r", shape=(8, 3), order="F"), "rows", 3, 8, F32)
    with refused(ValueError, "y[0] is nan"):
        as_targets(np.memmap(path, "f4", "r", shape=(24,)), "labels_or_rows", 3, 24, F32)
    with refused(ValueError, "sample_weight[0] is nan"):
        as_sample_weight(np.memmap(path, "f8", "r", shape=(12,)) * 0 + np.nan, 12)


def test_mapped_input_is_checked_for_shape_and_type(mapped):
    with refused(ValueError, "X must have shape (n, 4), got shape (8, 3), dtype float32"):
        as_input(mapped("f4"), (4,), F32)
    with refused(TypeError, "dtype complex64"):
        as_input(mapped("c8"), (3,), F32)
