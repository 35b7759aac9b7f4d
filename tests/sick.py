"""One row per rule of the training doctor: a network that is sick in that way, and the same one cured.

A new rule is tested once it has its row here. `make(sick, seed)` gives (model, X, y); the layers' names are
"first", "second", ... and "last".
"""
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import fastnn as fnn

N, FEATURES, CLASSES = 400, 20, 5
NAMES = ("first", "second", "third", "fourth", "fifth")


@dataclass(frozen=True)
class Sick:
    """How to make a network sick (or cured), the layer that the finding must name, and how to look."""

    rule: str
    layer: str
    make: Callable
    settings: dict = field(default_factory=dict)  # of diagnose
    training: dict = field(default_factory=dict)  # of fit: then a Monitor must find it


def blobs(seed, n=N):
    """Standard normal clouds, 5 classes of the same number of rows, whose overall deviation is 1."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % CLASSES
    X = rng.standard_normal((CLASSES, FEATURES))[y] + rng.standard_normal((n, FEATURES))
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def lines(seed):
    """A linear function of the features, with deviation 1."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, FEATURES))
    y = X @ rng.standard_normal(FEATURES) + 0.1 * rng.standard_normal(N)
    return X, (y - y.mean()) / y.std()


def network(hidden, last, seed, *, rate=0.1, loss="cross_entropy", optimizer=None, **settings):
    """Hidden layers of 30 of an activation each, and the last one; `settings` are the hidden layers'."""
    layers = [fnn.Dense(30, activation, name=name, **settings)
              for name, activation in zip(NAMES, hidden, strict=False)]
    model = fnn.Sequential([*layers, last], input_shape=(FEATURES,), seed=seed)
    model.compile(optimizer or fnn.SGD(rate), loss)
    return model


def softmax(**settings):
    return fnn.Dense(CLASSES, "softmax", name="last", **settings)


def classifier(hidden, seed, rate=0.1, last=None, **settings):
    return network(hidden, last or softmax(), seed, rate=rate, **settings), *blobs(seed)


def normal(std):
    return fnn.initializers.Normal(std)


def saturated(sick, seed):
    start = "standard_normal" if sick else "glorot_uniform"
    return classifier(["tanh"], seed, kernel_initializer=start)


def dead(sick, seed):
    model, X, y = classifier(["relu", "relu"], seed)
    model.layers[1].bias[:20] = -30.0 if sick else 0.0
    return model, X, y


def shrinking(sick, seed):
    return classifier(["tanh"] * 4, seed, kernel_initializer=normal(0.01) if sick else "glorot_uniform")


def growing(sick, seed):
    return classifier(["relu"] * 3, seed, rate=1e-3 if sick else 0.1,
                      kernel_initializer=normal(3.0) if sick else "he_normal")


def symmetric(sick, seed):
    if not sick:
        return classifier(["tanh"], seed)
    start = fnn.initializers.Constant(0.1)
    return classifier(["tanh"], seed, last=softmax(kernel_initializer=start), kernel_initializer=start)


def vanishing(sick, seed):
    return classifier(["sigmoid" if sick else "tanh"] * 4, seed)


def exploding(sick, seed):
    return classifier(["relu"] * 4, seed, rate=1e-9 if sick else 0.1,
                      kernel_initializer=normal(2.0) if sick else "he_normal")


def slow(rate):
    return lambda sick, seed: classifier(["tanh"], seed, rate=rate if sick else 0.1)


def fast(rate):
    def make(sick, seed):
        model = network(["tanh"], fnn.Dense(1, name="last"), seed, rate=rate if sick else 0.05,
                        loss="squared_error")
        return model, *lines(seed)
    return make


def rising(sick, seed):
    return classifier(["tanh"], seed, rate=(lambda update: 0.1 if update < 130 else 80.0) if sick else 0.1)


def overfit(sick, seed):
    X, y = blobs(seed, 100 if sick else 400)
    if sick:
        y = np.random.default_rng(seed).permutation(y)
    return network(["relu"], softmax(), seed, rate=0.3 if sick else 0.05), X, y


def scaled(factor):
    def make(sick, seed):
        model, X, y = classifier(["tanh"], seed)
        return model, X * (factor if sick else 1.0), y
    return make


def large_targets(sick, seed):
    X, y = lines(seed)
    return network(["tanh"], fnn.Dense(1, name="last"), seed, rate=0.01, loss="squared_error"), X, \
        y * (300.0 if sick else 1.0)


def out_of_range(sick, seed):
    X, y = lines(seed)
    last = fnn.Dense(1, "sigmoid" if sick else None, name="last")
    return network(["tanh"], last, seed, rate=0.05, loss="squared_error"), X, y


def sure(sick, seed):
    last = softmax(kernel_initializer=normal(3.0) if sick else "glorot_uniform")
    return classifier(["relu"], seed, rate=0.01 if sick else 0.1, last=last)


def on_saddle(sick, seed):
    if not sick:
        return classifier(["tanh"], seed)
    return classifier(["tanh"], seed, last=softmax(kernel_initializer="zeros"), kernel_initializer="zeros")


def on_plateau(sick, seed):
    X, _ = lines(seed)
    model = network(["tanh"], fnn.Dense(1, "sigmoid", name="last"), seed, rate=0.3, loss="squared_error")
    model.layers[-1].bias[...] = 14.0 if sick else 0.0
    return model, X, (X[:, 0] > 0) * 0.2


SICK = [
    Sick("saturated_units", "first", saturated),
    Sick("dead_units", "second", dead),
    Sick("shrinking_activations", "fourth", shrinking),
    Sick("growing_activations", "third", growing),
    Sick("symmetric_units", "first", symmetric),
    Sick("vanishing_gradients", "first", vanishing),
    Sick("exploding_gradients", "first", exploding),
    Sick("large_updates", "last", fast(2.0), settings={"steps": 3}),
    Sick("small_updates", "first", slow(1e-6)),
    Sick("learning_rate_high", "network", fast(2.0)),
    Sick("learning_rate_low", "network", slow(1e-4)),
    Sick("divergence", "network", fast(10.0)),
    Sick("rising_loss", "network", rising, training={"epochs": 12}),
    Sick("overfitting", "network", overfit, training={"epochs": 40, "validation_split": 0.3}),
    Sick("unscaled_inputs", "input", scaled(100.0)),
    Sick("tiny_inputs", "input", scaled(1e-3)),
    Sick("unscaled_targets", "targets", large_targets),
    Sick("unreachable_targets", "targets", out_of_range),
    Sick("initial_loss", "last", sure),
    Sick("saddle", "network", on_saddle, settings={"batch_size": N}),
    Sick("plateau", "network", on_plateau),
]
