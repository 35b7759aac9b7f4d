"""Models as graphs: residual, shared, several inputs and outputs, against NumPy written by hand; step by step."""
import pickle

import numpy as np
import pytest

import fastnn as fnn
from cases import LAYER_CASES, model_of, samples_of
from conftest import assert_same_bits
from fastnn.compilation import Entry
from fastnn.program import Space

N = 7
RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((N, 4)), RNG.standard_normal((N, 3))
LABELS, NUMBERS = np.arange(N) % 3, RNG.standard_normal((N, 2))
TOLERANCE = 1e-12  # of float64: sums of some ten terms of about 1, a few layers deep


# ------------------------------------------------------------------------------- the models, and NumPy for each

def softmax_loss(z, labels):
    """Mean cross-entropy after softmax, its slope for z."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(z))
    return -np.log(p[rows, labels]).mean(), (p - np.eye(z.shape[1])[labels]) / len(z), p


def residual():
    x = fnn.Input((4,))
    h = fnn.Dense(5, "tanh", name="first")(x)
    h = fnn.Add()([h, fnn.Dense(5, "relu", name="change")(h)])
    model = fnn.Model(x, fnn.Dense(3, "softmax", name="last")(h), "float64", seed=1)
    model.compile("adam", "cross_entropy", ["accuracy"])
    return model, A, LABELS


def residual_by_hand(w, x, labels):
    h = np.tanh(x @ w["first.weight"] + w["first.bias"])
    z = h @ w["change.weight"] + w["change.bias"]
    r = h + np.maximum(z, 0)
    loss, dy, p = softmax_loss(r @ w["last.weight"] + w["last.bias"], labels)
    dr = dy @ w["last.weight"].T
    dz = dr * (z > 0)
    dh = dr + dz @ w["change.weight"].T  # from two places
    da = dh * (1 - h ** 2)
    return loss, p, da @ w["first.weight"].T, {
        "first.weight": x.T @ da, "first.bias": da.sum(0), "change.weight": h.T @ dz, "change.bias": dz.sum(0),
        "last.weight": r.T @ dy, "last.bias": dy.sum(0)}


def shared():
    """One layer called on both inputs, and on its own output."""
    a, b = fnn.Input((4,), "a"), fnn.Input((4,), "b")
    layer = fnn.Dense(4, "tanh", name="shared")
    product = fnn.Multiply()([layer(a), layer(layer(b))])
    model = fnn.Model([a, b], fnn.Dense(2, name="out")(product), "float64", seed=2)
    model.compile("adam", "squared_error")
    return model, [A, A[::-1] + 1], NUMBERS


def shared_by_hand(w, X, t):
    a, b = X
    W, c = w["shared.weight"], w["shared.bias"]
    left, inner = np.tanh(a @ W + c), np.tanh(b @ W + c)
    right = np.tanh(inner @ W + c)
    m = left * right
    y = m @ w["out.weight"] + w["out.bias"]
    dy = (y - t) / len(a)
    dm = dy @ w["out.weight"].T
    d_left, d_right = dm * right * (1 - left ** 2), dm * left * (1 - right ** 2)
    d_inner = d_right @ W.T * (1 - inner ** 2)
    return 0.5 * ((y - t) ** 2).sum() / len(a), y, (d_left @ W.T, d_inner @ W.T), {
        "shared.weight": a.T @ d_left + inner.T @ d_right + b.T @ d_inner,
        "shared.bias": (d_left + d_right + d_inner).sum(0), "out.weight": m.T @ dy, "out.bias": dy.sum(0)}


def joined():
    """Two inputs side by side, one of them seen twice."""
    a, b = fnn.Input((4,), "a"), fnn.Input((3,), "b")
    h = fnn.Dense(5, "sigmoid", name="hidden")(fnn.Concatenate()([a, b]))
    model = fnn.Model([a, b], fnn.Dense(2, name="out")(fnn.Concatenate()([h, a])), "float64", seed=3)
    model.compile("adam", "squared_error")
    return model, [A, B], NUMBERS


def joined_by_hand(w, X, t):
    a, b = X
    x = np.concatenate([a, b], axis=1)
    h = 1 / (1 + np.exp(-(x @ w["hidden.weight"] + w["hidden.bias"])))
    wide = np.concatenate([h, a], axis=1)
    y = wide @ w["out.weight"] + w["out.bias"]
    dy = (y - t) / len(a)
    d_wide = dy @ w["out.weight"].T
    dz = d_wide[:, :5] * h * (1 - h)
    dx = dz @ w["hidden.weight"].T
    return 0.5 * ((y - t) ** 2).sum() / len(a), y, (dx[:, :4] + d_wide[:, 5:], dx[:, 4:]), {
        "hidden.weight": x.T @ dz, "hidden.bias": dz.sum(0), "out.weight": wide.T @ dy, "out.bias": dy.sum(0)}


def two_outputs():
    x = fnn.Input((4,))
    h = fnn.Dense(5, "tanh", name="hidden")(x)
    kind, size = fnn.Dense(3, "softmax", name="kind")(h), fnn.Dense(2, name="size")(h)
    model = fnn.Model(x, [kind, size], "float64", seed=4)
    model.compile("adam", {"size": "squared_error", "kind": "cross_entropy"},
                  loss_weights={"kind": 2.0, "size": 0.5}, metrics={"kind": ["accuracy"]})
    return model, A, [LABELS, NUMBERS]


def two_outputs_by_hand(w, x, targets):
    labels, t = targets
    h = np.tanh(x @ w["hidden.weight"] + w["hidden.bias"])
    loss, dk, p = softmax_loss(h @ w["kind.weight"] + w["kind.bias"], labels)
    y = h @ w["size.weight"] + w["size.bias"]
    dk, ds = 2.0 * dk, 0.5 * (y - t) / len(x)
    da = (dk @ w["kind.weight"].T + ds @ w["size.weight"].T) * (1 - h ** 2)
    total = 2.0 * loss + 0.5 * 0.5 * ((y - t) ** 2).sum() / len(x)
    return total, (p, y), da @ w["hidden.weight"].T, {
        "hidden.weight": x.T @ da, "hidden.bias": da.sum(0), "kind.weight": h.T @ dk, "kind.bias": dk.sum(0),
        "size.weight": h.T @ ds, "size.bias": ds.sum(0)}


CASES = {"residual": (residual, residual_by_hand), "shared": (shared, shared_by_hand),
         "joined": (joined, joined_by_hand), "two outputs": (two_outputs, two_outputs_by_hand)}
each_case = pytest.mark.parametrize("name", CASES)


def parts(value):
    return value if isinstance(value, (tuple, list)) else [value]


def near(got, expected, what):
    for one, other in zip(parts(got), parts(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, err_msg=what)


# ------------------------------------------------------------------------------------------ values and gradients

@each_case
def test_against_numpy(backend, name):
    make, by_hand = CASES[name]
    model, X, y = make()
    for layer in model.layers:
        if layer.segments:
            layer.bias[...] = np.linspace(-0.2, 0.3, layer.bias.size)
    loss, outputs, dX, gradients = by_hand(model.state_dict(), X, y)
    near(model.predict(X), outputs, "outputs")
    near(model.evaluate(X, y)["loss"], loss, "loss")
    bound = model.bind(X, y)
    near(bound.loss(), loss, "loss as in training")
    got = bound.gradients()
    assert got.keys() == gradients.keys()
    for key, gradient in gradients.items():
        near(got[key], gradient, key)
    near(bound.input_gradient(), dX, "gradient of the inputs")


@each_case
def test_rows_of_weight_zero_are_not_there(backend, name):
    make, by_hand = CASES[name]
    model, X, y = make()
    kept = np.arange(N) % 2 == 0

    def some(value):
        return [array[kept] for array in value] if isinstance(value, list) else value[kept]

    loss, _, _, gradients = by_hand(model.state_dict(), some(X), some(y))
    value, got = model.bind(X, y, kept.astype(float)).loss_and_gradients()
    near(value, loss, "loss")
    for key, gradient in gradients.items():
        near(got[key], gradient, key)


@each_case
def test_a_step_of_sgd(backend, name):
    make, by_hand = CASES[name]
    model, X, y = make()
    model.compile(fnn.SGD(0.1), *model._compile_settings())
    before = model.state_dict()
    loss, _, _, gradients = by_hand(before, X, y)
    near(model.train_on_batch(X, y)["loss"], loss, "loss")
    for key, w in model.state_dict().items():
        near(w, before[key] - 0.1 * gradients[key], key)


def test_losses_of_each_output(backend):
    model, X, y = two_outputs()
    results = model.evaluate(X, y)
    assert set(results) == {"loss", "kind_loss", "size_loss", "kind_accuracy"}
    assert results["loss"] == pytest.approx(2 * results["kind_loss"] + 0.5 * results["size_loss"], rel=1e-14)
    by_name = model.evaluate(X, {"size": y[1], "kind": y[0]})
    assert by_name == results
    for none, left in (("kind", "size"), ("size", "kind")):
        model.compile("sgd", {"size": "squared_error", "kind": "cross_entropy"}, loss_weights={none: 0.0})
        gradients = model.bind(X, y).gradients()
        assert not gradients[f"{none}.weight"].any() and gradients[f"{left}.weight"].any()


# ------------------------------------------------------------------------------- threads, blocks, copies, files

@each_case
def test_bits_do_not_depend_on_threads(native, team, name):
    results = []
    for n in (1, 2):
        team(n)
        model, X, y = CASES[name][0]()
        X, y = ([np.tile(a, (30, 1)) if a.ndim > 1 else np.tile(a, 30) for a in parts(v)] for v in (X, y))
        model.fit(X if len(X) > 1 else X[0], y if len(y) > 1 else y[0], batch_size=64, epochs=2, verbose=0)
        results.append(model.state_dict())
    for key, array in results[0].items():
        assert_same_bits(array, results[1][key], key)


@each_case
def test_a_row_alone_is_the_same_as_among_others(native, name):
    model, X, _ = CASES[name][0]()
    whole = parts(model.predict(X))
    for i in range(N):
        alone = parts(model.predict([a[i:i + 1] for a in X] if isinstance(X, list) else X[i:i + 1]))
        for one, several in zip(alone, whole, strict=True):
            assert_same_bits(one[0], several[i])


@each_case
def test_copies_pickles_and_files(backend, name, tmp_path):
    model, X, y = CASES[name][0]()
    model.fit(X, y, batch_size=3, epochs=2, verbose=0)
    path = tmp_path / "model.safetensors"
    model.save(path)
    others = [model.copy(), pickle.loads(pickle.dumps(model)), fnn.load(path)]
    outputs = parts(model.predict(X))
    model.fit(X, y, batch_size=3, epochs=2, verbose=0)
    for other in others:
        assert type(other) is fnn.Model and other.get_config() == model.get_config()
        for got, expected in zip(parts(other.predict(X)), outputs, strict=True):
            assert_same_bits(got, expected)
        other.fit(X, y, batch_size=3, epochs=2, verbose=0)
        for key, array in model.state_dict().items():
            assert_same_bits(other.state_dict()[key], array, key)
    assert fnn.Model.from_config(model.get_config()).predict(X) is not None


@each_case
def test_both_backends_agree(native, name):
    results = []
    for backend in ("native", "numpy"):
        with fnn.use_backend(backend):
            model, X, y = CASES[name][0]()
            model.compile(fnn.SGD(0.1), *model._compile_settings())
            model.fit(X, y, batch_size=3, epochs=3, verbose=0)
            results.append(model.state_dict())
    for key, array in results[0].items():
        near(array, results[1][key], key)


# --------------------------------------------------------------------------------------------------- step by step

def quartic(output, target):
    error = output - target
    return 0.25 * (error ** 4).sum(axis=1), error ** 3


def deep(optimizer, dtype):
    """Everything that a step may do: statistics, dropout, penalties, a frozen layer, a residual sum."""
    x = fnn.Input((4,))
    h = fnn.Dense(6, "gelu", name="low")(x)
    h = fnn.BatchNorm()(h)
    change = fnn.Dropout(0.3)(fnn.Dense(6, "tanh", name="frozen")(h))
    y = fnn.Dense(2, kernel_regularizer=fnn.L2(0.01), kernel_constraint=fnn.MaxNorm(0.8))(fnn.Add()([h, change]))
    model = fnn.Model(x, y, dtype, seed=5)
    model.get_layer("frozen").trainable = False
    model.compile(optimizer, quartic)
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", [*fnn.optimizers.OPTIMIZERS, fnn.Adam(0.01, global_clipnorm=0.1),
                                       fnn.SGD(0.1, clipvalue=0.01, weight_decay=0.1)], ids=str)
def test_step_by_step_is_train_on_batch(backend, optimizer, dtype):
    """Bit for bit, with 16 rows: to divide by their number makes no rounding error."""
    model, own = deep(optimizer, dtype), deep(optimizer, dtype)
    rng = np.random.default_rng(1)
    for _ in range(4):
        X = rng.standard_normal((16, 4)).astype(dtype)
        t = rng.standard_normal((16, 2)).astype(dtype)
        model.train_on_batch(X, t)
        own.backward(quartic(own.forward(X), t)[1] / 16)
        own.step()
    assert own.update_count == model.update_count == 4
    for key, array in model.state_dict().items():  # running statistics too
        assert_same_bits(own.state_dict()[key], array, key)
    for mine, theirs in zip(own.snapshot()["states"], model.snapshot()["states"], strict=True):
        for key, array in theirs.items():
            assert_same_bits(mine[key], array, key)


@each_case
def test_step_by_step_through_graphs(backend, name):
    """The gradients that the losses have for the outputs give the same gradients of everything."""
    make, by_hand = CASES[name]
    model, X, y = make()
    _, outputs, dX, gradients = by_hand(model.state_dict(), X, y)
    got = model.forward(X)
    near(got, outputs, "outputs")
    if name == "residual":
        dy = -np.eye(3)[y] / got / N
    elif name == "two outputs":
        dy = [-2 * np.eye(3)[y[0]] / got[0] / N, 0.5 * (got[1] - y[1]) / N]
    else:
        dy = (got - y) / N
    near(model.backward(dy), dX, "gradient of the inputs")
    for key, gradient in gradients.items():
        near(model.named_gradients()[key], gradient, key)


def test_gradients_of_several_batches_add_up(backend):
    model = deep("adam", "float64")
    model.layers[1].trainable = False  # statistics of one batch are not those of two
    model.compile("adam", loss=None)
    X, dy = np.random.default_rng(0).standard_normal((8, 4)), np.ones((8, 2))
    parts_ = []
    for start in (0, 4):
        model.forward(X[start:start + 4])
        model.backward(dy[start:start + 4])
        parts_.append({key: g.copy() for key, g in model.named_gradients().items()})
    for start in (0, 4):
        model.forward(X[start:start + 4])
        model.backward(dy[start:start + 4], accumulate=start > 0)
    for key, gradient in model.named_gradients().items():
        assert_same_bits(gradient, parts_[0][key] + parts_[1][key], key)


def test_frozen_gives_the_inputs_gradient_alone(backend):
    model = deep("sgd", "float64")
    X, dy = np.random.default_rng(0).standard_normal((8, 4)), np.ones((8, 2))
    outputs = model.forward(X)
    dX = model.backward(dy)
    kept = model.state_dict(), {key: g.copy() for key, g in model.named_gradients().items()}
    assert_same_bits(model.forward(X, frozen=True), outputs)
    assert_same_bits(model.backward(2 * dy), 2 * dX)
    for before, now in zip(kept, (model.state_dict(), model.named_gradients()), strict=True):
        for key, array in now.items():
            assert_same_bits(array, before[key], key)


@pytest.mark.parametrize("case", LAYER_CASES, ids=lambda case: case.name)
def test_every_layer_frozen(backend, case):
    """The same outputs and gradients of the inputs, with no op that makes gradients of parameters alone."""
    model, (X, _) = model_of(case), samples_of(case, 5)
    before, outputs = model.snapshot(), parts(model.forward(X))
    dy = [np.random.default_rng(1).standard_normal(y.shape) for y in outputs]
    dX = parts(model.backward(dy if len(dy) > 1 else dy[0]))
    model.restore(before)  # running statistics, and what layers carry from step to step
    kept = model.state_dict(), {key: g.copy() for key, g in model.named_gradients().items()}
    for got, expected in zip(parts(model.forward(X, frozen=True)), outputs, strict=True):
        assert_same_bits(got, expected)
    for got, expected in zip(parts(model.backward(dy if len(dy) > 1 else dy[0])), dX, strict=True):
        assert got is expected is None or (got == expected).all()
    for now, was in zip((model.state_dict(), model.named_gradients()), kept, strict=True):
        for key, array in now.items():
            assert_same_bits(array, was[key], key)
    program = model._compiled.programs[Entry("forward", outputs=True, dx=True, part="inputs")]
    assert not any(o.writes and all(a.space is Space.GRADIENT for a in o.writes) for o in program.ops)
