"""Hyper-parameters: a grid, random points, successive halving, on one budget of epochs."""

import numpy as np

import fastnn as fnn
from fastnn import plot
from fastnn.data import load_digits, train_test_split

from .base import Lesson, Results

LOW, HIGH = np.log10([1e-4, 1e-6]), np.log10([1.0, 1e-1])  # of rate and L2, as powers of ten


class Trial:
    """A network with settings of its own, which can be trained further."""

    def __init__(self, point, data):
        rate, l2 = 10.0 ** np.array(point)
        self.point, self.data, self.epochs = tuple(point), data, 0
        layers = [fnn.Flatten(), fnn.Standardize(per_feature=False),
                  fnn.Dense(32, "relu", kernel_regularizer=fnn.L2(l2)),
                  fnn.Dense(10, "softmax", kernel_regularizer=fnn.L2(l2))]
        self.model = fnn.Sequential(layers, input_shape=(8, 8), seed=0)
        self.model.compile(fnn.Adam(rate), "cross_entropy", metrics=["accuracy"])

    def train(self, epochs):
        X, X_val, y, y_val = self.data
        self.model.fit(X, y, epochs=epochs, verbose=0)
        self.epochs += epochs
        self.accuracy = self.model.evaluate(X_val, y_val)["accuracy"]
        return self.accuracy


def grid(data, trials, epochs, rng):
    """Evenly spaced, but placed at random: where the best point is nobody knows."""
    side = round(trials ** 0.5)
    axes = [low + (high - low) * (np.arange(side) + rng.random()) / side
            for low, high in zip(LOW, HIGH, strict=True)]
    made = [Trial((rate, l2), data) for rate in axes[0] for l2 in axes[1]]
    for trial in made:
        trial.train(epochs)
    return made


def at_random(data, trials, epochs, rng):
    made = [Trial(rng.uniform(LOW, HIGH), data) for _ in range(trials)]
    for trial in made:
        trial.train(epochs)
    return made


def halving(data, trials, epochs, rng):
    """Three times as many, each for a ninth of the time; twice the best third goes on for longer."""
    made = [Trial(rng.uniform(LOW, HIGH), data) for _ in range(3 * trials)]
    running, length = made, max(1, epochs // 9)
    while True:
        for trial in running:
            trial.train(length)
        if len(running) <= max(1, trials // 3):
            return made
        running = sorted(running, key=lambda trial: -trial.accuracy)[:len(running) // 3]
        length *= 2 if length * 3 > epochs else 3


def experiment(trials=9, epochs=18, repeats=20):
    X, _, y, _ = train_test_split(*load_digits())
    data = train_test_split(X, y, 0.5)
    found = {}
    for name, search in (("grid", grid), ("random", at_random), ("halving", halving)):
        runs = [search(data, trials, epochs, np.random.default_rng(seed)) for seed in range(repeats)]
        found[name] = [[(*trial.point, trial.epochs, trial.accuracy) for trial in made] for made in runs]
    return found


def picture(found):
    axes = plot.figure(columns=3, height=3.0, width=7.4)
    for ax, (name, runs) in zip(axes, found.items(), strict=True):
        rate, l2, epochs, accuracy = np.array(runs[0]).T
        drawn = ax.scatter(10 ** rate, 10 ** l2, s=12 + 6 * epochs, c=accuracy, vmin=0.8, vmax=1,
                           cmap="viridis", edgecolors="black", linewidths=0.5)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_title(f"{name}: best {accuracy.max():.1%}", fontsize="small")
        ax.set_xlabel("learning rate")
    axes[0].set_ylabel("L2")
    axes[0].figure.colorbar(drawn, ax=axes[2], label="validation accuracy (size: epochs)")
    return axes


def results(found):
    table = [["search", "epochs in all", "rates tried", "best, mean", "best, worst of repeats"]]
    best = {name: [max(trial[3] for trial in made) for made in runs] for name, runs in found.items()}
    spent = {name: sum(trial[2] for trial in runs[0]) for name, runs in found.items()}
    rates = {name: len({round(trial[0], 6) for trial in runs[0]}) for name, runs in found.items()}
    for name, values in best.items():
        table.append([name, str(spent[name]), str(rates[name]), f"{np.mean(values):.2%}",
                      f"{min(values):.2%}"])
    point = max((trial for made in found["halving"] for trial in made), key=lambda trial: trial[3])
    return Results(table, {
        "epochs": spent["grid"], "grid_rates": rates["grid"], "random_rates": rates["random"],
        "halving_rates": rates["halving"], "halving_epochs": spent["halving"], "grid": np.mean(best["grid"]),
        "halving_worst": min(best["halving"]), "random": np.mean(best["random"]),
        "halving": np.mean(best["halving"]), "repeats": len(best["random"]),
        "rate": 10 ** point[0], "l2": 10 ** point[1]})


LESSON = Lesson(15, "search", "Searching for hyper-parameters", experiment, results, picture, """
Two settings, the learning rate and L2, and a budget of {epochs} epochs. A grid of three by three spends it on
nine networks, but tries only {grid_rates} rates, and the rate is what matters: whichever of them is nearest,
it is the same for three networks that differ in what matters less. On the mean of {repeats} repeats its best
has {grid:.2%} of the validation images right. Nine points at random try {random_rates} rates, and their best
has {random:.2%}: with two settings, and a best region as wide as this one, that is no great difference, and
it grows with every further setting that does not matter. Successive halving tries {halving_rates}, gives each
a little time, keeps the best third, and gives those more: {halving_epochs} epochs in all, and {halving:.2%};
the worst of its repeats has {halving_worst:.2%}. It works because a bad rate shows early. The best point it
found was a rate of {rate:.2g} with an L2 of {l2:.1g}. All were drawn on logarithmic scales: between 0.0001
and 1 there is as much to find from 0.0001 to 0.001 as from 0.1 to 1.""", {"epochs": 9, "repeats": 2},
                ("Hyper-parameter tuning", "Training, validation and test rows"))
