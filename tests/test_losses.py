"""Losses in models: worked values, PyTorch's figures, names, files, errors."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import losses
from fastnn.losses import ALIASES, LOSSES, get, registered

RNG = np.random.default_rng(0)
LOG2 = np.log(2)


def passing(loss, width, activation=None, dtype="float64", metrics=()):
    """A model that gives what it takes, through an activation: its inputs' gradient is the loss's."""
    layers = [fnn.Dense(width, activation, use_bias=False)]
    model = fnn.Sequential(layers, input_shape=(width,), dtype=dtype)
    model.layers[0].weight[...] = np.eye(width)
    model.compile(fnn.SGD(0.1), loss, metrics)
    return model


def value_and_gradient(loss, z, target, activation=None, sample_weight=None):
    """The loss of logits z, and its gradient for them: that of a weight matrix I below rows of I."""
    n = len(z)
    layers = [fnn.Dense(z.shape[1], activation, use_bias=False)]
    model = fnn.Sequential(layers, input_shape=(n,), dtype="float64")
    model.layers[0].weight[...] = z
    model.compile(loss=loss)
    bound = model.bind(np.eye(n), target, sample_weight)
    return bound.loss(), bound.gradients()["dense.weight"].copy()



def classifier(loss="cross_entropy", last="softmax", n_out=3, **settings):
    layers = [fnn.Dense(5, "tanh"), fnn.Dense(n_out, last)]
    model = fnn.Sequential(layers, input_shape=(4,), dtype="float64", seed=2)
    model.compile(fnn.SGD(0.1), loss, **settings)
    return model


X, LABELS = RNG.standard_normal((23, 4)), RNG.integers(0, 3, 23)


# ---------------------------------------------------------------------------------- values worked by hand

WORKED = [  # loss, final activation, logits, target, value
    ("absolute_error", None, [[1.0, -2.0]], [[0.0, 1.0]], 2.0),
    (fnn.AbsoluteError(outputs="sum"), None, [[1.0, -2.0]], [[0.0, 1.0]], 4.0),
    (fnn.Huber(2.0), None, [[1.0, 5.0]], [[0.0, 0.0]], (0.5 + 8.0) / 2),
    (fnn.SmoothL1(2.0), None, [[1.0, 5.0]], [[0.0, 0.0]], (0.25 + 4.0) / 2),
    ("log_cosh", None, [[LOG2]], [[0.0]], np.log(1.25)),
    (fnn.Quantile(0.9), None, [[0.0, 2.0]], [[1.0, 0.0]], (0.9 + 0.2) / 2),
    ("binary_cross_entropy", "sigmoid", [[np.log(3), 0.0]], [[1.0, 0.0]], (np.log(4 / 3) + LOG2) / 2),
    ("cross_entropy", "sigmoid", [[np.log(3), 0.0]], [[1.0, 0.0]], np.log(4 / 3) + LOG2),
    ("binary_cross_entropy", "softmax", [[np.log(3), 0.0]], [[1.0, 0.0]], np.log(4 / 3)),
    ("binary_cross_entropy", "hard_sigmoid", [[1.5, 0.0]], [[1.0, 0.0]], (np.log(4 / 3) + LOG2) / 2),
    (fnn.BinaryCrossEntropy(from_logits=True), None, [[np.log(3)]], [[0.0]], np.log(4)),
    (fnn.BinaryCrossEntropy(label_smoothing=0.5), "sigmoid", [[np.log(3)]], [[1.0]],
     0.75 * np.log(4 / 3) + 0.25 * np.log(4)),
    (fnn.BinaryCrossEntropy(label_smoothing=0.5), "hard_sigmoid", [[1.5]], [[1.0]],
     0.75 * np.log(4 / 3) + 0.25 * np.log(4)),
    ("categorical_cross_entropy", "softmax", [[np.log(3), 0.0]], [0], np.log(4 / 3)),
    ("log_likelihood", "softmax", [[np.log(3), 0.0]], [1], np.log(4)),
    ("log_likelihood", "log_softmax", [[np.log(3), 0.0]], [[0.0, 1.0]], np.log(4)),
    (fnn.CategoricalCrossEntropy(from_logits=True), None, [[np.log(3), 0.0]], [1], np.log(4)),
    (fnn.CrossEntropy(label_smoothing=0.5), "softmax", [[np.log(3), 0.0]], [0],
     0.75 * np.log(4 / 3) + 0.25 * np.log(4)),
    ("kl_divergence", "softmax", [[np.log(3), 0.0]], [[0.25, 0.75]], 0.5 * np.log(3)),
    ("kl_divergence", "softmax", [[np.log(3), 0.0]], [0], np.log(4 / 3)),
    ("kl_divergence", "sigmoid", [[np.log(3)]], [[0.25]], 0.5 * np.log(3)),
    (fnn.KLDivergence(outputs="mean"), "log_softmax", [[np.log(3), 0.0]], [[0.25, 0.75]], 0.25 * np.log(3)),
    (fnn.Focal(2.0), "softmax", [[np.log(3), 0.0]], [1], 9 / 16 * np.log(4)),
    (fnn.Focal(2.0, alpha=0.25), "softmax", [[np.log(3), 0.0]], [1], 9 / 64 * np.log(4)),
    (fnn.Focal(1.0), "sigmoid", [[np.log(3), 0.0]], [[0.0, 1.0]], 0.75 * np.log(4) + 0.5 * LOG2),
    (fnn.Focal(1.0, alpha=0.25, outputs="mean"), "sigmoid", [[np.log(3), 0.0]], [[0.0, 1.0]],
     (0.75 * 0.75 * np.log(4) + 0.25 * 0.5 * LOG2) / 2),
    ("hinge", None, [[0.25, 2.0]], [[1.0, 0.0]], (0.75 + 3.0) / 2),
    ("squared_hinge", None, [[0.25, 2.0]], [[1.0, -1.0]], (0.75 ** 2 + 9.0) / 2),
    ("multi_class_hinge", None, [[3.2, 5.1, -1.7]], [0], 2.9),  # CS231n's cat
    ("multi_class_hinge", None, [[2.2, 2.5, -3.1]], [2], 12.9),  # and its frog
    ("categorical_hinge", None, [[2.2, 2.5, -3.1]], [[0, 0, 1]], 6.6),
    (fnn.MultiClassHinge(power=2, outputs="mean"), None, [[1.0, 2.0, 1.5]], [0], (4 + 2.25) / 3),
    ("poisson", "exponential", [[0.0, LOG2]], [[3, 1]], (1 + 2 - LOG2) / 2),
    ("poisson", "relu", [[2.0]], [[1]], 2 - LOG2),
    (fnn.Poisson(log_input=True), None, [[LOG2]], [[1]], 2 - LOG2),
    ("poisson_deviance", "exponential", [[0.0, LOG2]], [[3, 0]], 3 * np.log(3)),
    ("cosine_distance", None, [[3.0, 4.0]], [[4.0, 3.0]], 0.04),
    ("cosine_similarity", None, [[3.0, 4.0]], [[4.0, 3.0]], -0.96),
]


@pytest.mark.parametrize("loss, activation, z, target, value", WORKED, ids=str)
def test_worked_values(backend, loss, activation, z, target, value):
    for dtype in ("float64", "float32"):
        got = passing(loss, len(z[0]), activation, dtype).evaluate(z, target)["loss"]
        assert got == pytest.approx(value, rel=1e-7 if dtype == "float64" else 1e-5)


def test_every_loss_has_a_worked_value():
    from_other_tests = {"squared_error", "mean_squared_error", "smooth_l1", "probability_cross_entropy"}
    assert {get(row[0]).name for row in WORKED} | from_other_tests == set(LOSSES)


@pytest.mark.parametrize("loss, activation", [
    (fnn.CrossEntropy(label_smoothing=0.2), "softmax"), (fnn.CrossEntropy(label_smoothing=0.2), "sigmoid"),
    (fnn.BinaryCrossEntropy(from_logits=True), None), (fnn.Focal(0.5, 0.3), "softmax"),
    (fnn.BinaryCrossEntropy(label_smoothing=0.1), "softmax"), (fnn.Focal(3.0, 0.3), "sigmoid"),
    (fnn.Focal(2.0, from_logits=True), None), (fnn.MultiClassHinge(0.5, 2, "crammer_singer"), "tanh"),
    (fnn.Huber(0.3, reduction="sum"), None), (fnn.Quantile(0.8, outputs="sum"), None),
    (fnn.Poisson(log_input=True), None), (fnn.KLDivergence(outputs="mean"), "softmax"),
    (fnn.CrossEntropy(reduction="sum"), "softmax"), (fnn.CosineDistance(0.0), "tanh"),
], ids=str)
def test_gradients_with_settings(backend, loss, activation):
    model = fnn.Sequential([fnn.Dense(6, "tanh"), fnn.Dense(3, activation)], input_shape=(5,), seed=1)
    model.compile(loss=loss)
    X = RNG.standard_normal((7, 5))
    y = {"labels_or_rows": np.arange(7) % 3, "labels": np.arange(7) % 3, "counts": RNG.poisson(2.0, (7, 3)),
         "binary": RNG.random((7, 3)), "rows": RNG.standard_normal((7, 3))}[model.target_kind]
    assert (check := fnn.check_gradients(model, X, y, np.linspace(0.5, 2, 7))).passed, check


# ------------------------------------------------------------------------------------- PyTorch's figures


def torch_cases(torch):
    """(loss, final activation, target kind, PyTorch's function of logits and target)."""
    F = torch.nn.functional
    ce = F.cross_entropy
    soft = lambda z: torch.log_softmax(z, 1)  # noqa: E731
    mean = lambda rows: rows.mean()  # noqa: E731
    return {
        "absolute_error": ("absolute_error", None, "numbers", F.l1_loss),
        "mean_squared_error": ("mse", None, "numbers", F.mse_loss),
        "huber": (fnn.Huber(0.7), None, "numbers", lambda z, t: F.huber_loss(z, t, delta=0.7)),
        "smooth_l1": (fnn.SmoothL1(0.7), None, "numbers", lambda z, t: F.smooth_l1_loss(z, t, beta=0.7)),
        "log_cosh": ("log_cosh", None, "numbers", lambda z, t: mean(torch.log(torch.cosh(z - t)))),
        "quantile": (fnn.Quantile(0.7), None, "numbers",
                     lambda z, t: mean(torch.maximum(0.7 * (t - z), -0.3 * (t - z)))),
        "bce": ("binary_cross_entropy", "sigmoid", "binary", F.binary_cross_entropy_with_logits),
        "bce of probabilities": ("binary_cross_entropy", "softmax", "binary",
                                 lambda z, t: F.binary_cross_entropy(torch.softmax(z, 1), t)),
        "ce": ("categorical_cross_entropy", "softmax", "labels", ce),
        "ce of rows": ("categorical_cross_entropy", "softmax", "rows", ce),
        "ce, smoothed": (fnn.CrossEntropy(label_smoothing=0.1), "softmax", "labels",
                         lambda z, t: ce(z, t, label_smoothing=0.1)),
        "ce of rows, smoothed": (fnn.CrossEntropy(label_smoothing=0.1), "softmax", "rows",
                                 lambda z, t: ce(z, t, label_smoothing=0.1)),
        "ce, sum": (fnn.CrossEntropy(reduction="sum"), "softmax", "labels",
                    lambda z, t: ce(z, t, reduction="sum")),
        "nll": ("log_likelihood", "log_softmax", "labels", lambda z, t: F.nll_loss(soft(z), t)),
        "kl": ("kl_divergence", "softmax", "rows", lambda z, t: F.kl_div(soft(z), t, reduction="batchmean")),
        "kl, mean": (fnn.KLDivergence(outputs="mean"), "log_softmax", "rows",
                     lambda z, t: F.kl_div(soft(z), t, reduction="none").mean()),
        "focal": (fnn.Focal(2.0, 0.25, outputs="mean"), "sigmoid", "binary", lambda z, t: mean(
            (0.25 * t + 0.75 * (1 - t)) * F.binary_cross_entropy_with_logits(z, t, reduction="none")
            * (1 - (torch.sigmoid(z) * t + torch.sigmoid(-z) * (1 - t))) ** 2)),
        "focal, softmax": (fnn.Focal(1.5), "softmax", "rows", lambda z, t: mean(
            -(t * (1 - torch.softmax(z, 1)) ** 1.5 * soft(z)).sum(1))),
        "hinge": ("hinge", None, "signs", lambda z, t: mean(torch.relu(1 - t * z))),
        "squared_hinge": ("squared_hinge", None, "signs", lambda z, t: mean(torch.relu(1 - t * z) ** 2)),
        "multi_class_hinge": (fnn.MultiClassHinge(0.8, outputs="mean"), None, "labels",
                              lambda z, t: F.multi_margin_loss(z, t, margin=0.8)),
        "multi_class_hinge, squared": (fnn.MultiClassHinge(power=2, outputs="mean"), None, "labels",
                                       lambda z, t: F.multi_margin_loss(z, t, p=2)),
        "poisson of logs": (fnn.Poisson(log_input=True), None, "counts", F.poisson_nll_loss),
        "poisson": ("poisson", "exponential", "counts", F.poisson_nll_loss),
        "poisson of softplus": ("poisson", "softplus", "counts",
                                lambda z, t: F.poisson_nll_loss(F.softplus(z), t, log_input=False)),
        "cosine": ("cosine_distance", None, "numbers",
                   lambda z, t: F.cosine_embedding_loss(z, t, torch.ones(len(z)))),
    }


TORCH_CASES = 26


@pytest.mark.parametrize("index", range(TORCH_CASES))
def test_agreement_with_torch(backend, index):
    """Values and gradients within 1e-10 of PyTorch's in float64."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its losses are not compared")
    cases = torch_cases(torch)
    assert len(cases) == TORCH_CASES
    name, (loss, activation, kind, theirs) = list(cases.items())[index]
    rng = np.random.default_rng(1)
    z = 2 * rng.standard_normal((20, 7))
    target = {"numbers": rng.standard_normal((20, 7)), "labels": rng.integers(0, 7, 20),
              "rows": rng.dirichlet(np.ones(7), 20), "binary": rng.random((20, 7)),
              "signs": np.sign(rng.standard_normal((20, 7))), "counts": rng.poisson(2.0, (20, 7)) * 1.0}[kind]
    tz = torch.tensor(z, requires_grad=True)
    expected = theirs(tz, torch.tensor(target))
    expected.backward()
    value, gradient = value_and_gradient(loss, z, target, activation)
    assert value == pytest.approx(expected.item(), rel=1e-10), name
    np.testing.assert_allclose(gradient, tz.grad.numpy(), rtol=1e-10, atol=1e-15, err_msg=name)


def test_torch_conventions_of_weights_and_ignored_labels(backend):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its losses are not compared")
    z, labels = RNG.standard_normal((12, 4)), np.arange(12) % 4
    labels[[2, 5]] = -100
    weights = np.array([0.5, 2.0, 1.0, 3.0])
    tz = torch.tensor(z, requires_grad=True)
    torch.nn.functional.cross_entropy(tz, torch.tensor(labels), torch.tensor(weights)).backward()
    loss = fnn.CategoricalCrossEntropy(from_logits=True, ignore_label=-100)
    model = fnn.Sequential([fnn.Dense(4, use_bias=False)], input_shape=(12,), dtype="float64")
    model.layers[0].weight[...] = z
    model.compile(fnn.SGD(1.0), loss)
    model.train_on_batch(np.eye(12), labels, class_weight=weights)
    np.testing.assert_allclose(z - model.layers[0].weight, tz.grad.numpy(), rtol=1e-10, atol=1e-15)


# ----------------------------------------------------------------------------------- names, files, errors

@pytest.mark.parametrize("loss, last", [
    (fnn.CrossEntropy(label_smoothing=0.1, ignore_label=-1, reduction="sum"), "softmax"),
    (fnn.BinaryCrossEntropy(True, label_smoothing=0.1, outputs="sum"), None), (fnn.Huber(0.5), None),
    (fnn.Focal(1.0, 0.3, outputs="mean"), "sigmoid"), (fnn.Poisson(True, 1e-6), None),
    (fnn.Quantile(0.2), None),
    (fnn.MultiClassHinge(2.0, 2, "crammer_singer", ignore_label=0), None), (fnn.CosineDistance(0.0), None),
    (losses.Elementwise("probability_cross_entropy", epsilon=0.1), "sigmoid"), (fnn.SmoothL1(0.3), None),
    *((name, "softmax") for name in ("cross_entropy", "kl_divergence", "log_likelihood")),
], ids=str)
def test_settings_are_saved(tmp_path, loss, last):
    model = classifier(loss, last)
    model.save(tmp_path / "model.safetensors")
    loaded = fnn.load(tmp_path / "model.safetensors").loss
    assert type(loaded) is type(model.loss) and loaded.name == model.loss.name
    assert loaded.get_config() == model.loss.get_config() == model.copy().loss.get_config()


@pytest.mark.parametrize("name", LOSSES)
def test_registry(name):
    loss = get(name)
    assert loss.name == name and registered(loss)
    assert LOSSES[name](**loss.get_config()).get_config() == loss.get_config()
    assert LOSSES[name](reduction="sum").reduction == "sum"
    assert repr(loss) == repr(eval(repr(loss), vars(losses) | {"nan": np.nan}))


def test_aliases():
    assert not set(ALIASES) & set(LOSSES)
    for name, (target, _) in ALIASES.items():
        assert get(name).name == target


@pytest.mark.parametrize("make, error, words", [
    (lambda: get("hubber"), ValueError, "did you mean 'huber'"),
    (lambda: get(fnn.Huber), TypeError, r"got the class Huber; pass Huber\(\)"),
    (lambda: get(3), TypeError, "expected a name"),
    (lambda: fnn.Huber(0), ValueError, "delta must be a finite number above 0"),
    (lambda: fnn.Quantile(1.0), ValueError, "q must be a fraction"),
    (lambda: fnn.Quantile(0.0), ValueError, "q must be a finite number above 0"),
    (lambda: fnn.CrossEntropy(label_smoothing=1.0), ValueError, "label_smoothing"),
    (lambda: fnn.CrossEntropy(reduction="none"), ValueError, "reduction"),
    (lambda: fnn.Huber(outputs="all"), ValueError, "outputs"),
    (lambda: fnn.MultiClassHinge(power=3), ValueError, "power must be an integer of at least 1"),
    (lambda: losses.Elementwise("huber", beta=1.0), TypeError, "expected the parameters"),
    (lambda: losses.Elementwise("poisson_log"), ValueError, "did you mean 'poisson'"),
    (lambda: fnn.FunctionLoss(3), TypeError, "function: expected a function"),
    (lambda: classifier("binary_cross_entropy", "tanh"), ValueError, "between 0 and 1, but 'tanh' gives"),
    (lambda: classifier("poisson", None), ValueError, "'identity' gives others; end .*'exponential'"),
    (lambda: classifier(fnn.Poisson(True), "exponential"), ValueError, "without activation"),
    (lambda: classifier("categorical_cross_entropy", "sigmoid"), ValueError, "'softmax', got 'sigmoid'"),
    (lambda: classifier("kl_divergence", "relu"), ValueError, "kl_divergence expects"),
    (lambda: classifier("multi_class_hinge", None, 1), ValueError, "there is 'hinge'"),
    (lambda: classifier(fnn.Focal(alpha=1.0), "sigmoid"), ValueError, "alpha: expected a number below 1"),
    (lambda: classifier("hinge", None, 1).evaluate(X[:3], [1, 2, 0]), ValueError, r"y\[1, 0\] is 2 but"),
    (lambda: classifier("hinge", None, 1).evaluate(X[:3], [1, -1, 0]), ValueError, "got -1, 0 and 1"),
    (lambda: classifier("poisson", "softplus", 1).evaluate(X[:2], [1, -2]), ValueError, "is -2 but counts"),
    (lambda: classifier("svm", None).evaluate(X[:1], [[0.5, 0.5, 0]]), ValueError, "one-hot row"),
])
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()


# ------------------------------------------------------------------------------------------------ entropy

def test_entropy_decomposition():
    p, q = RNG.dirichlet(np.ones(5), 4), RNG.dirichlet(np.ones(5), 4)
    p[0] = np.eye(5)[2]
    cross, entropy, divergence = fnn.entropy_decomposition(p, q)
    np.testing.assert_allclose(cross, entropy + divergence, rtol=1e-14)
    np.testing.assert_allclose(divergence[1:], (p[1:] * np.log(p[1:] / q[1:])).sum(1), rtol=1e-12)
    assert entropy[0] == 0 and cross[0] == pytest.approx(-np.log(q[0, 2]))
    assert (divergence >= 0).all()
    for loss, expected in (("kl_divergence", divergence), ("cross_entropy", cross)):
        got = passing(loss, 5, "softmax").evaluate(np.log(q), p)["loss"]
        assert got == pytest.approx(expected.mean(), rel=1e-10)
    assert fnn.entropy_decomposition([1.0, 0.0], [0.0, 1.0]) == (np.inf, 0.0, np.inf)
    assert fnn.entropy_decomposition([1.0, 0.0], [1.0, 0.0]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("p, q, words", [
    ([0.5, 0.6], [0.5, 0.5], "p: .*sum 1.1"), ([0.5, 0.5], [-0.5, 1.5], "q: .*no negative"),
    ([0.5, 0.5], [1.0], "q: expected the shape of p"), ([np.nan, 1.0], [0.5, 0.5], "p: "), (0.5, 0.5, "p must be"),
])
def test_entropy_decomposition_refuses(p, q, words):
    with pytest.raises(ValueError, match=words):
        fnn.entropy_decomposition(p, q)
