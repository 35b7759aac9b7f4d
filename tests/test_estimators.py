"""The estimators beside scikit-learn's own: its checks, the same numbers and rules at equal settings."""
import inspect
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn import neural_network
from sklearn.datasets import load_diabetes, load_iris, make_classification, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import check_estimator

import fastnn as fnn
from conftest import assert_same_bits
from fastnn import estimators

pytestmark = pytest.mark.filterwarnings("ignore")  # the estimators' own, which scikit-learn's have too
NAMES = ["MLPClassifier", "MLPRegressor"]
IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
MULTILABEL = make_multilabel_classification(n_samples=120, n_features=7, random_state=0)
BINARY = make_classification(n_samples=90, random_state=1)


def both(name, data, weight=None, **settings):
    """scikit-learn's and fastnn's estimator with the same settings, fitted to the same data."""
    settings = {"random_state": 3, "max_iter": 20, **settings}
    pair = [getattr(module, name)(**settings) for module in (neural_network, estimators)]
    said = []
    for estimator in pair:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.fit(*data, sample_weight=weight)
        said.append([str(w.message).partition("\n")[0] for w in caught if w.category is ConvergenceWarning])
    assert said[0] == said[1]
    return pair


def assert_same_fit(theirs, mine, tolerance=1e-6):
    """Attributes by name, curves within the tolerance, weights a little further apart."""
    public = {name for name in vars(theirs) if name.endswith("_")}
    assert public <= {name for name in dir(mine) if name.endswith("_")}
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(mine, name) == getattr(theirs, name), name
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=tolerance)
    if hasattr(theirs, "loss_curve_"):
        np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=tolerance)
        for name in ("validation_scores_", "best_loss_", "best_validation_score_"):
            expected = getattr(theirs, name)
            assert (getattr(mine, name) is None) == (expected is None), name
            if expected is not None:
                np.testing.assert_allclose(getattr(mine, name), expected, rtol=tolerance)
    for name in ("coefs_", "intercepts_"):
        for got, expected in zip(getattr(mine, name), getattr(theirs, name), strict=True):
            assert got.dtype == expected.dtype and got.shape == expected.shape
            np.testing.assert_allclose(got, expected, rtol=1e3 * tolerance, atol=1e3 * tolerance)


# ---------------------------------------------------------------------------------------------- the contract

@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_scikit_learns_then_fastnns(name):
    theirs, mine = (inspect.signature(getattr(module, name)).parameters
                    for module in (neural_network, estimators))
    assert list(mine)[:len(theirs)] == list(theirs)
    for parameter in theirs.values():
        assert mine[parameter.name].default == parameter.default
        assert mine[parameter.name].kind == parameter.kind
    assert all(p.kind is p.KEYWORD_ONLY for p in list(mine.values())[len(theirs):])


def checked(estimator):
    """Names of the checks that were skipped; none may have failed."""
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert [r["check_name"] for r in results if r["status"] in ("failed", "xfail")] == []
    return {r["check_name"] for r in results if r["status"] == "skipped"}


@pytest.mark.parametrize("name", NAMES)
def test_scikit_learns_checks(name):
    mlp = getattr(estimators, name)(max_iter=50)
    checked(mlp)
    assert repr(mlp.__sklearn_tags__()) == repr(getattr(neural_network, name)().__sklearn_tags__())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_checks_are_skipped_where_scikit_learn_skips_them(name):
    assert checked(getattr(estimators, name)()) <= checked(getattr(neural_network, name)(max_iter=50))


PRIVATE = {"test_fit", "test_gradient", "test_learning_rate_warmstart", "test_adaptive_learning_rate"}


@pytest.mark.slow
def test_scikit_learns_own_tests(tmp_path):
    """The tests of its MLPs with the import changed; those that fail read or set what is private."""
    own = Path(neural_network.__file__).parent / "tests" / "test_mlp.py"
    imported = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
    assert imported in own.read_text()
    copy = tmp_path / "test_mlp.py"
    ours = imported.replace("sklearn.neural_network", "fastnn.estimators")
    copy.write_text(own.read_text().replace(imported, ours))
    command = [sys.executable, "-m", "pytest", "-q", "-rfEs", "-p", "no:cacheprovider", "-p", "sklearn.conftest"]
    environment = {**os.environ, "PYTHONPATH": str(Path(fnn.__file__).parents[1])}
    run = subprocess.run([*command, copy.name], cwd=tmp_path, env=environment, capture_output=True, text=True)
    lines = [line.split(" - ")[0].split("::") for line in run.stdout.splitlines() if "::" in line]
    assert {name.split("[")[0] for _, name in lines} == PRIVATE, run.stdout
    assert f"{len(PRIVATE)} failed, " in run.stdout and "error" not in run.stdout.splitlines()[-1], run.stdout


@pytest.mark.parametrize("settings, error", [
    ({"activation": "rellu"}, "activation"), ({"solver": "newton"}, "solver"), ({"alpha": -1}, "alpha"),
    ({"hidden_layer_sizes": (3, 0)}, "must be > 0"), ({"dtype": "float16"}, "dtype"),
    ({"activation": ["relu"]}, "hidden layers"), ({"solver": "lbfgs", "dropout": 0.5}, "dropout"),
    ({"solver": "lbfgs", "batch_norm": True}, "batch_norm"), ({"batch_norm": "yes"}, "batch_norm"),
    ({"hidden_layer_sizes": (4,), "batch_norm": [True, False]}, "batch_norm"),
    ({"solver": "lbfgs", "callbacks": []}, None), ({"optimizer": "adam", "clipnorm": 1.0}, "clipnorm"),
    ({"loss": "squared_erorr"}, "loss"), ({"hidden_layer_sizes": (4,), "dropout": [0.1, 0.2]}, "dropout"),
])
def test_parameters_that_do_not_fit(settings, error):
    mlp = estimators.MLPClassifier(**{"hidden_layer_sizes": (4, 4), "max_iter": 2, **settings})
    if error is None:
        mlp.fit(*IRIS)
        return
    with pytest.raises(ValueError, match=error):
        mlp.fit(*IRIS)


# ------------------------------------------------------------------------------------------ the same numbers

SOLVERS = {
    "adam": {}, "adam in batches": {"batch_size": 32},
    "betas": {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05}, "no momentum": {"solver": "sgd", "momentum": 0.0},
    "heavy ball": {"solver": "sgd", "nesterovs_momentum": False, "batch_size": 40},
    "momentum 1": {"solver": "sgd", "momentum": 1.0, "learning_rate_init": 1e-3},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3, "batch_size": 70},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 2, "tol": 0.02,
                 "max_iter": 60},
    "in order": {"shuffle": False, "batch_size": 37}, "alpha": {"alpha": 3.0, "batch_size": 64},
    "no alpha": {"alpha": 0.0}, "early stopping": {"early_stopping": True, "max_iter": 40},
    "stopped": {"tol": 0.05, "n_iter_no_change": 3, "max_iter": 100},
    "logistic": {"activation": "logistic", "hidden_layer_sizes": (9, 5)},
    "tanh": {"activation": "tanh", "hidden_layer_sizes": 7}, "identity": {"activation": "identity"},
    "no hidden layer": {"hidden_layer_sizes": ()}, "lbfgs": {"solver": "lbfgs"},
}


@pytest.mark.parametrize("what", SOLVERS)
def test_classifier(what):
    assert_same_fit(*both("MLPClassifier", IRIS, **SOLVERS[what]))


@pytest.mark.parametrize("what", ["adam", "heavy ball", "early stopping", "lbfgs"])
@pytest.mark.parametrize("data", [BINARY, MULTILABEL], ids=["binary", "multilabel"])
def test_classifier_of_two_classes_and_of_many_labels(what, data):
    theirs, mine = both("MLPClassifier", data, **SOLVERS[what])
    assert_same_fit(theirs, mine)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        got, expected = getattr(mine, method)(data[0]), getattr(theirs, method)(data[0])
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("what", ["adam", "adam in batches", "sgd", "early stopping", "lbfgs"])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("columns", [1, 3])
def test_regressor(what, loss, columns):
    X, y = DIABETES
    y = y / 100 if columns == 1 else np.c_[y, y**2 / 100, np.sqrt(y)] / 100
    settings = {**SOLVERS[what], "learning_rate_init": 1e-3}
    theirs, mine = both("MLPRegressor", (X, y), loss=loss, **settings)
    assert_same_fit(theirs, mine)
    np.testing.assert_allclose(mine.predict(X), theirs.predict(X), rtol=1e-4)
    assert mine.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-5)


@pytest.mark.parametrize("what", ["adam in batches", "early stopping", "lbfgs"])
def test_sample_weight(what):
    weight = np.random.default_rng(0).exponential(size=150)
    assert_same_fit(*both("MLPClassifier", IRIS, weight=weight, **SOLVERS[what]))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_float32(solver):
    X, y = IRIS
    theirs, mine = both("MLPClassifier", (X.astype(np.float32), y), solver=solver)
    assert_same_fit(theirs, mine, tolerance=2e-4 if solver == "adam" else 2e-3)
    assert mine.predict_proba(X[:2].astype(np.float32)).dtype == mine.coefs_[0].dtype


@pytest.mark.parametrize("what", ["adam in batches", "early stopping", "lbfgs"])
@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
def test_sparse_samples(what, kind, monkeypatch):
    """The dense fit's numbers, although few rows are dense at a time."""
    monkeypatch.setattr(estimators.samples, "DENSE_ELEMENTS", 4 * 70)
    X, y = IRIS
    X = np.where(X < 1.5, 0.0, X)
    settings = {"random_state": 0, "max_iter": 12, **SOLVERS[what]}
    dense = estimators.MLPClassifier(**settings).fit(X, y)
    mlp = estimators.MLPClassifier(**settings).fit(kind(X), y)
    np.testing.assert_allclose(mlp.loss_, dense.loss_, rtol=1e-9)
    np.testing.assert_allclose(mlp.predict_proba(kind(X)), dense.predict_proba(X), rtol=1e-7)


def test_both_backends(backend):
    X, y = IRIS
    mlp = estimators.MLPClassifier(random_state=0, max_iter=5, batch_size=32, early_stopping=True).fit(X, y)
    theirs = neural_network.MLPClassifier(random_state=0, max_iter=5, batch_size=32,
                                          early_stopping=True).fit(X, y)
    assert_same_fit(theirs, mlp)


# --------------------------------------------------------------------------------------------------- rows

@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_do_not_depend_on_company(dtype, team):
    """Bitwise the same in any order, alone, or on any number of threads."""
    X = np.random.default_rng(0).normal(size=(700, 13)).astype(dtype)
    mlp = estimators.MLPRegressor(hidden_layer_sizes=(33, 17), activation="tanh", max_iter=3).fit(X, X[:, 0])
    expected = mlp.predict(X)
    order = np.random.default_rng(1).permutation(len(X))
    assert_same_bits(mlp.predict(X[order]), expected[order])
    assert_same_bits(np.concatenate([mlp.predict(X[i:i + 1]) for i in range(60)]), expected[:60])
    assert_same_bits(mlp.predict(np.asfortranarray(X[5:300])), expected[5:300])
    assert_same_bits(mlp.predict(sparse.csr_matrix(X)), expected)
    team(2)
    assert_same_bits(mlp.predict(X), expected)
    assert_same_bits(mlp.set_params(n_threads=1).predict(X), expected)


def test_training_does_not_depend_on_threads(team):
    X, y = IRIS
    fits = []
    for n in (1, 2, 3):
        team(n)
        fits.append(estimators.MLPClassifier(random_state=0, max_iter=7, batch_size=64).fit(X, y))
    for mlp in fits[1:]:
        for got, expected in zip(mlp.coefs_, fits[0].coefs_, strict=True):
            assert_same_bits(got, expected)
    assert fnn.get_num_threads() == 3
