"""The gradient checker itself, on a small network in plain NumPy."""
from types import SimpleNamespace

import numpy as np
import pytest

from fastnn.clipping import Clipping
from fastnn.gradcheck import GradientCheck, check_gradients

N_IN, N_HIDDEN, N_OUT = 4, 5, 3
ACTIVATIONS = {
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(z.dtype)),
}


class FakeModel:
    """A two-layer network with squared error; its parameters are strided views of one vector.

    `plant` maps the name of a tensor, "penalty" (of dense.weight) or "step" to a function that spoils what it
    gives; `l2` is the penalty of dense.weight.
    """

    input_names, _graph = ["input"], None  # a model is known by its graph

    def __init__(self, activation="tanh", dtype="float64", plant=None, vector=None, l2=0.0):
        self.activation, self.plant, self.l2 = activation, plant or {}, l2
        self.dtype, self.optimizer = np.dtype(dtype), SimpleNamespace(clipping=Clipping())
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
        return FakeModel(self.activation, dtype or self.vector.dtype, self.plant, self.vector, self.l2)

    def named_parameters(self):
        return dict(self.parameters)

    def bind(self, X, y, sample_weight=None):
        return FakeBound(self, X, y, sample_weight)


class FakeBound:
    tokens = [False]

    def __init__(self, model, X, y, sample_weight):
        dtype = model.vector.dtype
        self.model, self.X, self.y = model, np.asarray(X, dtype), np.asarray(y, dtype)
        self.weight = np.ones(len(self.X)) if sample_weight is None else np.asarray(sample_weight, float)

    def forward(self):
        p = self.model.parameters
        z = self.X @ p["dense.weight"] + p["dense.bias"]
        h = ACTIVATIONS[self.model.activation][0](z)
        return z, h, h @ p["dense_1.weight"] + p["dense_1.bias"]

    @property
    def penalised(self):
        return ["dense.weight"] if self.model.l2 else []

    def planted(self, gradients):
        return {name: self.model.plant.get(name, lambda g: g)(g) for name, g in gradients.items()}

    def loss(self, part=""):
        rows = np.sum((self.forward()[2] - self.y) ** 2, axis=1, dtype=np.float64)
        w = self.model.parameters["dense.weight"].astype(float)
        return (part != "penalty") * float(self.weight @ rows / len(rows)) \
            + (part != "data") * self.model.l2 / 2 * float((w ** 2).sum())

    def back(self):
        z, h, output = self.forward()
        doutput = (2 * (output - self.y) * self.weight[:, np.newaxis] / len(z)).astype(output.dtype)
        dz = doutput @ self.model.parameters["dense_1.weight"].T * ACTIVATIONS[self.model.activation][1](z)
        return h, dz, doutput

    def gradients(self, part=""):
        h, dz, doutput = self.back()
        gradients = {"dense.weight": self.X.T @ dz, "dense.bias": dz.sum(0),
                     "dense_1.weight": h.T @ doutput, "dense_1.bias": doutput.sum(0)}
        gradients = {name: g * (part != "penalty") for name, g in self.planted(gradients).items()}
        if part != "data":
            penalty = self.planted({"penalty": self.model.l2 * self.model.parameters["dense.weight"]})
            gradients["dense.weight"] = gradients["dense.weight"] + penalty["penalty"]
        return gradients

    def input_gradient(self):
        return self.planted({"X": self.back()[1] @ self.model.parameters["dense.weight"].T})["X"]

    def step(self):
        spoil = self.model.plant.get("step", lambda g: g)
        return {name: spoil(g) for name, g in self.gradients().items()}


def samples(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, N_IN)), rng.standard_normal((n, N_OUT))


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
    assert [t.name for t in check.part("data")] == [*model.parameters, "X"]
    assert [t.checked for t in check.part("step")] == [p.size for p in model.parameters.values()]
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


@pytest.mark.parametrize("name", ["dense.weight", "dense.bias", "dense_1.weight", "dense_1.bias", "X"])
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
    assert check.worst.worst_index == (2, 1) and check.worst.part == "data"
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
    kinks = {t.name: t.kinks for t in check.part("data")}
    # where the input is 0 the weight does not move the unit; where the weight is 0 the input does not
    moving = int(np.count_nonzero(model.parameters["dense.weight"][:, 3]))
    assert kinks == {"dense.weight": 2, "dense.bias": 1, "dense_1.weight": 0, "dense_1.bias": 0, "X": moving}
    assert check.passed, check
    assert f"{3 + moving} at kinks left out" in str(check)


def test_kink_does_not_hide_an_error():
    model, X, y = on_kink()
    model.plant = {"dense.bias": lambda g: 1.1 * g}
    assert check_gradients(model, X, y).failed == ["dense.bias"]


def test_tensor_of_kinks_only_does_not_pass():
    model = FakeModel("relu")
    model.parameters["dense.bias"][...] = 0
    model.parameters["dense_1.weight"][...] = np.abs(model.parameters["dense_1.weight"]) + 0.1
    check = check_gradients(model, np.zeros((2, N_IN)), np.full((2, N_OUT), -1.0), inputs=False)
    bias = check.part("data")[1]
    assert (bias.checked, bias.kinks, bias.worst_index, bias.passed) == (N_HIDDEN, N_HIDDEN, None, False)
    assert check.failed == ["dense.bias"]
    assert "only kinks" in str(check)


def test_kinks_near_by_are_stepped_over():
    # a thousand rows have some pre-activation within the first step of nearly every weight
    X, y = samples(1000)
    check = check_gradients(FakeModel("relu"), X, y, samples=20)
    assert check.passed, check
    assert sum(t.kinks for t in check.tensors) <= 2, check


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("how", [{}, {"directions": 3}], ids=["entries", "directions"])
@pytest.mark.parametrize("n", [1, 33])
def test_right_gradients_pass_in_either_dtype(dtype, how, n):
    X, y = samples(n)
    for seed in range(5):
        check = check_gradients(FakeModel(l2=0.1), X, y, dtype=dtype, seed=seed, **how)
        assert check.passed and check.dtype == dtype, check


def test_float32_needs_its_tolerance_and_no_more():
    """Rounding errors are within what was measured for them, and not a hundredth of it."""
    X, y = samples(33)
    check = check_gradients(FakeModel(), X, y, dtype="float32")
    for t in check.part("data"):
        assert 1e-3 < t.error / (t.tolerance - 1e-7) < 1, check
        assert t.tolerance < 1e-4
    assert any(t.error > 1e-7 / 2 for t in check.tensors)


@pytest.mark.parametrize("name", ["dense.weight", "dense.bias", "dense_1.weight", "dense_1.bias", "X"])
@pytest.mark.parametrize("spoil", [lambda g: g * (1 + 1e-3), lambda g: -g, lambda g: g[::-1]],
                         ids=["scaled", "negated", "reversed"])
def test_planted_error_is_named_in_float32(name, spoil):
    X, y = samples(7)
    check = check_gradients(FakeModel(plant={name: spoil}), X, y, dtype="float32")
    assert check.failed == [name]


def test_parts_are_told_apart():
    X, y = samples(7)
    check = check_gradients(FakeModel(l2=0.3), X, y)
    assert check.passed and check.penalty > 0 and check.loss == check.data_loss + check.penalty
    assert [(t.name, t.part) for t in check.tensors if t.name == "dense.weight"] == [
        ("dense.weight", part) for part in ("data", "penalty", "total", "step")]
    assert "and penalty 0." in str(check)
    for plant, parts in (({"penalty": lambda g: 1.01 * g}, {"penalty", "total"}),
                         ({"dense.weight": lambda g: 1.01 * g}, {"data", "total"}),
                         ({"step": lambda g: 1.01 * g}, {"step"})):
        failed = [t for t in check_gradients(FakeModel(l2=0.3, plant=plant), X, y).tensors if not t.passed]
        assert {t.part for t in failed} == parts
        assert "step" in plant or {t.name for t in failed} == {"dense.weight"}


def test_steps_are_clipped_by_the_formula():
    X, y = samples(7)
    for clipping in (Clipping(clipvalue=0.05), Clipping(clipnorm=0.1), Clipping(global_clipnorm=0.1)):
        class Clipped(FakeModel):
            def copy(self, dtype=None):
                other = super().copy(dtype)
                other.optimizer = SimpleNamespace(clipping=clipping)  # noqa: B023
                return other

        failed = [t.part for t in check_gradients(Clipped(), X, y).tensors if not t.passed]
        assert set(failed) == {"step"}  # for this one's steps are not clipped


def test_a_frozen_parameter_that_moves_is_named():
    """By one bit; its gradient is not asked for."""
    class Frozen(FakeModel):
        moved = 0.0

        def copy(self, dtype=None):
            other = Frozen(vector=self.vector)
            other.moved = self.moved
            return other

        def bind(self, *args):
            return FrozenBound(self, *args)

    class FrozenBound(FakeBound):
        def gradients(self, part=""):
            return {name: g for name, g in super().gradients(part).items() if name != "dense.bias"}

        def step(self):
            return super().step() | {"dense.bias": np.array([0.0, 0.0, self.model.moved, 0.0, 0.0])}

    X, y = samples(7)
    model = Frozen()
    check = check_gradients(model, X, y)
    assert check.passed and [t.part for t in check.tensors if t.name == "dense.bias"] == ["step"]
    model.moved = 1e-17
    check = check_gradients(model, X, y)
    assert check.failed == ["dense.bias"] and check.worst.worst_index == (2,)


def test_floor_counts_tiny_gradients_as_equal():
    X, y = samples(5)
    plant = {"dense.bias": lambda g: g + 1e-6}
    assert check_gradients(FakeModel(plant=plant), X, y).failed == ["dense.bias"]
    assert check_gradients(FakeModel(plant=plant), X, y, floor=1e-5).passed
    assert check_gradients(FakeModel(plant={"dense.bias": lambda g: 1.1 * g}), X, y, floor=1e-5).failed


def test_directions_see_an_error_in_one_entry():
    def spoil(gradient):
        gradient = gradient.copy()
        gradient[2, 1] += 1e-4
        return gradient

    X, y = samples(7)
    check = check_gradients(FakeModel(plant={"dense_1.weight": spoil}), X, y, directions=2)
    assert check.failed == ["dense_1.weight"] and check.worst.checked == 2


def test_directions_cost_the_same_whatever_the_size():
    calls = []
    for n in (3, 300):
        class Counted(FakeBound):
            def loss(self, part=""):
                calls[-1] += 1
                return super().loss(part)

        class Counting(FakeModel):
            def bind(self, *args):
                return Counted(self, *args)  # noqa: B023

            def copy(self, dtype=None):
                return Counting(vector=self.vector)  # noqa: B023

        calls.append(0)
        assert check_gradients(Counting(), *samples(n), directions=2).passed
    assert calls[1] < 1.5 * calls[0] < 500  # entry by entry the inputs alone would take thousands


def test_large_model_is_sampled_by_seed():
    X, y = samples(5)
    check = check_gradients(FakeModel(), X, y, samples=6, seed=3)
    assert [t.checked for t in check.part("data")] == [6, 5, 6, 3, 6]
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
    assert title.startswith("Gradient check of float64 passed: 106 values of 5 tensors compared, 0 at kinks")
    names = list(FakeModel().parameters)
    expected = [*([name, part] for name in names for part in ("data", "step")), ["X", "data"]]
    assert [row.split()[:2] for row in rows] == expected
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
    with pytest.raises(ValueError, match="samples: expected without directions"):
        check_gradients(FakeModel(), X, y, samples=3, directions=3)
    with pytest.raises(ValueError, match="floor must be"):
        check_gradients(FakeModel(), X, y, floor=-1.0)
    with pytest.raises(ValueError, match="dtype"):
        check_gradients(FakeModel(), X, y, dtype="float16")
    model = FakeModel()
    model.named_parameters = dict
    model.copy = lambda dtype: model
    with pytest.raises(ValueError, match="must have parameters"):
        check_gradients(model, X, y)
