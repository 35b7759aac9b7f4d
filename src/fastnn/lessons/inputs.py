"""The same straight line, learned from raw inputs and from normalised ones: the valley and the bowl."""

import numpy as np

import fastnn as fnn
from fastnn import plot
from fastnn.diagnostics.curvature import extreme_curvatures

from .base import Lesson, Results, first_below


def experiment(rows=200, steps=400):
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((rows, 2)) * [1.0, 6.0]  # metres and centimetres, for one
    found = {}
    for name, X in (("raw inputs", raw), ("normalised inputs", (raw - raw.mean(axis=0)) / raw.std(axis=0))):
        y = X @ (raw.std(axis=0) / X.std(axis=0) * [2.0, -0.5])  # the same numbers from both

        def cost(w, X=X, y=y):
            error = X @ w - y
            return 0.5 * np.mean(error ** 2), X.T @ error / len(X)

        line = fnn.Sequential([fnn.Dense(1, use_bias=False)], input_shape=(2,), dtype="float64")
        line.compile(fnn.SGD(), "squared_error")
        low, high = extreme_curvatures(line.bind(X, y), line.named_parameters())
        way = fnn.descend(cost, [0.0, 0.0], fnn.SGD(1.8 / high), steps)  # 2 / high would diverge
        found[name] = {"cost": cost, "low": low, "high": high, "way": way}
    return found


def picture(found):
    axes = plot.figure(columns=2, height=3.8, width=7.0)
    for ax, (name, each) in zip(axes, found.items(), strict=True):
        target = each["way"].points[-1]
        reach = 1.3 * max(abs(target))
        bounds = (target[0] - reach, target[0] + reach, target[1] - reach, target[1] + reach)
        plot.optimizer_paths(each["cost"], {"SGD": each["way"].points[:60]}, bounds=bounds, ax=ax)
        ax.set_title(name, fontsize="medium")
    return axes


def results(found):
    table = [["inputs", "least curvature", "largest", "condition", "largest rate", "steps to cost / 10,000"]]
    steps = {}
    for name, each in found.items():
        values = each["way"].values
        steps[name] = first_below(values, 1e-4 * values[0])
        table.append([name, f"{each['low']:.2f}", f"{each['high']:.2f}", f"{each['high'] / each['low']:.1f}",
                      f"{2 / each['high']:.3f}", str(steps[name])])
    raw, normal = found["raw inputs"], found["normalised inputs"]
    return Results(table, {
        "valley": raw["high"] / raw["low"], "bowl": normal["high"] / normal["low"], "rate": 2 / raw["high"],
        "normal_rate": 2 / normal["high"], "raw_steps": steps["raw inputs"],
        "normal_steps": steps["normalised inputs"]})


LESSON = Lesson(9, "inputs", "Normalised inputs: the valley and the bowl", experiment, results, picture, """
One feature is six times as large as the other, as centimetres beside metres would be. So the cost is a
valley, {valley:.0f} times as steep across as along: gradient descent must not take steps longer than its
steep side bears, at most a rate of {rate:.3f}, and with that it creeps along the floor and needs {raw_steps}
steps to bring the cost down to a ten thousandth. Subtract each feature's mean and divide by its deviation,
and the same task becomes nearly round, {bowl:.2f} times as steep one way as the other. The rate may be
{normal_rate:.2f} now, and {normal_steps} steps do. Nothing about the answer has changed, only the shape of
the ground. In a network the first layer's inputs are features, and those of each later layer are the outputs
of the one before: this is why batch and layer normalisation exist. fnn.Standardize() as the first layer does
it, with the numbers of the training set.""", {}, ("Input normalisation", "PCA and whitening"))
