"""What weighs rows in a loss: classes, ignored labels, sums instead of means; and losses of your own."""
import copy
import pickle

import numpy as np
import pytest

import fastnn as fnn
from test_losses import LABELS, X, classifier, passing


@pytest.mark.parametrize("class_weight", [{0: 2.0, 2: 0.5}, [2.0, 1.0, 0.5], "balanced"], ids=str)
@pytest.mark.parametrize("rows", [False, True])
def test_class_weights_are_sample_weights(backend, class_weight, rows):
    """They go into training and its loss, multiply sample weights, and leave validation and metrics alone."""
    weights = np.array([2.0, 1.0, 0.5])
    if class_weight == "balanced":
        weights = 23 / (3 * np.bincount(LABELS))
    y = np.eye(3)[LABELS] if rows else LABELS
    own = np.linspace(0.5, 1.5, 23)
    one, other = classifier(metrics=["accuracy"]), classifier(metrics=["accuracy"])
    arguments = {"batch_size": 5, "epochs": 3, "verbose": 0, "validation_data": (X, y)}
    h = one.fit(X, y, sample_weight=own, class_weight=class_weight, **arguments)
    g = other.fit(X, y, sample_weight=own * weights[LABELS], **arguments)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(h[name], g[name], rtol=1e-12)
    np.testing.assert_allclose(h["val_loss"][-1], one.evaluate(X, y)["loss"], rtol=1e-12)


def test_class_weights_of_one_output_and_of_batches(backend):
    y = (LABELS > 0).astype(float)
    for loss, last in (("binary_cross_entropy", "sigmoid"), ("hinge", None)):
        one, other, batches = (classifier(loss, last, 1) for _ in range(3))
        one.train_on_batch(X, y, class_weight="balanced")
        weights = fnn.balanced_weights(y.astype(int))
        other.train_on_batch(X, y, np.where(y > 0, weights[1], weights[0]))
        batches.fit([(X, y)], class_weight=weights, verbose=0)
        np.testing.assert_allclose(one.get_weights()[0], other.get_weights()[0], rtol=1e-12)
        np.testing.assert_allclose(batches.get_weights()[0], other.get_weights()[0], rtol=1e-12)


@pytest.mark.parametrize("class_weight, words", [
    ({3: 1.0}, "classes are 0..2, got 3"), ([1.0, 2.0], "3 numbers"), ("even", "got 'even'"),
    ([1.0, -1.0, 1.0], "got -1 for class 1"), ([0.0, 0.0, 0.0], "all rows have 0"),
])
def test_class_weights_refused(class_weight, words):
    with pytest.raises(ValueError, match=words):
        classifier().fit(X, LABELS, class_weight=class_weight, verbose=0)


def test_class_weights_need_classes():
    with pytest.raises(ValueError, match="not one of classes"):
        classifier("mse", None).fit(X, np.eye(3)[LABELS], class_weight="balanced", verbose=0)
    with pytest.raises(ValueError, match="yes-or-no"):
        model = classifier("binary_cross_entropy", "sigmoid")
        model.fit(X, np.eye(3)[LABELS], class_weight=[1, 1, 1], verbose=0)
    with pytest.raises(ValueError, match="balanced_weights"):
        classifier().fit([(X, LABELS)], class_weight="balanced", verbose=0)


@pytest.mark.parametrize("make, last", [(fnn.CrossEntropy, "softmax"), (fnn.Focal, "softmax"),
                                        (fnn.MultiClassHinge, None)])
@pytest.mark.parametrize("label", [-1, -100, 2])
def test_ignored_rows_might_as_well_not_be_there(backend, make, last, label):
    y = LABELS % 2
    y[[0, 7, 8, 22]] = label
    kept = y != label
    model = classifier(make(ignore_label=label), last, metrics=["accuracy"])
    plain = classifier(make(), last, metrics=["accuracy"])
    assert model.evaluate(X, y) == pytest.approx(plain.evaluate(X[kept], y[kept]), rel=1e-12)
    model.fit(X, y, batch_size=23, epochs=2, shuffle=False, verbose=0)
    h = plain.fit(X[kept], y[kept], batch_size=23, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], plain.get_weights()[0], rtol=1e-10)
    assert model.history["accuracy"] == h["accuracy"]
    assert (check := fnn.check_gradients(model, X, y)).passed, check


def test_ignored_labels_pass_through_what_trains_inside():
    """What checks targets and hands them to another training finds them as they should be."""
    X, y = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3
    y[::7] = -100
    layers = [fnn.Dense(16, "tanh"), fnn.Dense(3, "softmax")]
    model = fnn.Sequential(layers, input_shape=(4,))
    model.compile(fnn.SGD(0.1), fnn.CrossEntropy(ignore_label=-100))
    assert fnn.find_learning_rate(model, X, y, steps=20, trials=False).suggestion > 0
    assert fnn.diagnose(model, X, y).names() == [] and fnn.sanity_check(model, X, y)["gradients"].passed
    monitor = fnn.Monitor()
    model.fit(X, y, epochs=2, callbacks=monitor, verbose=0)
    assert len(monitor.measurements) == 3


def test_ignored_labels_refused():
    model = classifier(fnn.CrossEntropy(ignore_label=-1))
    with pytest.raises(ValueError, match="y must have a row that counts"):
        model.evaluate(X, np.full(23, -1))
    with pytest.raises(ValueError, match="where ignore_label is set"):
        model.evaluate(X, np.eye(3)[LABELS])
    with pytest.raises(ValueError, match=r"y\[1\] is 5"):
        model.evaluate(X[:3], [-1, 5, 0])
    with pytest.raises(ValueError, match="ignore_label: expected None after a sigmoid"):
        classifier(fnn.CrossEntropy(ignore_label=-1), "sigmoid")


def test_sums(backend):
    """A sum is the mean times the weights' sum, in blocks of any size; the penalty counts once."""
    weight = np.linspace(0.5, 2, 23)
    layers = lambda: [fnn.Dense(5, "tanh", kernel_regularizer=fnn.L2(0.1)), fnn.Dense(3, "softmax")]  # noqa: E731
    models = []
    for reduction in ("mean", "sum"):
        model = fnn.Sequential(layers(), input_shape=(4,), dtype="float64", seed=2)
        model.compile(fnn.SGD(0.1), fnn.CrossEntropy(reduction=reduction))
        models.append(model)
    mean, total = models
    penalty = 0.05 * float((mean.layers[0].weight ** 2).sum())
    expected = (mean.evaluate(X, LABELS, sample_weight=weight)["loss"] - penalty) * weight.sum() + penalty
    for data in (X, np.asfortranarray(X)):
        for rows in (None, 4, 23):
            got = total.evaluate(data, LABELS, rows, sample_weight=weight)["loss"]
            assert got == pytest.approx(expected, rel=1e-12)
    assert total.bind(X, LABELS, weight).loss() == pytest.approx(expected, rel=1e-12)


def test_a_sum_is_a_mean_at_another_rate(backend):
    mean, total = classifier(), classifier()
    mean.compile(fnn.SGD(0.2))
    total.compile(fnn.SGD(0.2 / 23), fnn.CrossEntropy(reduction="sum"))
    h = mean.fit(X, LABELS, batch_size=23, epochs=4, verbose=0)
    g = total.fit(X, LABELS, batch_size=23, epochs=4, verbose=0)
    np.testing.assert_allclose(g["loss"], 23 * np.array(h["loss"]), rtol=1e-10)
    np.testing.assert_allclose(total.get_weights()[0], mean.get_weights()[0], rtol=1e-10)


def test_a_sum_in_blocks(backend):
    """A step of more rows than a block adds up blocks."""
    rng = np.random.default_rng(0)
    wide, labels = rng.standard_normal((2500, 4)), rng.integers(0, 3, 2500)
    one, other = classifier(fnn.CrossEntropy(reduction="sum")), classifier()
    losses_ = [m.train_on_batch(wide, labels)["loss"] for m in (one, other)]
    assert losses_[0] == pytest.approx(2500 * losses_[1], rel=1e-10)


def test_metrics_of_hinge_and_logits_decide_at_zero(backend):
    scores, y = [[0.2], [-0.2], [3.0], [-3.0]], [1, 0, 0, 0]
    for loss in ("hinge", "squared_hinge", fnn.Focal(from_logits=True), fnn.BinaryCrossEntropy(True)):
        assert passing(loss, 1, metrics=["accuracy"]).evaluate(scores, y)["accuracy"] == 0.75
    model = passing(fnn.Poisson(log_input=True), 1, metrics=["mae"])
    assert model.evaluate([[0.0]], [3])["mae"] == pytest.approx(2.0)
    fused = passing("poisson", 1, "exponential", metrics=["mae"])
    assert fused.evaluate([[0.0]], [3])["mae"] == pytest.approx(2.0)
    fused.fit([[0.0], [1.0]], [3, 1], verbose=0, epochs=2)
    np.testing.assert_allclose(fused.history["mae"][0], (2 + np.e - 1) / 2)


# --------------------------------------------------------------------------------------- your own function

def softmax_loss(output, target):
    """-log of the label's probability, from the probability."""
    rows = np.arange(len(target))
    gradient = np.zeros_like(output)
    gradient[rows, target] = -1 / output[rows, target]
    return -np.log(output[rows, target]), gradient


@pytest.mark.parametrize("threads", [1, 2])
def test_your_own_trains_like_the_built_in(backend, team, threads):
    team(threads)
    own, built_in = classifier(softmax_loss, metrics=["accuracy"]), classifier(metrics=["accuracy"])
    arguments = {"batch_size": 5, "epochs": 3, "sample_weight": np.linspace(0.5, 2, 23),
                 "class_weight": [1, 2, 3], "validation_data": (X, LABELS), "verbose": 0}
    h, g = (model.fit(X, LABELS, **arguments) for model in (own, built_in))
    for name in ("loss", "accuracy", "val_loss"):
        np.testing.assert_allclose(h[name], g[name], rtol=1e-9)
    if threads == 1:
        assert (check := fnn.check_gradients(own, X, LABELS, np.linspace(0, 2, 23))).passed, check
    summed = classifier(fnn.FunctionLoss(softmax_loss, reduction="sum"))
    reference = classifier(fnn.CrossEntropy(reduction="sum"))
    assert summed.evaluate(X, LABELS) == pytest.approx(reference.evaluate(X, LABELS), rel=1e-12)


def test_your_own_in_float32_and_blocks(backend):
    def square(output, target):
        assert output.dtype == np.float32 and output.shape == target.shape
        with pytest.raises(ValueError, match="read-only"):
            output[...] = 0
        return ((output - target) ** 2).sum(1), 2 * (output - target)

    rng = np.random.default_rng(0)
    wide, y = rng.standard_normal((2500, 3)).astype("f4"), rng.standard_normal(2500)
    one, other = (passing(loss, 3, dtype="float32") for loss in (square, "squared_error"))
    y = np.stack([y, y, -y], 1)
    got, half = (model.train_on_batch(wide, y)["loss"] for model in (one, other))
    assert got == pytest.approx(2 * half, rel=1e-5)


@pytest.mark.parametrize("function, error, words", [
    (lambda output, target: 0.0, TypeError, "to return .value, gradient., got"),
    (lambda output, target: (0.0, output), ValueError, r"value of <lambda> .* shape \(23,\).*neither summed"),
    (lambda output, target: (output[:, 0], output[:, 0]), ValueError, r"the gradient of <lambda>.*\(23, 3\)"),
])
def test_your_own_must_fit(backend, function, error, words):
    with pytest.raises(error, match=words):
        classifier(function).train_on_batch(X, LABELS)


def test_your_own_is_copied_and_pickled_but_not_saved(tmp_path):
    class Twice(fnn.SquaredError):
        name = "twice"

    model = classifier(softmax_loss)
    for other in (model.copy(), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.evaluate(X, LABELS) == model.evaluate(X, LABELS)
    with pytest.raises(ValueError, match="loss: 'softmax_loss' is a Python function, which a file"):
        model.save(tmp_path / "model.safetensors")
    for loss in (Twice(), type("Mine", (fnn.SquaredError,), {})()):
        with pytest.raises(ValueError, match=f"loss: {type(loss).__name__} is a class of yours"):
            classifier(loss, None).save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())
