"""Targets and weights: every accepted form, and every message for the others."""
import numpy as np
import pytest

from fastnn import checks
from fastnn.checks import as_sample_weight, as_targets
from test_checks import DTYPES, F32, refused
from test_checks_arrays import WithDLPack, unaligned

# ----------------------------------------------------------------------------------------- targets

LABELS = np.array([2, 0, 1, 2])


@pytest.mark.parametrize("y", [
    LABELS, LABELS.tolist(), LABELS[:, np.newaxis], LABELS.astype("u1"), LABELS.astype("f4"),
    LABELS.astype(">i4"), LABELS.astype("f2"), LABELS.astype("u8"), np.repeat(LABELS, 2)[::2],
    WithDLPack(LABELS), LABELS[::-1].copy()[::-1],
], ids=lambda y: getattr(getattr(y, "dtype", None), "str", type(y).__name__))
def test_labels(y):
    labels = as_targets(y, "labels_or_rows", 3, 4, F32)
    assert labels.dtype == np.int64
    assert labels.flags.c_contiguous
    assert labels.shape == (4,)
    np.testing.assert_array_equal(labels, LABELS)


def test_boolean_labels():
    np.testing.assert_array_equal(as_targets([True, False], "labels_or_rows", 2, 2, F32), [1, 0])


def test_unaligned_labels_and_weights():
    assert as_targets(unaligned(LABELS), "labels_or_rows", 3, 4, F32).flags.aligned
    assert as_sample_weight(unaligned(np.ones(4)), 4).flags.aligned


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("y", [
    np.eye(3)[LABELS], np.eye(3, dtype=bool)[LABELS], np.eye(3, dtype=int)[LABELS],
    np.eye(3)[LABELS].tolist(), np.asfortranarray(np.eye(3)[LABELS]), np.eye(3, dtype=">f8")[LABELS],
    np.full((4, 3), 1 / 3, "f2"), np.random.default_rng(0).dirichlet(np.ones(3), 4).astype("f4"),
], ids=str)
def test_probability_rows(y, dtype):
    rows = as_targets(y, "labels_or_rows", 3, 4, dtype)
    assert rows.dtype == dtype
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, np.asarray(y).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", ["binary", "rows"])
def test_rows(kind, dtype):
    for y, n_out in (([0, 1, 1], 1), ([[0], [1], [1]], 1), ([True, False, True], 1), ([0.25, 0.5, 1.0], 1),
                     (np.array([[0, 1], [1, 1], [0, 0]]), 2), (np.zeros((3, 4), ">f2"), 4)):
        rows = as_targets(y, kind, n_out, 3, dtype)
        assert rows.dtype == dtype
        assert rows.shape == (3, n_out)
        assert rows.flags.c_contiguous
        np.testing.assert_array_equal(rows, np.reshape(y, (3, n_out)).astype(dtype))
    rows = np.zeros((3, 2), dtype)
    assert as_targets(rows, kind, 2, 3, dtype) is rows
    assert as_targets(unaligned(rows), kind, 2, 3, dtype).flags.aligned


@pytest.mark.parametrize("y, words", [
    ([0, 3, 1, 2], ["y[1] is 3", "labels of 3 classes are 0..2", "needs 4 units"]),
    ([0, 1, -1, 2], ["y[2] is -1", "0..2", "renumber the classes"]),
    ([1, 2, 3, 1], ["y[2] is 3", "count from 1", "y - 1"]),
    ([2 ** 63, 0, 0, 0], ["y[0] is 9.2"]),
    ([0, 1e300, 0, 0], ["y[1] is 1e+300", "0..2"]),
    ([0, 1, 0.5, 2], ["y[2] is 0.5", "no whole number", "0..2", "(n, 3)"]),
    ([0, np.nan, 1, 2], ["y[1] is nan (row 1)"]),
    ([0, 1, 2], ["y must have one row for each of the 4 rows of X, got 3"]),
    (np.eye(3)[[0, 1, 2]].T[:, :3], ["one row for each of the 4 rows of X, got 3"]),
    (np.zeros((3, 4)), ["got 3", "rows are samples: pass y.T"]),
    (np.zeros((4, 5)), ["class labels 0..2 of shape (n,) or rows of shape (n, 3)", "as many units"]),
    (np.zeros((4, 3, 1)), ["got shape (4, 3, 1)", "y.reshape(-1, 3)"]),
    (np.zeros((4, 3)), ["y[0] sums to 0", "sum to 1", "'sigmoid'"]),
    (np.eye(3)[LABELS] * [1, 1, 0.9], ["y[0] sums to 0.9"]),
    (np.eye(3)[LABELS] * 255, ["y[0, 2] is 255", "must lie in [0, 1]"]),
    ([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1.5, -0.5, 0]], ["y[3, 0] is 1.5", "must lie in [0, 1]"]),
    ([[1, 0, 0], [0, 1, 0], [0, 0, 1], [np.inf, 0, 0]], ["y[3, 0] is inf (row 3, column 0)"]),
    ([], ["at least one row", "empty"]),
    (7, ["the single value 7"]),
])
def test_bad_targets_of_a_softmax(y, words):
    with refused(ValueError, *words):
        as_targets(y, "labels_or_rows", 3, 4, F32)


def test_far_away_errors_in_probability_rows():
    y = np.eye(3)[np.zeros(200_000, int)]
    as_targets(y, "labels_or_rows", 3, len(y), F32)
    y[150_000] = 0.5
    with refused(ValueError, "y[150000] sums to 1.5"):
        as_targets(y, "labels_or_rows", 3, len(y), F32)
    y[140_000, 2] = -1
    with refused(ValueError, "y[140000, 2] is -1"):
        as_targets(y, "labels_or_rows", 3, len(y), F32)


def test_hints_for_special_labels():
    with refused(ValueError, "y[0] is -1", "labels -1 and 1", "(y + 1) // 2"):
        as_targets([-1, 1], "labels_or_rows", 2, 2, F32)
    with refused(ValueError, "y[1] is 1", "always 1", "Dense(1, 'sigmoid')"):
        as_targets([0, 1], "labels_or_rows", 1, 2, F32)
    with refused(ValueError, "one row needs y[np.newaxis]"):
        as_targets([0, 0, 1], "labels_or_rows", 3, 1, F32)


@pytest.mark.parametrize("y, n_out, words", [
    ([0, 2, 1], 1, ["y[1, 0] is 2", "must lie in [0, 1]", "classes as 0 and 1"]),
    ([-1, 1, 1], 1, ["y[0, 0] is -1"]),
    ([0, 1, 3], 4, ["values in [0, 1] of shape (n, 4)", "np.eye(4)[y]", "'softmax'"]),
    ([[0], [1], [3]], 4, ["np.eye(4)[y.ravel()]"]),
    (np.zeros((3, 2)), 4, ["(n, 4), got shape (3, 2)", "as many units"]),
    ([0, np.nan, 1], 1, ["y[1, 0] is nan"]),
    ([0, 1], 1, ["one row for each of the 3 rows of X, got 2"]),
])
def test_bad_targets_of_a_sigmoid(y, n_out, words):
    with refused(ValueError, *words):
        as_targets(y, "binary", n_out, 3, F32)


@pytest.mark.parametrize("y, n_out, words", [
    (np.zeros((3, 2)), 1, ["y must be numbers of shape (n, 1) or (n,), got shape (3, 2)", "as many units"]),
    (np.zeros(3), 2, ["numbers of shape (n, 2), got shape (3,)", "1 instead of 2"]),
    (np.zeros(3, int), 2, ["numbers of shape (n, 2)", "np.eye(2)[y]"]),
    ([[1, 2], [3, np.inf], [0, 0]], 2, ["y[1, 1] is inf (row 1, column 1)"]),
    ([[1, 2], [3, 1e39], [0, 0]], 2, ["y[1, 1] is 1e+39", "too large for float32"]),
])
def test_bad_targets_of_a_regression(y, n_out, words):
    with refused(ValueError, *words):
        as_targets(y, "rows", n_out, 3, F32)


@pytest.mark.parametrize("kind", ["labels_or_rows", "binary", "rows"])
@pytest.mark.parametrize("y, words", [
    (["cat", "dog", "cat"], ["y[0] = ", "cat", "np.unique(y, return_inverse=True)", "0..k-1"]),
    (np.array(["cat", "dog", None], object), ["dtype object", "y[0] = 'cat'", "np.unique"]),
    (np.array([0, 1j, 1]), ["dtype complex128"]),
    (None, ["got None"]),
])
def test_targets_that_are_no_numbers(kind, y, words):
    with refused(TypeError, "y must be", *words):
        as_targets(y, kind, 1, 3, F32)


# ----------------------------------------------------------------------------- weights and lengths

def test_sample_weight():
    assert as_sample_weight(None, 3) is None
    for w in ([1, 0, 2], np.array([1, 0, 2], ">f4"), np.array([[1], [0], [2]]), (1.0, 0.0, 2.0)):
        weight = as_sample_weight(w, 3)
        assert weight.dtype == np.float64
        assert weight.flags.c_contiguous
        np.testing.assert_array_equal(weight, [1, 0, 2])


@pytest.mark.parametrize("w, error, words", [
    ([1, -0.5, 2], ValueError, ["sample_weight[1] is -0.5", "at least 0"]),
    ([1, np.nan, 2], ValueError, ["sample_weight[1] is nan"]),
    ([0, 0, 0], ValueError, ["positive, finite sum, got 0", "above 0"]),
    ([1e308, 1e308, 1e308], ValueError, ["finite sum, got inf", "scale"]),
    ([1, 2], ValueError, ["sample_weight must have one row for each of the 3 rows of X, got 2"]),
    (np.ones((3, 2)), ValueError, ["must have shape (3,)", "got shape (3, 2)"]),
    ([], ValueError, ["empty"]),
    (2.0, ValueError, ["one number per row of X", "the single value 2.0"]),
    ("balanced", TypeError, ["one number per row of X", "'balanced' of type str"]),
    ({0: 1.0}, TypeError, ["of type dict"]),
])
def test_bad_sample_weight(w, error, words):
    with refused(error, *words):
        as_sample_weight(w, 3)


def test_check_same_length():
    checks.check_same_length(3, np.zeros((3, 2)), "y")
    with refused(ValueError, "y_val must have one row for each of the 3 rows of X_val, got 2 (shape (2,), "):
        checks.check_same_length(3, np.zeros(2, int), "y_val", "X_val")
