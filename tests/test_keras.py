"""Weights in the lists that Keras's get_weights gives, against Keras's formulas written out."""
import numpy as np
import pytest

import fastnn as fnn

rng = np.random.default_rng(0)


def random(*shape):
    return rng.standard_normal(shape)


def predict(layers, shape, weights, X):
    model = fnn.Sequential(layers, input_shape=shape, dtype="float64")
    assert fnn.from_keras_weights(model, weights) is model
    return model.predict(X)


def close(got, want):
    np.testing.assert_allclose(got, want, 1e-9, 1e-12)


def conv(x, kernel, strides=1):
    """keras.ops.conv without padding, written out: x (n, h, w, c), kernel (kh, kw, c, f)."""
    kh, kw = kernel.shape[:2]
    h, w = (x.shape[1] - kh) // strides + 1, (x.shape[2] - kw) // strides + 1
    y = np.zeros((len(x), h, w, kernel.shape[3]))
    for p in range(h):
        for q in range(w):
            window = x[:, p * strides:p * strides + kh, q * strides:q * strides + kw]
            y[:, p, q] = np.einsum("nuvc,uvcf->nf", window, kernel)
    return y


def test_dense_and_layers_without_weights():
    w, b, u = random(3, 4), random(4), random(4, 2)
    X = random(5, 3)
    layers = [fnn.Dense(4, "relu"), fnn.Dropout(0.5), fnn.Dense(2, use_bias=False)]
    close(predict(layers, (3,), [w, b, u], X), np.maximum(X @ w + b, 0) @ u)


def test_convolutions():
    kernel, bias, depthwise, X = random(3, 2, 3, 4), random(4), random(2, 2, 4, 2), random(2, 7, 6, 3)
    y = conv(X, kernel, 2) + bias
    layers = [fnn.Conv2D(4, (3, 2), 2), fnn.DepthwiseConv2D(2, depth_multiplier=2, use_bias=False)]
    want = np.concatenate([conv(y[..., c:c + 1], depthwise[:, :, c:c + 1]) for c in range(4)], axis=-1)
    close(predict(layers, (7, 6, 3), [kernel, bias, depthwise], X), want)


def test_conv1d():
    kernel, bias, X = random(3, 2, 4), random(4), random(2, 7, 2)
    want = conv(X[:, np.newaxis], kernel[np.newaxis])[:, 0] + bias
    close(predict([fnn.Conv1D(4, 3)], (7, 2), [kernel, bias], X), want)


def test_conv_transpose():
    """Keras's kernel (height, width, filters, channels): each pixel times it, laid over the result."""
    kernel, bias, X = random(3, 2, 4, 3), random(4), random(2, 3, 2, 3)
    want = np.zeros((2, 7, 4, 4)) + bias
    for p in range(3):
        for q in range(2):
            want[:, 2 * p:2 * p + 3, 2 * q:2 * q + 2] += np.einsum("nc,uvfc->nuvf", X[:, p, q], kernel)
    close(predict([fnn.ConvTranspose2D(4, (3, 2), 2)], (3, 2, 3), [kernel, bias], X), want)


def test_normalisation():
    gamma, beta, mean, variance, X = random(3), random(3), random(3), random(3) ** 2, random(5, 3)
    y = gamma * (X - mean) / np.sqrt(variance + 1e-3) + beta
    close(predict([fnn.BatchNorm()], (3,), [gamma, beta, mean, variance], X), y)
    close(predict([fnn.BatchNorm(scale=False)], (3,), [beta, mean, variance], X),
          (X - mean) / np.sqrt(variance + 1e-3) + beta)
    centred = X - X.mean(1, keepdims=True)
    close(predict([fnn.LayerNorm()], (3,), [gamma, beta], X),
          gamma * centred / np.sqrt((centred ** 2).mean(1, keepdims=True) + 1e-3) + beta)


def test_keras_normalization():
    """Its three arrays: mean, variance, and a count that is a whole number."""
    mean, variance, X = random(3), np.array([4.0, 0.0, 2.0]), random(5, 3)
    want = (X - mean) / np.maximum(np.sqrt(variance), 1e-7)
    close(predict([fnn.Standardize()], (3,), [mean, variance, np.int64(100)], X), want)
    images = random(2, 2, 2, 3)
    close(predict([fnn.Standardize(), fnn.Flatten()], (2, 2, 3), [mean, variance, np.int64(100)], images),
          ((images - mean) / np.maximum(np.sqrt(variance), 1e-7)).reshape(2, -1))


def test_prelu():
    alpha, X = random(3), random(5, 3)
    close(predict([fnn.PReLU()], (3,), [alpha], X), np.where(X > 0, X, alpha * X))
    images, shared = random(2, 2, 2, 3), alpha.reshape(1, 1, 3)
    close(predict([fnn.PReLU()], (2, 2, 3), [shared], images), np.where(images > 0, images, shared * images))


def test_graph_takes_each_layer_once():
    x = fnn.Input((3,))
    shared = fnn.Dense(3, "tanh", use_bias=False)
    model = fnn.Model(x, fnn.Add()([shared(shared(x)), x]), dtype="float64")
    w, X = random(3, 3), random(2, 3)
    fnn.from_keras_weights(model, [w])
    close(model.predict(X), np.tanh(np.tanh(X @ w) @ w) + X)


@pytest.mark.parametrize("weights, words", [
    ([np.ones((3, 4))], "expected the bias of layer 'dense' after 1 arrays, got no more"),
    ([np.ones((4, 3)), np.ones(4)],
     r"weights\[0\]: expected the kernel of layer 'dense' \(Dense\), shape \(3, 4\), got \(4, 3\)"),
    ([np.ones((3, 4)), np.ones(4), np.ones(4)], "expected 2 arrays, got 3"),
])
def test_refuses_by_name_and_changes_nothing(weights, words):
    model = fnn.Sequential([fnn.Dense(4)], input_shape=(3,))
    before = model.get_weights()
    with pytest.raises(ValueError, match=words):
        fnn.from_keras_weights(model, weights)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_refuses_layers_that_keras_does_not_have():
    with pytest.raises(ValueError, match="layer 'min_max': Keras has no MinMax"):
        fnn.from_keras_weights(fnn.Sequential([fnn.MinMax()], input_shape=(3,)), [])
    with pytest.raises(TypeError, match=r"expected the list that get_weights\(\) gives"):
        fnn.from_keras_weights(fnn.Sequential([fnn.Dense(1)], input_shape=(3,)), np.ones(3))
