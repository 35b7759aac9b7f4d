"""Pictures of what is no data."""
import inspect

import numpy as np
import pytest

import fastnn as fnn
from hostile import NUMBERS, no_arrays, outcome

pytest.importorskip("matplotlib")
from fastnn import plot

RNG = np.random.default_rng(0)
X, LABELS, IMAGES = RNG.random((6, 2)), np.arange(6) % 3, RNG.random((6, 4, 4))


@pytest.fixture(scope="module")
def calls():
    """Arguments with which each function draws."""
    model = fnn.Sequential([fnn.Dense(3, "softmax")], input_shape=(2,))
    model.compile("sgd")
    of_images = fnn.Sequential([fnn.Flatten(), fnn.Dense(3, "softmax")], input_shape=(4, 4))
    of_images.compile("sgd")
    monitor = fnn.Monitor(X, LABELS)
    history = model.fit(X, LABELS, epochs=2, verbose=0, callbacks=[monitor])
    data, labels, watched = {"X": X, "y": LABELS}, {"y_true": LABELS, "y_pred": LABELS}, {"monitor": monitor}
    return {
        "activation": {"activation": "relu"}, "compare": {"histories": {"a": history}, "name": "loss"},
        "calibration": {"y_true": [0, 1], "y_pred": [0.25, 0.75]}, "confusion_matrix": labels,
        "curves": {"x": [1, 2], "lines": {"a": [1, 2]}}, "embedding": data,
        "decision_boundary": {"model": model, **data, "resolution": 4},
        "gradient_check": {"check": fnn.check_gradients(model, X, LABELS)},
        "gradient_error": {"curve": fnn.gradient_error_curve(model, X, LABELS, steps=[1e-3])},
        "gradient_norms": watched, "histograms": watched, "saturation": watched, "update_ratios": watched,
        "history": {"history": history}, "network": {"model": model}, "profile": {"profile": model.profile(X, LABELS)},
        "predictions": {"y_true": [1.0, 2.0], "y_pred": [1.0, 2.5]},
        "residuals": {"y_true": [1.0, 2.0], "y_pred": [1.0, 2.5]},
        "schedule": {"schedule": fnn.CosineDecay(0.1, 5), "updates": 5},
        "learning_rate_search": {"found": fnn.find_learning_rate(model, X, LABELS, steps=4, trials=False)},
        "loss_surface": {"model": model, **data, "resolution": 2}, "weights": {"model": of_images, "shape": (4, 4)},
        "worst_errors": {"model": of_images, "X": IMAGES, "y": LABELS},
    }


ELSEWHERE = {"colour", "figure", "save", "optimizer_paths"}  # take no data
WORDS = {"ax", "name", "x_label", "y_label", "title", "log", "first", "learning_rate", "steps_per_epoch", "of", "layer"}
LARGE = {"2^40", "2^63", "10^400", "1e300", "long array"}  # of pictures that could be drawn, in a while


def arguments(name):
    return [p for p in inspect.signature(getattr(plot, name)).parameters if p not in WORDS]


def test_every_function_is_here(calls):
    assert set(calls) | ELSEWHERE == set(plot.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(plot.__all__) - ELSEWHERE))
def test_data(calls, name):
    """Each argument given each thing that is no array, and no number."""
    from matplotlib import pyplot

    for argument in arguments(name):
        for what, value in {**no_arrays(), **NUMBERS}.items():
            if what in LARGE and argument in ("resolution", "n", "updates", "span", "bins"):
                continue
            outcome(lambda: getattr(plot, name)(**{**calls[name], argument: value}))  # noqa: B023
            pyplot.close("all")


@pytest.mark.parametrize("name, argument", [
    ("decision_boundary", "X"), ("decision_boundary", "y"), ("confusion_matrix", "y_true"), ("predictions", "y_pred"),
    ("embedding", "X"), ("curves", "x"), ("curves", "lines"), ("history", "history"), ("gradient_check", "check"),
    ("network", "model"), ("gradient_norms", "monitor"), ("schedule", "schedule"), ("worst_errors", "X")])
def test_some_data(calls, name, argument):
    """Refused by the argument's name."""
    for value in (None, "abc", object(), np.zeros((0, 2)), [[1, 2], [3]], np.ones(3) * 1j):
        if (name, argument, value is None) != ("curves", "x", True):
            assert isinstance(outcome(lambda: getattr(plot, name)(**{**calls[name], argument: value}),  # noqa: B023
                                      argument), Exception)
