"""The other doors: settings of `fit` and `compile`, tokens, sequences and images, several inputs, estimators, data,
metrics, searches and checks."""
import inspect
import warnings
from importlib.util import find_spec

import numpy as np
import pytest

import fastnn as fnn
from fastnn import data, metrics
from fastnn.data import text
from hostile import INF, NAN, NUMBERS, TALLY, no_arrays, outcome, refused

RNG = np.random.default_rng(0)
X, LABELS = RNG.random((6, 2)), np.arange(6) % 3


def model_of(loss="cross_entropy"):
    model = fnn.Sequential([fnn.Dense(3, "softmax")], input_shape=(2,))
    model.compile("sgd", loss)
    return model


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, one_thread):
    """Files go where they are thrown away."""
    monkeypatch.chdir(tmp_path)


# ------------------------------------------------------------------------- settings of a model's calls

LONG = {"epochs": ("2^40", "2^63"), "max_iterations": ("2^40",), "updates": ("2^40",), "steps": ("2^40",)}
CALLS = {
    "fit": (lambda **s: model_of().fit(X, LABELS, **{"verbose": 0, **s}),
            "batch_size epochs validation_split validation_data sample_weight class_weight shuffle callbacks verbose "
            "checkpoint checkpoint_every resume"),
    "predict": (lambda **s: model_of().predict(X, **s), "batch_size"),
    "evaluate": (lambda **s: model_of().evaluate(X, LABELS, **s), "batch_size sample_weight"),
    "train_on_batch": (lambda **s: model_of().train_on_batch(X, LABELS, **s), "sample_weight class_weight"),
    "forward": (lambda **s: model_of().forward(X, **s), "training frozen"),
    "compile": (lambda **s: model_of().compile(**s), "optimizer loss metrics loss_weights"),
    "copy": (lambda **s: model_of().copy(**s), "dtype"),
    "GAN.fit": (lambda **s: gan().fit(X, **{"verbose": 0, **s}), "batch_size epochs shuffle callbacks verbose"),
    "GAN.compile": (lambda **s: gan().compile(**s), "generator_optimizer discriminator_optimizer"),
    "profile": (lambda **s: model_of().profile(X, LABELS, **s), "batch_size"),
}
CALLS |= {name: (lambda name=name, **s: getattr(fnn, name)(model_of(), X, LABELS, **s),
                 " ".join(p.name for p in inspect.signature(getattr(fnn, name)).parameters.values()
                          if p.name not in ("model", "X", "y", "sample_weight") and p.kind is not p.VAR_KEYWORD))
          for name in ("check_gradients", "diagnose", "sanity_check", "find_learning_rate", "fit_lbfgs",
                       "gradient_error_curve")}
NAMES = {"generator_optimizer": ["optimizer"], "discriminator_optimizer": ["optimizer"], "metrics": ["metric"],
         "validation_data": ["validation"], "checkpoint_every": ["checkpoint"]}
SLOW = ("check_gradients", "sanity_check", "find_learning_rate", "diagnose", "profile", "fit_lbfgs",
        "gradient_error_curve")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CALLS])
def test_settings(name):
    call, settings = CALLS[name]
    for setting in settings.split():
        for what, value in NUMBERS.items():
            texts = what in ("'8'", "'relu'", "long text")
            if what in LONG.get(setting, ()) or (setting == "verbose" and what in ("True", "np.True_")) or \
                    (setting == "checkpoint" and texts):
                continue
            outcome(lambda: call(**{setting: value}), setting, *NAMES.get(setting, ()))  # noqa: B023


@pytest.mark.parametrize("value", [
    {0: NAN}, {0: -1}, {0: INF}, {5: 1}, {-1: 1}, {0.5: 1}, {"a": 1}, {0: "1"}, {0: None}, {0: 10 ** 400}, [1, 2],
    np.ones((3, 1)), [0, 0, 0], ["a", "b", "c"], "even", np.ones(3) * 1j, [1, NAN, 1], 3, object()],
    ids=lambda value: "object" if type(value) is object else str(value))
def test_class_weights(value):
    assert refused(outcome(lambda: model_of().fit(X, LABELS, class_weight=value, verbose=0), "class_weight", "weight"))


def test_class_weights_that_are_no_arrays():
    for what, value in no_arrays().items():
        got = outcome(lambda: model_of().train_on_batch(X, LABELS, class_weight=value), "class_weight")  # noqa: B023
        assert refused(got) or what == "None", what


def gan():
    game = fnn.GAN(fnn.Sequential([fnn.Dense(2)], (3,)), fnn.Sequential([fnn.Dense(1)], (2,)))
    game.compile()
    return game


WHERE_A_MODEL_IS_MEANT = {
    "Model, inputs": lambda v: fnn.Model(v, fnn.Dense(2)(fnn.Input((2,)))),
    "Model, outputs": lambda v: fnn.Model(fnn.Input((2,)), v),
    "a layer, called, layer": lambda v: fnn.Dense(2)(v),
    "GAN, generator": lambda v: fnn.GAN(v, model_of()), "GAN, discriminator": lambda v: fnn.GAN(model_of(), v),
    "GAN.fit, X": lambda v: gan().fit(v, verbose=0), "GAN.generate, n": lambda v: gan().generate(v),
    "extend, layers": lambda v: model_of().extend(v), "from_config, config": fnn.Sequential.from_config,
    "restore, snapshot": lambda v: model_of().restore(v), "get_layer, layer": lambda v: model_of().get_layer(v),
    "Monitor, X": lambda v: model_of().fit(X, LABELS, verbose=0, callbacks=[fnn.Monitor(v, LABELS)]),
    "Monitor, y": lambda v: model_of().fit(X, LABELS, verbose=0, callbacks=[fnn.Monitor(X, v)]),
    "from_keras_weights, model": lambda v: fnn.from_keras_weights(v, []),
    "from_keras_weights, weights": lambda v: fnn.from_keras_weights(model_of(), v),
    **{f"{name}, model": lambda v, name=name: getattr(fnn, name)(v, X, LABELS) for name in (
        "check_gradients", "diagnose", "sanity_check", "find_learning_rate", "fit_lbfgs", "gradient_error_curve")},
    **{f"to_{name}, model": lambda v, name=name: getattr(fnn, f"to_{name}")(v) for name in ("torch", "onnx")
       if find_spec(name)},
}


@pytest.mark.parametrize("place", WHERE_A_MODEL_IS_MEANT)
def test_no_models(place):
    """What is no model, tensor, layer or configuration is refused by name."""
    call, name = WHERE_A_MODEL_IS_MEANT[place], place.rpartition(" ")[2]
    for what, value in {**no_arrays(), **NUMBERS}.items():
        if (name == "n" and what in ("2^40", "2^63")) or (name == "layers" and what == "function"):
            continue  # a function of the user's fails in its own words
        got = outcome(lambda: call(value), name)  # noqa: B023
        taken = ("Monitor" in place and value is None) or (name == "n" and not isinstance(value, str))
        assert refused(got) or taken, f"{place} takes {what}"


# ------------------------------------------------------------------ tokens, sequences, images, several

def tokens_model():
    model = fnn.Sequential([fnn.Embedding(5, 3), fnn.GRU(3, return_sequences=True), fnn.Dense(5, "softmax")], (None,))
    model.compile("sgd")
    return model


def sequence_model():
    model = fnn.Sequential([fnn.Masking(), fnn.LSTM(3), fnn.Dense(2, "softmax")], (None, 2))
    model.compile("sgd")
    return model


def image_model():
    model = fnn.Sequential([fnn.Conv2D(2, 3), fnn.Flatten(), fnn.Dense(2, "softmax")], (4, 4, 1))
    model.compile("sgd")
    return model


TOKENS = [[0, 1], [4, 2]]


@pytest.mark.parametrize("X, words", [
    ([[0.5, 1]], ("X[0, 0] is 0.5",)), ([[0, -1]], ("X[0, 1] is -1",)), ([[5, 0]], ("X[0, 0] is 5",)),
    ([[2 ** 63, 0]], ("X[0, 0]",)), (np.array([[0, 2 ** 64 - 1]], np.uint64), ("X[0, 1]",)), ([[NAN, 0]], ("nan",)),
    ([[0, INF]], ("inf",)), ([["a", "b"]], ("X",)), ([[[1, 2]]], ("(1, 1, 2)",)), ([1, 2], ("(2,)",)),
    ([[1], [1, 2]], ()), (np.zeros((0, 2), int), ()), (np.zeros((1, 0), int), ()), ([[1j, 0]], ()),
    (np.array([[1, 2]], object), ()), (None, ()),
])
def test_tokens(X, words):
    for call in (lambda: tokens_model().predict(X), lambda: tokens_model().forward(X),
                 lambda: tokens_model().fit(X, [[0, 1]], verbose=0)):
        assert refused(outcome(call, "X", words=words))
    assert refused(outcome(lambda: tokens_model().fit([[0, 1]], X if X is not None else "none", verbose=0), "y"))


@pytest.mark.parametrize("code", ["b", "B", "h", "H", "i", "I", "l", "L", ">i4", "f2", "f8", "g"])
def test_tokens_of_every_dtype(code):
    expected = tokens_model().predict(TOKENS)
    np.testing.assert_array_equal(tokens_model().predict(np.array(TOKENS, code)), expected)


def test_sequences_and_images():
    ones, images = np.ones((3, 4, 2)), np.ones((3, 4, 4, 1))
    for make, plain, wrong in (
            (sequence_model, ones, [ones[:, :0], ones[..., 0], ones[..., np.newaxis], np.ones((3, 4, 3)), ones * NAN,
                                    [[[1, 2]], [[1, 2], [3, 4]]], "abc", None]),
            (image_model, images, [images[..., 0], images.reshape(3, 16), images.reshape(3, 1, 4, 4), images[0],
                                   images * NAN, images[:0], "abc", None])):
        expected = make().predict(plain)
        for form in (plain.tolist(), np.asfortranarray(plain), plain[:, ::-1], plain.astype(">f4"), plain.astype("u1"),
                     plain.astype("g")):
            np.testing.assert_array_equal(outcome(lambda: make().predict(form)), expected)  # noqa: B023
        for value in wrong:
            assert refused(outcome(lambda: make().predict(value), "X"))  # noqa: B023
            if value is not None:
                assert refused(outcome(lambda: make().fit(value, [0, 1, 0], verbose=0), "X"))  # noqa: B023
    assert np.isfinite(sequence_model().predict(np.zeros((3, 4, 2)))).all()  # every step is masked


def test_several_inputs_and_outputs():
    def make():
        a, b = fnn.Input((2,), "a"), fnn.Input((2,), "b")
        h = fnn.Add()([fnn.Dense(3)(a), fnn.Dense(3)(b)])
        model = fnn.Model([a, b], [fnn.Dense(3, "softmax", name="p")(h), fnn.Dense(2, name="q")(h)])
        model.compile("sgd", {"p": "cross_entropy", "q": "squared_error"})
        return model

    for value in (X, [X], [X, X, X], {"a": X}, {"a": X, "b": X, "c": X}, [X, X[:2]], None, [None, None], "ab",
                  {0: X, 1: X}, [X, X * NAN], {1, 2}, (x for x in (X, X)), 3, np.stack([X, X])):
        assert refused(outcome(lambda: make().predict(value), "X"))  # noqa: B023
    for y in (LABELS, None, {"p": LABELS}, [X, LABELS], [LABELS[:2], X], [LABELS, X, X]):
        assert refused(outcome(lambda: make().evaluate([X, X], y), "y"))  # noqa: B023


# ------------------------------------------------------------------------------------------ estimators

@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_proba", "score"])
def test_estimators_refuse_what_scikit_learns_refuse(method):
    """The same arrays, with the same type of error: its checks are those that run."""
    neural = pytest.importorskip("sklearn.neural_network")
    from fastnn.estimators import MLPClassifier

    settings = {"hidden_layer_sizes": (3,), "max_iter": 500, "random_state": 0, "tol": 1.0}

    def result(cls, place, value):
        estimator = cls(**settings)
        if method in ("predict", "predict_proba", "score"):
            estimator.fit(X, LABELS)
        x, y = (value, LABELS[:3]) if place == "X" else (X[:3], value)
        try:
            if method.startswith("predict"):
                getattr(estimator, method)(x)
            elif method == "partial_fit":
                estimator.partial_fit(x, y, classes=[0, 1, 2])
            else:
                getattr(estimator, method)(x, y)
        except Exception as error:
            return type(error)
        return None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn of convergence
        for place in ("X", "y") if "predict" not in method else ("X",):
            for what, value in no_arrays().items():
                if what == "generator" or (place == "y" and what in ("records", "2^70")):
                    continue
                theirs, ours = (result(cls, place, value) for cls in (neural.MLPClassifier, MLPClassifier))
                TALLY["refused" if ours else "answered"] += 1
                assert (ours is None) == (theirs is None), f"{method}, {place} = {what}: {ours}, but {theirs}"
                assert ours is None or issubclass(ours, (ValueError, TypeError)) or ours is theirs, f"{what}: {ours}"


# -------------------------------------------------------------------------- data, metrics, searches

FUNCTIONS = {
    "train_test_split X": lambda v: data.train_test_split(v, np.arange(3)),
    "train_test_split y": lambda v: data.train_test_split(np.zeros((3, 2)), v),
    "windows tokens": lambda v: text.windows(v, 2),
    "Vocabulary text": lambda v: text.Vocabulary(v),
    "encode text": lambda v: text.Vocabulary("abc123").encode(v),
    "decode tokens": lambda v: text.Vocabulary("abc").decode(v),
    "balanced_weights y": lambda v: fnn.balanced_weights(v),
    "entropy_decomposition p": lambda v: fnn.entropy_decomposition(v, [0.5, 0.5]),
    "descend start": lambda v: fnn.descend(lambda w: (w @ w, 2 * w), v, "sgd", 2),
    **{f"{name} path": lambda v, f=f: f(v) for name, f in (
        ("read_idx", data.read_idx), ("read_text", text.read_text), ("load", fnn.load),
        ("save", lambda v: model_of().save(v)), ("load_estimator", fnn.load_estimator))},
    "load_mnist folder": data.load_mnist,
    **{f"{name} targets": lambda v, m=m: m(v, np.full((3, 3), 0.25)) for name, m in metrics.METRICS.items()},
    **{f"{name} outputs": lambda v, m=m: m(np.arange(3), v) for name, m in metrics.METRICS.items()},
}



@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    argument = name.split()[1]
    for value in no_arrays().values():
        if argument == "path" and isinstance(value, int):
            continue  # open files have such names
        words = [argument, *(["targets", "outputs"] if argument in ("targets", "outputs") else [])]
        outcome(lambda: FUNCTIONS[name](value), *words, *metrics.METRICS)  # noqa: B023


@pytest.mark.parametrize("name", ["test", "seed", "stratify", "steps"])
def test_numbers_of_data_functions(name):
    for value in NUMBERS.values():
        if name == "steps":
            outcome(lambda: text.windows(np.arange(9), value), "steps")  # noqa: B023
        else:
            outcome(lambda: data.train_test_split(X, LABELS, **{name: value}), name)  # noqa: B023


def test_metrics_of_what_is_not_finite():
    """NaN is never right, and shows in every measure of distance."""
    nan = np.full((3, 2), NAN)
    assert metrics.accuracy([0, 1, 1], nan) <= 1 / 3 and metrics.top_k_accuracy([0, 1, 1], nan, k=1) == 0
    for name in ("mae", "mse", "r2", "roc_auc"):
        assert np.isnan(metrics.METRICS[name]([[0, 1]] * 3, nan)), name
