"""The gradient checker itself, on functions and on a small network in plain NumPy."""
import math

import numpy as np
import pytest

from fastnn.gradcheck import GradientCheck, check_gradients, numerical_derivative, numerical_gradient

N_IN, N_HIDDEN, N_OUT = 4, 5, 3
ACTIVATIONS = {
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(z.dtype)),
}


class FakeModel:
    """A two-layer network with squared error; its parameters are strided views of one vector.

    `plant` maps the name of a tensor to a function that spoils its gradient.
    """

    def __init__(self, activation="tanh", dtype="float64", plant=None, vector=None):
        self.activation, self.plant = activation, plant or {}
        shapes = {"dense.weight": (N_IN, N_HIDDEN), "dense.bias": (1, N_HIDDEN),
                  "dense_1.weight": (N_HIDDEN, N_OUT), "dense_1.bias": (1, N_OUT)}
        pad = 16  # columns
        self.vector = np.zeros(pad * sum(rows for rows, _ in shapes.values()), dtype)
        self.parameters, offset = {}, 0
        for name, (rows, columns) in shapes.items():
            view = self.vector[offset:offset + rows * pad].reshape(rows, pad)[:, :columns]
            self.parameters[name] = view[0] if "bias" in name else view
            offset += rows * pad
        if vector is None:
            rng = np.random.default_rng(1)
            for view in self.parameters.values():
                view[...] = 0.5 * rng.standard_normal(view.shape)
        else:
            self.vector[...] = vector

    def copy(self, dtype=None):
        return FakeModel(self.activation, dtype or self.vector.dtype, self.plant, self.vector)

    def named_parameters(self):
        return dict(self.parameters)

    def bind(self, X, y, sample_weight=None):
        return FakeBound(self, X, y, sample_weight)


class FakeBound:
    def __init__(self, model, X, y, sample_weight):
        dtype = model.vector.dtype
        self.model, self.X, self.y = model, np.asarray(X, dtype), np.asarray(y, dtype)
        self.weight = np.ones(len(self.X)) if sample_weight is None else np.asarray(sample_weight, float)

    def forward(self):
        p = self.model.parameters
        z = self.X @ p["dense.weight"] + p["dense.bias"]
        h = ACTIVATIONS[self.model.activation][0](z)
        return z, h, h @ p["dense_1.weight"] + p["dense_1.bias"]

    def loss(self):
        rows = np.sum((self.forward()[2] - self.y) ** 2, axis=1, dtype=np.float64)
        return float(self.weight @ rows / len(rows))

    def gradients(self):
        z, h, output = self.forward()
        doutput = 2 * (output - self.y) * self.weight[:, np.newaxis] / len(z)
        dz = doutput @ self.model.parameters["dense_1.weight"].T * ACTIVATIONS[self.model.activation][1](z)
        gradients = {"dense.weight": self.X.T @ dz, "dense.bias": dz.sum(0),
                     "dense_1.weight": h.T @ doutput, "dense_1.bias": doutput.sum(0)}
        return {name: self.model.plant.get(name, lambda g: g)(g) for name, g in gradients.items()}


def samples(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, N_IN)), rng.standard_normal((n, N_OUT))


# ------------------------------------------------------------------------------- numerical derivatives

@pytest.mark.parametrize("function, at, expected", [
    (math.exp, 1.0, math.e),
    (math.sin, 100.0, math.cos(100.0)),
    (lambda t: math.tanh(255 * t), 0.003, 255 * (1 - math.tanh(0.765) ** 2)),  # unscaled pixels
    (lambda t: math.cos(1e4 * t), 0.3, -1e4 * math.sin(3e3)),
    (lambda t: 1e-6 * t ** 3, 2.0, 1.2e-5),
    (lambda t: 7.0, 1.0, 0.0),
])
def test_derivative_of_smooth_functions(function, at, expected):
    derivative = numerical_derivative(function, at)
    assert derivative.value == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert derivative.doubt <= 1e-9 * abs(expected)


@pytest.mark.parametrize("distance", [1e-5, 1e-4, 6.2e-4, 1e-3, 2.5e-3, 3.9e-3, 1e-2])
@pytest.mark.parametrize("side", [-1, 1])
def test_derivative_beside_a_kink(distance, side):
    derivative = numerical_derivative(lambda t: math.sin(t) + max(0.0, side * (t - side * distance)), 0.0)
    assert derivative.value == pytest.approx(1.0, abs=1e-10)
    assert derivative.doubt < 1e-9


@pytest.mark.parametrize("jump", [1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("distance", [0.0, 1e-9])
def test_kink_is_doubted_by_its_change_of_slope(jump, distance):
    derivative = numerical_derivative(lambda t: math.sin(t) + jump * max(0.0, t - distance), 0.0)
    assert derivative.doubt == pytest.approx(jump, rel=0.2)
    assert derivative.doubt > 20 * derivative.rounding


def test_doubt_bounds_the_error_wherever_the_kink_is():
    for distance in np.geomspace(1e-8, 1e-2, 300):
        derivative = numerical_derivative(lambda t, d=distance: max(0.0, t - d), 0.0)
        assert abs(derivative.value) <= derivative.doubt + 20 * derivative.rounding, distance


def test_function_that_is_not_finite_beside_the_point():
    derivative = numerical_derivative(lambda t: math.log(t) if t > 0 else math.nan, 1e-4)
    assert derivative.value == pytest.approx(1e4, rel=1e-9)


def test_numerical_gradient_puts_back_what_it_changes():
    x = np.arange(24.0).reshape(4, 6)[::2, 1:4]  # a strided view
    before = x.copy()

    def f():
        return float(np.sum(x ** 3))

    everywhere = numerical_gradient(f, x)
    np.testing.assert_allclose([d.value for d in everywhere], 3 * before.ravel() ** 2, rtol=1e-9)
    some = numerical_gradient(f, x, [(1, 2), (0, 0)])
    assert [d.value for d in some] == [everywhere[5].value, everywhere[0].value]
    np.testing.assert_array_equal(x, before)

    def broken():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        numerical_gradient(broken, x)
    np.testing.assert_array_equal(x, before)


# -------------------------------------------------------------------------------------- whole models

@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_gradients_pass(activation, n, dtype):
    X, y = samples(n)
    model = FakeModel(activation, dtype)
    before = model.vector.copy()
    check = check_gradients(model, X, y, sample_weight=np.linspace(0.5, 2, n))
    assert check.passed, check
    assert check.worst.error < 1e-8, check  # the tolerance is met with room to spare
    assert [t.name for t in check.tensors] == list(model.parameters)
    assert [t.checked for t in check.tensors] == [p.size for p in model.parameters.values()]
    assert sum(t.kinks for t in check.tensors) == 0
    np.testing.assert_array_equal(model.vector, before)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 255.0])
def test_right_gradients_pass_whatever_the_scale(scale):
    X, y = samples(9)
    check = check_gradients(FakeModel(), scale * X, y)
    assert check.passed, check
    check = check_gradients(FakeModel(), X, scale * y)
    assert check.passed, check


def test_right_gradients_pass_at_a_perfect_fit():
    X, _ = samples(5)
    model = FakeModel()
    y = model.bind(X, np.zeros((5, N_OUT))).forward()[2]
    check = check_gradients(model, X, y)
    assert check.loss == 0
    assert check.passed, check


@pytest.mark.parametrize("name", ["dense.weight", "dense.bias", "dense_1.weight", "dense_1.bias"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("spoil", [
    lambda g: g * (1 + 1e-6), lambda g: -g, lambda g: 0 * g, lambda g: g[::-1], lambda g: g + 1e-4,
    lambda g: np.full_like(g, np.nan),
], ids=["scaled", "negated", "zero", "reversed", "shifted", "nan"])
def test_planted_error_is_named(name, activation, spoil):
    X, y = samples(7)
    check = check_gradients(FakeModel(activation, plant={name: spoil}), X, y)
    assert not check.passed
    assert check.failed == [name]
    assert check.worst.name == name
    assert "FAILED" in str(check)


def test_planted_error_in_one_entry_is_located():
    def spoil(gradient):
        gradient = gradient.copy()
        gradient[2, 1] += 0.01
        return gradient

    X, y = samples(7)
    check = check_gradients(FakeModel(plant={"dense_1.weight": spoil}), X, y)
    assert check.failed == ["dense_1.weight"]
    assert check.worst.worst_index == (2, 1)
    assert check.worst.analytic - check.worst.numeric == pytest.approx(0.01)


def on_kink():
    """A ReLU network, one unit of which has the pre-activation 0 for row 0."""
    X, y = samples(3)
    model = FakeModel("relu")
    X[0] = [1.0, 0.0, 2.0, 0.0]
    weight = model.parameters["dense.weight"]
    weight[[0, 2], 3] = [0.5, -0.25]
    model.parameters["dense.bias"][3] = 0
    assert (model.bind(X, y).forward()[0] == 0).sum() == 1
    return model, X, y


def test_kink_is_reported_apart():
    model, X, y = on_kink()
    check = check_gradients(model, X, y)
    kinks = {t.name: t.kinks for t in check.tensors}
    # where the input is 0 the weight does not move the unit
    assert kinks == {"dense.weight": 2, "dense.bias": 1, "dense_1.weight": 0, "dense_1.bias": 0}
    assert check.passed, check
    assert "3 at kinks left out" in str(check)


def test_kink_does_not_hide_an_error():
    model, X, y = on_kink()
    model.plant = {"dense.bias": lambda g: 1.1 * g}
    assert check_gradients(model, X, y).failed == ["dense.bias"]


def test_tensor_of_kinks_only_does_not_pass():
    model = FakeModel("relu")
    model.parameters["dense.bias"][...] = 0
    model.parameters["dense_1.weight"][...] = np.abs(model.parameters["dense_1.weight"]) + 0.1
    check = check_gradients(model, np.zeros((2, N_IN)), np.full((2, N_OUT), -1.0))
    bias = check.tensors[1]
    assert (bias.checked, bias.kinks, bias.worst_index, bias.passed) == (N_HIDDEN, N_HIDDEN, None, False)
    assert check.failed == ["dense.bias"]
    assert "only kinks" in str(check)


def test_kinks_near_by_are_stepped_over():
    # a thousand rows have some pre-activation within the first step of nearly every weight
    X, y = samples(1000)
    check = check_gradients(FakeModel("relu"), X, y)
    assert check.passed, check
    assert sum(t.kinks for t in check.tensors) <= 2, check


def test_large_model_is_sampled_by_seed():
    X, y = samples(5)
    check = check_gradients(FakeModel(), X, y, samples=6, seed=3)
    assert [t.checked for t in check.tensors] == [6, 5, 6, 3]
    assert str(check) == str(check_gradients(FakeModel(), X, y, samples=6, seed=3))
    # half of the sample are the largest entries: an error in the largest never escapes
    gradient = FakeModel().bind(X, y).gradients()["dense.weight"]
    index = np.unravel_index(np.argmax(np.abs(gradient)), gradient.shape)

    def spoil(gradient):
        gradient = gradient.copy()
        gradient[index] *= 1.01
        return gradient

    for seed in range(5):
        model = FakeModel(plant={"dense.weight": spoil})
        assert check_gradients(model, X, y, samples=2, seed=seed).failed == ["dense.weight"]


def test_table_is_aligned():
    X, y = samples(5)
    check = check_gradients(FakeModel(), X, y)
    assert isinstance(check, GradientCheck)
    title, header, *rows = str(check).splitlines()
    assert title.startswith("Gradient check passed: 43 entries of 4 tensors compared, 0 at kinks")
    assert [row.split()[0] for row in rows] == list(FakeModel().parameters)
    for heading in ("error", "differences", "backpropagation"):
        end = header.index(heading) + len(heading)
        assert all(row[end - 1] != " " and row[end] == " " for row in rows)
    assert repr(check) == str(check)


def test_bad_arguments():
    X, y = samples(5)
    with pytest.raises(ValueError, match="step must be a finite number above 0, got 0"):
        check_gradients(FakeModel(), X, y, step=0)
    with pytest.raises(TypeError, match="tolerance must be"):
        check_gradients(FakeModel(), X, y, tolerance="small")
    with pytest.raises(ValueError, match="samples must be an integer of at least 1, got 0"):
        check_gradients(FakeModel(), X, y, samples=0)
    with pytest.raises(ValueError, match="seed must be an integer of at least 0, got -1"):
        check_gradients(FakeModel(), X, y, seed=-1)
    with pytest.raises(ValueError, match="loss is inf"):
        check_gradients(FakeModel(), X, np.full_like(y, np.inf))
    model = FakeModel()
    model.parameters = {}
    model.bind = lambda *args: None
    model.copy = lambda dtype: model
    with pytest.raises(ValueError, match="must have parameters"):
        check_gradients(model, X, y)
