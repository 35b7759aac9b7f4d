"""A saddle point: a gradient near zero that is no minimum, and what escapes it."""

import numpy as np

import fastnn as fnn
from fastnn import plot
from fastnn.diagnostics.curvature import extreme_curvatures

from .base import Lesson, Results, first_below


def cost(w):
    """Two weights in a row, y = a b x, that should make 1 of 1: 1/2 (a b - 1)^2."""
    error = w[0] * w[1] - 1
    return 0.5 * error ** 2, error * w[::-1]


def curvatures(a, b):
    """The least and the largest curvature of the same network with weights a and b."""
    layers = [fnn.Dense(1, use_bias=False), fnn.Dense(1, use_bias=False)]
    model = fnn.Sequential(layers, input_shape=(1,), dtype="float64")
    model.set_weights([[[a]], [[b]]])
    model.compile(fnn.SGD(), "squared_error")
    return extreme_curvatures(model.bind([[1.0]], [1.0]), model.named_parameters())


def noisy(w, rng, size=0.05):
    """The cost with a gradient as of a small batch."""
    value, gradient = cost(w)
    return value, gradient + size * rng.standard_normal(2)


def experiment(steps=300, off=1e-6):
    start = [0.9, -0.9 + off]  # a = -b leads into the saddle
    rng = np.random.default_rng(0)
    ways = {"SGD": fnn.descend(cost, start, fnn.SGD(0.1), steps),
            "SGD, noise": fnn.descend(lambda w: noisy(w, rng), start, fnn.SGD(0.1), steps),
            "Momentum": fnn.descend(cost, start, fnn.Momentum(0.1), steps),
            "RMSprop": fnn.descend(cost, start, fnn.RMSprop(0.02), steps),
            "Adam": fnn.descend(cost, start, fnn.Adam(0.05), steps)}
    nearest = min(ways["SGD"].points, key=lambda w: np.abs(w).max())
    return {"ways": ways, "nearest": nearest, "gradient": np.linalg.norm(cost(nearest)[1]),
            "saddle": curvatures(*nearest), "minimum": curvatures(1.0, 1.0)}


def picture(found):
    top, bottom = plot.figure(rows=2, height=8.0)
    plot.optimizer_paths(cost, {name: way.points for name, way in found["ways"].items()}, ax=top,
                         bounds=(-1.6, 1.6, -1.6, 1.6), names=("a", "b"))
    plot.curves(None, {name: way.values for name, way in found["ways"].items()}, ax=bottom, x_label="step",
                y_label="cost")
    return top


def results(found):
    table = [["optimizer", "cost after 50 steps", "at the end", "steps until below 0.25"]]
    for name, way in found["ways"].items():
        n = first_below(np.maximum.accumulate(way.values[::-1])[::-1], 0.25)  # for good
        table.append([name, f"{way.values[50]:.3f}", f"{way.values[-1]:.2g}", str(n)])
    needed = {row[0]: row[3] for row in table[1:]}
    return Results(table, {
        "gradient": found["gradient"], "value": cost(found["nearest"])[0], "low": found["saddle"][0],
        "high": found["saddle"][1], "minimum": found["minimum"][0] + 0.0, "steep": found["minimum"][1],
        "sgd": needed["SGD"], "noise": needed["SGD, noise"], "momentum": needed["Momentum"],
        "rmsprop": needed["RMSprop"], "adam": needed["Adam"]})


LESSON = Lesson(16, "saddle", "Saddle points, and what escapes them", experiment, results, picture, """
Two weights in a row should multiply to 1. They begin as 0.9 and -0.9, a millionth beside the line that leads
to (0, 0), and gradient descent goes there: the gradient falls to {gradient:.0e}, the cost stays at
{value:.2f}, and one might take that for the end of training. It is no minimum. The curvature, measured by
differences of gradients, is {high:.2f} one way and {low:.2f} the other; at a real minimum none is negative
(1, 1 has {minimum:.2f} and {steep:.2f}). So there is a way down, but it begins with the millionth, which
plain descent must double some twenty times: {sgd} steps. The noise of small batches has a part in every
direction, also that one ({noise} steps), and momentum adds up the little it is given ({momentum}). RMSprop
and Adam are no help here ({rmsprop} and {adam} steps): they scale a and b each by its own gradients, but the
way in, along a = -b, and the way out, along a = b, are made of both, and large gradients on the one shorten
the steps on the other. Where the way out is along an axis, as in the lesson on optimizers, they are quick. In
networks of many weights a point with no gradient is far more often a saddle than a bad minimum, for at a
minimum all directions must agree.""", {"steps": 250},
                ("Plateaus and saddle points",))
