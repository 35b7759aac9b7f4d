"""Metrics against scikit-learn, on every form of targets."""
import functools
import pickle
import time

import numpy as np
import pytest

from fastnn import metrics
from fastnn.metrics import METRICS, Metric, TopK, resolve, resolve_all

sk = pytest.importorskip("sklearn.metrics")
rng = np.random.default_rng(0)
DECISIONS = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}


def scores(n, k, dtype, ties=False):
    logits = rng.integers(0, 3, (n, k)) / 2 if ties else rng.normal(size=(n, k))
    p = np.exp(logits)
    return (p / p.sum(axis=1, keepdims=True)).astype(dtype)


def one_hot(labels, k):
    return np.eye(k, dtype=np.float32)[labels]


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=[3, 10])
def several(request, dtype):
    """Labels and probabilities of several classes."""
    k = request.param
    return rng.integers(0, k, 200), scores(200, k, dtype)


@pytest.fixture(params=["random", "tied"])
def binary(request, dtype):
    y = rng.integers(0, 2, 150)
    p = np.clip(0.5 + 0.3 * (y - 0.5) + 0.25 * rng.normal(size=150), 0, 1).astype(dtype)
    return y, np.round(p, 1) if request.param == "tied" else p


def check(name, targets, outputs, expected):
    value = METRICS[name](targets, outputs)
    assert type(value) is float
    assert value == pytest.approx(expected, rel=1e-6, abs=1e-9)


class TestSeveralClasses:
    def test_decisions(self, several):
        y, p = several
        decided = p.argmax(axis=1)
        expected = {
            "accuracy": sk.accuracy_score(y, decided),
            "precision": sk.precision_score(y, decided, average="macro", zero_division=0),
            "recall": sk.recall_score(y, decided, average="macro", zero_division=0),
            "f1": sk.f1_score(y, decided, average="macro", zero_division=0),
            "roc_auc": sk.roc_auc_score(y, p.astype("f8") / p.sum(axis=1, keepdims=True, dtype="f8"),
                                        multi_class="ovr"),
        }
        soft = 0.9 * one_hot(y, p.shape[1]) + 0.1 / p.shape[1]
        for name, value in expected.items():
            for targets in (y, y[:, np.newaxis], y.astype(np.float32), y.astype(np.uint8), y.tolist(),
                            one_hot(y, p.shape[1]), soft):
                check(name, targets, p, value)

    @pytest.mark.parametrize("k", [1, 2, 5])
    def test_top_k(self, k):
        y, p = rng.integers(0, 10, 300), scores(300, 10, "float64")
        expected = sk.top_k_accuracy_score(y, p, k=k)
        assert TopK(k)(y, p) == TopK(k)(one_hot(y, 10), p) == pytest.approx(expected)

    def test_top_1_is_accuracy_with_ties_too(self):
        y, p = rng.integers(0, 4, 500), scores(500, 4, "float32", ties=True)
        assert TopK(1)(y, p) == METRICS["accuracy"](y, p)
        assert TopK(4)(y, p) == TopK(9)(y, p) == 1.0
        assert TopK(2)(np.zeros(10, int), np.full((10, 3), np.nan)) == 0.0

    def test_a_class_that_nobody_has_or_is_decided_for(self):
        y, p = np.array([0, 1, 1, 0]), one_hot([0, 0, 1, 3], 6)
        decided = p.argmax(axis=1)
        for name, function in DECISIONS.items():
            check(name, y, p, function(y, decided, average="macro", zero_division=0))

    def test_auc_without_one_of_the_classes(self):
        y, p = np.array([0, 1, 1, 0, 0]), scores(5, 3, "float64")
        per_class = [sk.roc_auc_score(y == c, p[:, c]) for c in (0, 1)]
        check("roc_auc", y, p, np.mean(per_class))

    def test_two_outputs_are_binary(self, binary):
        y, p = binary
        p2 = np.stack([1 - p, p], axis=1)
        decided = p2.argmax(axis=1)
        check("precision", y, p2, sk.precision_score(y, decided))
        check("recall", y, p2, sk.recall_score(y, decided))
        check("f1", one_hot(y, 2), p2, sk.f1_score(y, decided))
        check("roc_auc", y, p2, sk.roc_auc_score(y, p))

    def test_time_steps(self):
        y, p = rng.integers(0, 5, (8, 6)), scores(48, 5, "float32").reshape(8, 6, 5)
        for name in ("accuracy", "f1", "roc_auc", "precision"):
            check(name, y, p, METRICS[name](y.ravel(), p.reshape(48, 5)))
        assert TopK(2)(y, p) == TopK(2)(y.ravel(), p.reshape(48, 5))


class TestBinary:
    def test_decisions(self, binary):
        y, p = binary
        decided = p > 0.5
        expected = {
            "accuracy": sk.accuracy_score(y, decided), "binary_accuracy": sk.accuracy_score(y, decided),
            "precision": sk.precision_score(y, decided), "recall": sk.recall_score(y, decided),
            "f1": sk.f1_score(y, decided), "roc_auc": sk.roc_auc_score(y, p),
        }
        for name, value in expected.items():
            for targets in (y, y[:, np.newaxis], y.astype(bool), y.astype(np.float32)):
                check(name, targets, p, value)
                check(name, targets, p[:, np.newaxis], value)

    def test_threshold(self, binary):
        y, p = binary
        assert metrics.f1(y, p, threshold=0.3) == pytest.approx(sk.f1_score(y, p > 0.3))
        assert resolve(functools.partial(metrics.recall, threshold=0.7))(y, p) == \
            pytest.approx(sk.recall_score(y, p > 0.7))

    @pytest.mark.parametrize("y", [np.zeros(4, int), np.ones(4, int)])
    def test_one_class_only(self, y):
        p = np.array([0.1, 0.9, 0.4, 0.2])
        for name, function in DECISIONS.items():
            check(name, y, p, function(y, p > 0.5, zero_division=0))
        assert np.isnan(METRICS["roc_auc"](y, p))
        assert np.isnan(METRICS["roc_auc"](y, np.stack([1 - p, p], axis=1)))

    def test_auc_of_constant_and_nan_outputs(self):
        assert METRICS["roc_auc"]([0, 1, 1], [0.3, 0.3, 0.3]) == 0.5
        assert np.isnan(METRICS["roc_auc"]([0, 1, 1], [0.3, np.nan, 0.3]))

    def test_several_classes_per_row(self, dtype):
        marks, p = rng.integers(0, 2, (100, 4)), rng.random((100, 4)).astype(dtype)
        check("binary_accuracy", marks, p, np.mean((p > 0.5) == marks))
        for name, function in DECISIONS.items():
            check(name, marks, p, function(marks, p > 0.5, average="macro", zero_division=0))
        check("roc_auc", marks, p, sk.roc_auc_score(marks, p))


class TestRegression:
    @pytest.mark.parametrize("columns", [(), (1,), (4,)])
    def test_against_scikit_learn(self, dtype, columns):
        t = rng.normal(size=(80, *columns)).astype(dtype)
        y = (t + 0.3 * rng.normal(size=t.shape)).astype(dtype)
        check("mae", t, y, sk.mean_absolute_error(t, y))
        check("mse", t, y, sk.mean_squared_error(t, y))
        check("r2", t, y, sk.r2_score(t, y))

    @pytest.mark.parametrize("name", ["mae", "mse", "r2"])
    def test_a_vector_and_a_column_do_not_broadcast(self, name):
        t, y = rng.normal(size=30), rng.normal(size=(30, 1))
        check(name, t, y, METRICS[name](t, y[:, 0]))
        check(name, t[:, np.newaxis], y[:, 0], METRICS[name](t, y[:, 0]))

    def test_unsigned_integers_do_not_wrap(self):
        check("mae", np.array([1, 2], np.uint8), np.array([2, 1], np.uint8), 1.0)

    def test_labels_stand_for_one_hot_rows(self):
        y, p = rng.integers(0, 4, 20), scores(20, 4, "float32")
        for name in ("mae", "mse", "r2"):
            check(name, y, p, METRICS[name](one_hot(y, 4), p))

    def test_r2_of_constant_targets(self):
        t = np.stack([np.ones(5), np.arange(5.0), np.full(5, 2.0)], axis=1)
        y = t + np.array([0, 0.5, 0.5])
        check("r2", t, y, sk.r2_score(t, y))
        assert np.isnan(METRICS["r2"]([1.0], [1.0]))


class TestRefused:
    @pytest.mark.parametrize("name", METRICS)
    @pytest.mark.parametrize(("targets", "outputs"), [
        (np.zeros(3, int), np.zeros((4, 3))), (np.zeros((4, 2)), np.zeros((4, 3))),
        (np.zeros(0, int), np.zeros((0, 3))), (np.zeros(4, int), np.zeros((2, 2))),
    ])
    def test_shapes(self, name, targets, outputs):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            METRICS[name](targets, outputs)

    def test_labels_out_of_range(self):
        with pytest.raises(ValueError, match="labels from 0 to 2, got labels from 0 to 3"):
            metrics.f1([0, 3], np.eye(3)[:2])

    def test_top_k_of_one_output(self):
        with pytest.raises(ValueError, match="at least two outputs"):
            METRICS["top_k_accuracy"]([0, 1], [[0.1], [0.2]])


class TestRegistry:
    def test_names_aliases_and_functions(self):
        for name, metric in METRICS.items():
            assert metric.name == name and metric.doc.endswith(".") and metric.larger_is_better is not None
            assert resolve(name) is resolve(metric) is resolve(metric.function) is metric
            assert metric.registered
            for alias in metric.aliases:
                assert resolve(alias) is metric

    def test_top_k_by_name(self):
        assert resolve("top_3_accuracy") == resolve("top_3") == TopK(3) != TopK(4)
        assert TopK(3).registered and TopK(3).larger_is_better
        with pytest.raises(ValueError, match="k must be"):
            TopK(0)

    @pytest.mark.parametrize("metric", [*METRICS.values(), TopK(3)], ids=lambda metric: metric.name)
    def test_pickle(self, metric):
        assert pickle.loads(pickle.dumps(metric)) == metric

    def test_functions_of_the_user(self):
        def largest_error(targets, outputs):
            return np.abs(targets - outputs[:, 0]).max()

        metric = resolve(largest_error)
        assert metric.name == "largest_error" and metric.larger_is_better is None and not metric.registered
        assert metric(np.array([1.0, 2.0]), np.array([[1.0], [2.5]])) == 0.5
        assert resolve(lambda t, y: 1).name == "lambda"
        assert type(resolve(lambda t, y: np.float32(1))(0, 0)) is float
        assert not Metric("accuracy", largest_error).registered

    @pytest.mark.parametrize("value", [None, "much", np.zeros(3), [1, 2], 1j])
    def test_functions_that_return_no_number(self, value):
        with pytest.raises(TypeError, match="metric 'lambda': expected the function to return one number"):
            resolve(lambda t, y: value)(0, 0)

    def test_unknown(self):
        with pytest.raises(ValueError, match="unknown metric 'acuracy', did you mean 'accuracy'"):
            resolve("acuracy")
        for wrong in (3, None, Metric, ["accuracy"]):
            with pytest.raises(TypeError, match="metric: expected a name"):
                resolve(wrong)

    def test_lists(self):
        assert [m.name for m in resolve_all(["acc", TopK(2), "mse"])] == ["accuracy", "top_2_accuracy", "mse"]
        assert [m.name for m in resolve_all("f1")] == ["f1"]
        assert resolve_all(None) == resolve_all(()) == []
        with pytest.raises(ValueError, match="'accuracy', which is used twice"):
            resolve_all(["accuracy", "acc"])
        with pytest.raises(ValueError, match="taken by the loss"):
            resolve_all([Metric("loss", metrics.mse)])


def best_time(function, n):
    times = []
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(n):
            function()
        times.append((time.perf_counter() - start) / n)
    return min(times)


@pytest.mark.slow
def test_speed():
    """Bounds with much room: they are to catch a loop in Python, not a slow machine."""
    small = rng.integers(0, 3, 32), scores(32, 3, "float32")
    assert best_time(lambda: METRICS["accuracy"](*small), 1000) < 20e-6
    large = rng.integers(0, 10, 60_000), scores(60_000, 10, "float32")
    for name in METRICS:
        assert best_time(lambda name=name: METRICS[name](*large), 1) < 0.5, name
