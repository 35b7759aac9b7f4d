"""Names and numbers: every accepted form, and every message for the others."""
import doctest
import re

import numpy as np
import pytest

from fastnn import checks, checks_arrays, checks_targets

F32, F64 = np.dtype("float32"), np.dtype("float64")
DTYPES = [F32, F64]


def refused(error, *words):
    """Expect the error, with all the words in its message."""
    return pytest.raises(error, match="".join(f"(?=.*{re.escape(word)})" for word in words))


@pytest.mark.parametrize("module", [checks, checks_arrays, checks_targets])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


REGISTRY = {"relu": 1, "leaky_relu": 2, "cross_entropy": 3, "tanh": 4}


@pytest.mark.parametrize("name, near", [
    ("rellu", "relu"), ("ReLU", "relu"), ("LeakyReLU", "leaky_relu"), ("crossentropy", "cross_entropy"),
    ("categorical_crossentropy", "cross_entropy"), ("tahn", "tanh"), ("cross-entropy", "cross_entropy"),
])
def test_unknown_name_suggests(name, near):
    error = checks.unknown_name("unit", name, REGISTRY)
    assert isinstance(error, ValueError)
    suggestion, options = str(error).split(" Options: ")
    assert suggestion.startswith(f"unknown unit {name!r}, did you mean {near!r}")
    assert options == "'relu', 'leaky_relu', 'cross_entropy', 'tanh'"


def test_unknown_name_without_a_near_one():
    assert str(checks.unknown_name("unit", "zzz", ["a", "b"])) == "unknown unit 'zzz'. Options: 'a', 'b'"


def test_lookup_and_choice():
    assert checks.lookup("unit", "tanh", REGISTRY) == 4
    assert checks.choice("mode", "min", ["min", "max"]) == "min"
    with refused(ValueError, "unknown unit 'rel'", "did you mean 'relu'"):
        checks.lookup("unit", "rel", REGISTRY)
    with refused(TypeError, "unit must be a name", "got 3 of type int", "'relu'"):
        checks.lookup("unit", 3, REGISTRY)
    with refused(ValueError, "unknown mode 'mix'", "'min', 'max'"):
        checks.choice("mode", "mix", ["min", "max"])


def test_positive_int():
    for value in (3, np.int64(3), np.uint8(3), np.array(3)):
        number = checks.positive_int("epochs", value)
        assert number == 3
        assert type(number) is int
    assert checks.positive_int("seed", 0, minimum=0) == 0
    with refused(ValueError, "epochs must be an integer of at least 1, got 0"):
        checks.positive_int("epochs", 0)
    with refused(TypeError, "epochs must be", "got 3.0 of type float", "pass 3"):
        checks.positive_int("epochs", 3.0)
    for value in (2.5, float("nan"), float("inf"), "3", None, True, [3]):
        with refused(TypeError, "epochs must be an integer of at least 1, got"):
            checks.positive_int("epochs", value)


def test_positive_float():
    for value in (0.5, np.float32(0.5), np.float64(0.5)):
        number = checks.positive_float("rate", value)
        assert number == 0.5
        assert type(number) is float
    assert checks.positive_float("rate", 2) == 2.0
    assert checks.positive_float("rate", 0, allow_zero=True) == 0.0
    for value in (0, -1.0, float("nan"), float("inf"), 10 ** 400):
        with refused(ValueError, "rate must be a finite number above 0, got"):
            checks.positive_float("rate", value)
    with refused(ValueError, "rate must be a finite number of at least 0, got -0.1"):
        checks.positive_float("rate", -0.1, allow_zero=True)
    for value in ("0.1", None, True, [0.1], 1j):
        with refused(TypeError, "rate must be a finite number above 0, got"):
            checks.positive_float("rate", value)


def test_fraction():
    assert checks.fraction("validation_split", 0) == 0.0
    assert checks.fraction("validation_split", np.float32(0.5)) == 0.5
    for value in (1, -0.1, float("nan"), 1000):
        with refused(ValueError, "validation_split must be a fraction, 0 <= validation_split < 1, got"):
            checks.fraction("validation_split", value)
    with refused(ValueError, "got 20", "20% is 0.2"):
        checks.fraction("validation_split", 20)
    with refused(TypeError, "validation_split must be a fraction", "got '0.1' of type str"):
        checks.fraction("validation_split", "0.1")


def test_boolean():
    assert checks.boolean("shuffle", np.False_) is False
    for value in (1, 0, "yes", None):
        with refused(TypeError, "shuffle must be True or False, got"):
            checks.boolean("shuffle", value)


def test_float_dtype():
    for value in ("float32", np.float32, F32, "f4"):
        assert checks.float_dtype("dtype", value) == F32
    for value in ("float16", int, ">f4", "quick", None, 3):
        with refused(ValueError, "dtype must be 'float32' or 'float64', got"):
            checks.float_dtype("dtype", value)


def test_shape_tuple():
    for value in (784, (784,), [784], np.int64(784)):
        assert checks.shape_tuple("input_shape", value) == (784,)
    assert checks.shape_tuple("input_shape", (28, 28, 1)) == (28, 28, 1)
    for value in ((), (0,), (3, -1), "784", None, (2.5,), (None, 3)):
        with refused(ValueError, "input_shape must be a tuple of positive sizes", "(784,)", repr(value)):
            checks.shape_tuple("input_shape", value)
