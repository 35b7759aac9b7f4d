"""Estimators as files: everything they have comes back, and nothing that runs code goes in."""
import copy
import json
import warnings

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn.data import load_digits
from fastnn.io import records

estimators = pytest.importorskip("fastnn.estimators")
MLPClassifier, MLPRegressor = estimators.MLPClassifier, estimators.MLPRegressor

X, Y = load_digits()
X, Y = X[:150].reshape(150, -1) / 16, Y[:150] % 3
WORDS = np.array(["no", "yes", "perhaps"])

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def through_file(estimator, tmp_path):
    estimator.save(tmp_path / "mlp.safetensors")
    return fnn.load_estimator(tmp_path / "mlp.safetensors")


CLASSIFIERS = {
    "plain": ({}, Y), "words": ({}, WORDS[Y]), "objects": ({}, WORDS[Y].astype(object)),
    "two classes": ({}, Y > 0), "one class": ({}, Y * 0), "several labels": ({}, np.eye(3, dtype=int)[Y]),
    "early stopping": ({"early_stopping": True, "n_iter_no_change": 2}, Y),
    "lbfgs": ({"solver": "lbfgs"}, Y), "sgd": ({"solver": "sgd", "learning_rate": "adaptive"}, Y),
    "float32": ({"dtype": "float32", "hidden_layer_sizes": [7, 5]}, Y),
    "class weights": ({"class_weight": {0: 1.0, 1: 2.5, 2: 1.0}}, Y),
    "objects of fastnn": ({"activation": fnn.LeakyReLU(0.1), "loss": fnn.Focal(gamma=1.5),
                           "optimizer": fnn.AdamW(fnn.CosineDecay(0.01, total=9)), "dropout": [0.2]}, Y),
    "a schedule": ({"learning_rate": fnn.ExponentialDecay(0.01, 0.9)}, Y),
    "a random state": ({"random_state": np.random.RandomState(5)}, Y),
    "a metric": ({"early_stopping": True, "early_stopping_metric": fnn.TopK(2)}, Y),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name, tmp_path):
    settings, y = CLASSIFIERS[name]
    mlp = MLPClassifier(**{"hidden_layer_sizes": (9,), "max_iter": 4, "random_state": 0, **settings}).fit(X, y)
    other = through_file(mlp, tmp_path)
    assert repr(other) == repr(mlp) or name == "a random state"
    assert_same_bits(other.predict_proba(X), mlp.predict_proba(X))
    assert_same_bits(other.predict(X), mlp.predict(X))
    mine, its = ({key: value for key, value in vars(each).items() if key != "_training"} for each in (mlp, other))
    assert mine.keys() == its.keys()
    for attribute in mine:
        if attribute.endswith("_") and attribute != "model_":
            assert type(its[attribute]) is type(mine[attribute]), attribute
            np.testing.assert_equal(its[attribute], mine[attribute], attribute)
    if mlp.solver != "lbfgs" and not mlp.early_stopping and isinstance(mlp.class_weight, (dict, type(None))):
        for _ in range(2):  # which draws from the random state
            mlp.partial_fit(X, y)
            other.partial_fit(X, y)
        assert_same_bits(other.predict_proba(X), mlp.predict_proba(X))
        assert other.loss_curve_ == mlp.loss_curve_


@pytest.mark.parametrize("settings", [{}, {"loss": "poisson"}, {"loss": fnn.Huber(0.5)}], ids=str)
@pytest.mark.parametrize("columns", [0, [0, 1]], ids=str)
def test_regressors(settings, columns, tmp_path):
    y = X[:, 20:22][:, columns]
    mlp = MLPRegressor(hidden_layer_sizes=(9,), max_iter=4, random_state=0, batch_norm=True, **settings).fit(X, y)
    other = through_file(mlp, tmp_path)
    assert_same_bits(other.predict(X), mlp.predict(X))
    for estimator in (mlp, other):
        estimator.set_params(warm_start=True, keep_optimizer_state=True, max_iter=3).fit(X, y)
    assert_same_bits(other.predict(X), mlp.predict(X))


def test_names_of_features(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X[:, :3], columns=["größe", "b", "c"])
    other = through_file(MLPClassifier((5,), max_iter=2).fit(frame, Y), tmp_path)
    assert other.feature_names_in_.tolist() == ["größe", "b", "c"]
    with pytest.raises(ValueError, match="feature names"):
        other.predict(frame[["b", "c", "größe"]])


def test_not_fitted(tmp_path):
    other = through_file(MLPClassifier((5, 4), alpha=0.5), tmp_path)
    assert other.get_params() == MLPClassifier((5, 4), alpha=0.5).get_params()
    assert not hasattr(other, "classes_")


class Mine(MLPClassifier):
    pass


@pytest.mark.parametrize("estimator, words", [
    (Mine(), "Mine is a class of yours"),
    (MLPClassifier(callbacks=fnn.EarlyStopping("loss")), r"its callbacks are .* set_params\(callbacks=None\)"),
    (MLPClassifier(loss=lambda y, t: (0, y)), r"parameters/loss is a Python function \(.*lambda"),
    (MLPClassifier(activation=(np.sin, np.cos)), r"parameters/activation/0 is a Python function \(sin\)"),
    (MLPClassifier(learning_rate=lambda t: 0.1), "parameters/learning_rate is a Python function"),
    (MLPClassifier(optimizer=fnn.SGD(lambda t: 0.1)), "optimizer: its learning_rate is a Python function"),
    (MLPClassifier(random_state=np.random.default_rng(0)), "parameters/random_state is a Generator"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_refused_by_name(estimator, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        estimator.save(tmp_path / "mlp")
    assert not any(tmp_path.iterdir())


def test_other_files(tmp_path):
    MLPClassifier().save(tmp_path / "mlp")
    with pytest.raises(fnn.ModelFileError, match="holds an estimator, expected a model.*load_estimator"):
        fnn.load(tmp_path / "mlp")
    fnn.Sequential([fnn.Dense(2)], (2,)).save(tmp_path / "model")
    with pytest.raises(fnn.ModelFileError, match="holds a model, expected an estimator; .* fastnn.load"):
        fnn.load_estimator(tmp_path / "model")


def given(pairs, name, value):
    next(pair for pair in pairs if pair[0] == name)[1] = value


@pytest.mark.parametrize("change, words", [
    (lambda d, s: d.update(estimator="Pipeline"), "KeyError: 'Pipeline'"),
    (lambda d, s: s.append(["predict", 3]), "'predict' is no fitted attribute"),
    (lambda d, s: s.append(["__class__", 3]), "'__class__' is no fitted attribute"),
    (lambda d, s: s.append(["alpha", 3]), "'alpha' is no fitted attribute"),
    (lambda d, s: given(s, "n_features_in_", 10**14), "MemoryError|Unable to allocate"),
    (lambda d, s: given(s, "_label_binarizer", None), "AttributeError"),
    (lambda d, s: s.append(["n_iter_", 3]), "expected different names"),
    (lambda d, s: given(s, "classes_", [[]]), "classes_: it predicts none of them"),
    (lambda d, s: d.update({"class": None}), "it holds a model, but not of which class"),
    (lambda d, s: d["parameters"]["value"].append(["units", 3]), "units"),
    (lambda d, s: d["model"]["layers"][0].update(units=10**13), "dense.weight"),
])
def test_hostile_descriptions(change, words, tmp_path):
    path = tmp_path / "mlp"
    MLPClassifier((5,), max_iter=2).fit(X, Y).save(path)
    record = records.read(path, ["estimator"])
    description = copy.deepcopy(record.description)
    change(description, description["state"]["value"])
    for name in ("checksums", "format", "kind"):
        description.pop(name)
    records.write(path, records.Record("estimator", json.loads(json.dumps(description)), record.arrays))
    with pytest.raises(fnn.ModelFileError, match=words):
        fnn.load_estimator(path)


def test_filters_of_warnings_stay(tmp_path):
    """They are the process's, and other threads' too: reading a file changes them not even for its time."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: no names of features")
    mlp = MLPClassifier((5,), max_iter=2, random_state=0).fit(pandas.DataFrame(X).add_prefix("x"), Y)
    path, before = tmp_path / "mlp.safetensors", list(warnings.filters)
    mlp.save(path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(warnings, "simplefilter", lambda *arguments: pytest.fail("the filters were changed"))
        other = estimators.load_estimator(path)
    assert warnings.filters == before and (other.feature_names_in_ == mlp.feature_names_in_).all()
