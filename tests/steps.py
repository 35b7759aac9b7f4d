"""Small models and their steps taken by a Run, without `fit` around them."""
import numpy as np
import pytest

import fastnn as fnn
from fastnn import backends
from fastnn.backends import Pass
from fastnn.compilation import TARGET_SLOT, WEIGHT_SLOT, X_SLOT, Entry


def net(widths=(20, 33, 17, 3), dtype="float64", optimizer="adam", activation="tanh", seed=1):
    layers = [fnn.Dense(n, activation) for n in widths[1:-1]] + [fnn.Dense(widths[-1], "softmax")]
    model = fnn.Sequential(layers, (widths[0],), dtype=dtype, seed=seed)
    model.compile(optimizer, "cross_entropy")
    return model


def samples(n, n_in=20, n_out=3, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, n_in)).astype(dtype), rng.integers(0, n_out, n)


def run_of(model, entry, rows, X, y, weight=None):
    """A Run of its own with the arrays bound."""
    model._numbers.allocate_states(model.optimizer.initial_states)
    run = backends.make_run(model._compiled.program(entry), model._numbers.memory, rows)
    for slot, array in ((X_SLOT, X), (TARGET_SLOT, y), (WEIGHT_SLOT, weight)):
        run.bind(slot, array)
    return run


def train(model, X, y, batch=16, *, block=None, order=None, weight=None, rate=0.01, **entry):
    """Steps over all rows, or over those of `order`; the loss of each."""
    n = len(X) if order is None else len(order)
    block = block or batch
    walk = Pass(n, batch, block, order, weight)
    walk.rates, walk.losses = np.full(walk.steps, rate), np.zeros(walk.steps)
    entry = Entry("train", y.ndim == 1, weight is not None, **entry)
    run = run_of(model, entry, block, X, y, weight)
    run.begin(walk)
    assert run.execute(0, walk.steps) is None
    return walk.losses


def numbers(model):
    return model._numbers.memory.parameters, model._numbers.memory.state


def estimators_or_skip():
    """fastnn.estimators, or a skipped test."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    import fastnn.estimators
    return fastnn.estimators
