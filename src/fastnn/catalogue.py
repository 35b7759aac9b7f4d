"""Every layer, activation, loss, regularizer, constraint and way of clipping, each in a small model.

What ``fastnn gradcheck`` and the tests run through. The cases come from the registries; a layer has its rows
in `LAYER_CASES`, every other thing is here because it is registered.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .activations import ACTIVATIONS, CUSTOM, ROW_ACTIVATIONS
from .catalogue_conv import CONVOLUTIONS
from .catalogue_sequences import SEQUENCES, drawn_tokens
from .clipping import Clipping
from .gradcheck import GradientCheck, check_gradients
from .inference import adapt
from .layers import (
    ELU,
    Activation,
    Add,
    AveragePool1D,
    AveragePool2D,
    BatchNorm,
    Concatenate,
    Cropping2D,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    GlobalAveragePool1D,
    GlobalAveragePool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GroupNorm,
    HardSigmoid,
    Layer,
    LayerNorm,
    LeakyReLU,
    MinMax,
    Multiply,
    PCAWhitening,
    PReLU,
    RandomFlip,
    RandomRotation,
    RandomShift,
    Reshape,
    RowNormalize,
    Standardize,
    UpSampling2D,
    ZeroPadding2D,
)
from .layers.tensor import Input, Tensor
from .losses import LOSSES, CrossEntropy, Loss
from .model import Model
from .optimizers import Adam
from .regularizers import CONSTRAINTS, REGULARIZERS
from .sequential import Sequential

N_OUT = 3

# What targets of a kind are (see `Loss.target_kind`), n rows of n_out: by name, where there is a choice.
# Rows are positive and sum to one, which suits losses of numbers and of distributions.
TARGETS: dict[str, dict[str, Callable[[np.random.Generator, int, int], np.ndarray]]] = {
    "labels_or_rows": {"labels": lambda rng, n, n_out: rng.integers(0, n_out, n),
                       "rows": lambda rng, n, n_out: rng.dirichlet(np.ones(n_out), n)},
    "labels": {"": lambda rng, n, n_out: rng.integers(0, n_out, n)},
    "binary": {"": lambda rng, n, n_out: rng.integers(0, 2, (n, n_out))},
    "signs": {"": lambda rng, n, n_out: rng.integers(0, 2, (n, n_out))},
    "counts": {"": lambda rng, n, n_out: rng.poisson(1.5, (n, n_out))},
    "rows": {"": lambda rng, n, n_out: rng.dirichlet(np.ones(n_out), n)},
}


@dataclass(frozen=True)
class Case:
    """One thing in a small model.

    Attributes
    ----------
    kind, name : str
        "layer", "activation", "loss", ..., and which.
    layers : callable
        Makes new layers; or (inputs, outputs) of a graph of them. n_in != n_out everywhere.
    input_shape : tuple of int
        Of a sample.
    covers : type, optional
        The layer that a "layer" case is about.
    loss : callable
        Makes the loss.
    targets : callable, optional
        Makes targets of (generator, rows, outputs); labels where None.
    clipping : mapping
        The optimizer's.
    frozen : tuple of int
        Numbers of the layers that are.
    weighted : bool
        Whether the rows have weights.
    draw : callable, optional
        Makes samples and targets of (generator, rows), where there are several inputs or outputs.
    """

    kind: str
    name: str
    layers: Callable[[], Any]
    input_shape: tuple[int | None, ...] = (5,)
    covers: type[Layer] | None = None
    loss: Callable[[], Loss] = CrossEntropy
    targets: Callable[[np.random.Generator, int, int], np.ndarray] = TARGETS["labels_or_rows"]["labels"]
    clipping: Mapping[str, Any] = field(default_factory=dict)
    frozen: tuple[int, ...] = ()
    weighted: bool = False
    draw: Callable[[np.random.Generator, int], tuple[Any, Any]] | None = None

    @property
    def title(self) -> str:
        """Kind and name, unique."""
        return f"{self.kind} {self.name}"

    def model(self, dtype: Any = "float64", seed: int = 0) -> Model:
        """The model, compiled; its biases are not zero, which would put ReLUs on their kinks."""
        made = self.layers()
        model = Model(made[0], made[1], dtype, seed) if isinstance(made, tuple) else \
            Sequential(made, self.input_shape, dtype=dtype, seed=seed)
        for i in self.frozen:
            model.layers[i].trainable = False
        model.compile(Adam(**self.clipping), self.loss())
        rng = np.random.default_rng(seed)
        for name, parameter in model.named_parameters().items():
            if name.endswith("bias"):
                parameter[...] = 0.1 * rng.standard_normal(parameter.shape)
        return model

    def samples(self, n: int, seed: int = 0) -> tuple[Any, Any]:
        """n samples and targets."""
        rng = np.random.default_rng(seed)
        if self.draw is not None:
            return self.draw(rng, n)
        shape = [1 if size is None else size for size in self.input_shape]
        return rng.standard_normal((n, *shape)), self.targets(rng, n, N_OUT)

    def check(self, n: int = 7, dtype: Any = "float64", seed: int = 0, **settings: Any) -> GradientCheck:
        """Check the gradients on n rows, to which input layers adapt; `settings` are `check_gradients`'s."""
        model, (X, y) = self.model(dtype, seed), self.samples(n, seed)
        weight = np.linspace(0.5, 2.0, n) if self.weighted else None
        adapt(model, X)
        return check_gradients(model, X, y, weight, dtype=dtype, seed=seed, **settings)


def _last() -> Dense:
    return Dense(N_OUT, "softmax")


def _residual() -> tuple[Tensor, Tensor]:
    x = Input((5,))
    h = Dense(7, "tanh")(x)
    return x, _last()(Add()([h, Dense(7, "tanh")(h)]))


def _gated() -> tuple[Tensor, Tensor]:
    x = Input((5,))
    factors = [Dense(17, "tanh")(x), Dense(17, "sigmoid")(x), Dense(17)(x)]
    return x, _last()(Multiply()(factors))


def _side_by_side() -> tuple[Tensor, Tensor]:
    x = Input((5,))
    return x, _last()(Concatenate()([Dense(3, "tanh")(x), x, Dense(15, "tanh")(x)]))


def _shared() -> tuple[Tensor, Tensor]:
    x, twice = Input((5,)), Dense(5, "tanh")
    return x, _last()(twice(twice(x)))


def _two_by_two() -> tuple[list[Tensor], list[Tensor]]:
    a, b = Input((5,), "a"), Input((3,), "b")
    shared = Dense(7, "tanh")
    h = Add()([shared(a), Dense(7, "tanh")(b)])
    return [a, b], [Dense(N_OUT, "softmax", name="first")(h), Dense(4, "sigmoid", name="second")(h)]


def _draw_two_by_two(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    X = rng.standard_normal((n, 5)), rng.standard_normal((n, 3))
    return X, (rng.integers(0, N_OUT, n), rng.random((n, 4)))


def _draw_steps(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    return rng.standard_normal((n, 4, 5)), rng.integers(0, N_OUT, (n, 4))


def _graphs() -> Iterator[Case]:
    """Models of several inputs and outputs, and of outputs over time."""
    for weighted in (False, True):
        words = " weighted" * weighted
        yield Case("graph", f"two inputs, two outputs{words}", _two_by_two, draw=_draw_two_by_two, weighted=weighted)
        yield Case("graph", f"a loss of every step{words}", lambda: [Dense(7, "tanh"), _last()], (None, 5),
                   draw=_draw_steps, weighted=weighted)


_LAYERS: tuple[tuple[str, type[Layer], Callable[[], Any], tuple[int, ...]], ...] = (
    ("dense", Dense, lambda: [Dense(17, "tanh"), _last()], (5,)),
    ("dense-deep", Dense, lambda: [Dense(33, "tanh"), Dense(15, "sigmoid"), _last()], (16,)),
    ("dense-relu", Dense, lambda: [Dense(31, "relu"), _last()], (32,)),
    ("dense-no-bias", Dense, lambda: [Dense(31, "tanh", use_bias=False), _last()], (4,)),
    ("dense-softmax-inside", Dense, lambda: [Dense(15, "softmax"), _last()], (7,)),
    ("dense-in-time", Dense, lambda: [Dense(17, "tanh"), Activation("softmax"), Flatten(), _last()], (3, 5)),
    ("dense-shared", Dense, _shared, (5,)),
    ("add", Add, _residual, (5,)),
    ("multiply", Multiply, _gated, (5,)),
    ("concatenate", Concatenate, _side_by_side, (5,)),
    ("activation", Activation, lambda: [Dense(17), Activation("tanh"), _last()], (5,)),
    ("activation-first", Activation, lambda: [Activation("sigmoid"), _last()], (5,)),
    ("activation-softmax", Activation, lambda: [Dense(6), Activation("softmax"), _last()], (5,)),
    ("activation-log-softmax", Activation, lambda: [Dense(6), Activation("log_softmax"), _last()], (5,)),
    ("leaky-relu", LeakyReLU, lambda: [Dense(17), LeakyReLU(0.3), _last()], (5,)),
    ("elu", ELU, lambda: [Dense(15), ELU(0.5), Dense(5, ELU(2.0)), _last()], (5,)),
    ("hard-sigmoid", HardSigmoid, lambda: [Dense(6), HardSigmoid(0.2), _last()], (5,)),
    ("prelu", PReLU, lambda: [Dense(17), PReLU(), Dense(9), PReLU(0.5), _last()], (5,)),
    ("prelu-first", PReLU, lambda: [PReLU(), Flatten(), _last()], (3, 5)),
    ("flatten", Flatten, lambda: [Flatten(), Dense(5, "tanh"), _last()], (3, 4, 2)),
    ("standardize", Standardize, lambda: [Standardize(), Dense(5, "tanh"), _last()], (17,)),
    ("standardize-images", Standardize, lambda: [Standardize(per_feature=False), Flatten(), _last()], (3, 5)),
    ("dropout", Dropout, lambda: [Dropout(0.3), Dense(17, "tanh"), Dropout(0.5), _last()], (5,)),
    ("dropout-in-time", Dropout,
     lambda: [Dense(17, "tanh"), Dropout(0.3), Dense(5, "tanh"), Flatten(), _last()], (3, 5)),
    ("gaussian-noise", GaussianNoise, lambda: [Dense(17), GaussianNoise(0.5), _last()], (5,)),
    ("min-max", MinMax, lambda: [MinMax(-1.0, 1.0), Dense(5, "tanh"), _last()], (17,)),
    ("row-normalize", RowNormalize, lambda: [RowNormalize("l1"), _last()], (17,)),
    ("row-normalize-l2", RowNormalize, lambda: [RowNormalize(), _last()], (17,)),
    ("batch-norm", BatchNorm, lambda: [Dense(17, use_bias=False), BatchNorm(), Activation("tanh"), _last()],
     (5,)),
    ("batch-norm-first", BatchNorm, lambda: [BatchNorm(center=False), Dense(9), BatchNorm(scale=False),
                                             _last()], (5,)),
    ("layer-norm", LayerNorm, lambda: [Dense(17), LayerNorm(), Activation("tanh"), _last()], (5,)),
    ("layer-norm-first", LayerNorm, lambda: [LayerNorm(center=False), Dense(9), LayerNorm(scale=False),
                                             _last()], (5,)),
    ("batch-norm-images", BatchNorm, lambda: [BatchNorm(), Activation("tanh"), Flatten(), _last()], (2, 3, 4)),
    ("batch-norm-time", BatchNorm, lambda: [BatchNorm(), Dense(3, "tanh"), Flatten(), _last()], (3, 4)),
    ("layer-norm-pixels", LayerNorm, lambda: [LayerNorm(), Activation("tanh"), Flatten(), _last()], (2, 3, 4)),
    ("layer-norm-image", LayerNorm, lambda: [LayerNorm(axis=(1, 2, 3)), Flatten(), _last()], (2, 3, 4)),
    ("layer-norm-time", LayerNorm, lambda: [LayerNorm(), Dense(3, "tanh"), Flatten(), _last()], (3, 4)),
    ("group-norm", GroupNorm, lambda: [GroupNorm(2), Activation("tanh"), Flatten(), _last()], (2, 3, 4)),
    ("instance-norm", GroupNorm, lambda: [GroupNorm(-1), Flatten(), _last()], (3, 2, 3)),
    ("average-pool", AveragePool2D, lambda: [AveragePool2D(2), Flatten(), _last()], (4, 5, 2)),
    ("average-pool-same", AveragePool2D, lambda: [AveragePool2D((3, 2), (2, 1), "same"), Flatten(), _last()],
     (4, 5, 2)),
    ("average-pool-counted", AveragePool2D, lambda: [AveragePool2D(3, 2, 1, count_padding=True), Flatten(),
                                                    _last()], (4, 5, 2)),
    ("average-pool-1d", AveragePool1D, lambda: [AveragePool1D(3, 2, padding="same"), Flatten(), _last()], (5, 4)),
    ("global-average-pool", GlobalAveragePool2D, lambda: [GlobalAveragePool2D(), _last()], (2, 3, 4)),
    ("global-max-pool", GlobalMaxPool2D, lambda: [GlobalMaxPool2D(), _last()], (2, 3, 4)),
    ("global-average-pool-1d", GlobalAveragePool1D, lambda: [Dense(6, "tanh"), GlobalAveragePool1D(), _last()], (3, 4)),
    ("global-max-pool-1d", GlobalMaxPool1D, lambda: [Dense(6, "tanh"), GlobalMaxPool1D(), _last()], (3, 4)),
    ("zero-padding", ZeroPadding2D, lambda: [ZeroPadding2D(((1, 0), (0, 2))), Flatten(), _last()], (2, 3, 2)),
    ("cropping", Cropping2D, lambda: [Cropping2D(((1, 0), (0, 2))), Flatten(), _last()], (3, 4, 2)),
    ("up-sampling", UpSampling2D, lambda: [UpSampling2D((2, 3)), Flatten(), _last()], (2, 3, 2)),
    ("up-sampling-bilinear", UpSampling2D, lambda: [UpSampling2D((2, 3), "bilinear"), Flatten(), _last()], (2, 3, 2)),
    ("reshape", Reshape, lambda: [Dense(12), Reshape((2, 2, -1)), GroupNorm(1), Flatten(), _last()], (5,)),
    ("random-flip", RandomFlip, lambda: [RandomFlip("horizontal_and_vertical"), Flatten(), _last()], (3, 4, 2)),
    ("random-shift", RandomShift, lambda: [RandomShift(1, 2, 0.5), Flatten(), _last()], (3, 4, 2)),
    ("random-rotation", RandomRotation, lambda: [RandomRotation(30.0, 0.5), Flatten(), _last()], (3, 4, 2)),
    ("pca-whitening", PCAWhitening, lambda: [PCAWhitening(3), _last()], (17,)),
    *CONVOLUTIONS,
)
LAYER_CASES = [Case("layer", name, layers, shape, covers) for name, covers, layers, shape in _LAYERS]
LAYER_CASES += [Case("layer", name, layers, shape, covers, draw=drawn_tokens(shape)) for name, covers, layers, shape
                in SEQUENCES]


def _with(**settings: Any) -> Callable[[], list[Layer]]:
    """Two dense layers with these settings."""
    return lambda: [Dense(9, "tanh", **settings), Dense(N_OUT, "softmax", **settings)]


def _inside(activation: object) -> Callable[[], list[Layer]]:
    return lambda: [Dense(9, activation), Dense(4, activation), _last()]


def _ending(activation: str) -> Callable[[], list[Layer]]:
    return lambda: [Dense(9, "tanh"), Dense(N_OUT, activation)]


def _frozen() -> list[Layer]:
    return [Dense(6, "tanh"), PReLU(), *_with(kernel_regularizer="l2")()]


def _frozen_statistics() -> list[Layer]:
    return [Dense(6, use_bias=False), BatchNorm(), Activation("tanh"), _last()]


def _activations() -> Iterator[Case]:
    square = (lambda x: x * x, lambda x: 2 * x)
    for name, value in [*((name, name) for name in (*ACTIVATIONS, *ROW_ACTIVATIONS)), (CUSTOM, square)]:
        yield Case("activation", name, _inside(value))


def _losses() -> Iterator[Case]:
    """Each loss with every activation that it is fused with, and behind some others that it accepts."""
    for name, make in LOSSES.items():
        for activation in (*ACTIVATIONS, *ROW_ACTIVATIONS):
            try:
                fused = make().op(activation, N_OUT)
            except ValueError:
                continue  # it says which it takes
            if fused is None and activation not in ("identity", "sigmoid", "softmax", "softplus"):
                continue
            kind = make().target_kind(activation, N_OUT)
            for target, targets in TARGETS[kind].items():
                for weighted in (False, True):
                    words = [name, "after", activation, *filter(None, [target]), *["weighted"] * weighted]
                    yield Case("loss", " ".join(words), _ending(activation), loss=make, targets=targets,
                               weighted=weighted)


def cases() -> list[Case]:
    """All cases.

    Examples
    --------
    >>> {case.kind for case in cases()} >= {"layer", "activation", "loss", "regularizer", "constraint"}
    True
    """
    ways = inspect.signature(Clipping).parameters
    return [
        *LAYER_CASES, *_graphs(), *_activations(), *_losses(),
        *(Case("regularizer", name, _with(kernel_regularizer=make(), bias_regularizer=make()))
          for name, make in REGULARIZERS.items()),
        *(Case("constraint", name, _with(kernel_constraint=make())) for name, make in CONSTRAINTS.items()),
        *(Case("clipping", way, _with(kernel_regularizer="l2"), clipping={way: 0.002}) for way in ways),
        Case("frozen", "batch-norm", _frozen_statistics, frozen=(1,)),
        *(Case("frozen", name, _frozen, frozen=frozen)
          for name, frozen in (("below", (0, 1)), ("between", (1, 2)), ("all", (0, 1, 2, 3)))),
    ]
