"""Any curve from steps and bumps made by hand, towers in two dimensions, and the same learned."""

import numpy as np

import fastnn as fnn
from fastnn import plot

from .base import Lesson, Results


def curve(x):
    """Nielsen's example, wavy enough to be no easy prey."""
    return 0.2 + 0.4 * x ** 2 + 0.3 * x * np.sin(15 * x) + 0.05 * np.cos(50 * x)


def hill(x, y):
    return 0.5 + 0.4 * np.sin(5 * x) * np.cos(4 * y)


def bumps(n):
    """A hidden layer of 2n steps: a bump over each n-th of the line, as high as the curve in its middle."""
    ends = np.linspace(0, 1, n + 1)
    steep = 20000.0 * n
    places = np.concatenate([ends[:-1], ends[1:]])
    heights = curve((ends[:-1] + ends[1:]) / 2)
    model = fnn.Sequential([fnn.Dense(2 * n, "sigmoid"), fnn.Dense(1)], (1,), dtype="float64")
    model.set_weights([np.full((1, 2 * n), steep), -steep * places,
                       np.concatenate([heights, -heights])[:, None], [0.0]])
    return model


def towers(n):
    """Two hidden layers: steps along both axes, and a unit for each square that wants all four of its own."""
    ends = np.linspace(0, 1, n + 1)
    middle, steep = (ends[:-1] + ends[1:]) / 2, 20000.0 * n
    first = np.zeros((2, 2 * (n + 1)))
    first[0, :n + 1] = first[1, n + 1:] = steep
    second = np.zeros((2 * (n + 1), n * n))
    for i in range(n):
        for j in range(n):
            for row, sign in ((i, 1), (i + 1, -1), (n + 1 + j, 1), (n + 2 + j, -1)):
                second[row, i * n + j] = sign * 40.0
    layers = [fnn.Dense(2 * (n + 1), "sigmoid"), fnn.Dense(n * n, "sigmoid"), fnn.Dense(1)]
    model = fnn.Sequential(layers, input_shape=(2,), dtype="float64")
    model.set_weights([first, -steep * np.concatenate([ends, ends]), second, np.full(n * n, -60.0),
                       hill(*np.meshgrid(middle, middle, indexing="ij")).reshape(-1, 1), [0.0]])
    return model


def learned(units, epochs):
    x = np.linspace(0, 1, 400)[:, None]
    model = fnn.Sequential([fnn.Dense(units, "tanh"), fnn.Dense(1)], (1,), dtype="float64", seed=0)
    first, rng = model.layers[0], np.random.default_rng(0)
    first.weight[...] = rng.uniform(5, 40, units) * rng.choice([-1, 1], units)  # steps of many widths,
    first.bias[...] = -first.weight[0] * rng.random(units)  # all over the line
    model.compile(fnn.Adam(fnn.CosineDecay(0.02, total=epochs * 4)), "squared_error")
    model.fit(x, curve(x), batch_size=100, epochs=epochs, verbose=0)
    return model


def experiment(sizes=(5, 10, 20, 40, 80, 160), squares=(4, 8, 16, 32), epochs=2000):
    x = np.linspace(0.001, 0.999, 1001)
    points = np.random.default_rng(0).random((4000, 2))
    built = {2 * n: bumps(n).predict(x[:, None])[:, 0] for n in sizes}
    trained = {units: learned(units, epochs).predict(x[:, None])[:, 0] for units in (10, 20, 40)}
    tower = {n: towers(n).predict(points)[:, 0] - hill(*points.T) for n in squares}
    errors = {"bumps by hand": {units: np.abs(y - curve(x)).max() for units, y in built.items()},
              "learned": {units: np.abs(y - curve(x)).max() for units, y in trained.items()},
              "towers by hand, two inputs": {n * n + 4 * (n + 1): np.abs(e).max() for n, e in tower.items()}}
    return {"x": x, "built": built, "trained": trained, "errors": errors}


def picture(found):
    top, bottom = plot.figure(rows=2, height=7.2)
    units = list(found["built"])[2]
    lines = {"the curve": curve(found["x"]), f"{units} units by hand": found["built"][units],
             "40 units, learned": found["trained"][40]}
    plot.curves(found["x"], lines, ax=top, x_label="x", y_label="f(x)")
    for i, (name, errors) in enumerate(found["errors"].items()):
        bottom.loglog(list(errors), list(errors.values()), "os^"[i] + "-", color=plot.colour(i), label=name)
    bottom.set_xlabel("hidden units")
    bottom.set_ylabel("largest error")
    bottom.legend(fontsize="small")
    return top


def results(found):
    table = [["network", "hidden units", "largest error"]]
    for name, errors in found["errors"].items():
        table += [[name, str(units), f"{error:.4f}"] for units, error in errors.items()]
    built, trained, tower = found["errors"].values()
    few, many = min(built), max(built)
    return Results(table, {
        "few": few, "few_error": built[few], "many": many, "many_error": built[many],
        "factor": built[few] / built[many], "ratio": many / few,
        "forty": built[40] if 40 in built else built[few], "learned": trained[40],
        "tower_few": min(tower), "tower_few_error": tower[min(tower)],
        "tower_many": max(tower), "tower_error": tower[max(tower)]})


LESSON = Lesson(13, "universality", "Universality, built by hand and learned", experiment, results,
                picture, """
A steep sigmoid is a step, two steps are a bump, and a row of bumps of the right heights is any curve. Nothing
is trained here: the weights are written down from the curve itself. With {few} hidden units the result is off
by {few_error:.2f} at the worst, with {many} by {many_error:.3f}: {ratio:.0f} times the units, an error
{factor:.0f} times as small, and so on to any precision. For two inputs one more layer helps: a unit that
wants four steps at once is a tower over a square, and {tower_few} units are off by {tower_few_error:.2f},
{tower_many} by {tower_error:.3f}. So there is a network for every function. It is no way to build one. With
40 units the bumps are off by {forty:.2f}; 40 units that learned the same curve by gradient descent are off by
{learned:.3f}, because they may bend where the curve bends instead of standing in a row. The theorem says that
weights exist; finding good ones is what training is for.""",
                {"sizes": (5, 10, 20), "squares": (4, 8), "epochs": 200}, ("Universality",))
