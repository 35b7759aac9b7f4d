"""One row per layer: how to make small models around it. A new layer is tested once it has its row here."""
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastnn as fnn

EDGES = (1, 2, 3, 5, 15, 16, 17, 31, 32, 33, 64, 100)  # around whole vectors of every instruction set


@dataclass(frozen=True)
class Case:
    """Layers of a model and the shape of a sample; n_in != n_out everywhere."""

    name: str
    covers: type
    layers: Callable[[], list]
    input_shape: tuple[int, ...]


def _last():
    return fnn.Dense(3, "softmax")


def _softmax_inside():
    return [fnn.Dense(6), fnn.Activation("softmax"), _last()]


def _dropouts():
    return [fnn.Dropout(0.3), fnn.Dense(17, "tanh"), fnn.Dropout(0.5), _last()]


LAYER_CASES = [
    Case("dense", fnn.Dense, lambda: [fnn.Dense(17, "tanh"), _last()], (5,)),
    Case("dense-deep", fnn.Dense, lambda: [fnn.Dense(33, "tanh"), fnn.Dense(15, "sigmoid"), _last()], (16,)),
    Case("dense-relu", fnn.Dense, lambda: [fnn.Dense(31, "relu"), _last()], (32,)),
    Case("dense-no-bias", fnn.Dense, lambda: [fnn.Dense(31, "tanh", use_bias=False), _last()], (4,)),
    Case("dense-softmax-inside", fnn.Dense, lambda: [fnn.Dense(15, "softmax"), _last()], (7,)),
    Case("activation", fnn.Activation, lambda: [fnn.Dense(17), fnn.Activation("tanh"), _last()], (5,)),
    Case("activation-first", fnn.Activation, lambda: [fnn.Activation("sigmoid"), _last()], (5,)),
    Case("activation-softmax", fnn.Activation, _softmax_inside, (5,)),
    Case("activation-log-softmax", fnn.Activation,
         lambda: [fnn.Dense(6), fnn.Activation("log_softmax"), _last()], (5,)),
    Case("leaky-relu", fnn.LeakyReLU, lambda: [fnn.Dense(17), fnn.LeakyReLU(0.3), _last()], (5,)),
    Case("elu", fnn.ELU, lambda: [fnn.Dense(15), fnn.ELU(0.5), fnn.Dense(5, fnn.ELU(2.0)), _last()], (5,)),
    Case("hard-sigmoid", fnn.HardSigmoid, lambda: [fnn.Dense(6), fnn.HardSigmoid(0.2), _last()], (5,)),
    Case("prelu", fnn.PReLU,
         lambda: [fnn.Dense(17), fnn.PReLU(), fnn.Dense(9), fnn.PReLU(0.5), _last()], (5,)),
    Case("prelu-first", fnn.PReLU, lambda: [fnn.PReLU(), fnn.Flatten(), _last()], (3, 5)),
    Case("flatten", fnn.Flatten, lambda: [fnn.Flatten(), fnn.Dense(5, "tanh"), _last()], (3, 4, 2)),
    Case("standardize", fnn.Standardize, lambda: [fnn.Standardize(), fnn.Dense(5, "tanh"), _last()], (17,)),
    Case("standardize-images", fnn.Standardize,
         lambda: [fnn.Standardize(per_feature=False), fnn.Flatten(), _last()], (3, 5)),
    Case("dropout", fnn.Dropout, _dropouts, (5,)),
    Case("gaussian-noise", fnn.GaussianNoise, lambda: [fnn.Dense(17), fnn.GaussianNoise(0.5), _last()], (5,)),
    Case("min-max", fnn.MinMax, lambda: [fnn.MinMax(-1.0, 1.0), fnn.Dense(5, "tanh"), _last()], (17,)),
    Case("row-normalize", fnn.RowNormalize, lambda: [fnn.RowNormalize("l1"), _last()], (17,)),
    Case("pca-whitening", fnn.PCAWhitening, lambda: [fnn.PCAWhitening(7), _last()], (17,)),
]


def model_of(case, dtype="float64", seed=0):
    """The case's model, compiled for labels; its biases are not zero."""
    model = fnn.Sequential(case.layers(), case.input_shape, dtype=dtype, seed=seed)
    model.compile("adam", "cross_entropy")
    rng = np.random.default_rng(seed)
    for name, parameter in model.named_parameters().items():
        if name.endswith("bias"):
            parameter[...] = 0.1 * rng.standard_normal(parameter.shape)
    return model


def samples_of(case, n, seed=0):
    """n samples and labels."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *case.input_shape)), rng.integers(0, 3, n)
