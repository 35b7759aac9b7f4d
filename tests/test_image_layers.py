"""Layers of images and sequences beside PyTorch in float64, values and gradients; what acts in training only."""
import doctest

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_close, assert_same_bits
from fastnn import functional as F
from fastnn.layers import augmentation, average_pooling, elementwise, images

IMAGE, SEQUENCE = (7, 6, 4), (9, 4)
MODULES = (augmentation, average_pooling, elementwise, images)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_examples(module):
    assert doctest.testmod(module).failed == 0


def model_of(*layers, shape=IMAGE, dtype="float64", seed=0, **settings):
    """Layers and a dense one; gammas and betas are not 1 and 0."""
    model = fnn.Sequential([*layers, fnn.Flatten(), fnn.Dense(3, "softmax")], shape, dtype=dtype, seed=seed)
    model.compile(fnn.SGD(0.1), "cross_entropy", **settings)
    rng = np.random.default_rng(seed)
    for name, parameter in model.named_parameters().items():
        if name.endswith(("gamma", "beta")):
            parameter[...] = rng.standard_normal(parameter.shape)
    return model


def data(n, shape=IMAGE, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *shape)) + 0.5, rng.integers(0, 3, n)


def relative(got, expected):
    return np.linalg.norm(got - expected) / max(np.linalg.norm(expected), 1e-300)


# ----------------------------------------------------------------------------------------- beside PyTorch

def first(x):
    """(n, ..., channels) as PyTorch has it, channels first."""
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def batch_norm(torch, layer, n):
    peer = (torch.nn.BatchNorm2d if len(layer.input_shape) == 3 else torch.nn.BatchNorm1d)(
        n, layer.epsilon, 1 - layer.momentum)
    return peer, lambda x: last(peer(first(x)))


def group_norm(torch, layer, n):
    peer = torch.nn.GroupNorm(layer.groups, n, layer.epsilon)
    return peer, lambda x: last(peer(first(x)))


def instance_norm(torch, layer, n):
    peer = torch.nn.InstanceNorm2d(n, layer.epsilon, affine=True)

    def alone(x):  # of one image, where PyTorch 2.14 has a wrong gradient of instance norm if dy is channels last
        return torch.nn.functional.group_norm(x, n, peer.weight, peer.bias, layer.epsilon)

    return peer, lambda x: last(alone(first(x)) if len(x) == 1 else peer(first(x)))


def layer_norm(torch, layer, n):
    peer = torch.nn.LayerNorm(layer.gamma.shape, layer.epsilon)
    return peer, peer


def plain(function):
    return lambda torch, layer, n: (None, lambda x: function(torch, x))


def average(**settings):
    return plain(lambda torch, x: last(torch.nn.functional.avg_pool2d(first(x), **settings)))


PEERS = {
    "batch norm": (lambda: fnn.BatchNorm(0.9, 1e-5, unbiased=True), batch_norm, IMAGE),
    "batch norm in time": (lambda: fnn.BatchNorm(0.9, 1e-5, unbiased=True), batch_norm, SEQUENCE),
    "group norm": (lambda: fnn.GroupNorm(2, 1e-5), group_norm, IMAGE),
    "instance norm": (lambda: fnn.GroupNorm(-1, 1e-5), instance_norm, IMAGE),
    "layer norm of pixels": (lambda: fnn.LayerNorm(1e-5), layer_norm, IMAGE),
    "layer norm of images": (lambda: fnn.LayerNorm(1e-5, axis=(1, 2, 3)), layer_norm, IMAGE),
    "layer norm in time": (lambda: fnn.LayerNorm(1e-5), layer_norm, SEQUENCE),
    "average pool": (lambda: fnn.AveragePool2D((2, 3)), average(kernel_size=(2, 3)), IMAGE),
    "average pool counted": (lambda: fnn.AveragePool2D(3, 2, 1, count_padding=True),
                             average(kernel_size=3, stride=2, padding=1), IMAGE),
    "average pool, padding": (lambda: fnn.AveragePool2D(3, (1, 2), 1),
                              average(kernel_size=3, stride=(1, 2), padding=1, count_include_pad=False), IMAGE),
    "average pool 1d": (lambda: fnn.AveragePool1D(4, 2), plain(
        lambda torch, x: last(torch.nn.functional.avg_pool1d(first(x), 4, 2))), SEQUENCE),
    "global average pool": (lambda: fnn.GlobalAveragePool2D(), plain(lambda torch, x: x.mean((1, 2))), IMAGE),
    "global max pool": (lambda: fnn.GlobalMaxPool2D(), plain(lambda torch, x: x.amax((1, 2))), IMAGE),
    "global average pool 1d": (lambda: fnn.GlobalAveragePool1D(), plain(lambda torch, x: x.mean(1)), SEQUENCE),
    "global max pool 1d": (lambda: fnn.GlobalMaxPool1D(), plain(lambda torch, x: x.amax(1)), SEQUENCE),
    "zero padding": (lambda: fnn.ZeroPadding2D(((1, 2), (0, 3))), plain(
        lambda torch, x: torch.nn.functional.pad(x, (0, 0, 0, 3, 1, 2))), IMAGE),
    "cropping": (lambda: fnn.Cropping2D(((1, 2), (0, 3))), plain(lambda torch, x: x[:, 1:5, :3]), IMAGE),
    "up-sampling": (lambda: fnn.UpSampling2D((2, 3)), plain(
        lambda torch, x: last(torch.nn.functional.interpolate(first(x), scale_factor=(2.0, 3.0)))), IMAGE),
    "up-sampling, bilinear": (lambda: fnn.UpSampling2D((3, 2), "bilinear"), plain(
        lambda torch, x: last(torch.nn.functional.interpolate(
            first(x), scale_factor=(3.0, 2.0), mode="bilinear", align_corners=False))), IMAGE),
    "reshape": (lambda: fnn.Reshape((6, -1)), plain(lambda torch, x: x.reshape(len(x), 6, -1)), IMAGE),
}


@pytest.mark.parametrize("name", PEERS)
def test_beside_pytorch(backend, name):
    """Steps of SGD on several batches: loss, inputs' gradients, parameters and running statistics; then inference."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    make, peer_of, shape = PEERS[name]
    layer = make()
    model = model_of(layer, shape=shape)
    peer, function = peer_of(torch, layer, shape[-1])
    head = torch.nn.Linear(*model.layers[-1].weight.shape).double()
    pairs = [(head.weight, model.layers[-1].weight.T), (head.bias, model.layers[-1].bias)]
    if peer is not None:
        peer.double()
        pairs += [(peer.weight, layer.gamma), (peer.bias, layer.beta)]
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(torch.tensor(np.array(ours)))
    step = torch.optim.SGD([theirs for theirs, _ in pairs], 0.1)
    for n, seed in ((19, 0), (1, 1), (16, 2)):
        X, y = data(n, shape, seed)
        inputs = torch.tensor(X, requires_grad=True)
        loss = torch.nn.functional.cross_entropy(head(function(inputs).flatten(1)), torch.tensor(y))
        step.zero_grad()
        loss.backward()
        assert relative(model.bind(X, y).input_gradient(), inputs.grad.numpy()) < 1e-10
        assert abs(model.train_on_batch(X, y)["loss"] - loss.item()) < 1e-10 * loss.item()
        step.step()
        for theirs, ours in pairs:
            assert relative(ours, theirs.detach().numpy()) < 1e-10
    if isinstance(layer, fnn.BatchNorm):
        state = model.state_dict()
        assert relative(state["batch_norm.running_mean"], peer.running_mean.numpy()) < 1e-10
        assert relative(state["batch_norm.running_variance"], peer.running_var.numpy()) < 1e-10
        peer.eval()
    X, _ = data(18, shape, 9)
    for rows in (X, X[:1]):
        theirs = torch.softmax(head(function(torch.tensor(rows)).flatten(1)), 1).detach().numpy()
        assert relative(model.predict(rows), theirs) < 1e-10


# --------------------------------------------------------------------------------------- beyond PyTorch

def test_average_pool_same_counts_pixels(backend):
    """Keras's "same": a mean of the pixels that are there."""
    x = np.arange(9.0).reshape(1, 3, 3, 1)
    model = fnn.Sequential([fnn.AveragePool2D(2, padding="same"), fnn.Flatten()], (3, 3, 1), dtype="float64")
    assert_close(model.predict(x).ravel(), [2.0, 3.5, 6.5, 8.0], 1e-14)


class NonZero(fnn.Layer):
    """Masks steps of zeros, in plain Python."""

    layouts = ("time",)

    def forward(self, builder, x, *, activate=True):
        def look(x, y, mask):
            y[...], mask[...] = x, (x != 0).any(axis=1)

        y, mask = builder.like(x), builder.arena(("BT",))
        builder.emit_host(look, [x], [y, mask])
        builder.set_mask(y, mask)
        return y

    def backward(self, builder, dy, *, need_dx):
        return dy


def test_masked_steps_do_not_count(backend, monkeypatch):
    """BatchNorm and the pools over time see what the mask leaves: sequences filled up to one length."""
    rng, n_steps = np.random.default_rng(0), np.array([5, 3, 1])
    X, y = rng.standard_normal((3, 5, 2)) + 3, np.array([0, 1, 2])
    there = np.arange(5) < n_steps[:, np.newaxis]
    X[~there] = 0
    monkeypatch.setitem(fnn.layers.LAYERS, "NonZero", NonZero)
    layers = [NonZero(), fnn.BatchNorm(0.0, 1e-6), fnn.GlobalAveragePool1D()]
    model = fnn.Sequential([*layers, fnn.Dense(3, "softmax")], (5, 2), dtype="float64")
    model.compile(fnn.SGD(0.1), "cross_entropy")
    assert fnn.check_gradients(model, X, y, inputs=False).passed
    model.train_on_batch(X, y)
    state = model.state_dict()
    assert_close(state["batch_norm.running_mean"], X[there].mean(0), 1e-14)
    assert_close(state["batch_norm.running_variance"], X[there].var(0), 1e-14)
    means = [NonZero(), fnn.GlobalAveragePool1D()]
    got = fnn.Sequential(means, (5, 2), dtype="float64").predict(X)
    assert_close(got, np.stack([x[:n].mean(0) for x, n in zip(X, n_steps, strict=True)]), 1e-14)
    largest = fnn.Sequential([NonZero(), fnn.GlobalMaxPool1D()], (5, 2), dtype="float64").predict(-X)
    assert_close(largest, np.stack([(-x[:n]).max(0) for x, n in zip(X, n_steps, strict=True)]), 0)


def test_rows_and_their_order_in_a_batch_do_not_matter(native):
    """What looks at one image gives the same bits alone and in a batch, on the core."""
    for dtype in ("float32", "float64"):
        layers = [fnn.GroupNorm(2), fnn.AveragePool2D(2), fnn.UpSampling2D(2, "bilinear"),
                  fnn.LayerNorm(axis=(1, 2, 3)), fnn.BatchNorm(), fnn.ZeroPadding2D(1), fnn.GlobalAveragePool2D()]
        model, (X, _) = model_of(*layers, dtype=dtype), data(19)
        whole = model.predict(X)
        for i in (0, 7, 18):
            assert_same_bits(model.predict(X[i:i + 1])[0], whole[i])


# ------------------------------------------------------------------------------------------ augmentation

MAKES = {"flip": lambda **s: fnn.RandomFlip("horizontal_and_vertical", **s),
         "shift": lambda **s: fnn.RandomShift(2, 1, 0.5, **s),
         "rotation": lambda **s: fnn.RandomRotation(20.0, 0.5, **s)}
FUNCTIONS = {"flip": lambda x, **s: F.random_flip(x, True, True, **s),
             "shift": lambda x, **s: F.random_shift(x, (2, 1), 0.5, **s),
             "rotation": lambda x, **s: F.random_rotation(x, 20.0, 0.5, **s)}


@pytest.mark.parametrize("name", MAKES)
def test_augmentation_acts_in_training_only(backend, name):
    """There by what the functions draw for the model's seed, update and layer; the loss tells."""
    X, y = data(9)
    model, plain_model = model_of(MAKES[name](), seed=5), model_of(seed=5)
    plain_model.set_weights(model.get_weights())
    assert_same_bits(model.predict(X), plain_model.predict(X))
    assert model.evaluate(X, y) == plain_model.evaluate(X, y)
    for update in (1, 2):
        model.update_count = update - 1
        changed = FUNCTIONS[name](X, seed=5, update=update)
        assert (changed != X).any()
        assert_close(model.bind(X, y).loss(), plain_model.bind(changed, y).loss(), 1e-13)
    other = model_of(MAKES[name](seed=8), seed=5)
    other.set_weights(model.get_weights())
    changed = FUNCTIONS[name](X, seed=8)
    assert_close(other.bind(X, y).loss(), plain_model.bind(changed, y).loss(), 1e-13)


# ------------------------------------------------------------------------------------------------ threads

STACKS = {
    "norms": lambda: [fnn.BatchNorm(), fnn.GroupNorm(2), fnn.LayerNorm(), fnn.LayerNorm(axis=(1, 2, 3))],
    "pools": lambda: [fnn.AveragePool2D(3, 1, "same"), fnn.UpSampling2D(2, "bilinear"), fnn.AveragePool2D(2),
                      fnn.ZeroPadding2D(1), fnn.Cropping2D(2), fnn.GlobalMaxPool2D()],
    "augmentation": lambda: [make() for make in MAKES.values()],
    "average": lambda: [fnn.GlobalAveragePool2D()],
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", STACKS)
def test_same_bits_in_a_team(native, team, name, dtype):
    def trained(n):
        team(n)
        model, (X, y) = model_of(*STACKS[name](), dtype=dtype), data(70)
        model.fit(X, y, batch_size=37, epochs=2, verbose=0)
        return model.state_dict() | {"y": model.predict(X), "dx": model.bind(X, y).input_gradient()}

    one, two = trained(1), trained(2)
    for key, value in one.items():
        assert_same_bits(two[key], value, key)


@pytest.mark.parametrize("name", STACKS)
def test_saved_and_copied(backend, name, tmp_path):
    model, (X, y) = model_of(*STACKS[name]()), data(9)
    model.fit(X, y, verbose=0)
    model.save(tmp_path / "model.safetensors")
    loaded = fnn.load(tmp_path / "model.safetensors")
    assert [repr(a) for a in loaded.layers] == [repr(a) for a in model.layers]
    assert_same_bits(loaded.predict(X), model.predict(X))


@pytest.mark.parametrize("make, shape, message", [
    (lambda: fnn.GroupNorm(3), IMAGE, "divisor of the 4 channels"), (lambda: fnn.GroupNorm(2), SEQUENCE, "GroupNorm"),
    (lambda: fnn.LayerNorm(axis=1), IMAGE, "axis"), (lambda: fnn.LayerNorm(axis=(1, 2)), SEQUENCE, "axis"),
    (lambda: fnn.AveragePool2D(9), IMAGE, "does not fit"), (lambda: fnn.AveragePool2D(2), SEQUENCE, "AveragePool2D"),
    (lambda: fnn.AveragePool2D(2, padding=2), IMAGE, "padding"), (lambda: fnn.Cropping2D(4), IMAGE, "leave a pixel"),
    (lambda: fnn.ZeroPadding2D("same"), IMAGE, "padding"), (lambda: fnn.Cropping2D(-1), IMAGE, "cropping"),
    (lambda: fnn.UpSampling2D(2, "cubic"), IMAGE, "interpolation"), (lambda: fnn.UpSampling2D(0), IMAGE, "size"),
    (lambda: fnn.Reshape((5, -1)), IMAGE, "168 values"), (lambda: fnn.Reshape((-1, -1)), IMAGE, "at most one -1"),
    (lambda: fnn.RandomFlip("diagonal"), IMAGE, "mode"), (lambda: fnn.RandomShift(-1), IMAGE, "height"),
    (lambda: fnn.RandomRotation(-5.0), IMAGE, "degrees"), (lambda: fnn.GlobalMaxPool1D(), IMAGE, "GlobalMaxPool1D"),
    (lambda: fnn.GlobalAveragePool2D(), SEQUENCE, "GlobalAveragePool2D"),
])
def test_what_does_not_fit(make, shape, message):
    with pytest.raises((ValueError, TypeError), match=message):
        model_of(make(), shape=shape)
