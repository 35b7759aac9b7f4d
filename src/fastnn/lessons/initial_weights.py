"""Initial weights: what they do to the sums, the saturation, and the speed of learning."""

import fastnn as fnn
from fastnn import plot
from fastnn.data import load_digits, train_test_split
from fastnn.divergence import DivergenceError

from .base import Lesson, Results

STARTS = {"tanh, normal(0, 1)": ("tanh", "standard_normal"), "tanh, 1/sqrt(n)": ("tanh", "scaled_normal"),
          "tanh, Xavier": ("tanh", "glorot_uniform"), "relu, normal(0, 1)": ("relu", "standard_normal"),
          "relu, Xavier": ("relu", "glorot_uniform"), "relu, He": ("relu", "he_normal")}


def experiment(layers=4, units=64, epochs=10):
    X, X_test, y, y_test = train_test_split(*load_digits())
    found = {}
    for name, (activation, weights) in STARTS.items():
        model = fnn.Sequential(
            [fnn.Flatten(), fnn.Standardize(),
             *(fnn.Dense(units, activation, kernel_initializer=weights) for _ in range(layers)),
             fnn.Dense(10, "softmax")], input_shape=(8, 8), seed=0)
        model.compile(fnn.SGD(0.02), "cross_entropy", metrics=["accuracy"])
        before = fnn.diagnose(model, X, y, steps=1).measurements[0].layers[:layers]  # on a copy
        found[name] = {"spread": [layer.spread for layer in before],
                       "saturated": [layer.saturated for layer in before]}
        try:
            found[name]["run"] = model.fit(X, y, epochs=epochs, validation_data=(X_test, y_test), verbose=0)
        except DivergenceError as error:
            found[name]["step"] = error.step
    return found


def picture(found):
    top, bottom = plot.figure(rows=2, height=7.0)
    plot.curves(None, {name: each["spread"] for name, each in found.items()}, ax=top, first=1, log="y",
                x_label="layer", y_label="spread of the outputs at the start")
    top.set_xticks(range(1, 1 + len(found["relu, He"]["spread"])))
    plot.compare({name: each.get("run", {"val_accuracy": [float("nan")]}) for name, each in found.items()},
                 "val_accuracy", ax=bottom)
    return top


def results(found):
    table = [["start", "saturated, layer 1", "spread, first layer", "last layer", "right after 1 epoch",
              "at the end"]]
    for name, each in found.items():
        accuracy = each["run"]["val_accuracy"] if "run" in each else None
        saturated = f"{each['saturated'][0]:.0%}" if name.startswith("tanh") else "-"
        table.append([name, saturated, f"{each['spread'][0]:.3g}", f"{each['spread'][-1]:.3g}",
                      *([f"{accuracy[0]:.1%}", f"{accuracy[-1]:.1%}"] if accuracy else ["diverged", "-"])])
    first = {name: each["run"]["val_accuracy"][0] for name, each in found.items() if "run" in each}
    lost = found["relu, normal(0, 1)"]
    end = f"no number is finite any more at step {lost['step']}" if "step" in lost else \
        f"{first['relu, normal(0, 1)']:.0%} of the images are right"
    spread = {name: each["spread"] for name, each in found.items()}
    return Results(table, {
        "saturated": found["tanh, normal(0, 1)"]["saturated"][0],
        "unsaturated": found["tanh, Xavier"]["saturated"][0], "normal": first["tanh, normal(0, 1)"],
        "xavier": first["tanh, Xavier"], "growth": spread["relu, normal(0, 1)"][-1],
        "relu_xavier": spread["relu, Xavier"][-1], "he": spread["relu, He"][-1],
        "end": end, "relu_he": first["relu, He"], "layers": len(spread["relu, He"])})


LESSON = Lesson(5, "initial-weights", "Initial weights: normal, 1/sqrt(n), Xavier, He", experiment, results,
                picture, """
Before a network has seen anything, its weights decide what it can learn. A unit adds up 64 inputs: with
weights of deviation 1 the sum has deviation 8, and {saturated:.0%} of the first layer's tanh units sit on a
flat end, where the gradient is next to nothing. Xavier's weights are small enough that the sum is as large as
an input ({unsaturated:.0%} saturated). After one epoch at the same rate the first network has {normal:.0%} of
the test images right, the second {xavier:.0%}. ReLU does not saturate above, so that there values grow
without end instead: after {layers} layers they spread over {growth:,.0f} with normal(0, 1), the steps they
call for are as large, and {end}. With Xavier's weights they shrink from layer to layer, to {relu_xavier:.2f},
since ReLU drops half of every sum; He's, of twice the variance, make up for that and keep them at {he:.2f}
({relu_he:.0%} right).""",
                {"epochs": 2}, ("Saturation", "Normal, and normal by 1 / sqrt(n)", "Xavier and He"))
