"""Recurrent networks: gradients through time by the spectral radius of the recurrent weights; the cliff."""

import numpy as np

import fastnn as fnn
from fastnn import plot

from .base import Lesson, Results


def through_time(radius, steps, units=32, activation="identity"):
    """The norm of the last step's loss's gradient for the input of each step."""
    rng = np.random.default_rng(0)
    model = fnn.Sequential([fnn.SimpleRNN(units, activation), fnn.Dense(1)], (steps, 4), dtype="float64", seed=0)
    model.layers[0].recurrent_weight[...] *= radius  # they begin orthogonal: all eigenvalues are 1 in size
    model.compile("sgd", "squared_error")
    bound = model.bind(rng.standard_normal((16, steps, 4)), rng.standard_normal(16))
    return np.sqrt((bound.input_gradient() ** 2).sum(axis=(0, 2)))


def cliff(steps):
    """The cost of h_t = sigmoid(w h_(t-1) + b), which should be 0.7 in the end, as a function of (w, b)."""
    unit = fnn.SimpleRNN(1, "sigmoid", kernel_initializer="zeros")
    model = fnn.Sequential([unit], (steps, 1), dtype="float64")
    model.compile("sgd", "squared_error")
    bound = model.bind(np.zeros((1, steps, 1)), [0.7])

    def cost(w):
        unit.recurrent_weight[...], unit.bias[...] = w
        value, gradients = bound.loss_and_gradients()
        names = ("simple_rnn.recurrent_weight", "simple_rnn.bias")
        return value, np.array([gradients[name].item() for name in names])

    return cost


def experiment(steps=50, radii=(0.5, 0.9, 1.0, 1.1, 1.5), updates=300):
    norms = {radius: through_time(radius, steps) for radius in radii}
    squashed = through_time(max(radii), steps, activation="tanh")
    cost = cliff(steps)
    ways = {name: fnn.descend(cost, [5.5, -3.2], fnn.SGD(1.0, **clipping), updates)
            for name, clipping in (("SGD", {}), ("SGD, clipped", {"global_clipnorm": 0.2}))}
    wall = max(np.linalg.norm(cost(np.array([5.5, b]))[1]) for b in np.linspace(-2.6, -2.3, 301))
    return {"norms": norms, "squashed": squashed, "cost": cost, "ways": ways, "wall": wall,
            "plain": np.linalg.norm(cost(np.array([5.5, -3.2]))[1])}


def picture(found):
    top, bottom = plot.figure(rows=2, height=7.6)
    lines = {f"radius {radius}": norms / norms[-1] for radius, norms in found["norms"].items()}
    lines["radius 1.5, tanh"] = found["squashed"] / found["squashed"][-1]
    plot.curves(None, lines, ax=top, first=1, log="y", x_label="step in time",
                y_label="gradient, relative to the last step's")
    plot.optimizer_paths(found["cost"], {name: way.points for name, way in found["ways"].items()}, ax=bottom,
                         bounds=(3.0, 7.0, -4.0, 0.5), names=("w, recurrent weight", "b, bias"))
    return top


def results(found):
    table = [["recurrent network", "gradient of step 1 / last", "factor a step", "longest update", "cost in the end"]]
    ratios, factors = {}, {}
    for radius, norms in found["norms"].items():
        ratios[radius] = norms[0] / norms[-1]
        factors[radius] = float(np.exp(-np.polyfit(np.arange(len(norms)), np.log(norms), 1)[0]))
        table.append([f"radius {radius}", f"{ratios[radius]:.2g}", f"{factors[radius]:.3f}", "", ""])
    squashed = found["squashed"][0] / found["squashed"][-1]
    table.append([f"radius {max(ratios)}, tanh", f"{squashed:.2g}", "", "", ""])
    longest = {name: np.linalg.norm(np.diff(way.points, axis=0), axis=1).max() for name, way in found["ways"].items()}
    for name, way in found["ways"].items():
        table.append([f"one unit, {name}", "", "", f"{longest[name]:.2f}", f"{way.values[-1]:.4f}"])
    return Results(table, {
        "steps": len(found["squashed"]), "small": ratios[0.5], "one": ratios[1.0], "large": ratios[1.5],
        "squashed": squashed, "factors": factors, "plain": found["plain"], "wall": found["wall"],
        "times": found["wall"] / found["plain"], "longest": longest["SGD"], "clipped": longest["SGD, clipped"],
        "cost": found["ways"]["SGD"].values[-1], "clipped_cost": found["ways"]["SGD, clipped"].values[-1]})


LESSON = Lesson(7, "recurrent", "Recurrent networks: gradients through time, and the cliff", experiment, results,
                picture, """
A recurrent network is as deep as its sequence is long, and every layer of that depth has the same weights. So the
gradient on its way back is multiplied by one matrix again and again, and the size of its eigenvalues, the spectral
radius, decides. Measured over {steps} steps: with 0.5 the first input has {small:.0e} of the last one's gradient and
might as well not be there, with 1 it has {one:.1f} times as much, with 1.5 {large:.0e} times. Tanh puts a lid on it,
since saturated units pass little on ({squashed:.1f} with a radius of 1.5), at the price of gradients that vanish in
its flat ends. The second part is one unit with two weights, whose cost has a cliff: on one side the state falls to a
low value, on the other it climbs to a high one, and along the edge between them the gradient is {wall:.0f},
{times:,.0f} times what it is a little way off. Plain descent comes to the edge in small steps, takes one of length
{longest:.1f} there, and ends far away at a cost of {cost:.3f}. With the gradient's norm clipped to 0.2 no step is
longer than {clipped:.1f}; the direction is the same, and it ends at {clipped_cost:.4f}. Clipping does nothing for
gradients that vanish: for those there are gates, as in LSTM and GRU.""", {},
                ("Vanishing gradients", "Exploding gradients", "Gradient clipping"))
