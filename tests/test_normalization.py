"""BatchNorm and LayerNorm as layers: beside PyTorch, what moves running statistics, frozen, in a team."""
import doctest

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close, assert_same_bits
from fastnn.layers import normalization
from fastnn.training import DivergenceError


def model_with(*layers, shape=(6,), dtype="float64", optimizer="sgd", seed=0):
    model = fnn.Sequential([*layers, fnn.Flatten(), fnn.Dense(3, "softmax")], shape, dtype=dtype, seed=seed)
    model.compile(optimizer, "cross_entropy")
    rng = np.random.default_rng(seed)
    for name, parameter in model.named_parameters().items():
        if name.endswith(("gamma", "beta")):
            parameter[...] = rng.standard_normal(parameter.shape)
    return model


def data(n=23, shape=(6,), seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *shape)) * 2 + 1, rng.integers(0, 3, n)


def statistics(model):
    return {name: value for name, value in model.state_dict().items() if "running" in name}


def test_examples():
    assert doctest.testmod(normalization).failed == 0


# ----------------------------------------------------------------------------------------- beside PyTorch

def torch_of(layer, n):
    """PyTorch's layer of the same settings and parameters, float64."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    if isinstance(layer, fnn.BatchNorm):
        peer = torch.nn.BatchNorm1d(n, layer.epsilon, 1 - layer.momentum, layer.scale).double()
    else:
        peer = torch.nn.LayerNorm(n, layer.epsilon, layer.scale).double()
    with torch.no_grad():
        if layer.scale:
            peer.weight.copy_(torch.tensor(layer.gamma))
            peer.bias.copy_(torch.tensor(layer.beta))
    return torch, peer


def relative(got, expected):
    return np.linalg.norm(got - expected) / max(np.linalg.norm(expected), 1e-300)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("make", [
    lambda **affine: fnn.BatchNorm(0.9, 1e-5, unbiased=True, **affine),
    lambda **affine: fnn.LayerNorm(1e-5, **affine)], ids=["batch", "layer"])
def test_beside_pytorch(backend, make, affine):
    """Three steps of SGD through the layer, then inference: values, gradients, running statistics."""
    layer = make(center=affine, scale=affine)
    model = model_with(layer, optimizer=fnn.SGD(0.1))
    torch, peer = torch_of(layer, 6)
    head = torch.nn.Linear(6, 3).double()
    with torch.no_grad():
        head.weight.copy_(torch.tensor(model.layers[-1].weight.T))
        head.bias.copy_(torch.tensor(model.layers[-1].bias))
    step = torch.optim.SGD([*peer.parameters(), *head.parameters()], 0.1)
    for n, seed in ((23, 0), (2, 1), (17, 2)):
        X, y = data(n, seed=seed)
        inputs = torch.tensor(X, requires_grad=True)
        loss = torch.nn.functional.cross_entropy(head(peer(inputs)), torch.tensor(y))
        step.zero_grad()
        loss.backward()
        bound = model.bind(X, y)
        ours = bound.input_gradient()
        assert relative(ours, inputs.grad.numpy()) < 1e-10
        assert abs(model.train_on_batch(X, y)["loss"] - loss.item()) < 1e-10 * loss.item()
        step.step()
    for ours, theirs in ((layer.__dict__.get("gamma"), getattr(peer, "weight", None)),
                         (layer.__dict__.get("beta"), getattr(peer, "bias", None))):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert relative(ours, theirs.detach().numpy()) < 1e-10
    if isinstance(layer, fnn.BatchNorm):
        for name, theirs in (("mean", peer.running_mean), ("variance", peer.running_var)):
            assert relative(model.state_dict()[f"batch_norm.running_{name}"], theirs.numpy()) < 1e-10
    peer.eval()
    X, y = data(11, seed=9)
    for rows in (X, X[:1]):
        theirs = torch.softmax(head(peer(torch.tensor(rows))), 1).detach().numpy()
        assert relative(model.predict(rows), theirs) < 1e-10


# ------------------------------------------------------------------------------------- running statistics

def test_what_moves_running_statistics(backend):
    """Steps of the optimizer do, nothing else."""
    model, (X, y) = model_with(fnn.BatchNorm(0.75)), data()
    assert_same_bits(statistics(model)["batch_norm.running_mean"], np.zeros(6))
    assert_same_bits(statistics(model)["batch_norm.running_variance"], np.ones(6))
    start = statistics(model)
    bound = model.bind(X, y)
    bound.loss(), bound.gradients(), bound.input_gradient(), bound.step()
    model.predict(X), model.evaluate(X, y)
    assert fnn.check_gradients(model, X, y).passed
    fnn.diagnose(model, X, y)
    for name, value in statistics(model).items():
        assert_same_bits(value, start[name], name)
    model.train_on_batch(X, y)
    for name, expected in (("mean", 0.25 * X.mean(0)), ("variance", 0.75 + 0.25 * X.var(0))):
        assert_close(statistics(model)[f"batch_norm.running_{name}"], expected, 1e-14, name)


def test_one_row(backend):
    """Normalised by itself it is zero, and tells nothing of its features; the variance divides by 1."""
    model, (X, y) = model_with(fnn.BatchNorm(0.5, unbiased=True)), data(1)
    assert not model.bind(X, y).input_gradient().any()
    model.train_on_batch(X, y)
    assert_close(statistics(model)["batch_norm.running_variance"], np.full(6, 0.5), 0)


def test_inference_by_running_statistics(backend):
    model, (X, _) = model_with(fnn.BatchNorm(epsilon=0.01)), data()
    rng = np.random.default_rng(1)
    mean, variance = rng.standard_normal(6), rng.uniform(0.5, 2, 6)
    state = model.state_dict() | {"batch_norm.running_mean": mean, "batch_norm.running_variance": variance}
    model.load_state_dict(state)
    layer = model.layers[0]
    z = ((X - mean) / np.sqrt(variance + 0.01) * layer.gamma + layer.beta) @ model.layers[-1].weight
    e = np.exp(z - z.max(1, keepdims=True))
    assert_close(model.predict(X), e / e.sum(1, keepdims=True), 1e-13)
    for i in (0, 5, 22) if backend == "native" else ():  # the same bits alone and in a batch
        assert_same_bits(model.predict(X[i:i + 1])[0], model.predict(X)[i])


def test_large_steps_are_whole(backend):
    """Statistics are of all rows of a step, though narrow networks run large ones in blocks."""
    model, (X, y) = model_with(fnn.BatchNorm(0.0)), data(2500)
    assert model._compiled.block_rows(2500) == 2500
    model.train_on_batch(X, y)
    assert_close(statistics(model)["batch_norm.running_mean"], X.mean(0), 1e-12)


def test_statistics_after_lbfgs(backend):
    """No step moved them: they are gathered from all samples at the end, so that inference sees what was trained."""
    pytest.importorskip("scipy", reason="fit_lbfgs is SciPy's")
    model, (X, y) = model_with(fnn.Dense(5, "tanh"), fnn.BatchNorm(), fnn.Dense(4), fnn.BatchNorm()), data(40)
    fnn.fit_lbfgs(model, X, y, max_iterations=10)
    assert abs(model.evaluate(X, y)["loss"] - model.bind(X, y).loss()) < 1e-12


def test_saved_copied_and_pickled(backend, tmp_path):
    model, (X, y) = model_with(fnn.BatchNorm(0.9, 1e-5, unbiased=True), fnn.LayerNorm(center=False)), data()
    model.fit(X, y, verbose=0)
    model.save(tmp_path / "model.safetensors")
    other = fnn.load(tmp_path / "model.safetensors")
    assert repr(other.layers[0]) == repr(model.layers[0])
    assert_same_bits(other.predict(X), model.predict(X))
    assert_same_bits(model.copy().predict(X), model.predict(X))


def test_frozen(backend):
    """A frozen layer trains as at inference, and nothing of it moves; its input's gradient passes."""
    layer = fnn.BatchNorm()
    model, (X, y) = model_with(fnn.Dense(6, "tanh"), layer), data()
    model.fit(X, y, verbose=0)
    layer.trainable = False
    model.compile("sgd", "cross_entropy")
    before = {name: value for name, value in model.state_dict().items() if "batch_norm" in name}
    probability = model.predict(X)[np.arange(len(X)), y]
    assert abs(model.bind(X, y).loss() + np.log(probability).mean()) < 1e-12
    assert fnn.check_gradients(model, X, y).passed
    model.fit(X, y, verbose=0)
    for name, value in before.items():
        assert_same_bits(model.state_dict()[name], value, name)


def test_frozen_without_parameters(backend):
    layer = fnn.BatchNorm(center=False, scale=False)
    layer.trainable = False
    model, (X, y) = model_with(layer), data()
    model.fit(X, y, verbose=0)
    assert not statistics(model)["batch_norm.running_mean"].any()


def test_divergence_puts_statistics_back(backend):
    """The layer below explodes, so that the variance overflows; statistics were snapshot with the weights."""
    model, (X, y) = model_with(fnn.Dense(5), fnn.BatchNorm(), optimizer=fnn.SGD(1e200)), data()
    with pytest.raises(DivergenceError):
        model.fit(X, y, epochs=5, verbose=0, shuffle=False)
    assert all(np.isfinite(value).all() for value in model.state_dict().values())
    assert all(value.any() for value in statistics(model).values())  # of a step that was good


# ------------------------------------------------------------------------------------------------ threads

@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_in_a_team(native, team, dtype):
    def trained(n):
        team(n)
        layers = [fnn.Dense(40, use_bias=False), fnn.BatchNorm(), fnn.Activation("relu"), fnn.Dense(33),
                  fnn.LayerNorm(), fnn.Activation("tanh")]
        model, (X, y) = model_with(*layers, dtype=dtype), data(70)
        model.fit(X, y, batch_size=32, epochs=3, verbose=0)
        return model.state_dict() | {"y": model.predict(X)}

    one, two = trained(1), trained(2)
    for name, value in one.items():
        assert_same_bits(two[name], value, name)


@pytest.mark.parametrize("settings, message", [
    ({"momentum": 1.0}, "momentum must be a fraction"), ({"epsilon": 0.0}, "epsilon"),
    ({"center": 1}, "center"), ({"unbiased": "yes"}, "unbiased")])
def test_bad_settings(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fnn.BatchNorm(**settings)
