"""The public face of a model: shapes, names, parameters, copies, files, what predict and evaluate give."""
import copy
import pickle

import numpy as np
import pytest

import fastnn as fnn
from cases import LAYER_CASES, model_of, samples_of
from conftest import assert_close, assert_same_bits, rounding
from fastnn.layers import LAYERS
from fastnn.optimizers import OPTIMIZERS
from steps import net, samples

cases = pytest.mark.parametrize("case", LAYER_CASES, ids=lambda case: case.name)


def dense(*widths, dtype="float64", last="softmax", seed=0, **compiled):
    layers = [fnn.Dense(n, "tanh") for n in widths[1:-1]] + [fnn.Dense(widths[-1], last)]
    model = fnn.Sequential(layers, (widths[0],), dtype=dtype, seed=seed)
    model.compile(**compiled)
    return model


# ------------------------------------------------------------------------------------------- every layer

def test_every_layer_has_a_case():
    assert {case.covers for case in LAYER_CASES} == set(LAYERS.values())


@cases
def test_backends_agree(case, combination):
    """Outputs, loss and gradients are those of the NumPy backend in float64."""
    X, y = samples_of(case, 7)
    with fnn.use_backend("numpy"):
        reference = model_of(case)
        outputs, bound = reference.predict(X), reference.bind(X, y)
        loss, gradients = bound.loss(), {n: g.copy() for n, g in bound.gradients().items()}
    model = model_of(case, combination.dtype)
    error = rounding(combination.dtype, 100)
    assert_close(model.predict(X), outputs, error, "outputs")
    bound = model.bind(X, y)
    assert_close(bound.loss(), loss, error, "loss")
    for name, gradient in bound.gradients().items():
        assert_close(gradient, gradients[name], error, name)


@cases
@pytest.mark.parametrize("n", [1, 7])
def test_gradients(case, backend, n):
    """Every entry natively, a dozen of each tensor in NumPy, which takes twenty times as long."""
    check = fnn.check_gradients(model_of(case), *samples_of(case, n), samples=None if backend == "native" else 12)
    assert check.passed, check


@pytest.mark.slow
@cases
def test_every_gradient_of_the_numpy_backend(case):
    with fnn.use_backend("numpy"):
        check = fnn.check_gradients(model_of(case), *samples_of(case, 7))
    assert check.passed, check


@cases
def test_every_layer_trains_and_is_restored(case, backend, tmp_path):
    X, y = samples_of(case, 50)
    model = model_of(case, "float32")
    before = model.evaluate(X, y)["loss"]
    model.fit(X, y, epochs=30, batch_size=8, verbose=0)
    assert model.evaluate(X, y)["loss"] < before
    model.save(tmp_path / "model.safetensors")
    for other in (fnn.load(tmp_path / "model.safetensors"), model.copy(), pickle.loads(pickle.dumps(model))):
        assert [repr(layer) for layer in other.layers] == [repr(layer) for layer in model.layers]
        assert_same_bits(other.predict(X), model.predict(X))


# --------------------------------------------------------------------------------------- shapes and names

def test_names_and_shapes():
    model = fnn.Sequential([fnn.Flatten(), fnn.Dense(5, "relu"), fnn.Dense(4, name="mine"), fnn.Dense(3)],
                           input_shape=(2, 3), dtype=np.float64)
    assert [layer.name for layer in model.layers] == ["flatten", "dense", "mine", "dense_1"]
    assert {n: p.shape for n, p in model.named_parameters().items()} == {
        "dense.weight": (6, 5), "dense.bias": (5,), "mine.weight": (5, 4), "mine.bias": (4,),
        "dense_1.weight": (4, 3), "dense_1.bias": (3,)}
    assert model.input_shape == (2, 3) and model.output_shape == (3,) and model.dtype == np.float64
    assert [layer.output_shape for layer in model.layers] == [(6,), (5,), (4,), (3,)]
    assert model.predict(np.zeros((4, 2, 3))).shape == (4, 3)
    assert model.predict(np.zeros((4, 2, 3), int)).dtype == np.float64


def test_wrong_layers_are_refused():
    one = fnn.Dense(3)
    fnn.Sequential([one], (2,))
    for layers, shape, words in (
            ([], (2,), "at least one"), ([one], (2,), "already belongs"), (["dense"], (2,), "layers"),
            ([fnn.Dense(3, name="a"), fnn.Dense(3, name="a")], (2,), "once"),
            ([fnn.Dense(3)], (2, 2, 2), "Flatten"), ([fnn.Dense(3), fnn.Standardize()], (2,), "before")):
        with pytest.raises((ValueError, TypeError), match=words):
            fnn.Sequential(layers, shape)
    with pytest.raises(ValueError, match="relu"):
        fnn.Dense(3, "rellu")


def test_not_compiled():
    model = fnn.Sequential([fnn.Dense(3)], (2,))
    for use in (lambda: model.fit([[1, 2]], [[0, 0, 0]]), lambda: model.evaluate([[1, 2]], [[0, 0, 0]])):
        with pytest.raises(RuntimeError, match="compile"):
            use()
    assert model.predict([[1, 2]]).shape == (1, 3)


def test_loss_and_activation_must_fit():
    with pytest.raises(ValueError, match="softmax"):
        dense(2, 3, last="tanh", loss="cross_entropy")
    with pytest.raises(ValueError, match="squared_error"):
        dense(2, 3, loss="square_error")


def test_seed_and_initial_weights():
    weights = [dense(30, 40, 3, seed=seed).get_weights() for seed in (0, 0, 1)]
    for a, b, c in zip(*weights, strict=True):
        assert_same_bits(a, b)
        assert a.ndim == 1 or (a != c).any()
    assert not weights[0][1].any() and np.abs(weights[0][0]).max() <= np.sqrt(6 / 70)
    single = dense(30, 40, 3, dtype="float32").get_weights()
    assert_same_bits(single[0], weights[0][0].astype(np.float32))


def test_flatten_is_c_order(backend):
    X = np.random.default_rng(0).standard_normal((9, 3, 4, 2))
    image = fnn.Sequential([fnn.Flatten(), fnn.Dense(3)], (3, 4, 2), "float64", seed=5)
    flat = fnn.Sequential([fnn.Dense(3)], (24,), "float64", seed=5)
    assert_same_bits(image.predict(X), flat.predict(X.reshape(9, 24)))


def test_summary(capsys):
    model = fnn.Sequential([fnn.Flatten(), fnn.Dense(128, "relu"), fnn.Dense(10, "softmax")], (28, 28))
    text = model.summary()
    assert capsys.readouterr().out.strip() == (text or "").strip()
    for words in ("flatten (Flatten)", "(n, 784)", "100,480", "1,290", "101,770", "200,704"):
        assert words in text, text


# ------------------------------------------------------------------------------------ predict, evaluate

def test_predict_is_the_formula(combination):
    X, _ = samples(50)
    model = net(dtype=combination.dtype)
    value = X.astype(combination.dtype).astype(np.float64)
    w = [a.astype(np.float64) for a in model.get_weights()]
    for i in (0, 2):
        value = np.tanh(value @ w[i] + w[i + 1])
    e = np.exp(value @ w[4] + w[5])
    assert_close(model.predict(X), e / e.sum(1, keepdims=True), rounding(combination.dtype, 50))


def test_predict_takes_what_holds_numbers(backend):
    model = dense(6, 5, 3)
    X = np.random.default_rng(0).integers(0, 9, (40, 6))
    expected = model.predict(X.astype(np.float64))
    forms = {"list": X.tolist(), "int8": X.astype(np.int8), "uint16": X.astype(np.uint16),
             "float16": X.astype(np.float16), "float32": X.astype(np.float32), "big": X.astype(">f8"),
             "Fortran": np.asfortranarray(X, float), "reversed": X[::-1].astype(float)[::-1],
             "view": np.repeat(X.astype(float), 2, axis=1)[:, ::2], "transposed": X.T.copy().T,
             "rows": np.repeat(X.astype(float), 2, axis=0)[::2],
             "read-only": np.frombuffer(X.astype("f8").tobytes(), "f8").reshape(40, 6)}
    for name, form in forms.items():
        assert_same_bits(model.predict(form), expected, name)
        assert_same_bits(model.predict(form[:3]), expected[:3], name)


def test_predict_huge_batch_size(backend):
    """A block is never larger than the rows there are."""
    X = np.random.default_rng(0).standard_normal((600, 6))
    model = dense(6, 5, 3)
    assert_same_bits(model.predict(X, batch_size=10 ** 12), model.predict(X))


def test_predict_refuses_what_is_not_finite(backend):
    model = dense(6, 5, 3)
    for rows in (1, 40, 2000):
        X = np.ones((rows, 6))
        X[rows // 2, 4] = np.nan
        for batch_size in (None, 7):
            with pytest.raises(ValueError, match=rf"X\[{rows // 2}, 4\] is nan"):
                model.predict(X, batch_size=batch_size)
    with pytest.raises(ValueError, match="too large for float32"):
        dense(6, 3, dtype="float32").predict(np.full((2, 6), 1e300))


def test_evaluate(backend):
    X, y = samples(300)
    model = dense(20, 9, 3, loss="cross_entropy", metrics=["accuracy", lambda t, p: float(len(t))])
    outputs, weight = model.predict(X), np.random.default_rng(0).random(300)
    losses = -np.log(outputs[np.arange(300), y])
    got = model.evaluate(X, y)
    assert got["loss"] == pytest.approx(losses.mean(), rel=1e-13)
    assert got["accuracy"] == np.mean(outputs.argmax(1) == y) and got["lambda"] == 300
    got = model.evaluate(X, y, batch_size=7, sample_weight=weight)
    assert got["loss"] == pytest.approx(np.average(losses, weights=weight), rel=1e-13)
    assert model.evaluate(X, np.eye(3)[y])["loss"] == pytest.approx(losses.mean(), rel=1e-13)


@pytest.mark.parametrize("loss, last, formula", [
    ("cross_entropy", "sigmoid", lambda t, y: -(t * np.log(y) + (1 - t) * np.log(1 - y)).sum(1)),
    ("squared_error", "identity", lambda t, y: ((t - y) ** 2).sum(1) / 2),
    ("mean_squared_error", "tanh", lambda t, y: ((t - y) ** 2).mean(1)),
    (fnn.CrossEntropy(from_logits=True), "identity",
     lambda t, y: -(t * (y - np.log(np.exp(y).sum(1, keepdims=True)))).sum(1)),
])
def test_losses_are_their_formulas(backend, loss, last, formula):
    X, _ = samples(50)
    t = np.random.default_rng(1).dirichlet(np.ones(3), 50)
    model = dense(20, 9, 3, last=last, loss=loss)
    assert model.evaluate(X, t)["loss"] == pytest.approx(formula(t, model.predict(X)).mean(), rel=1e-12)


def test_one_output(backend):
    """Targets (n,) and (n, 1) alike; cross-entropy from logits of one output is the sigmoid's."""
    X, y = samples(50)
    y = y % 2
    for loss, last in (("squared_error", None), ("cross_entropy", "sigmoid"), (fnn.CrossEntropy(True), None)):
        model = dense(20, 9, 1, last=last, loss=loss)
        assert model.evaluate(X, y) == model.evaluate(X, y[:, None])
    p = 1 / (1 + np.exp(-model.predict(X)[:, 0]))
    expected = -np.mean(np.log(np.where(y == 1, p, 1 - p)))
    assert model.evaluate(X, y)["loss"] == pytest.approx(expected, rel=1e-12)


# -------------------------------------------------------------------------------------------- parameters

def test_weights(backend):
    model, other = dense(5, 4, 3, seed=0), dense(5, 4, 3, seed=1)
    X = np.random.default_rng(0).standard_normal((9, 5))
    weights = model.get_weights()
    other.set_weights(weights)
    assert_same_bits(other.predict(X), model.predict(X))
    weights[0][...] = 0  # copies
    assert_same_bits(other.predict(X), model.predict(X))
    model.layers[0].weight[...] = 0  # views
    assert not model.named_parameters()["dense.weight"].any()
    assert (model.predict(X) == model.predict(X)[0]).all()
    with pytest.raises(ValueError, match="4 arrays"):
        model.set_weights(weights[:3])
    with pytest.raises(ValueError, match=r"dense_1.weight of shape \(4, 3\), got \(3, 4\)"):
        model.set_weights([*weights[:2], weights[2].T, weights[3]])


def test_state_dict():
    model = fnn.Sequential([fnn.Standardize(), fnn.Dense(3, "softmax")], (4,), seed=1)
    model.compile()
    X, y = samples(50, 4, 3)
    model.fit(10 * X + 7, y, verbose=0)
    state = model.state_dict()
    assert sorted(state) == sorted(["dense.weight", "dense.bias", "standardize.mean", "standardize.scale",
                                    "standardize.adapted"])
    other = fnn.Sequential([fnn.Standardize(), fnn.Dense(3, "softmax")], (4,), seed=2)
    other.load_state_dict(state)
    assert_same_bits(other.predict(X), model.predict(X))
    before = other.get_weights()
    for wrong, words in (({k: v for k, v in state.items() if k != "dense.bias"}, "dense.bias"),
                         ({**state, "dense.bais": state["dense.bias"]}, "dense.bias"),
                         ({**state, "dense.weight": np.zeros((3, 4))}, "shape")):
        with pytest.raises(ValueError, match=words):
            other.load_state_dict(wrong)
    for a, b in zip(other.get_weights(), before, strict=True):
        assert_same_bits(a, b)


# ---------------------------------------------------------------------------------------- copies and files

def trained(optimizer="adam", dtype="float32", epochs=2):
    X, y = samples(200, dtype=dtype)
    model = dense(20, 17, 3, dtype=dtype, optimizer=optimizer, loss="cross_entropy",
                  metrics=["accuracy", fnn.TopK(2)])
    model.fit(X, y, epochs=epochs, verbose=0)
    return model, X, y


def through_file(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    return fnn.load(tmp_path / "model.safetensors")


WAYS = {"copy": lambda model, _: model.copy(), "deepcopy": lambda model, _: copy.deepcopy(model),
        "pickle": lambda model, _: pickle.loads(pickle.dumps(model)), "file": through_file}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on_bitwise(way, optimizer, tmp_path, backend):
    """Optimizer state, update count and the order of the next epochs come along."""
    model, X, y = trained(optimizer)
    other = WAYS[way](model, tmp_path)
    assert type(other.optimizer) is type(model.optimizer)
    assert other.optimizer.get_config() == model.optimizer.get_config()
    histories = [m.fit(X, y, epochs=3, batch_size=30, verbose=0) for m in (model, other)]
    assert histories[0].history == histories[1].history
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("way", WAYS)
def test_copies_are_independent(way, tmp_path):
    model, X, _ = trained()
    before = model.predict(X)
    other = WAYS[way](model, tmp_path)
    for parameter in other.named_parameters().values():
        parameter[...] = 0
    other.layers[0].bias[...] = 1
    assert_same_bits(model.predict(X), before)
    assert (other.layers[0].bias == 1).all() and other.history is not model.history


def test_copy_in_another_dtype(backend):
    model, X, y = trained("momentum")
    double = model.copy("float64")
    assert double.dtype == np.float64 and double.predict(X).dtype == np.float64
    assert_close(model.predict(X), double.predict(X), rounding(np.float32, 40))
    assert_close(model.evaluate(X, y)["loss"], double.evaluate(X, y)["loss"], rounding(np.float32, 40))
    for a, b in zip(model.get_weights(), double.copy("float32").get_weights(), strict=True):
        assert_same_bits(a, b)
    histories = [m.fit(X, y, verbose=0)["loss"][0] for m in (model, double)]
    assert_close(*histories, rounding(np.float32, 40) * 10)


def test_files(tmp_path):
    model, X, _ = trained()
    path = tmp_path / "a model"
    model.save(str(path))
    assert [p.name for p in tmp_path.iterdir()] == ["a model"]
    loaded = fnn.load(path)
    assert loaded.get_config() == model.get_config()
    assert [m.name for m in loaded.metrics] == ["accuracy", "top_2_accuracy"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="a model"):
        fnn.load(path)
    with pytest.raises(FileNotFoundError):
        fnn.load(tmp_path / "none")
    model.compile(metrics=[lambda t, y: 0.0])
    with pytest.raises(ValueError, match="function"):
        model.save(path)
    model.compile(fnn.SGD(lambda step: 0.1))
    with pytest.raises(ValueError, match="learning_rate"):
        model.save(path)


def test_a_model_that_is_not_compiled_has_a_file_too(tmp_path):
    model = fnn.Sequential([fnn.Dense(3, "tanh", use_bias=False)], (2,), "float64", seed=3)
    other = through_file(model, tmp_path)
    assert_same_bits(other.predict([[1, 2]]), model.predict([[1, 2]]))
    assert other.loss is None and other.dtype == np.float64 and other.seed == 3
