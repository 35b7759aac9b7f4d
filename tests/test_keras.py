"""Weights in the lists that Keras's get_weights gives, against Keras's formulas written out."""
import numpy as np
import pytest

import fastnn as fnn
from fastnn.catalogue import cases
from fastnn.io.keras import READERS

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


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_lstm():
    """keras.layers.LSTMCell: gates i f c o."""
    kernel, recurrent, bias, X = random(3, 16), random(4, 16), random(16), random(2, 5, 3)
    h = c = np.zeros((2, 4))
    for t in range(5):
        i, f, g, o = np.split(X[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    close(predict([fnn.LSTM(4)], (5, 3), [kernel, recurrent, bias], X), h)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru(reset_after):
    """keras.layers.GRUCell: gates z r h, h' = z h + (1 - z) hh."""
    kernel, recurrent, X = random(3, 12), random(4, 12), random(2, 5, 3)
    bias = random(2, 12) if reset_after else random(12)
    b_in, b_own = bias if reset_after else (bias, np.zeros(12))
    h = np.zeros((2, 4))
    for t in range(5):
        x_z, x_r, x_h = np.split(X[:, t] @ kernel + b_in, 3, axis=1)
        if reset_after:
            h_z, h_r, h_h = np.split(h @ recurrent + b_own, 3, axis=1)
            hh = np.tanh(x_h + sigmoid(x_r + h_r) * h_h)
        else:
            h_z, h_r = np.split(h @ recurrent[:, :8], 2, axis=1)
            hh = np.tanh(x_h + (sigmoid(x_r + h_r) * h) @ recurrent[:, 8:])
        z = sigmoid(x_z + h_z)
        h = z * h + (1 - z) * hh
    close(predict([fnn.GRU(4, reset_after=reset_after)], (5, 3), [kernel, recurrent, bias], X), h)


def rnn(X, kernel, recurrent, bias):
    h = np.zeros((len(X), len(recurrent)))
    for t in range(X.shape[1]):
        h = np.tanh(X[:, t] @ kernel + h @ recurrent + bias)
    return h


def test_embedding_and_both_directions():
    """Bidirectional: the forward layer's arrays, then the backward layer's."""
    table = random(9, 3)
    there, back = [[random(3, 4), random(4, 4), random(4)] for _ in range(2)]
    tokens = rng.integers(0, 9, (2, 5))
    got = predict([fnn.Embedding(9, 3), fnn.Bidirectional(fnn.SimpleRNN(4))], (5,), [table, *there, *back], tokens)
    X = table[tokens]
    close(got, np.hstack([rnn(X, *there), rnn(X[:, ::-1], *back)]))


def test_each_step_by_itself():
    w, b, X = random(3, 2), random(2), random(2, 5, 3)
    close(predict([fnn.TimeDistributed(fnn.Dense(2))], (5, 3), [w, b], X), X @ w + b)


def test_every_layer_with_weights_is_known():
    assert {case.covers for case in cases() if case.kind == "layer" and case.model().layers and any(
        type(layer) is case.covers and (layer.segments or layer.persistent) for layer in case.model().layers)
    } == set(READERS)


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
