"""Every gradient of the catalogue and of models in other sizes against finite differences."""
import doctest

import numpy as np
import pytest

import fastnn as fnn
from fastnn import catalogue, gradcheck, gradient_error, numerical
from fastnn.activations import ACTIVATIONS
from fastnn.clipping import Clipping
from fastnn.layers import LAYERS
from fastnn.losses import LOSSES, get
from fastnn.regularizers import CONSTRAINTS, REGULARIZERS

N_IN, N_OUT = 5, 3


def ends():
    """The losses with the final activations that the catalogue has them behind."""
    return dict.fromkeys(tuple(case.name.split()[0:3:2]) for case in catalogue.cases() if case.kind == "loss")


def data(n, kind, n_out=N_OUT, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, N_IN))
    if kind in ("labels_or_rows", "labels"):
        return X, rng.integers(0, n_out, n)
    if kind in ("binary", "signs"):
        return X, rng.integers(0, 2, (n, n_out))
    if kind == "counts":
        return X, rng.poisson(1.5, (n, n_out))
    return X, rng.standard_normal((n, n_out))


def compiled(layers, loss="cross_entropy", input_shape=(N_IN,), dtype="float64"):
    model = fnn.Sequential(layers, input_shape=input_shape, dtype=dtype, seed=1)
    model.compile(loss=loss)
    rng = np.random.default_rng(2)  # biases that are not all 0: they would put ReLUs on their kinks
    for name, parameter in model.named_parameters().items():
        if name.endswith("bias"):
            parameter[...] = 0.1 * rng.standard_normal(parameter.shape)
    return model


def assert_passes(check):
    assert check.passed, check
    assert sum(t.kinks for t in check.tensors) <= 0.02 * sum(t.checked for t in check.tensors), check


@pytest.mark.parametrize("module", [gradcheck, gradient_error, numerical, catalogue])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


# ------------------------------------------------------------------------------------------- the catalogue

CASES = catalogue.cases()
each = pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])


@each
def test_catalogue(backend, case):
    """Under 1e-7 in float64."""
    check = case.check(samples=12)
    assert_passes(check)
    assert all(t.error < 1e-7 for t in check.tensors), check
    model = case.model()
    whole = any(model.bind(*case.samples(3)).tokens)  # whole numbers have no gradient
    assert (check.part("data")[-1].name[0] == "X") != whole


@each
def test_catalogue_in_float32(backend, case):
    check = case.check(dtype="float32", directions=2)
    assert check.passed and check.dtype == "float32", check


def test_catalogue_holds_what_is_registered():
    def named(kind):
        return {case.name.partition(" ")[0] for case in CASES if case.kind == kind}

    assert len({case.title for case in CASES}) == len(CASES)
    assert {case.covers for case in CASES if case.kind == "layer"} == set(LAYERS.values())
    assert named("activation") >= {*ACTIVATIONS, "softmax", "log_softmax", "custom"}
    assert named("loss") == set(LOSSES)
    assert named("regularizer") == set(REGULARIZERS) and named("constraint") == set(CONSTRAINTS)
    assert named("clipping") == {"clipnorm", "clipvalue", "global_clipnorm"}


@pytest.mark.parametrize("case", [case for case in CASES if case.kind in ("clipping", "frozen")],
                         ids=lambda case: case.title)
def test_steps_of_clipped_and_frozen_parameters(backend, case):
    """Where gradients are clipped the step is another than the gradient; where frozen there is none."""
    model, (X, y) = case.model(), case.samples(7)
    bound = model.bind(X, y)
    gradients = {name: g.copy() for name, g in bound.gradients().items()}
    before = {name: w.copy() for name, w in model.named_parameters().items()}
    steps = bound.step()
    for name, w in model.named_parameters().items():
        np.testing.assert_array_equal(w, before[name])
        if name not in gradients:
            assert not steps[name].any()
        elif case.clipping:
            assert np.linalg.norm(steps[name]) < 0.9 * np.linalg.norm(gradients[name])
    rows = {t.name: t for t in case.check(samples=5).part("step")}
    assert rows.keys() == before.keys() and all(rows[n].checked == w.size for n, w in before.items())


def test_clipping_by_formula():
    """`Clipping.clipped` is the reference of the step's check; the ops are held to formulas elsewhere."""
    g = {"a": np.array([3.0, 0.0]), "b": np.array([[0.0, -4.0]])}
    for settings, a, b in (({}, 3, -4), ({"clipvalue": 1.0}, 1, -1), ({"clipnorm": 3.5}, 3, -3.5),
                           ({"global_clipnorm": 1.0}, 0.6, -0.8), ({"global_clipnorm": 5.5}, 3, -4)):
        clipped = Clipping(**settings).clipped(g)
        np.testing.assert_allclose([clipped["a"][0], clipped["b"][0, 1]], [a, b], rtol=1e-15)


def test_masks_and_noise_are_held(backend):
    """The loss of a random model is one function, the next step's; so its derivative exists."""
    case, = (c for c in CASES if c.name == "dropout")
    model, (X, y) = case.model(), case.samples(7)
    bound = model.bind(X, y)
    loss = bound.loss()
    assert bound.loss() == loss != model.evaluate(X, y)["loss"]
    model.update_count += 1
    assert bound.loss() != loss
    assert_passes(fnn.check_gradients(model, X, y))


def test_a_layer_without_a_gradient_of_its_inputs():
    class Last(fnn.Dense):
        def backward(self, builder, dy, *, need_dx):
            super().backward(builder, dy, need_dx=False)

    model = compiled([Last(N_OUT, "softmax")])
    model.copy = lambda dtype: model
    with pytest.raises(ValueError, match=r"layer 'last': .*no gradient of the inputs.*inputs=False"):
        fnn.check_gradients(model, *data(7, "labels_or_rows"))
    assert_passes(fnn.check_gradients(model, *data(7, "labels_or_rows"), inputs=False))


# --------------------------------------------------------------------------------------- the error's curve

def test_error_curve_is_a_v(backend):
    model = compiled([fnn.Dense(9, "tanh"), fnn.Dense(N_OUT, "softmax")])
    X, y = data(7, "labels_or_rows")
    before = model.state_dict()
    curve = fnn.gradient_error_curve(model, X, y)
    assert curve.steps.shape == curve.forward.shape == curve.central.shape == (25,)
    for errors, order, tip in ((curve.forward, 1, 1e-8), (curve.central, 2, 6e-6)):
        best = curve.steps[np.argmin(errors)]
        assert tip / 100 < best < tip * 100
        right = (curve.steps > 3e-4) & (curve.steps < 5e-2)  # truncation: h to the order
        slope = np.polyfit(np.log(curve.steps[right]), np.log(errors[right]), 1)[0]
        assert slope == pytest.approx(order, abs=0.1)
        left = curve.steps < tip / 100  # rounding: about 1 / h
        slope = np.polyfit(np.log(curve.steps[left]), np.log(errors[left]), 1)[0]
        assert slope == pytest.approx(-1, abs=0.4)
    assert curve.best[1] == curve.central.min() < 1e-9 < fnn.gradient_error_curve(
        model, X, y, dtype="float32").best[1]
    assert str(curve).splitlines()[1].split() == ["step", "forward", "central"]
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_error_curve_of_chosen_steps():
    model = compiled([fnn.Dense(N_OUT, "softmax")])
    X, y = data(7, "labels_or_rows")
    curve = fnn.gradient_error_curve(model, X, y, steps=[1e-5, 1e-2], directions=1)
    assert curve.steps.tolist() == [1e-5, 1e-2] and curve.central[0] < curve.central[1]
    for steps in ([0.0], [], [[1.0]], [np.nan]):
        with pytest.raises(ValueError, match="steps: expected"):
            fnn.gradient_error_curve(model, X, y, steps=steps)
    model.layers[0].trainable = False
    model.compile(loss="cross_entropy")
    with pytest.raises(ValueError, match="parameters that are trained"):
        fnn.gradient_error_curve(model, X, y)


# --------------------------------------------------------------------------------------- sizes and shapes


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("hidden", [1, 15, 17])
def test_activations(backend, activation, n, hidden):
    model = compiled([fnn.Dense(hidden, activation), fnn.Dense(4, activation), fnn.Dense(N_OUT, "softmax")])
    assert_passes(fnn.check_gradients(model, *data(n, "labels_or_rows"), directions=3))


@pytest.mark.parametrize("loss, activation", ends())
@pytest.mark.parametrize("n, n_out", [(1, 3), (7, 2), (7, 17)])
def test_losses(backend, loss, activation, n, n_out):
    model = compiled([fnn.Dense(6, "tanh"), fnn.Dense(n_out, activation)], loss)
    X, _ = data(n, "labels_or_rows")
    for targets in catalogue.TARGETS[get(loss).target_kind(activation, n_out)].values():
        y = targets(np.random.default_rng(0), n, n_out)
        for weight in (None, np.linspace(0.5, 2.0, n)):
            assert_passes(fnn.check_gradients(model, X, y, weight, directions=3))


def test_one_output(backend):
    for loss, activation in (("cross_entropy", "sigmoid"), ("squared_error", "identity")):
        model = compiled([fnn.Dense(6, "tanh"), fnn.Dense(1, activation)], loss)
        X, y = data(7, "binary", 1)
        assert_passes(fnn.check_gradients(model, X, y[:, 0]))


def test_probability_rows(backend):
    model = compiled([fnn.Dense(6, "tanh"), fnn.Dense(N_OUT, "softmax")])
    X, _ = data(7, "rows")
    rows = np.random.default_rng(3).dirichlet(np.ones(N_OUT), 7)
    assert_passes(fnn.check_gradients(model, X, rows))


@pytest.mark.parametrize("width", [15, 16, 31, 32, 33])
def test_widths_around_vector_edges(backend, width):
    model = compiled([fnn.Dense(width, "tanh"), fnn.Dense(N_OUT, "softmax")])
    assert_passes(fnn.check_gradients(model, *data(3, "labels_or_rows"), samples=40))


def test_layers(backend):
    X, y = data(7, "labels_or_rows")
    model = compiled([fnn.Flatten(), fnn.Standardize(), fnn.Dense(4, use_bias=False),
                      fnn.Activation("sigmoid"), fnn.Dense(N_OUT, "softmax")], input_shape=(N_IN, 1))
    assert_passes(fnn.check_gradients(model, X[:, :, np.newaxis], y))


def test_one_layer(backend):
    assert_passes(fnn.check_gradients(compiled([fnn.Dense(N_OUT, "softmax")]), *data(7, "labels_or_rows")))


def test_large_model_is_sampled(backend):
    model = compiled([fnn.Dense(120, "relu"), fnn.Dense(40, "tanh"), fnn.Dense(N_OUT, "softmax")])
    check = fnn.check_gradients(model, *data(3, "labels_or_rows"))
    assert_passes(check)
    assert [t.checked for t in check.part("data")] == [100, 100, 100, 40, 100, 3, 15]


def test_float32_model_is_checked_in_float64_and_left_alone(backend):
    model = compiled([fnn.Dense(4, "tanh"), fnn.Dense(N_OUT, "softmax")], dtype="float32")
    before = model.state_dict()
    assert_passes(fnn.check_gradients(model, *data(7, "labels_or_rows")))
    assert model.dtype == np.float32
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
