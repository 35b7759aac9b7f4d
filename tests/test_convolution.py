"""Convolutions and maximum pooling as layers: against PyTorch, fused and not, on any team, in bounded memory."""
import itertools

import numpy as np
import pytest

import fastnn as fnn
from conftest import assert_same_bits
from fastnn import passes
from fastnn.backends import Pass
from fastnn.catalogue_conv import CONVOLUTIONS
from fastnn.compilation import Entry


def gradients(layer, shape, x, dy=None):
    """y, dx and the parameters and their gradients of a layer alone, in float64; dy is drawn where None."""
    model = fnn.Sequential([layer], shape, dtype="float64", seed=1)
    model.compile(fnn.SGD(0.1), loss=None)
    rng = np.random.default_rng(2)
    for name, array in model.named_parameters().items():
        if name.endswith("bias"):
            array[...] = rng.standard_normal(array.shape)
    y = model.forward(x)
    dy = rng.standard_normal(y.shape) if dy is None else dy
    dx = model.backward(dy)
    own = {name.rpartition(".")[2]: a.copy() for name, a in model.named_parameters().items()}
    return y, dy, dx, own, {name.rpartition(".")[2]: a.copy() for name, a in model.named_gradients().items()}


def assert_relatively_close(got, expected, what):
    error = np.abs(got - expected).max() / max(1.0, np.abs(expected).max())
    assert got.shape == expected.shape and error < 1e-10, f"{what}: relative error {error:.2g}"


def images(torch, a):
    """(n, h, w, c) as PyTorch's (n, c, h, w), with a gradient."""
    return torch.tensor(np.moveaxis(a, -1, 1).copy(), requires_grad=True)


def plain(tensor):
    """The other way."""
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


# batch, (h, w), c, filters, kernel, strides, padding, dilation, groups
SHAPES = [*((b, size, 3, 4, k, s, p, 1, 1) for b, size, k, s, p in itertools.product(
    (1, 17), ((7, 6),), (1, (3, 2)), (1, (2, 3)), ("valid", "same", ((1, 2), (0, 1))))),
    (1, (9, 9), 1, 1, 3, 1, "valid", 2, 1), (3, (11, 8), 2, 6, (2, 3), 2, "same", (3, 2), 2),
    (2, (5, 5), 6, 12, 3, 1, 1, 1, 6), (33, (13, 5), 9, 17, (5, 1), (3, 1), ((4, 0), (0, 0)), 1, 1)]


def zeros_around(size, kernel, strides, padding, dilation):
    """The padding of each axis in numbers, by the rule of TensorFlow for "same"."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding != "same":
        return ((padding,) * 2,) * 2 if isinstance(padding, int) else padding
    total = [max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
             for n, k, s, d in zip(size, kernel, strides, dilation, strict=True)]
    return tuple((t // 2, t - t // 2) for t in total)


def both(n):
    return n if isinstance(n, tuple) else (n, n)


@pytest.mark.parametrize("batch,size,c,filters,kernel,strides,padding,dilation,groups", SHAPES)
def test_conv2d_against_pytorch(backend, batch, size, c, filters, kernel, strides, padding, dilation, groups):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.random.default_rng(0).standard_normal((batch, *size, c))
    layer = fnn.Conv2D(filters, kernel, strides, padding, dilation, groups)
    y, dy, dx, own, grads = gradients(layer, x.shape[1:], x)
    (top, bottom), (left, right) = zeros_around(size, both(kernel), both(strides), padding, both(dilation))
    t, w = images(torch, x), torch.tensor(own["weight"].transpose(3, 2, 0, 1).copy(), requires_grad=True)
    b = torch.tensor(own["bias"], requires_grad=True)
    framed = torch.nn.functional.pad(t, (left, right, top, bottom))
    z = torch.nn.functional.conv2d(framed, w, b, both(strides), 0, both(dilation), groups)
    z.backward(torch.tensor(np.moveaxis(dy, -1, 1).copy()))
    assert_relatively_close(y, plain(z), "y")
    assert_relatively_close(dx, plain(t.grad), "dx")
    assert_relatively_close(grads["weight"], w.grad.numpy().transpose(2, 3, 1, 0), "dw")
    assert_relatively_close(grads["bias"], b.grad.numpy(), "db")


@pytest.mark.parametrize("batch,size,c,filters,kernel,strides,cut,dilation,groups", [
    (1, (3, 4), 2, 3, 3, 1, 0, 1, 1), (17, (4, 3), 5, 2, (3, 2), 2, 1, 1, 1),
    (2, (5, 5), 4, 6, (4, 4), (2, 3), 1, 1, 2),
    (3, (2, 6), 3, 3, 2, 3, 0, (2, 1), 3), (2, (4, 4), 1, 7, 5, 1, 2, 1, 1)])
def test_conv_transpose2d_against_pytorch(backend, batch, size, c, filters, kernel, strides, cut, dilation, groups):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.random.default_rng(0).standard_normal((batch, *size, c))
    layer = fnn.ConvTranspose2D(filters, kernel, strides, cut, dilation, groups)
    y, dy, dx, own, grads = gradients(layer, x.shape[1:], x)
    t, b = images(torch, x), torch.tensor(own["bias"], requires_grad=True)
    w = torch.tensor(own["weight"].transpose(3, 2, 0, 1).copy(), requires_grad=True)  # (c, filters / groups, ky, kx)
    z = torch.nn.functional.conv_transpose2d(t, w, b, both(strides), cut, 0, groups, both(dilation))
    z.backward(torch.tensor(np.moveaxis(dy, -1, 1).copy()))
    assert_relatively_close(y, plain(z), "y")
    assert_relatively_close(dx, plain(t.grad), "dx")
    assert_relatively_close(grads["weight"], w.grad.numpy().transpose(2, 3, 1, 0), "dw")
    assert_relatively_close(grads["bias"], b.grad.numpy(), "db")


def test_conv1d_and_depthwise_are_conv2d(backend):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 11, 4))
    one = gradients(fnn.Conv1D(3, 4, 2, ((1, 2),), 2), x.shape[1:], x)
    two = gradients(fnn.Conv2D(3, (1, 4), (1, 2), (0, (1, 2)), (1, 2)), (1, 11, 4), x[:, np.newaxis])
    assert one[3]["weight"].shape == (4, 4, 3)
    for i in (0, 2):
        assert_same_bits(one[i][:, np.newaxis], two[i])
    assert_same_bits(one[4]["weight"][np.newaxis], two[4]["weight"])
    x = rng.standard_normal((3, 5, 6, 4))
    one = gradients(fnn.DepthwiseConv2D(3, 2, "same", 2), x.shape[1:], x)
    two = gradients(fnn.Conv2D(8, 3, 2, "same", groups=4), x.shape[1:], x)
    for i in (0, 2):
        assert_same_bits(one[i], two[i])
    assert_same_bits(one[4]["weight"], two[4]["weight"])


@pytest.mark.parametrize("pool,strides,padding", [
    (2, None, 0), ((3, 2), (2, 2), (1, 0)), (3, 1, 1), ((2, 3), (3, 4), 0)])
def test_max_pool2d_against_pytorch(backend, pool, strides, padding):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.random.default_rng(0).standard_normal((19, 9, 8, 3))
    y, dy, dx, *_ = gradients(fnn.MaxPool2D(pool, strides, padding), x.shape[1:], x)
    t = images(torch, x)
    z = torch.nn.functional.max_pool2d(t, pool, strides, padding)
    z.backward(torch.tensor(np.moveaxis(dy, -1, 1).copy()))
    assert_same_bits(y, plain(z), "y")
    assert_relatively_close(dx, plain(t.grad), "dx")


@pytest.mark.parametrize("size,kernel,stride", [*itertools.product((1, 5, 8), (1, 2, 3, 5), (1, 2, 3))])
def test_same_keeps_the_size(size, kernel, stride):
    """ceil(n / stride) windows, as many zeros before as after or one less; transposed, n * stride."""
    def shape_after(layer):
        return fnn.Sequential([layer], (size, size, 1)).layers[0].output_shape[:2]

    n = -(-size // stride)
    assert shape_after(fnn.Conv2D(1, kernel, stride, "same")) == (n, n)
    assert shape_after(fnn.MaxPool2D(kernel, stride, "same")) == (n, n)
    assert shape_after(fnn.ConvTranspose2D(1, kernel, stride, "same")) == (size * stride, size * stride)


# ------------------------------------------------------------------------------------------------ in a model

def lenet(activation="relu", dtype="float32", seed=0, optimizer="adam"):
    model = fnn.Sequential(
        [fnn.Conv2D(6, 5, activation=activation), fnn.MaxPool2D(2), fnn.Conv2D(16, 3, activation=activation),
         fnn.MaxPool2D(2), fnn.Flatten(), fnn.Dense(20, activation), fnn.Dense(10, "softmax")],
        input_shape=(16, 15, 1), dtype=dtype, seed=seed)
    model.compile(optimizer, "cross_entropy")
    return model


def digits_like(n, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 16, 15, 1)).astype(dtype), rng.integers(0, 10, n)


def numbers(model):
    return {**model.named_parameters(), "state": model._numbers.memory.state}


def names_of(model, entry):
    return [o.name for o in model._compiled.program(entry).ops]


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", "identity"])
def test_fused_is_as_unfused(native_combination, monkeypatch, activation):
    """Convolution, activation and pool in one op; the slope after the maximum: the same bits as one by one."""
    dtype = native_combination.dtype
    X, y = digits_like(70, dtype)
    fused, alone = lenet(activation, dtype), lenet(activation, dtype)
    fused.fit(X, y, batch_size=32, epochs=2, verbose=0)
    monkeypatch.setattr(passes, "fuse_images", lambda ops, probed: list(ops))
    monkeypatch.setattr(passes, "TAKE_SLOPES", ())
    alone.fit(X, y, batch_size=32, epochs=2, verbose=0)
    entry = Entry("train", labels=True, fused=True)
    assert {"conv_forward", "max_pool_forward"} <= set(names_of(alone, entry))
    if activation != "silu":  # whose slope wants its input, so that the map is kept
        assert not {"conv_forward", "max_pool_forward"} & set(names_of(fused, entry))
        assert names_of(fused, entry).count("max_pool_backward") == 1  # the other's map only weights want
        assert names_of(fused, entry).count("activation_backward") <= 1  # below the rows of the dense layers
    for name, array in numbers(fused).items():
        assert_same_bits(array, numbers(alone)[name], name)
    assert_same_bits(fused.predict(X), alone.predict(X), "predictions")


@pytest.mark.parametrize("batch", [1, 16, 33, 150])
def test_threads(native_combination, team, batch):
    X, y = digits_like(2 * batch + 3, native_combination.dtype)
    one, trained = None, {}
    for threads in (1, 2, 3):
        team(threads)
        model = lenet(dtype=native_combination.dtype)
        history = model.fit(X, y, batch_size=batch, epochs=1, verbose=0)
        trained = {**numbers(model), "loss": np.array(history["loss"]), "predictions": model.predict(X)}
        one = one or trained
        for name, array in trained.items():
            assert_same_bits(array, one[name], f"{name} with {threads} threads")


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=lambda case: case[0])
def test_threads_and_layers(native, team, case):
    """Every layer of the catalogue, whatever its shape."""
    _, _, layers, shape = case
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, *shape)), rng.integers(0, 3, 50)
    found = []
    for threads in (1, 2, 3):
        team(threads)
        made = layers()
        model = fnn.Model(*made, dtype="float64", seed=0) if isinstance(made, tuple) else \
            fnn.Sequential(made, shape, dtype="float64", seed=0)
        model.compile("adam", "cross_entropy")
        model.fit(X, y, batch_size=35, epochs=2, verbose=0)
        found.append(numbers(model))
    for other in found[1:]:
        for name, array in other.items():
            assert_same_bits(array, found[0][name], name)


def test_an_image_alone_is_as_in_the_batch(native_combination):
    model = lenet("tanh", native_combination.dtype)
    X, _ = digits_like(40, native_combination.dtype)
    together = model.predict(X)
    for i in (0, 15, 16, 39):
        assert_same_bits(model.predict(X[i:i + 1])[0], together[i], f"image {i}")


def test_blocks_add_up(native):
    """A step in blocks of rows is the step, within rounding: gradients of later blocks are added."""
    X, y = digits_like(96, "float64")
    whole, parts = lenet("tanh", "float64", optimizer="sgd"), lenet("tanh", "float64", optimizer="sgd")
    whole.fit(X, y, batch_size=96, epochs=1, shuffle=False, verbose=0)
    parts._compiled.block_rows = lambda batch: 40
    parts.fit(X, y, batch_size=96, epochs=1, shuffle=False, verbose=0)
    for name, array in numbers(parts).items():
        np.testing.assert_allclose(array, numbers(whole)[name], rtol=1e-11, atol=1e-13, err_msg=name)


def test_large_batches_go_in_blocks(native):
    """Few enough images at a time that what ops hand on stays in cache; a whole batch where rows depend on others."""
    model = fnn.Sequential([fnn.Conv2D(6, 5), fnn.MaxPool2D(2), fnn.Conv2D(16, 5), fnn.MaxPool2D(2), fnn.Flatten(),
                            fnn.Dense(10, "softmax")], (28, 28, 1))
    assert [model._compiled.block_rows(batch) for batch in (10, 64, 512, 10 ** 6)] == [10, 64, 64, 64]
    model = fnn.Sequential([fnn.Conv2D(6, 5), fnn.Flatten(), fnn.BatchNorm()], (28, 28, 1))
    assert model._compiled.block_rows(512) == 512


def workspace(model, rows):
    with model._compiled.borrow(Entry("train", labels=True), rows) as run:
        run.begin(Pass(rows, rows, rows))
        run._prepare(1)
        return run.state.workspace_bytes(run.ops)


def lenet5():
    model = fnn.Sequential(
        [fnn.Conv2D(6, 5, activation="relu"), fnn.MaxPool2D(2), fnn.Conv2D(16, 5, activation="relu"), fnn.MaxPool2D(2),
         fnn.Flatten(), fnn.Dense(120, "relu"), fnn.Dense(84, "relu"), fnn.Dense(10, "softmax")], (28, 28, 1))
    model.compile("adam", "cross_entropy")
    return model


def test_workspace_is_bounded_per_thread(native):
    """It does not grow with the batch: for LeNet-5 less than 256 KiB a thread, however many images there are."""
    sizes = [workspace(lenet5(), rows) for rows in (16, 64, 512, 4096)]
    assert len(set(sizes)) == 1 and 0 < sizes[0] < 256 * 1024, sizes


def test_images_as_outputs(backend):
    """From images to images: they are learned, and the gradients are right."""
    rng = np.random.default_rng(0)
    model = fnn.Sequential([fnn.Conv2D(4, 3, 2, "same", activation="tanh"), fnn.ConvTranspose2D(2, 3, 2, "same")],
                           (6, 6, 2), dtype="float64", seed=0)
    model.compile("adam", "squared_error")
    X = rng.standard_normal((20, 6, 6, 2))
    assert fnn.check_gradients(model, X[:5], X[:5] ** 2).passed
    history = model.fit(X, X, epochs=30, batch_size=10, verbose=0)
    assert history["loss"][-1] < 0.9 * history["loss"][0] and model.predict(X).shape == X.shape


# ----------------------------------------------------------------------------------------------- what is said

@pytest.mark.parametrize("make,words", [
    (lambda: fnn.Conv2D(4, 3, padding="full"), ["padding", "'full'", "'same'"]),
    (lambda: fnn.Conv2D(4, (3, 3, 3)), ["kernel_size", "(3, 3, 3)"]),
    (lambda: fnn.Conv2D(4, 3, padding=(1, 2, 3)), ["padding", "(1, 2, 3)"]),
    (lambda: fnn.Conv2D(4, 3, activation="softmax"), ["activation", "element by element", "softmax"]),
    (lambda: fnn.MaxPool2D(2, padding=2), ["padding", "less than the window"]),
    (lambda: fnn.Sequential([fnn.Conv2D(4, 3)], (8, 8)), ["(height, width, channels)", "(8, 8)"]),
    (lambda: fnn.Sequential([fnn.Conv1D(4, 3)], (8, 8, 3)), ["(time, features)", "(8, 8, 3)"]),
    (lambda: fnn.Sequential([fnn.Conv2D(4, 9)], (8, 8, 3)), ["does not fit", "(8, 8, 3)", "same"]),
    (lambda: fnn.Sequential([fnn.Conv2D(4, 3, groups=2)], (8, 8, 3)), ["groups", "3 channels", "4 filters"]),
    (lambda: fnn.Sequential([fnn.MaxPool2D(9)], (8, 8, 3)), ["does not fit", "(8, 8, 3)"])])
def test_errors(make, words):
    with pytest.raises(ValueError) as error:
        make()
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("layer,shape,n_in,n_out", [
    (fnn.Conv2D(32, 3), (9, 9, 16), 9 * 16, 9 * 32), (fnn.Conv2D(32, 3, groups=4), (9, 9, 16), 9 * 4, 9 * 8),
    (fnn.DepthwiseConv2D(5, depth_multiplier=2), (9, 9, 64), 25, 50), (fnn.Conv1D(64, 4), (9, 32), 4 * 32, 4 * 64),
    (fnn.ConvTranspose2D(16, 3, 2), (9, 9, 32), 9 * 32, 9 * 16)])
def test_fans(layer, shape, n_in, n_out):
    """Glorot's uniform numbers fill the interval that inputs and outputs of a unit give."""
    model = fnn.Sequential([layer], shape, seed=0)
    limit = np.sqrt(6 / (n_in + n_out))
    assert 0.97 * limit < np.abs(model.layers[0].weight).max() <= limit
