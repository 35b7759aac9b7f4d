"""What the estimators have beyond scikit-learn's: each changes what it says it changes, and nothing else."""
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_sample_weight

import fastnn as fnn
from conftest import assert_same_bits
from fastnn import backends
from fastnn.estimators import MLPClassifier, MLPRegressor
from test_estimators import BINARY, DIABETES, IRIS, MULTILABEL

pytestmark = pytest.mark.filterwarnings("ignore")
X, Y = IRIS
ROWS = np.r_[0:50, 50:70, 100:105]


def classifier(*data, **settings):
    return MLPClassifier(**{"random_state": 0, "max_iter": 12, **settings}).fit(*(data or (X, Y)))


# ------------------------------------------------------------------------------------------- what is trained

@pytest.mark.parametrize("weights", ["balanced", {0: 1.0, 1: 3.0, 2: 0.5}])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_class_weight_is_a_weight_of_the_rows(weights, solver):
    mlp = classifier(X[ROWS], Y[ROWS], class_weight=weights, solver=solver)
    own = np.linspace(0.5, 2, len(ROWS))
    expected = MLPClassifier(random_state=0, max_iter=12, solver=solver)
    expected.fit(X[ROWS], Y[ROWS], compute_sample_weight(weights, Y[ROWS]))
    assert_same_bits(mlp.predict_proba(X), expected.predict_proba(X))
    mlp.fit(X[ROWS], Y[ROWS], own)
    expected.fit(X[ROWS], Y[ROWS], own * compute_sample_weight(weights, Y[ROWS]))
    assert_same_bits(mlp.predict_proba(X), expected.predict_proba(X))


def test_class_weight_of_strings_and_of_many_labels():
    names = np.array(["x", "y", "z"])[Y]
    mlp = classifier(X, names, class_weight={"x": 100.0, "y": 1e-3, "z": 1e-3}, max_iter=40)
    assert (mlp.predict(X) == "x").all()
    weights = [{0: 1, 1: 2}] * MULTILABEL[1].shape[1]
    assert classifier(*MULTILABEL, class_weight=weights).predict(MULTILABEL[0]).shape == MULTILABEL[1].shape


def test_dropout():
    plain, dropped = classifier(), classifier(dropout=0.3)
    assert_same_bits(classifier(dropout=0.3).predict_proba(X), dropped.predict_proba(X))
    assert dropped.loss_ != plain.loss_
    assert [type(la).__name__ for la in dropped.model_.layers] == ["Dense", "Dropout", "Dense"]
    some = classifier(hidden_layer_sizes=(6, 5), dropout=[0.0, 0.5])
    assert [type(la).__name__ for la in some.model_.layers] == ["Dense", "Dense", "Dropout", "Dense"]
    assert classifier(dropout=0.0).loss_ == plain.loss_


def test_batch_norm():
    settings = {"hidden_layer_sizes": (6, 5), "max_iter": 60, "learning_rate_init": 0.02}
    plain, normal = classifier(**settings), classifier(batch_norm=True, **settings)
    hidden = ["Dense", "BatchNorm", "Activation"]
    assert [type(la).__name__ for la in normal.model_.layers] == [*hidden, *hidden, "Dense"]
    assert normal.loss_ < plain.loss_ and normal.score(X, Y) > 0.9
    assert_same_bits(classifier(batch_norm=True, **settings).predict_proba(X), normal.predict_proba(X))
    assert_same_bits(pickle.loads(pickle.dumps(normal)).predict_proba(X), normal.predict_proba(X))
    layers = classifier(batch_norm=[False, True], dropout=0.1, **settings).model_.layers
    assert [type(la).__name__ for la in layers] == ["Dense", "Dropout", *hidden, "Dropout", "Dense"]
    mlp = MLPRegressor(hidden_layer_sizes=(9,), batch_norm=True, learning_rate_init=0.1, random_state=0)
    assert mlp.fit(X, X[:, 0]).score(X, X[:, 0]) > 0.5


@pytest.mark.parametrize("activation", [
    "gelu", "selu", fnn.LeakyReLU(0.2), ["tanh", "swish"], [fnn.ELU(0.5), "logistic"],
    (lambda x: x * x, lambda x: 2 * x),
])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_activations(activation, solver):
    """Each trains by its own gradient, and the estimator with it can be cloned."""
    mlp = clone(MLPClassifier((6, 5), activation, solver=solver, max_iter=8, random_state=0)).fit(X, Y)
    assert fnn.check_gradients(mlp.model_, X[::10], Y[::10]).passed
    given = activation if isinstance(activation, list) else [activation] * 2
    expected = [fnn.Dense(1, a).choice for a in given]
    assert [layer.choice.name for layer in mlp.model_.layers[:2]] == [choice.name for choice in expected]
    assert [layer.choice.alpha for layer in mlp.model_.layers[:2]] == [choice.alpha for choice in expected]
    assert np.isfinite(mlp.loss_)


def test_bounds_of_initial_weights_go_by_each_layers_activation():
    mlp = MLPClassifier((40, 50), ["logistic", "tanh"], random_state=0, max_iter=1, learning_rate_init=1e-12)
    mlp.fit(X, Y)
    for coef, factor in zip(mlp.coefs_, (2, 6, 6), strict=True):
        bound = np.sqrt(factor / sum(coef.shape))
        assert 0.9 * bound < np.abs(coef).max() <= bound


@pytest.mark.parametrize("loss", sorted(fnn.losses.LOSSES))
def test_losses_of_the_registry(loss):
    """Each is taken by the estimators whose outputs it goes with, and refused with its words elsewhere."""
    taken = 0
    for cls, data in ((MLPClassifier, (X, Y)), (MLPClassifier, BINARY), (MLPRegressor, (X, X[:, 0]))):
        mlp = cls(loss=loss, hidden_layer_sizes=(5,), random_state=0, max_iter=15, learning_rate_init=0.01)
        try:
            mlp.fit(*data)
        except ValueError as error:
            assert "loss" in str(error) or "y[" in str(error)
            continue
        taken += 1
        assert mlp.loss_curve_[-1] < mlp.loss_curve_[0]
    assert taken


def test_loss_objects():
    class Quartic(fnn.Loss):
        name = "quartic"

        def emit(self, builder, output, target, weight, fused, *, gradient):
            dy, row_loss = builder.arena(output.shape), builder.arena(("B",), "float64")

            def quartic(y, t, dy, row_loss):
                row_loss[:] = ((y - t) ** 4).sum(axis=1)
                dy[:] = 4 * (y - t) ** 3 / len(y)

            builder.emit_host(quartic, [output, target], [dy, row_loss])
            builder.losses.append((row_loss, weight))
            return output, dy

    x, t = DIABETES[0] * 10, DIABETES[1] / 100
    mlp = MLPRegressor(loss=Quartic(), hidden_layer_sizes=(9,), solver="lbfgs", alpha=0.0, max_iter=30)
    mlp.fit(x, t)
    assert mlp.loss_ == pytest.approx(((mlp.predict(x) - t) ** 4).mean())


def test_a_function_as_loss():
    """The squared error of one's own is the squared error."""
    def squared(y, t):
        return 0.5 * ((y - t) ** 2).sum(axis=1), y - t

    settings = {"hidden_layer_sizes": (9,), "random_state": 0, "max_iter": 10}
    x, t = DIABETES[0], DIABETES[1] / 100
    mlp, expected = (MLPRegressor(loss=loss, **settings).fit(x, t) for loss in (squared, "squared_error"))
    np.testing.assert_allclose(mlp.loss_curve_, expected.loss_curve_, rtol=1e-12)


def test_quantiles():
    """A share of the targets lies below the predicted quantile."""
    x = np.random.default_rng(0).normal(size=(600, 1))
    t = x[:, 0] + np.random.default_rng(1).exponential(size=600)
    for q in (0.2, 0.8):
        mlp = MLPRegressor(loss=fnn.Quantile(q), hidden_layer_sizes=(8,), random_state=0, max_iter=80,
                           learning_rate_init=0.01).fit(x, t)
        assert (t < mlp.predict(x)).mean() == pytest.approx(q, abs=0.05)


def test_a_loss_that_is_a_sum_is_refused():
    with pytest.raises(ValueError, match="mean over the rows"):
        MLPRegressor(loss=fnn.Huber(reduction="sum")).fit(*DIABETES)


# -------------------------------------------------------------------------------------- how it is trained

def test_optimizer_objects_and_names():
    same = classifier(optimizer=fnn.Adam(1e-3, epsilon_hat=True))
    assert_same_bits(same.predict_proba(X), classifier().predict_proba(X))
    lion = fnn.Lion(1e-3)
    mlp = classifier(optimizer=lion)
    assert isinstance(mlp.model_.optimizer, fnn.Lion) and mlp.model_.optimizer is not lion
    assert mlp.loss_curve_[-1] < mlp.loss_curve_[0]
    assert isinstance(classifier(optimizer="rmsprop").model_.optimizer, fnn.RMSprop)
    rule = classifier(optimizer=fnn.SGD(0.01), solver="sgd", learning_rate="invscaling", power_t=3.0)
    assert rule.loss_ == classifier(optimizer=fnn.SGD(0.01)).loss_  # its own rate, not that of a rule


def test_schedules():
    """A schedule's rate counts updates; a falling one ends where a constant one of its rates does."""
    schedule = fnn.ExponentialDecay(0.05, 0.9, 10)
    for solver in ("sgd", "adam"):
        mlp = classifier(solver=solver, learning_rate=schedule, batch_size=40)
        function = classifier(solver=solver, learning_rate=lambda update: 0.05 * 0.9 ** (update / 10),
                              batch_size=40)
        np.testing.assert_allclose(mlp.loss_curve_, function.loss_curve_, rtol=1e-9)
        constant = classifier(solver=solver, learning_rate_init=0.05, batch_size=40)
        assert mlp.loss_curve_[-1] != constant.loss_curve_[-1]
        assert mlp.model_.update_count == 12 * 4


@pytest.mark.parametrize("way", [{"clipnorm": 1e-3}, {"clipvalue": 1e-3}, {"global_clipnorm": 1e-3}])
def test_clipping(way):
    plain, clipped = (classifier(solver="sgd", momentum=0, max_iter=1, learning_rate_init=1.0, **limits)
                      for limits in ({}, way))
    start = classifier(solver="sgd", momentum=0, max_iter=1, learning_rate_init=1e-300)
    moved = [[np.abs(a - b).max() for a, b in zip(mlp.coefs_, start.coefs_, strict=True)]
             for mlp in (plain, clipped)]
    assert max(moved[1]) <= 1.001e-3 < min(moved[0])


def test_dtype():
    mlp = classifier(dtype="float32")
    assert mlp.coefs_[0].dtype == mlp.predict_proba(X).dtype == np.float32
    assert_same_bits(mlp.predict_proba(X.astype(np.float32)), mlp.predict_proba(X))
    exact = classifier()
    np.testing.assert_allclose(mlp.loss_curve_, exact.loss_curve_, rtol=1e-4)
    assert classifier(X.astype(np.float32), Y, dtype="float64").coefs_[0].dtype == np.float64
    assert classifier(dtype="float32", solver="lbfgs").coefs_[0].dtype == np.float32
    with pytest.raises(ValueError, match="too large for float32"):
        classifier(np.where(X > 7, 1e300, X), Y, dtype="float32")


def test_n_threads():
    """Inside alone, and OpenMP's own number, which other libraries ask for, is left as it was."""
    if not backends.native:
        pytest.skip(f"the native core is not built: {backends.native_error}")
    inside, before = [], fnn.get_num_threads()
    look = fnn.LambdaCallback(on_train_begin=lambda logs: inside.append(
        (fnn.get_num_threads(), backends.native.core.max_threads())))
    classifier(n_threads=1, callbacks=look)
    assert inside == [(1, before)]
    assert fnn.get_num_threads() == before


# ------------------------------------------------------------------------------------------------ validation

def test_validation_rows_of_ones_own():
    train, held_out = np.arange(0, 150, 2), np.arange(1, 150, 2)
    settings = {"random_state": 0, "max_iter": 30}
    mlp = MLPClassifier(**settings).fit(X[train], Y[train], X_val=X[held_out], y_val=Y[held_out])
    plain = MLPClassifier(**settings).fit(X[train], Y[train])
    assert_same_bits(mlp.predict_proba(X), plain.predict_proba(X))  # looking changes nothing
    assert len(mlp.validation_loss_curve_) == 30 and not hasattr(plain, "validation_loss_curve_")
    probability = mlp.predict_proba(X[held_out])[np.arange(75), Y[held_out]]
    assert mlp.validation_loss_curve_[-1] == pytest.approx(-np.log(probability).mean())
    assert mlp.validation_scores_ is None
    stopped = MLPClassifier(early_stopping=True, **settings)
    stopped.fit(X[train], Y[train], X_val=X[held_out], y_val=Y[held_out])
    assert stopped.score(X[held_out], Y[held_out]) == pytest.approx(max(stopped.validation_scores_))
    lbfgs = MLPClassifier(solver="lbfgs", **settings).fit(X[train], Y[train], X_val=X[held_out],
                                                          y_val=Y[held_out])
    assert len(lbfgs.validation_loss_curve_) == lbfgs.n_iter_ == len(lbfgs.model_.history)


def test_validation_rows_that_do_not_fit():
    with pytest.raises(ValueError, match="both or neither"):
        MLPClassifier().fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match="not in `self.classes_`"):
        MLPClassifier().fit(X[:100], Y[:100], X_val=X, y_val=Y)
    with pytest.raises(ValueError, match="features"):
        MLPClassifier().fit(X, Y, X_val=X[:, :2], y_val=Y)
    with pytest.raises(ValueError, match="expected 1 outputs"):
        MLPRegressor().fit(X, Y, X_val=X, y_val=X)


@pytest.mark.parametrize("metric", ["loss", "mse", "accuracy", fnn.metrics.METRICS["mae"]])
def test_early_stopping_on_a_named_metric(metric):
    settings = {"early_stopping": True, "random_state": 0, "max_iter": 30, "tol": 0.0}
    one_hot = np.eye(3)[Y] if metric == "mse" or not isinstance(metric, str) else Y
    cls = MLPRegressor if one_hot.ndim == 2 else MLPClassifier
    mlp = cls(early_stopping_metric=metric, **settings).fit(X, one_hot)
    curve = mlp.validation_scores_
    assert mlp.best_validation_score_ == max(curve)
    if metric == "loss":
        np.testing.assert_array_equal(curve, -np.array(mlp.validation_loss_curve_))
    elif metric == "accuracy":
        assert curve == classifier(**settings).validation_scores_
    else:
        assert max(curve) < 0  # errors are negated


def test_early_stopping_on_a_function():
    mlp = classifier(*BINARY, early_stopping=True, max_iter=5,
                     early_stopping_metric=lambda t, y: f1_score(t[:, 0] > 0.5, y[:, 0] > 0.5))
    assert len(mlp.validation_scores_) == 5 and all(0 <= score <= 1 for score in mlp.validation_scores_)


# ------------------------------------------------------------------------------------- callbacks, the model

def test_callbacks():
    seen = []
    record = fnn.LambdaCallback(on_train_begin=lambda logs: seen.append("begin"),
                                on_epoch_end=lambda epoch, logs: seen.append((epoch, logs["loss"])),
                                on_train_end=lambda logs: seen.append("end"))
    mlp = classifier(callbacks=record, max_iter=4)
    assert seen == ["begin", *enumerate(mlp.loss_curve_), "end"]
    assert_same_bits(mlp.predict_proba(X), classifier(max_iter=4).predict_proba(X))

    steps = []
    classifier(callbacks=[fnn.LambdaCallback(on_batch_end=lambda step, logs: steps.append(step))], max_iter=2,
               batch_size=64)
    assert steps == [0, 1, 2] * 2

    class Stop(fnn.Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.stop_training = epoch == 1

    assert classifier(callbacks=Stop()).n_iter_ == 2
    with pytest.raises(TypeError, match="callbacks"):
        classifier(callbacks=[print])


def test_the_model_behind(tmp_path):
    mlp = classifier(hidden_layer_sizes=(7,))
    model = mlp.model_
    assert_same_bits(model.predict(X), mlp.predict_proba(X))
    assert fnn.check_gradients(model, X[::9], Y[::9]).passed
    model.save(tmp_path / "mlp.safetensors")
    assert_same_bits(fnn.load(tmp_path / "mlp.safetensors").predict(X), mlp.predict_proba(X))
    assert model.history["loss"] == mlp.loss_curve_
    regressor = MLPRegressor(hidden_layer_sizes=(7,), max_iter=3).fit(X, X[:, :2])
    assert fnn.check_gradients(regressor.model_, X[::9], X[::9, :2]).passed


@pytest.mark.parametrize("settings", [{}, {"batch_size": 32, "shuffle": False}, {"early_stopping": True}])
def test_epochs_in_one_call_are_the_epochs_one_by_one(settings, monkeypatch):
    """How many epochs a call takes changes nothing, nor where the training stops."""
    from fastnn.estimators.steps import Steps
    settings = {"tol": 0.03, "n_iter_no_change": 4, "max_iter": 200, "dropout": 0.2, **settings}
    most = []
    ahead = Steps.ahead
    monkeypatch.setattr(Steps, "ahead", lambda self, n: most.append(ahead(self, n)) or most[-1])
    together = classifier(**settings)
    monkeypatch.setattr(Steps, "ahead", lambda self, n: 1)
    alone = classifier(**settings)
    assert together.loss_curve_ == alone.loss_curve_ and together.n_iter_ < 200
    assert_same_bits(together.predict_proba(X), alone.predict_proba(X))
    assert settings.get("early_stopping") or max(most) > 1
