"""fastnn.diagnose: every sickness is found where it is, health is not; figures against plain NumPy."""

import json
import math

import numpy as np
import pytest

import fastnn as fnn
from cases import LAYER_CASES, model_of, samples_of
from conftest import assert_close, assert_same_bits, rounding
from fastnn import diagnostics
from fastnn.activations import ACTIVATIONS, Choice
from fastnn.data import load_digits
from fastnn.diagnostics import RULES, Found, Probe, measuring, rule
from fastnn.diagnostics.curvature import extreme_curvatures
from fastnn.diagnostics.flatness import flatness
from sick import SICK, blobs, classifier, lines, network, softmax

SEEDS = (0, 1, 2)
pytestmark = pytest.mark.usefixtures("one_thread")


def look(row, sick, seed):
    """The findings of a row's network: what `diagnose` says, or a Monitor after a training."""
    model, X, y = row.make(sick, seed)
    if not row.training:
        return fnn.diagnose(model, X, y, **row.settings).findings
    monitor = fnn.Monitor()
    model.fit(X, y, callbacks=monitor, verbose=0, **row.training)
    return monitor.findings()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("row", SICK, ids=lambda row: row.rule)
def test_sick_and_cured(row, seed, backend):
    """The sick network is found out, with the rule and the layer; of the cured one nothing is said."""
    found = [f for f in look(row, True, seed) if (f.name, f.layer) == (row.rule, row.layer)]
    assert len(found) == 1, f"{row.rule} in {row.layer} not found"
    figure, limit = found[0].figure, found[0].threshold
    assert limit == RULES[row.rule].threshold
    assert figure < limit if RULES[row.rule].below else figure > limit
    assert not look(row, False, seed)


def test_every_rule_has_its_row():
    assert {row.rule for row in SICK} == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_rules_explain_themselves(name):
    r = RULES[name]
    assert r.name == name and r.severity in diagnostics.findings.SEVERITIES and math.isfinite(r.threshold)
    assert r.doc.endswith(".") and len(r.doc) > 20
    assert all(len(text) > 10 for text in (r.why, r.remedy, r.source))


def digits(hidden, last, optimizer, loss="cross_entropy", seed=0, dtype="float32"):
    X, y = load_digits()
    layers = [fnn.Flatten(), fnn.Standardize(), *hidden, last]
    model = fnn.Sequential(layers, input_shape=(8, 8), seed=seed, dtype=dtype)
    model.compile(optimizer, loss)
    return model, X, y


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[1:])])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop", "lion"])
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "softsign", "elu", "gelu", "silu", "leaky_relu"])
def test_healthy(name, optimizer, seed):
    """Nothing is said of sound networks, fresh or trained, with the optimizers' usual rates."""
    rate = {"sgd": 0.1, "momentum": 0.02, "adam": 1e-3, "rmsprop": 1e-3, "lion": 3e-4}[optimizer]
    model, X, y = digits([fnn.Dense(32, name), fnn.Dense(24, name)], fnn.Dense(10, "softmax"),
                         fnn.optimizers.OPTIMIZERS[optimizer](rate), seed=seed)
    assert fnn.diagnose(model, X, y).names() == []
    model.fit(X, y, epochs=10, verbose=0)
    assert fnn.diagnose(model, X, y).names() == []


def test_healthy_with_everything(backend):
    """Penalties, dropout, weights, schedules with a warm-up, rows as targets, float64."""
    X, y = load_digits()
    hidden = [fnn.Dense(32, "relu", kernel_regularizer="l2"), fnn.Dropout(0.2), fnn.Dense(16),
              fnn.PReLU(), fnn.GaussianNoise(0.1), fnn.Dense(16), fnn.Activation("tanh")]
    schedule = fnn.WarmUp(fnn.CosineDecay(1e-3, total=2000), updates=500)
    model, *_ = digits(hidden, fnn.Dense(10, "softmax"), fnn.Adam(schedule, clipnorm=5.0), dtype="float64")
    diagnosis = fnn.diagnose(model, X, np.eye(10)[y], sample_weight=np.linspace(0.5, 1.5, len(y)))
    assert diagnosis.names() == []
    start = diagnosis.measurements[0]
    assert start.penalty > 0 and start.data_loss == start.loss - start.penalty
    names = [layer.name for layer in start.layers]
    assert names == ["dense", "dense_1", "prelu", "dense_2", "activation", "dense_3"]
    assert "healthy" in str(diagnosis)


@pytest.mark.parametrize("rate", [1e-5, fnn.ConstantRate(1e-5), lambda update: 1e-5],
                         ids=["number", "schedule", "function"])
def test_rate_too_low_in_any_form(rate):
    model, X, y = classifier(["tanh"], 0, rate=rate)
    assert "learning_rate_low" in fnn.diagnose(model, X, y).names()


@pytest.mark.parametrize("trained", [False, True])
def test_model_stays_as_it_is(backend, trained):
    """Weights, states, input statistics, counters, history, rate; training goes on as if nothing had been."""
    X, y = load_digits()
    schedule = fnn.CosineDecay(0.01, total=1000)
    models = [digits([fnn.Dense(16, "relu"), fnn.Dropout(0.1)], fnn.Dense(10, "softmax"),
                     fnn.Adam(schedule))[0] for _ in range(2)]
    if trained:
        for m in models:
            m.fit(X[:300], y[:300], verbose=0)
    model, twin = models
    memory = model._numbers.memory
    vectors = memory.parameters, memory.state, memory.persistent, memory.gradients
    before = [v.copy() for v in vectors]
    settled = model.update_count, model.shuffles, dict(model.history.history), model.stop_training
    fnn.diagnose(model, X, y)
    fnn.sanity_check(model, X, y)
    assert model.optimizer.learning_rate is schedule
    assert settled == (model.update_count, model.shuffles, dict(model.history.history), model.stop_training)
    for got, expected in zip(vectors, before, strict=True):
        assert_same_bits(got, expected)
    assert model._numbers.memory.state is memory.state
    for m in models:
        m.fit(X[:300], y[:300], verbose=0)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert_same_bits(a, b)


# ---- figures ----

@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_figures_against_numpy(backend, dtype):
    """A network worked out by hand: two tanh and ReLU layers, softmax, one SGD step."""
    X, y = blobs(3, n=60)
    layers = [fnn.Dense(7, "tanh", name="first"), fnn.Dense(6, "relu", name="second"), softmax()]
    model = fnn.Sequential(layers, input_shape=(X.shape[1],), seed=1, dtype=dtype)
    model.compile(fnn.SGD(0.1), "cross_entropy")
    model.layers[1].bias[:2] = -50.0  # dead
    w1, b1, w2, b2, w3, b3 = (w.astype(np.float64) for w in model.get_weights())
    z1 = X @ w1 + b1
    y1 = np.tanh(z1)
    z2 = y1 @ w2 + b2
    y2 = np.maximum(z2, 0)
    z3 = y2 @ w3 + b3
    y3 = np.exp(z3) / np.exp(z3).sum(axis=1, keepdims=True)
    d3 = y3 - np.eye(5)[y]
    d2 = d3 @ w3.T * (z2 > 0)
    d1 = d2 @ w2.T * (1 - y1 ** 2)
    g3, g2, g1 = y2.T @ d3 / 60, y1.T @ d2 / 60, X.T @ d1 / 60

    probe = Probe(model, *model._checked(X, y, None), 60)
    seen = probe.measure(histograms=True)
    error = rounding(dtype, 100)

    def close(got, expected, what):
        assert_close(got, expected, error * max(1.0, float(np.abs(expected).max())), what)

    close(seen.loss, -np.log(y3[np.arange(60), y]).mean(), "loss")
    close(seen.inputs, np.sqrt((X ** 2).mean(axis=0)), "inputs")
    close(seen.input_spread, np.sqrt(X.var(axis=0).mean()), "input spread")
    assert math.isnan(seen.penalty) and seen.data_loss == seen.loss
    parts = [(z1, y1, d1, g1, w1), (z2, y2, d2, g2, w2), (z3, y3, d3, g3, w3)]
    for layer, (z, out, delta, g, w) in zip(seen.layers, parts, strict=True):
        bias_gradient = delta.mean(axis=0)
        close(layer.pre_mean, z.mean(), "pre mean")
        close(layer.pre_std, z.std(), "pre std")
        close(layer.mean, out.mean(), "mean")
        close(layer.std, out.std(), "std")
        close(layer.spread, np.sqrt(out.var(axis=0).mean()), "spread")
        close(layer.delta, np.sqrt((delta ** 2).sum() / 60), "delta")
        close(layer.gradient, np.sqrt((g ** 2).sum() + (bias_gradient ** 2).sum()), "gradient")
        close(layer.weight_norm, np.linalg.norm(w), "weight norm")
        close(layer.weight_std, w.std(), "weight std")
        close(layer.update_ratio, 0.1 * np.linalg.norm(g) / np.linalg.norm(w), "update ratio")
        assert layer.histograms["activations"][0].sum() == out.size
        assert layer.histograms["gradients"][0].sum() == delta.size
        close(layer.histograms["activations"][1][[0, -1]], np.array([out.min(), out.max()]), "edges")
    first, second, last = seen.layers
    assert first.saturated == (1 - y1 ** 2 < 0.06).mean() and first.dead == 0
    assert second.saturated == (z2 <= 0).mean() and second.dead == 2 / 6
    assert math.isnan(last.saturated) and last.activation == "identity"  # the loss contains softmax
    close(probe.uninformed_loss(), math.log(5), "ln C")


@pytest.mark.parametrize("case", LAYER_CASES, ids=lambda case: case.name)
def test_probes_on_both_backends(case, native):
    """What layers pass on is the same on both backends, and looking does not change the gradient."""
    model = model_of(case)
    X, y = samples_of(case, 33)
    fnn.inference.adapt(model, X)
    found = {}
    for name in ("native", "numpy"):
        with fnn.use_backend(name):
            probe = Probe(model, *model._checked(X, y, None), 8)
            probe.mirror()
            loss, arrays = probe.gradient()
            gradients = {k: g.copy() for k, g in probe.twin._numbers.named_gradients().items()}
            for key, g in model.bind(X, y).gradients().items():
                assert_same_bits(gradients[key], g, key)
            found[name] = arrays
    assert found["native"].keys() == found["numpy"].keys()
    last = model.layers[-1].name
    assert {(last, "output"), (last, "delta"), ("", "input 0")} <= found["native"].keys()
    for key, expected in found["numpy"].items():
        assert_close(found["native"][key], expected, 1e-10 * max(1.0, np.abs(expected).max()), str(key))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_flat_ends_of_every_activation(name):
    """Told by the slope, the number of flat ends is the number of sides on which values are bounded."""
    row = ACTIVATIONS[name]
    expected = sum(map(math.isfinite, row.range))
    if name == "leaky_relu":
        expected = 1  # a slope of 0.01 is flat, though never dead
    assert flatness(Choice(name, row.alpha or 0.0)).flat_ends == expected


def test_a_users_own_activation(backend):
    """Its slope tells where it is flat: the same figures as the built-in one."""
    own = fnn.Activation((np.tanh, lambda x: 1 - np.tanh(x) ** 2))
    X, y = blobs(0)
    seen = []
    for activation in (own, "tanh"):
        model = network([activation], softmax(), 0, kernel_initializer="standard_normal")
        seen.append(fnn.diagnose(model, X, y))
    assert [d.names() for d in seen] == [["saturated_units"]] * 2
    figures = [d.findings[0].figure for d in seen]
    assert abs(figures[0] - figures[1]) < 2e-3


def test_leaky_units_do_not_die():
    model, X, y = classifier([fnn.LeakyReLU(0.01)], 0)
    model.layers[0].bias[...] = -30.0
    assert fnn.diagnose(model, X, y).measurements[0].layers[0].dead == 0


def test_squared_error_after_sigmoid_counts_as_saturated(backend):
    """Where the loss does not contain the activation, its slope is in the way of the gradient."""
    X, y = blobs(0)
    seen = {}
    for loss in ("squared_error", "cross_entropy"):
        model = network(["tanh"], fnn.Dense(5, "sigmoid", name="last"), 0, loss=loss)
        model.layers[-1].bias[...] = 12.0
        seen[loss] = fnn.diagnose(model, X, np.eye(5)[y]).measurements[0].layers[-1]
    assert seen["squared_error"].saturated == 1.0 and math.isnan(seen["cross_entropy"].saturated)
    assert seen["cross_entropy"].delta > 1000 * seen["squared_error"].delta


def test_curvatures():
    """The ends of a spectrum that is known, and a saddle's negative one; the weights are put back."""
    X = np.random.default_rng(0).standard_normal((50, 6)) * np.arange(1, 7)
    line = fnn.Sequential([fnn.Dense(1, use_bias=False)], input_shape=(6,), dtype="float64")
    line.compile(loss="squared_error")
    before = line.get_weights()[0]
    got = extreme_curvatures(line.bind(X, np.ones(50)), line.named_parameters())
    expected = np.linalg.eigvalsh(X.T @ X / 50)
    assert_close(got, expected[[0, -1]], 1e-6 * expected[-1])
    assert_same_bits(line.layers[0].weight, before)

    layers = [fnn.Dense(1, use_bias=False), fnn.Dense(1, use_bias=False)]
    pair = fnn.Sequential(layers, input_shape=(1,), dtype="float64")
    pair.compile(loss="squared_error")  # (a b - 1)^2 / 2 at a = b = 0: the Hessian is [[0, -1], [-1, 0]]
    for weight in pair.named_parameters().values():
        weight[...] = 0.0
    assert_close(extreme_curvatures(pair.bind([[1.0]], [1.0]), pair.named_parameters()), [-1.0, 1.0], 1e-6)


def test_a_minimum_is_no_plateau(backend):
    """A linear network at the best it can do: no gradient, much loss, nothing to say about it."""
    X, _ = lines(0)
    y = np.random.default_rng(1).standard_normal(len(X))
    model = fnn.Sequential([fnn.Dense(1)], input_shape=(X.shape[1],), dtype="float64")
    model.compile(fnn.SGD(1e-3), loss="squared_error")
    best = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), y, rcond=None)[0]
    model.set_weights([best[:-1, np.newaxis], best[-1:]])
    diagnosis = fnn.diagnose(model, X, y, batch_size=len(X))
    assert diagnosis.measurements[0].gradient < 1e-10 and diagnosis.measurements[0].loss > 0.1
    assert not {"plateau", "saddle"} & set(diagnosis.names())


@pytest.mark.parametrize("values", [[], [0.0], [np.nan, np.inf], [3e30] * 5, [1.0, 1.0 + 1e-15], [1, 2, 4]])
def test_histograms_of_odd_values(values):
    counts, edges = measuring._histogram(np.array(values, np.float64))
    assert counts.sum() == np.isfinite(values).sum() and (np.diff(edges) > 0).all() and len(edges) == 41


def test_success_is_no_plateau():
    """Outputs that are right and sure of it have no gradient either."""
    X, _ = lines(0)
    model = network(["tanh"], fnn.Dense(1, "sigmoid", name="last"), 0, loss="squared_error")
    model.layers[-1].bias[...] = 14.0
    assert fnn.diagnose(model, X, np.ones(len(X))).names() == []


# ---- what is told ----

def test_report(backend):
    model, X, y = classifier(["tanh"], 0, kernel_initializer="standard_normal")
    diagnosis = fnn.diagnose(model, X, y)
    text = str(diagnosis)
    finding = diagnosis.findings[0]
    assert not diagnosis.healthy and "1 finding\n" in text
    assert f"{finding.figure:.0%} of the values of tanh are saturated; weights have standard dev" in text
    assert "Xavier would be 0.2" in text and "[0.62" in text
    assert "limit 0.5], at the start and after 50 steps" in text
    assert "why: " in text and "try: glorot_uniform" in text
    assert all(layer in text for layer in ("first", "last")) and len(text.splitlines()[0].split()) > 10
    plain = json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False))
    told = plain["findings"][0]
    assert (told["name"], told["remedy"]) == ("saturated_units", finding.remedy)
    assert plain["measurements"][0]["layers"][1]["saturated"] is None  # there is none
    assert plain["outcome"]["steps"] == 50


def test_divergence_is_told():
    model = network(["tanh"], fnn.Dense(1, name="last"), 0, rate=10.0, loss="squared_error")
    diagnosis = fnn.diagnose(model, *lines(0))
    assert diagnosis.names()[:2] == ["learning_rate_high", "divergence"] and len(diagnosis.measurements) == 1
    assert "divergence" in str(diagnosis) and diagnosis.to_dict()["outcome"]["after"] is None


def test_worst_first_and_own_rules():
    @rule(0.0, "error", why="because it is tested", remedy="nothing", source="this test")
    def always(evidence, limit):
        """Whether the rule was called."""
        yield Found("network", 1.0, "called")

    try:
        model, X, y = classifier(["tanh"], 0, kernel_initializer="standard_normal")
        assert fnn.diagnose(model, X, y).names() == ["always", "saturated_units"]
    finally:
        del RULES["always"]


def test_frozen_layers(backend):
    """What training does not move has no gradient and no steps, and nothing is said of that."""
    X, y = blobs(0)
    layers = [fnn.Dense(30, "tanh", name=name) for name in ("first", "second", "third")]
    layers[0].trainable = False
    model = fnn.Sequential([*layers, softmax()], input_shape=(X.shape[1],))
    model.compile(fnn.SGD(0.1, rate_factors={"third": 0.0}))
    diagnosis = fnn.diagnose(model, X, y)
    assert diagnosis.names() == [] and fnn.sanity_check(model, X, y).passed
    first, second, third, last = diagnosis.measurements[1].layers
    assert math.isnan(first.gradient) and math.isnan(first.delta) and math.isnan(first.update_ratio)
    assert math.isnan(third.update_ratio) and third.gradient > 0 and third.delta > 0
    assert second.update_ratio > 0 < last.update_ratio and first.saturated < 0.5
    for layer in model.layers:
        layer.trainable = False
    model.compile("sgd")
    with pytest.raises(ValueError, match="model: expected layers with parameters that are trained"):
        fnn.diagnose(model, X, y)


def test_bad_arguments():
    model, X, y = classifier(["tanh"], 0)
    with pytest.raises(TypeError, match="steps must be an integer"):
        fnn.diagnose(model, X, y, steps=0.5)
    with pytest.raises(ValueError, match="batch_size"):
        fnn.diagnose(model, X, y, batch_size=0)
    with pytest.raises(ValueError, match="y"):
        fnn.diagnose(model, X, y[:-1])
    with pytest.raises(RuntimeError, match="not compiled"):
        fnn.diagnose(fnn.Sequential([fnn.Dense(2)], input_shape=(3,)), X, y)
    bare = fnn.Sequential([fnn.Activation("tanh")], input_shape=(3,))
    bare.compile(loss="squared_error")
    with pytest.raises(ValueError, match="model: expected layers with parameters"):
        fnn.diagnose(bare, np.ones((4, 3)), np.ones((4, 3)))
