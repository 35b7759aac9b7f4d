"""Arrays of every kind at every door of a model: the same bits as plain ones, or a refusal by name."""
import numpy as np
import pytest

import fastnn as fnn
from hostile import FORMS, INF, MATRICES, NAN, no_arrays, outcome, pandas_forms, refused

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass")  # which is among those tested

X = np.array([[-2.0, 0.25], [1.5, 0.75], [0.5, -1.25]])
LABELS, WEIGHTS = np.array([0, 1, 2]), np.array([1.0, 2.0, 0.5])
ROWS = np.array([[0.5, -1.0], [2.0, 0.25], [-0.75, 1.0]])
KINDS = {"classes": LABELS, "numbers": ROWS}


def model_of(kind, dtype="float32"):
    last = fnn.Dense(3, "softmax") if kind == "classes" else fnn.Dense(2)
    model = fnn.Sequential([fnn.Dense(5, "tanh"), last], input_shape=(2,), dtype=dtype, seed=1)
    model.compile(fnn.SGD(0.1), "cross_entropy" if kind == "classes" else "squared_error",
                  ["accuracy"] if kind == "classes" else ["mae"])
    return model


def weights(model, after=None):
    """All parameters; `after` is what a call that changes them returned."""
    return np.concatenate([array.ravel() for array in model.get_weights()])


def stepped(model, X):
    """Outputs, and what a step of a loop of one's own makes of the weights."""
    y = model.forward(X)
    model.backward(np.ones_like(y))
    model.step()
    return np.concatenate([y.ravel(), weights(model)])


# Each door: a function of a model, its kind, X, y and weights, whose result is numbers; and which it looks at.
DOORS = {
    "predict": (lambda m, k, X, y, w: m.predict(X), "X"),
    "predict in blocks": (lambda m, k, X, y, w: m.predict(X, batch_size=2), "X"),
    "forward": (lambda m, k, X, y, w: stepped(m, X), "X"),
    "evaluate": (lambda m, k, X, y, w: list(m.evaluate(X, y, sample_weight=w).values()), "Xyw"),
    "train_on_batch": (lambda m, k, X, y, w: weights(m, m.train_on_batch(X, y, sample_weight=w)), "Xyw"),
    "fit": (lambda m, k, X, y, w: weights(m, m.fit(X, y, 2, 2, sample_weight=w, verbose=0)), "Xyw"),
    "fit in order": (lambda m, k, X, y, w: weights(m, m.fit(X, y, 2, 2, sample_weight=w, verbose=0, shuffle=False)),
                     "Xyw"),
    "fit, batches": (lambda m, k, X, y, w: weights(m, m.fit([(X, y, w)], verbose=0)), "Xyw"),
    "validation_data": (lambda m, k, X, y, w: m.fit(globals()["X"], KINDS[k], verbose=0, validation_data=(X, y, w))
                        .history["val_loss"], "Xyw"),
    "bind": (lambda m, k, X, y, w: m.bind(X, y, w).loss(), "Xyw"),
    "check_gradients": (lambda m, k, X, y, w: fnn.check_gradients(m, X, y, w, directions=1).data_loss, "Xyw"),
}
NAMES = {"X": ("X",), "y": ("y",), "w": ("weight",)}
QUICK = ("list", "Fortran", "big-endian", "DLPack", "DataFrame", "Series", "nullable")  # for slow doors


def given(kind, place, value):
    return [value if name == place else plain for name, plain in (("X", X), ("y", KINDS[kind]), ("w", WEIGHTS))]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", KINDS)
def test_forms(backend, kind, door):
    """Whatever holds the numbers, the result has the same bits, and what the caller gave is as it was."""
    call, places = DOORS[door]
    expected = call(model_of(kind), kind, X, KINDS[kind], WEIGHTS)
    for place in places:
        plain = {"X": X, "y": KINDS[kind], "w": WEIGHTS}[place]
        forms = {**FORMS, **(MATRICES if plain.ndim > 1 else {}), **pandas_forms(plain.ndim)}
        for name, form in forms.items():
            if door == "check_gradients" and name not in QUICK:
                continue
            value = form(plain)
            before = repr(value)
            got = outcome(lambda: call(model_of(kind), kind, *given(kind, place, value)))  # noqa: B023
            assert not refused(got), f"{door}, {place} as {name}: {got}"
            np.testing.assert_array_equal(got, expected, err_msg=f"{door}, {place} as {name}")
            assert repr(value) == before, f"{door} changed {place} as {name}"


@pytest.mark.parametrize("door", [door for door in DOORS if door != "check_gradients"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_arrays(kind, door):
    """What is no array of numbers of the right shape is refused, by name, before any work."""
    call, places = DOORS[door]
    for place in places:
        for name, value in no_arrays().items():
            if name == "None" and (place == "w" or (place == "y" and door == "fit")):
                continue  # which means: none; and batches in X
            model = model_of(kind)
            before = weights(model)
            got = outcome(lambda: call(model, kind, *given(kind, place, value)), *NAMES[place])  # noqa: B023
            assert refused(got), f"{door} takes {place} = {name}"
            np.testing.assert_array_equal(weights(model), before, err_msg=f"{door}, {place} = {name} changed weights")


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1e39, -1e300])
@pytest.mark.parametrize("door", [door for door in DOORS if door not in ("forward", "check_gradients", "predict")])
def test_values_that_are_not_finite(door, value):
    """Refused, with their place; `forward` and `predict` show what the network makes of them."""
    call, places = DOORS[door]
    if door == "predict in blocks":
        return
    for place in places:
        plain = {"X": X, "y": ROWS, "w": WEIGHTS}[place].copy()
        if place == "w" and np.isfinite(value):
            continue  # weights are float64
        plain[(1,) * plain.ndim] = value
        words = f"[{', '.join('1' * plain.ndim)}]", f"{value:g}"
        assert refused(outcome(lambda: call(model_of("numbers"), "numbers", *given("numbers", place, plain)),  # noqa: B023
                               *NAMES[place], words=words))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_at_the_ends(backend, dtype):
    """Denormals and the largest numbers are numbers like others."""
    for value in (0.0, -0.0, 1e-45, 5e-324, 1.17549435e-38, 3.4028235e38, -3.4028235e38, 1e4, -1e4):
        got = outcome(lambda: model_of("numbers", dtype).predict(np.full((3, 2), value)))  # noqa: B023
        assert got.shape == (3, 2) and not np.isnan(got).any()
        alone = model_of("numbers", dtype).predict(np.full((1, 2), value))
        many = model_of("numbers", dtype).predict(np.full((17, 2), value))
        if backend == "native":  # BLAS, which the other one calls, rounds as the shapes are
            np.testing.assert_array_equal(many, np.repeat(alone, 17, axis=0))
        else:
            np.testing.assert_allclose(many, np.repeat(alone, 17, axis=0), 1e-5)


def test_rows():
    """No row is refused; one row is a batch, and gives the bits that it gives among others."""
    for kind, y in KINDS.items():
        assert refused(outcome(lambda: model_of(kind).predict(np.zeros((0, 2))), "X"))  # noqa: B023
        assert refused(outcome(lambda: model_of(kind).fit(np.zeros((0, 2)), y[:0], verbose=0), "X"))  # noqa: B023
        model_of(kind).fit(X[:1], y[:1], verbose=0)
        model_of(kind).train_on_batch(X[:1], y[:1])
        model_of(kind).evaluate(X[:1], y[:1])
        np.testing.assert_array_equal(model_of(kind).predict(X[1:2]), model_of(kind).predict(X)[1:2])


@pytest.mark.parametrize("code", ["?", *"bBhHiIlLqQ", ">i2", ">u8", "f2", "f4", "f8", "g"])
def test_labels(backend, code):
    """Labels of every integer dtype, booleans and whole floats, flat or as a column."""
    y = LABELS if code != "?" else LABELS > 0
    expected = model_of("classes").evaluate(X, y.astype("i8"))
    for labels in (y.astype(code), y.astype(code)[:, np.newaxis], y.astype(code).tolist()):
        assert outcome(lambda: model_of("classes").evaluate(X, labels)) == expected  # noqa: B023


@pytest.mark.parametrize("labels, words", [
    ([0, -1, 2], ("y[1] is -1",)), ([0, 1, 3], ("y[2] is 3",)), ([0.0, 1.5, 2.0], ("y[1] is 1.5",)),
    ([0.0, NAN, 1.0], ("y[1] is nan",)), ([0, 2 ** 40, 1], ("y[1] is",)), ([0, 1, -2 ** 63], ("y[2] is",)),
    (np.array([0, 2 ** 64 - 1, 1], np.uint64), ("y[1] is",)), ([0.0, -INF, 1.0], ("y[1] is -inf",)),
    ([0, 1], ("2", "3 rows")), (np.zeros((3, 2)), ("(3, 2)",)), (np.zeros((1, 3)), ("y",)),
    ([[0.5, 0.5, 0.0], [0.5, 0.6, 0.0], [1.0, 0.0, 0.0]], ("y[1] sums to 1.1",)),
    ([[1.0, 0.0, 0.0], [0.0, 1.5, -0.5], [1.0, 0.0, 0.0]], ("y[1, 1] is 1.5", "[0, 1]")),
])
@pytest.mark.parametrize("door", ["evaluate", "train_on_batch", "fit", "fit, batches", "validation_data", "bind"])
def test_wrong_labels(door, labels, words):
    call, _ = DOORS[door]
    words = tuple(word.replace("y[", "validation y[") if door == "validation_data" else word for word in words)
    error = outcome(lambda: call(model_of("classes"), "classes", X, labels, None), "y", words=words)
    assert refused(error)


def test_probabilities():
    """Targets of a sigmoid lie in [0, 1], its ends included; a value outside is named."""
    model = fnn.Sequential([fnn.Dense(2, "sigmoid")], input_shape=(2,))
    for loss in ("binary_cross_entropy", "cross_entropy", "kl_divergence"):
        model.compile("sgd", loss)
        for ends in ([[0, 1]] * 3, [[False, True]] * 3, np.array([[0.0, 1.0]] * 3)):
            assert np.isfinite(model.evaluate(X, ends)["loss"])
        for value in (-1e-9, 1 + 1e-9, 2, -1):
            y = np.full((3, 2), 0.5)
            y[2, 1] = value
            assert refused(outcome(lambda: model.train_on_batch(X, y), words=("y[2, 1]", "[0, 1]")))  # noqa: B023


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_of_exactly_0_and_1(backend, dtype):
    """Cross-entropy of a probability that rounds to 0 is that of its logits: finite, at any finite size."""
    for loss, activation, y in (("cross_entropy", "softmax", [0, 1]),
                                ("binary_cross_entropy", "sigmoid", [[1, 0]] * 2)):
        model = fnn.Sequential([fnn.Dense(2, activation, kernel_initializer="identity")], input_shape=(2,), dtype=dtype)
        model.compile("sgd", loss)
        logits = [[-1e4, 1e4], [-1e4, 1e4]]
        assert set(np.unique(model.predict(logits))) == {0, 1}
        each = {"softmax": [2e4, 0.0], "sigmoid": [1e4, 1e4]}[activation]
        assert model.evaluate(logits, y)["loss"] == pytest.approx(np.mean(each), rel=1e-6)
        equal = model.evaluate([[1e4, 1e4]] * 2, y)["loss"]
        assert equal == pytest.approx(np.log(2) if activation == "softmax" else 1e4 / 2, rel=1e-6)


def test_columns_never_broadcast():
    """(n,) against (n, 1): one number a row either way, never n by n."""
    model = fnn.Sequential([fnn.Dense(1)], input_shape=(2,))
    for loss in ("squared_error", "absolute_error", "huber", "log_cosh", "quantile"):
        model.compile("sgd", loss, ["mae", "mse", "r2"])
        flat, column = (model.evaluate(X, y) for y in (ROWS[:, 0], ROWS[:, :1]))
        assert flat == column
        assert refused(outcome(lambda: model.evaluate(X, ROWS), "y"))
        assert refused(outcome(lambda: model.evaluate(X, ROWS[:, :1].T), "y"))
    for name, metric in fnn.metrics.METRICS.items():
        if name not in ("top_k_accuracy",):
            y, said = np.array([0.0, 1.0, 1.0]), np.array([0.25, 0.75, 0.5])
            values = {metric(a, b) for a in (y, y[:, None]) for b in (said, said[:, None])}
            assert len(values) == 1, f"{name}: {values}"


def test_nothing_is_kept():
    """Arrays of the caller stay the caller's: what happens to them later is nothing to the model."""
    model, x, y, w = model_of("numbers"), X.copy(), ROWS.copy(), WEIGHTS.copy()
    given = [array + 0.5 for array in model.get_weights()]
    model.set_weights(given)
    model.fit(x, y, sample_weight=w, verbose=0, epochs=2)
    outputs = model.predict(x)
    state, known = model.state_dict(), model.get_weights()
    for array in (x, y, w, outputs, *given, *state.values(), *known):
        assert not any(np.shares_memory(array, own) for own in model.named_parameters().values())
        array[...] = 7
    assert not (model.predict(X) == 7).any()
    model.predict(X)[...] = 3
    assert not (model.predict(X) == 3).any()
    y = model.forward(X)
    gradient = np.ones_like(y)
    dx = model.backward(gradient)
    assert not np.shares_memory(dx, gradient) and (gradient == 1).all()


@pytest.mark.parametrize("name", [*no_arrays(), "column", "transposed", "nan", "1e39"])
def test_gradients_and_weights_given(name):
    """What `backward`, `set_weights` and `load_state_dict` are given."""
    more = {"column": X[:, :1], "transposed": X.T, "nan": np.full((3, 2), NAN), "1e39": np.full((3, 2), 1e39)}
    value = {**no_arrays(), **more}[name]
    model = model_of("numbers")
    model.forward(X)
    got = outcome(lambda: model.backward(value), "dy")
    assert refused(got) or (name == "nan" and np.isnan(got).all())
    for load in (lambda: model.set_weights([value, *model.get_weights()[1:]]),
                 lambda: model.load_state_dict({**model.state_dict(), "dense.weight": value})):
        before = weights(model)
        assert refused(outcome(load, "dense.weight"))
        np.testing.assert_array_equal(weights(model), before)
    assert refused(outcome(lambda: model.set_weights(value), "weights"))
    assert refused(outcome(lambda: model.load_state_dict(value), "state"))
