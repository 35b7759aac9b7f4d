"""The weights of a Keras model, from the list that its get_weights gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..checks import describe, known_model
from ..checks_arrays import as_any_array
from ..layers import (
    GRU,
    LSTM,
    BatchNorm,
    Bidirectional,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Dense,
    DepthwiseConv2D,
    Embedding,
    GroupNorm,
    Layer,
    LayerNorm,
    MinMax,
    PCAWhitening,
    PReLU,
    SimpleRNN,
    Standardize,
    TimeDistributed,
)
from ..model import Model
from ..parameters import assign


def from_keras_weights(model: Model, weights: Sequence[Any]) -> Model:
    """Set a model's weights from those of the same layers in Keras.

    Parameters
    ----------
    model : Model
        With the layers of the Keras model, in its order. Layers without weights do not count.
    weights : sequence of array_like
        What ``keras_model.get_weights()`` gives: layer by layer, and of each its kernels, biases, statistics.

    Returns
    -------
    Model
        The same model.

    Raises
    ------
    ValueError
        If number or shapes do not match, or Keras has no such layer; it names array and layer, and nothing is changed.

    Notes
    -----
    Keras need not be installed. docs/exchange.md has the arrays of each layer. Predictions are the same where
    settings are: Keras's defaults are fastnn's, but for those that docs/exchange.md names.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(2, "relu"), fnn.Dense(1)], input_shape=(3,))
    >>> weights = [np.ones((3, 2)), np.zeros(2), np.ones((2, 1)), np.full(1, 0.5)]
    >>> fnn.from_keras_weights(model, weights).predict([[1.0, 2.0, 3.0]])
    array([[12.5]], dtype=float32)
    """
    taker = Taker(weights)
    for layer in known_model(model).layers:
        taker.layer = layer
        if read := READERS.get(type(layer)):
            read(taker, layer)
        elif layer.segments or layer.persistent:
            raise ValueError(f"layer {layer.name!r}: Keras has no such layer as {type(layer).__name__}, or nobody has "
                             f"said how its weights are read; set model.layers[{model.layers.index(layer)}]'s yourself")
    if taker.place < len(taker.weights):
        raise ValueError(f"weights: expected {taker.place} arrays, got {len(taker.weights)}; the layers are "
                         f"{', '.join(layer.name for layer in model.layers)}")
    views = model._numbers.all_arrays()
    assign({name: views[name] for name in taker.found}, taker.found, "weights")
    return model


class Taker:
    """Takes one array after the other.

    Attributes
    ----------
    layer : Layer
        Whose arrays are next.
    found : dict of str to ndarray
        The model's arrays, by name.
    """

    def __init__(self, weights: Sequence[Any]) -> None:
        if not isinstance(weights, (list, tuple)):
            raise TypeError(f"weights: expected the list that get_weights() gives, got {describe(weights)}")
        self.weights = [np.asarray(w) if np.isscalar(w) or isinstance(w, np.ndarray) else  # counts are numbers
                        as_any_array(w, f"weights[{i}]", "an array") for i, w in enumerate(weights)]
        self.place = 0
        self.layer: Any = None
        self.found: dict[str, np.ndarray] = {}

    def take(self, what: str, *shapes: tuple[int, ...]) -> np.ndarray:
        """The next array, which must have one of these shapes."""
        if self.place == len(self.weights):
            raise ValueError(f"weights: expected the {what} of layer {self.layer.name!r} after {self.place} arrays, "
                             "got no more")
        array = self.weights[self.place]
        if array.shape not in shapes:
            raise ValueError(f"weights[{self.place}]: expected the {what} of layer {self.layer.name!r} "
                             f"({type(self.layer).__name__}), shape {' or '.join(map(str, shapes))}, got {array.shape}")
        self.place += 1
        return array

    def set(self, name: str, array: np.ndarray) -> None:
        """Give the layer's array of that name its values."""
        segment = (self.layer.segments | self.layer.persistent)[name]
        self.found[segment.name] = np.reshape(array, segment.shape)

    def same(self, **names: str) -> None:
        """Arrays of the layer's own shape, those that it has: what Keras calls them, by the layer's names."""
        for name, what in names.items():
            segment = (self.layer.segments | self.layer.persistent).get(name)
            if segment is not None:
                self.set(name, self.take(what, segment.shape))


def kernel_and_bias(t: Taker, layer: Layer) -> None:
    """As here."""
    t.same(weight="kernel", bias="bias")


def depthwise(t: Taker, layer: Any) -> None:
    """The kernel (height, width, channels, multiplier)."""
    c, n = layer.input_shape[-1], layer.depth_multiplier
    t.set("weight", t.take("depthwise kernel", (*layer.kernel_size, c, n)))
    t.same(bias="bias")


def batch_norm(t: Taker, layer: Layer) -> None:
    """Those that are learned, then the statistics."""
    t.same(gamma="gamma", beta="beta", running_mean="moving mean", running_variance="moving variance")


def gamma_and_beta(t: Taker, layer: Layer) -> None:
    """As here."""
    t.same(gamma="gamma", beta="beta")


def prelu(t: Taker, layer: Any) -> None:
    """A slope for each value of the sample, or shared along its first axes."""
    shape = layer.input_shape
    shared = (*[1] * (len(shape) - 1), shape[-1])
    own = layer.segments["alpha"].shape
    if own == shape[-1:]:
        t.set("alpha", t.take("alpha", shared))
    else:
        t.set("alpha", np.broadcast_to(t.take("alpha", shape, shared), shape))


def standardize(t: Taker, layer: Any) -> None:
    """Keras's Normalization: mean and variance of each feature, or of all, and how many rows they are of."""
    shape = layer.input_shape
    mean, variance = (t.take(what, shape[-1:], shape, ()) for what in ("mean", "variance"))
    t.take("count", ())
    scale = 1 / np.maximum(np.sqrt(variance), 1e-7)
    for name, array in (("mean", mean), ("scale", scale)):
        t.set(name, np.broadcast_to(array, shape))
    t.set("adapted", np.ones(1))


def recurrent(t: Taker, layer: Layer) -> None:
    """Kernel, recurrent kernel, bias; the gates in the same order, i f c o."""
    t.same(weight="kernel", recurrent_weight="recurrent kernel", bias="bias")


def gru(t: Taker, layer: Any) -> None:
    """Gates z r h as here; with reset_after two rows of biases, which add up but in the last gate."""
    t.same(weight="kernel", recurrent_weight="recurrent kernel")
    if not layer.use_bias or not layer.reset_after:
        return t.same(bias="bias")
    n = layer.units
    given, own = t.take("bias", (2, 3 * n))
    t.set("bias", np.concatenate([given[:2 * n] + own[:2 * n], given[2 * n:]]))
    t.set("recurrent_bias", own[2 * n:])
    return None


def inside(t: Taker, *layers: Any) -> None:
    """The arrays of layers inside another one."""
    outer = t.layer
    for layer in layers:
        t.layer = layer
        if read := READERS.get(type(layer)):
            read(t, layer)
    t.layer = outer


def unknown(t: Taker, layer: Layer) -> None:
    """A layer of fastnn's alone."""
    raise ValueError(f"layer {layer.name!r}: Keras has no {type(layer).__name__}; fnn.Standardize is Keras's "
                     "Normalization")


READERS: dict[type[Layer], Callable[[Taker, Any], None]] = {
    Dense: kernel_and_bias, Conv1D: kernel_and_bias, Conv2D: kernel_and_bias, ConvTranspose2D: kernel_and_bias,
    DepthwiseConv2D: depthwise, BatchNorm: batch_norm, LayerNorm: gamma_and_beta, PReLU: prelu,
    GroupNorm: gamma_and_beta, SimpleRNN: recurrent, LSTM: recurrent, GRU: gru,
    Bidirectional: lambda t, layer: inside(t, *layer.both), TimeDistributed: lambda t, layer: inside(t, layer.layer),
    Embedding: lambda t, layer: t.same(weight="embeddings"), Standardize: standardize,
    MinMax: unknown, PCAWhitening: unknown,
}
