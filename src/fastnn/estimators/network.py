"""From an estimator's parameters to a fastnn model: layers, loss, optimizer, initial weights."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks, losses, optimizers
from ..activations import choose
from ..compilation import Compiled, Entry
from ..layers import Activation, BatchNorm, Dense, Dropout, Layer
from ..optimizers import SGD, Adam, Optimizer
from ..program import Program, kept
from ..regularizers import L2
from ..sequential import Sequential
from .losses import MeanOverOutputs

if TYPE_CHECKING:
    from .base import BaseMLP

OUTPUT_ACTIVATIONS = {"logistic": "sigmoid", "exp": "exponential"}  # scikit-learn's names where they differ
LOSS_NAMES = {"log_loss": "cross_entropy", "poisson": "poisson_deviance"}  # the same for losses


def hidden_sizes(value: Any) -> list[int]:
    """Widths of the hidden layers from what ``hidden_layer_sizes`` says."""
    sizes = list(value) if hasattr(value, "__iter__") else [value]
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def per_hidden_layer(name: str, value: Any, n_hidden: int) -> list[Any]:
    """One value for each hidden layer, from one for all or a list of them."""
    pair_of_functions = isinstance(value, tuple) and len(value) == 2 and all(map(callable, value))
    if not isinstance(value, (list, tuple)) or pair_of_functions:
        return [value] * n_hidden
    if len(value) != n_hidden:
        raise ValueError(f"{name}: expected one value, or one for each of the {n_hidden} hidden layers, got "
                         f"{len(value)}")
    return list(value)


def build(estimator: BaseMLP, n_in: int, sizes: list[int], n_out: int, dtype: np.dtype,
          rng: np.random.RandomState) -> Sequential:
    """The network of an estimator with scikit-learn's initial weights for this random state."""
    activations = per_hidden_layer("activation", estimator.activation, len(sizes))
    rates = per_hidden_layer("dropout", estimator.dropout, len(sizes))
    normalised = [checks.boolean("batch_norm", value)
                  for value in per_hidden_layer("batch_norm", estimator.batch_norm, len(sizes))]
    output = OUTPUT_ACTIVATIONS.get(estimator.out_activation_, estimator.out_activation_)
    penalty = L2(estimator.alpha, per_sample=True) if estimator.alpha else None
    layers: list[Layer] = []
    for size, activation, rate, normal in zip(sizes, activations, rates, normalised, strict=True):
        activation = copy.deepcopy(activation)
        layers.append(Dense(size, None if normal else activation, kernel_initializer="zeros",
                            kernel_regularizer=penalty))
        if normal:
            layers += [BatchNorm(momentum=0.9), Activation(activation)]  # few steps an epoch
        if rate:
            layers.append(Dropout(rate))
    layers.append(Dense(n_out, output, kernel_initializer="zeros", kernel_regularizer=penalty))
    values = initial_values([n_in, *sizes, n_out], activations, estimator.activation, rng)
    seed = int(rng.randint(2**31)) if any(rates) else 0
    model = Sequential(layers, (n_in,), dtype, seed)
    for layer, (weight, bias) in zip(dense_layers(model), values, strict=True):
        layer.weight[...], layer.bias[...] = weight, bias
    return model


def initial_values(units: list[int], activations: list[Any], default: Any,
                   rng: np.random.RandomState) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases uniform within Glorot's bound, drawn layer by layer as scikit-learn draws them.

    The bound is sqrt(6 / (n_in + n_out)), with 2 for 6 where the activation is the logistic sigmoid; the
    output layer takes that of the last hidden layer, whose bound scikit-learn gives it.
    """
    last = activations[-1] if activations else default if isinstance(default, str) else "identity"
    values = []
    for n_in, n_out, activation in zip(units, units[1:], [*activations, last], strict=False):
        factor = 2.0 if choose("activation", activation).name == "sigmoid" else 6.0
        bound = np.sqrt(factor / (n_in + n_out))
        values.append((rng.uniform(-bound, bound, (n_in, n_out)), rng.uniform(-bound, bound, n_out)))
    return values


def dense_layers(model: Sequential) -> list[Dense]:
    """The layers with weights, lowest first."""
    return [layer for layer in model.layers if isinstance(layer, Dense)]


def make_loss(estimator: BaseMLP) -> losses.Loss:
    """The loss that an estimator's ``loss`` names, or a copy of the one it was given."""
    named = isinstance(estimator.loss, str)
    loss = losses.get(LOSS_NAMES.get(estimator.loss, estimator.loss) if named else
                      copy.deepcopy(estimator.loss))
    if loss.reduction != "mean":
        raise ValueError(f"loss: expected the mean over the rows, got {loss!r}; leave its reduction 'mean'")
    return loss


def make_optimizer(estimator: BaseMLP) -> Optimizer:
    """The optimizer of an estimator's solver, or a copy of the one it was given."""
    clipping = {name: value for name in ("clipnorm", "clipvalue", "global_clipnorm")
                if (value := getattr(estimator, name)) is not None}
    scheduled = not isinstance(estimator.learning_rate, str)
    if estimator.optimizer is not None:
        if clipping or scheduled:
            which = ", ".join(clipping) or "learning_rate"
            raise ValueError(f"{which}: expected the default beside optimizer, which has its own; pass "
                             f"{which} to the optimizer")
        return optimizers.get(copy.deepcopy(estimator.optimizer))
    rate = copy.deepcopy(estimator.learning_rate) if scheduled else float(estimator.learning_rate_init)
    if estimator.solver == "adam":
        return Adam(rate, estimator.beta_1, estimator.beta_2, estimator.epsilon, epsilon_hat=True, **clipping)
    sgd = SGD(rate, **clipping)
    sgd.momentum = float(estimator.momentum)  # after the constructor: scikit-learn allows 1
    sgd.nesterov = bool(estimator.nesterovs_momentum and estimator.momentum)
    return sgd


def compile_model(estimator: BaseMLP, model: Sequential, optimizer: Optimizer | None = None) -> Compiled:
    """Compile the model for users, and return the Programs that train it, which report scikit-learn's loss.

    They differ for the squared error of several outputs, whose gradient is that of the sum over outputs while
    the loss is the mean.
    """
    loss = make_loss(estimator)
    model.compile(optimizer or make_optimizer(estimator), loss)
    compiled = model._compiled
    if type(loss) is losses.SquaredError and model.output_shape[0] > 1 and estimator.loss == "squared_error":
        compiled = Compiled(model._graph, model._numbers, [MeanOverOutputs()], model.optimizer)
    if is_plain(estimator):
        compiled.programs = programs_like(model, compiled)
    return compiled


KEPT_PROGRAMS = 64  # kinds of networks
_programs: dict[str, dict[Entry, Program]] = {}


def is_plain(estimator: BaseMLP) -> bool:
    """Whether names and numbers say all about an estimator's network, and no objects of the user's."""
    activation = estimator.activation if isinstance(estimator.activation, list) else [estimator.activation]
    return all(isinstance(value, str) for value in [*activation, estimator.loss, estimator.optimizer or ""])


def programs_like(model: Sequential, compiled: Compiled) -> dict[Entry, Program]:
    """The Programs of all networks like this one: made once for the folds and candidates of a search.

    They also know how many threads pay.
    """
    optimizer = compiled.optimizer
    assert optimizer is not None
    numbers = compiled.numbers  # Programs hold where its arrays begin
    arrays = [list(a.segments.values()) for a in (numbers.parameters, numbers.persistent, compiled.trained)]
    made_of = repr((model.input_shape, model.dtype, model.layers, arrays, compiled.heads[0].loss, optimizer.op,
                    optimizer.scalars(), optimizer.clipping.get_config()))
    return kept(_programs, made_of, dict, KEPT_PROGRAMS)


def with_alpha(model: Sequential, alpha: float) -> Sequential:
    """The model with another coefficient in its penalties, not compiled; the same numbers."""
    config = model.get_config()
    for layer in config["layers"]:
        if layer["class"] == "Dense":
            layer["kernel_regularizer"] = L2(alpha, per_sample=True) if alpha else None
    other = Sequential.from_config(config)
    other.load_state_dict(model.state_dict())
    return other


def alpha_of(model: Sequential) -> float:
    """The coefficient of the model's penalties."""
    penalty = dense_layers(model)[0].kernel_regularizer
    return penalty.l2 if penalty else 0.0
