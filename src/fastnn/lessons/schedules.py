"""Learning-rate schedules on one budget; the range test; one cycle."""

import numpy as np

import fastnn as fnn
from fastnn import plot
from fastnn.data import load_digits, train_test_split

from .base import Lesson, Results


def network(rate):
    layers = [fnn.Flatten(), fnn.Standardize(per_feature=False), fnn.Dense(32, "relu"),
              fnn.Dense(10, "softmax")]
    model = fnn.Sequential(layers, input_shape=(8, 8), seed=0)
    model.compile(fnn.SGD(rate), "cross_entropy", metrics=["accuracy"])
    return model


def experiment(epochs=15, batch_size=8, steps=100):
    X, X_test, y, y_test = train_test_split(*load_digits())
    rng = np.random.default_rng(0)
    y = np.where(rng.random(len(y)) < 0.2, rng.integers(0, 10, len(y)), y)  # noise
    test = fnn.find_learning_rate(network(0.1), X, y, batch_size, steps=steps, lowest=1e-4, highest=100.0,
                                  trials=False)
    high, total = float(test.rates[test.smoothed.argmin()]), epochs * -(-len(X) // batch_size)
    plans = {"constant, high": fnn.ConstantRate(high), "constant, a tenth": fnn.ConstantRate(high / 10),
             "halved four times": fnn.StepDecay(high, factor=0.5, every=total // 5),
             "cosine": fnn.CosineDecay(high, total=total), "one cycle": fnn.OneCycle(high, total=total),
             "warm up, cosine": fnn.WarmUp(fnn.CosineDecay(high, total=0.9 * total), updates=total // 10)}
    runs = {name: network(plan).fit(X, y, batch_size, epochs, validation_data=(X_test, y_test), verbose=0)
            for name, plan in plans.items()}
    return {"test": test, "plans": plans, "runs": runs, "total": total, "high": high}


def picture(found):
    top, middle, bottom = plot.figure(rows=3, height=9.6)
    plot.learning_rate_search(found["test"], ax=top)
    plot.schedule(found["plans"], found["total"], ax=middle)
    plot.compare(found["runs"], "loss", ax=bottom)
    bottom.set_ylabel("training loss")
    bottom.set_ylim(top=2.0)
    middle.get_legend().set_visible(False)  # as below
    return top


def results(found):
    table = [["schedule", "training loss", "test loss, last", "lowest", "test images right"]]
    for name, run in found["runs"].items():
        table.append([name, f"{run['loss'][-1]:.3f}", f"{run['val_loss'][-1]:.3f}",
                      f"{min(run['val_loss']):.3f}", f"{run['val_accuracy'][-1]:.1%}"])
    loss = {name: run["loss"][-1] for name, run in found["runs"].items()}
    falling = {name: loss[name] for name in ("halved four times", "cosine", "one cycle", "warm up, cosine")}
    best = min(falling, key=falling.get)
    rates, smoothed = found["test"].rates, found["test"].smoothed
    return Results(table, {
        "epochs": len(found["runs"]["cosine"]), "turn": rates[smoothed.argmin()], "end": rates[-1],
        "high": found["high"], "constant": loss["constant, high"], "tenth": loss["constant, a tenth"],
        "best": best, "best_loss": loss[best], "cosine": loss["cosine"], "cycle": loss["one cycle"]})


LESSON = Lesson(12, "schedules", "Learning-rate schedules, the range test, one cycle", experiment, results,
                picture, """
The range test raises the rate from step to step until the loss blows up: here the loss was lowest at
{turn:.2g} and the test over at {end:.2g}. It costs a hundred steps, and says of what size a rate may be;
{high:.2g} is what all schedules start from or rise to. They have the same budget of {epochs} epochs, and data
in which a fifth of the labels is noise, so that no two batches agree. A constant high rate learns fast and
then rattles about, because every step is as long as at the start (a training loss of {constant:.2f}); a tenth
of it is calmer, and slower ({tenth:.2f}). A rate that falls has both: long steps while there is far to go,
short ones to settle, {cosine:.2f} with a cosine, {cycle:.2f} with one cycle, which first rises so that the
untrained network is spared the longest steps. The best of the falling ones was "{best}" with {best_loss:.2f};
among themselves they differ by little, and by less than another seed would change. That the rate should fall
matters more than how.""",
                {}, ("Learning-rate range test", "Schedules", "Too high, too low"))
