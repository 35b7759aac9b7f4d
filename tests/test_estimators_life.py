"""An estimator's life: partial_fit, warm_start, stopping, copies, pickles, searches, callbacks."""
import copy
import pickle
import signal
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn as fnn
from conftest import assert_same_bits
from fastnn import estimators
from fastnn.estimators import MLPClassifier, MLPRegressor, from_sklearn
from test_estimators import DIABETES, IRIS, assert_same_fit

pytestmark = pytest.mark.filterwarnings("ignore")
X, Y = IRIS


def pair(name="MLPClassifier", **settings):
    return [getattr(m, name)(random_state=1, **settings) for m in (neural_network, estimators)]


@pytest.mark.parametrize("settings", [
    {}, {"solver": "sgd"}, {"solver": "sgd", "learning_rate": "invscaling"},
    {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 2, "tol": 1e3},
])
def test_partial_fit(settings):
    """Optimizer, rate and the count without improvement go on from call to call, alpha is what it is now."""
    theirs, mine = pair(batch_size=40, **settings)
    for estimator in (theirs, mine):
        estimator.partial_fit(X[:50], Y[:50], classes=[0, 1, 2])
        estimator.partial_fit(X, Y)
        estimator.set_params(alpha=5.0)
        for _ in range(8):
            estimator.partial_fit(X, Y, sample_weight=np.arange(150.0))
    assert_same_fit(theirs, mine)
    assert mine.n_iter_ == 1 and mine.t_ == 50 + 9 * 150


def test_partial_fit_refuses():
    with pytest.raises(ValueError, match="early_stopping"):
        MLPClassifier(early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="classes must be passed"):
        MLPClassifier().partial_fit(X, Y)
    with pytest.raises(ValueError, match="not in `self.classes_`"):
        MLPClassifier().partial_fit(X[:50], Y[:50], classes=[0, 1]).partial_fit(X, Y)
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    mlp = MLPRegressor().partial_fit(X, X[:, :2])
    with pytest.raises(ValueError, match="expected 2 outputs"):
        mlp.partial_fit(X, X[:, 0])
    with pytest.raises(ValueError, match="class_weight"):
        MLPClassifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])


@pytest.mark.parametrize("settings", [{}, {"solver": "lbfgs"}, {"early_stopping": True}, {"batch_size": 32}])
def test_warm_start(settings):
    theirs, mine = pair(warm_start=True, max_iter=6, **settings)
    for _ in range(3):
        theirs.fit(X, Y)
        mine.fit(X, Y)
    assert_same_fit(theirs, mine)
    with pytest.raises(ValueError, match="warm_start can only be used where"):
        mine.fit(X[:100], Y[:100])


def test_warm_start_that_keeps_the_optimizers_state():
    """Twice three epochs are six, where full batches make the order of rows count for nothing."""
    settings = {"random_state": 0, "warm_start": True, "shuffle": False}
    whole = MLPClassifier(max_iter=6, **settings).fit(X, Y)
    halves = MLPClassifier(max_iter=3, keep_optimizer_state=True, **settings).fit(X, Y).fit(X, Y)
    anew = MLPClassifier(max_iter=3, **settings).fit(X, Y).fit(X, Y)
    assert halves.loss_curve_ == whole.loss_curve_
    assert anew.loss_curve_[:4] == whole.loss_curve_[:4] and anew.loss_curve_[-1] != whole.loss_curve_[-1]
    assert halves.model_.update_count == 6


def test_warm_start_with_another_solver():
    mlp = MLPClassifier(solver="lbfgs", max_iter=5, warm_start=True, random_state=0).fit(X, Y)
    before = mlp.loss_
    mlp.set_params(solver="adam").fit(X, Y)
    assert mlp.loss_curve_[0] == pytest.approx(before) and len(mlp.loss_curve_) == 5


def test_verbose_prints_what_scikit_learn_prints(capsys):
    texts = []
    for estimator in pair(verbose=True, max_iter=30, solver="sgd", learning_rate="adaptive", tol=0.05,
                          n_iter_no_change=2):
        estimator.fit(X, Y)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and "Setting learning rate to" in texts[0]


def test_warnings():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(3\) reached"):
        MLPClassifier(max_iter=3).fit(X, Y)
    with pytest.warns(UserWarning, match="It is going to be clipped"):
        MLPClassifier(max_iter=3, batch_size=1000).fit(X, Y)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"):
        MLPClassifier(max_iter=3, solver="lbfgs").fit(X, Y)


def test_divergence_says_where_and_what_to_try():
    mlp = MLPRegressor(solver="sgd", learning_rate_init=1e3, activation="identity", random_state=0)
    with pytest.raises(ValueError, match="non-finite parameter weights.*layer 'dense.*learning_rate_init"):
        mlp.fit(*DIABETES)
    assert all(np.isfinite(coef).all() for coef in mlp.coefs_)
    best = mlp.set_params(early_stopping=True).fit(*DIABETES)  # as scikit-learn: the best weights were good
    assert np.isfinite(best.predict(DIABETES[0])).all()
    assert np.isfinite(best.model_._numbers.memory.parameters).all()  # pad lanes, which penalties read, too


def test_ctrl_c_keeps_what_was_learned():
    class Interrupt(fnn.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 2:
                signal.raise_signal(signal.SIGINT)

    mlp = MLPClassifier(random_state=0, callbacks=Interrupt(), max_iter=50)
    with pytest.warns(UserWarning, match="interrupted by user"):
        mlp.fit(X, Y)
    assert mlp.n_iter_ == 3
    expected = MLPClassifier(random_state=0, max_iter=3).fit(X, Y)
    assert_same_bits(mlp.predict_proba(X), expected.predict_proba(X))


# -------------------------------------------------------------------------------------- as a part of the rest

def test_not_fitted():
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(X)


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
def test_copies(settings, tmp_path):
    """clone has the settings; pickles, joblib files and deep copies go on where the original is."""
    mlp = MLPClassifier(random_state=0, max_iter=4, warm_start=True, keep_optimizer_state=not settings,
                        **settings).fit(X, Y)
    assert not hasattr(clone(mlp), "model_") and clone(mlp).get_params() == mlp.get_params()
    joblib.dump(mlp, tmp_path / "mlp")
    others = [pickle.loads(pickle.dumps(mlp)), copy.deepcopy(mlp), joblib.load(tmp_path / "mlp")]
    for other in others:
        assert_same_bits(other.predict_proba(X), mlp.predict_proba(X))
        assert other.coefs_[0].base is not mlp.coefs_[0].base
    mlp.fit(X, Y)
    for other in others:
        assert_same_bits(other.fit(X, Y).predict_proba(X), mlp.predict_proba(X))


def test_partial_fit_goes_on_after_a_pickle():
    mlp = MLPClassifier(random_state=0).partial_fit(X, Y, classes=[0, 1, 2])
    other = pickle.loads(pickle.dumps(mlp)).partial_fit(X, Y)
    assert_same_bits(other.predict_proba(X), mlp.partial_fit(X, Y).predict_proba(X))


def test_weights_that_are_put_into_coefs():
    """Programs that set ``mlp.coefs_[i]`` find their arrays in the predictions."""
    theirs, mine = pair(max_iter=3)
    for estimator in (theirs.fit(X, Y), mine.fit(X, Y)):
        estimator.coefs_[0] = np.full((4, 100), 0.01)
        estimator.intercepts_[1][:] = [1.0, 2.0, 3.0]
    np.testing.assert_allclose(mine.predict_proba(X), theirs.predict_proba(X))
    mine.coefs_ = [coef * 2 for coef in mine.coefs_]
    theirs.coefs_ = [coef * 2 for coef in theirs.coefs_]
    np.testing.assert_allclose(pickle.loads(pickle.dumps(mine)).predict_proba(X), theirs.predict_proba(X))


def test_searches_and_pipelines():
    grid = {"mlpclassifier__alpha": [1e-4, 1.0], "mlpclassifier__hidden_layer_sizes": [(8,), (8, 4)],
            "mlpclassifier__activation": ["gelu"], "mlpclassifier__learning_rate_init": [0.02]}
    search = GridSearchCV(make_pipeline(StandardScaler(), MLPClassifier(max_iter=60, random_state=0)), grid,
                          n_jobs=2, cv=3).fit(X, Y)
    assert search.best_score_ > 0.9
    assert "MLPClassifier" in search._repr_html_()


def test_networks_alike_share_their_programs():
    """And others, or those made of the user's objects, do not."""
    settings = {"max_iter": 2, "random_state": 0}
    first = MLPClassifier(**settings).fit(X, Y)
    again, longer = (MLPClassifier(**{**settings, "max_iter": n}).fit(X, Y) for n in (2, 3))
    assert again._compiled.programs is longer._compiled.programs is first._compiled.programs
    assert_same_bits(first.predict_proba(X), again.predict_proba(X))
    others = [{"alpha": 1.0}, {"activation": "tanh"}, {"dropout": 0.1}, {"hidden_layer_sizes": 99},
              {"beta_1": 0.8}, {"clipnorm": 1.0}, {"dtype": "float32"}, {"solver": "sgd"}, {"loss": "focal"},
              {"activation": fnn.LeakyReLU()}, {"loss": fnn.CrossEntropy()}, {"optimizer": fnn.Adam()}]
    seen = [first._compiled.programs]
    for other in others:
        programs = MLPClassifier(**settings, **other).fit(X, Y)._compiled.programs
        assert not any(programs is earlier for earlier in seen), other
        seen.append(programs)
    first.model_.layers[0].trainable = False
    frozen = first.set_params(warm_start=True).coefs_[0].copy()
    first.fit(X, Y)
    assert_same_bits(first.coefs_[0], frozen)
    assert not any(first._compiled.programs is earlier for earlier in seen)


def test_names_of_features_and_labels():
    frame, labels = load_iris(as_frame=True, return_X_y=True)[0], np.array(["a", "b", "c"])[Y]
    mlp = MLPClassifier(random_state=0, max_iter=60, early_stopping=True).fit(frame, labels)
    assert list(mlp.feature_names_in_) == list(frame.columns) and list(mlp.classes_) == ["a", "b", "c"]
    assert set(mlp.predict(frame)) <= set("abc")
    with pytest.warns(UserWarning, match="feature names"):
        mlp.predict(frame.to_numpy())
    with pytest.raises(ValueError, match="feature names"):
        mlp.predict(frame[frame.columns[::-1]])
    assert isinstance(pd.Series(mlp.predict(frame)).iloc[0], str)


def test_metadata_routing():
    with sklearn.config_context(enable_metadata_routing=True):
        mlp = MLPClassifier(max_iter=5).set_fit_request(sample_weight=True)
        mlp.set_score_request(sample_weight=True)
        results = cross_validate(mlp, X, Y, params={"sample_weight": np.ones(150)}, cv=3)
        assert MLPClassifier().set_partial_fit_request(classes=True)
    assert len(results["test_score"]) == 3


@pytest.mark.parametrize("settings", [{"solver": "adam"}, {"solver": "lbfgs"}, {"early_stopping": True}])
def test_callbacks_of_scikit_learn(settings):
    """A score for every iteration, of the network as it is then; a hook that returns True ends the fit."""
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9 has no callbacks")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    mlp = MLPClassifier(max_iter=7, random_state=0, **settings).set_callbacks(monitor).fit(X, Y)
    scores = monitor.get_logs().data
    assert len(scores) >= 7
    assert scores[-1]["accuracy"] == pytest.approx(mlp.score(X, Y))

    class StopAtThree:
        def setup(self, estimator, context): ...
        def teardown(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context): ...
        def on_fit_task_end(self, estimator, context):
            return context.task_id == 2 and context.parent is not None

    mlp.set_callbacks(StopAtThree()).fit(X, Y)
    assert len(mlp.model_.history) == 3


# --------------------------------------------------------------------------------------- from scikit-learn

@pytest.mark.parametrize("settings", [{}, {"solver": "lbfgs"}, {"early_stopping": True}, {"alpha": 0.0},
                                      {"activation": "logistic", "hidden_layer_sizes": (5, 4)}])
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_from_sklearn(name, settings):
    theirs = getattr(neural_network, name)(max_iter=15, random_state=0, **settings).fit(X, Y)
    mine = from_sklearn(theirs)
    predict = "predict_proba" if name == "MLPClassifier" else "predict"
    np.testing.assert_allclose(getattr(mine, predict)(X), getattr(theirs, predict)(X), rtol=1e-6)
    assert mine.get_params().items() >= theirs.get_params().items()
    assert_same_fit(theirs, mine)
    assert_same_bits(pickle.loads(pickle.dumps(mine)).predict(X), mine.predict(X))
    if settings.get("solver") != "lbfgs" and not settings.get("early_stopping"):
        before = mine.loss_
        assert mine.partial_fit(X, Y).loss_ < before


def test_from_sklearn_of_multilabel_and_of_nothing():
    labels = np.c_[Y == 0, Y > 0].astype(int)
    theirs = neural_network.MLPClassifier(max_iter=15, random_state=0).fit(X, labels)
    np.testing.assert_array_equal(from_sklearn(theirs).predict(X), theirs.predict(X))
    with pytest.raises(TypeError, match="MLPClassifier or MLPRegressor"):
        from_sklearn(StandardScaler())
    with pytest.raises(NotFittedError):
        from_sklearn(neural_network.MLPRegressor())


def test_without_scikit_learn():
    """The import says in one line what is missing."""
    code = "import sys; sys.modules['sklearn'] = None; import fastnn; import fastnn.estimators"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.splitlines()[-1] == \
        'ImportError: fastnn.estimators needs scikit-learn: pip install "fastnn-cpu[sklearn]"'


def test_a_fit_alone_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPClassifier(tol=1.0, random_state=0).fit(X, Y).predict(X)
