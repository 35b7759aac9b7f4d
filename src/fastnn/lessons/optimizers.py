"""Optimizers in a ravine, at a saddle, on a plateau; bias correction."""

import numpy as np

import fastnn as fnn
from fastnn import plot

from .base import Lesson, Results

RATES = np.geomspace(5e-3, 2, 17)


def ravine(w):
    """Fifty times as steep across as along."""
    return w[0] ** 2 / 50 + w[1] ** 2, np.array([w[0] / 25, 2 * w[1]])


def saddle(w):
    """Gently down to the sides of (0, 0), where the gradient is 0; -1/40 is the least."""
    return w[0] ** 2 - w[1] ** 2 / 20 + w[1] ** 4 / 40, np.array([2 * w[0], (w[1] ** 3 - w[1]) / 10])


def plateau(w):
    """Flat far out: w^2 / (1 + w^2) for both numbers."""
    return np.sum(w ** 2 / (1 + w ** 2)), 2 * w / (1 + w ** 2) ** 2


SURFACES = {"ravine": (ravine, [-8.0, 1.5]), "saddle": (saddle, [-1.0, 1e-4]),
            "plateau": (plateau, [6.0, 4.0])}
KINDS = {"SGD": fnn.SGD, "Momentum": fnn.Momentum, "Nesterov": fnn.Nesterov, "AdaGrad": fnn.AdaGrad,
         "RMSprop": fnn.RMSprop, "Adam": fnn.Adam}


def experiment(steps=300, rates=RATES):
    found = {}
    for surface, (function, start) in SURFACES.items():
        found[surface] = {}
        for name, kind in KINDS.items():
            # each at its own best rate; at the saddle at its best rate of the ravine
            allowed = [found["ravine"][name][0]] if surface == "saddle" else rates
            tried = []
            for rate in allowed:
                with np.errstate(all="ignore"):
                    try:
                        tried.append((rate, fnn.descend(function, start, kind(rate), steps)))
                    except FloatingPointError:  # this rate diverges
                        continue
            found[surface][name] = min(
                tried, key=lambda each: (arrival(surface, each[1]), each[1].values[-1]))
    first = {on: fnn.descend(ravine, [-8.0, 1.5], fnn.Adam(0.1, bias_correction=on), 30).points
             for on in (True, False)}
    return {"ways": found, "bias": first, "rates": len(rates)}


def arrival(surface, way):
    """After how many steps the value is below 0.01 for good; at the saddle, when w2 has left 0 behind."""
    if surface == "saddle":
        return int(np.argmax(np.abs(way.points[:, 1]) > 0.5)) or len(way.values)
    return int(np.flatnonzero(~(way.values <= 0.01))[-1]) + 1


def picture(found):
    axes = plot.figure(rows=3, height=9.0)
    for ax, (surface, (function, _)) in zip(axes, SURFACES.items(), strict=True):
        ways = {name: way.points[:150] for name, (_, way) in found["ways"][surface].items()}
        plot.optimizer_paths(function, ways, ax=ax, levels=6)
        ax.set_title(surface, fontsize="medium")
        ax.get_legend().set_visible(ax is axes[0])
    return axes


def results(found):
    table = [["optimizer", *(f"{surface}: steps (rate)" for surface in SURFACES)]]
    needed = {surface: {} for surface in SURFACES}
    for name in KINDS:
        row = [name]
        for surface in SURFACES:
            rate, way = found["ways"][surface][name]
            n = needed[surface][name] = arrival(surface, way)
            row.append(f"{n} ({rate:.2g})" if n < len(way.values) else "never")
        table.append(row)
    moved = {on: np.abs(np.diff(points, axis=0)).max(axis=1) for on, points in found["bias"].items()}
    return Results(table, {
        **{f"{surface}_{name}": n for surface, each in needed.items() for name, n in each.items()},
        "with": moved[True][0], "without": moved[False][0],
        "most": moved[False].max() / 0.1, "rates": found["rates"]})


LESSON = Lesson(11, "optimizers", "Optimizers in a ravine, at a saddle, on a plateau", experiment, results,
                picture, """
Every optimizer had the best of {rates} rates in the ravine and on the plateau, so that what differs is the
rule, not the luck of a number. In the ravine SGD is held back by the steep walls and needs {ravine_SGD}
steps; momentum adds up what all steps agree on, which is the way along the floor ({ravine_Momentum}), and
Nesterov looks where that will take it first ({ravine_Nesterov}). AdaGrad and Adam divide each direction by
the size of its gradients, so that a ravine is less of one to them ({ravine_AdaGrad} and {ravine_Adam});
RMSprop does too, but its steps do not get shorter near the floor, and the rate with which it can settle is a
small one ({ravine_RMSprop}). At the saddle, each with its rate from the ravine, all begin a ten thousandth
beside the line that leads into it. SGD grows that distance by a tenth of itself in a step and needs
{saddle_SGD} steps to be off, while RMSprop ({saddle_RMSprop}) and Adam ({saddle_Adam}) step as far where
gradients are tiny as anywhere. On the plateau gradients are small too, but all of one mind: {plateau_SGD}
steps for SGD, {plateau_Momentum} with momentum, {plateau_Adam} for Adam. Bias correction is about Adam's
first steps. Its averages begin at zero, and the one of squares stays too small for longest: at a rate of 0.1
the first step is {with:.2f} with the correction and {without:.2f} without it, and the longest then {most:.1f}
times the rate.""",
                {"steps": 150, "rates": (0.03, 0.1, 0.3, 0.8)},
                ("Momentum", "Steps scaled by past gradients", "Bias correction"))
