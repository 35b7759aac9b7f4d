"""Activations side by side: shape, saturation, speed, accuracy."""

import time

import numpy as np

import fastnn as fnn
from fastnn import plot
from fastnn.data import load_digits, train_test_split

from .base import Lesson, Results

NAMES = ("sigmoid", "tanh", "hard_tanh", "softsign", "relu", "leaky_relu")


def network(activation, units, layers=3):
    hidden = [fnn.Dense(units, activation) for _ in range(layers)]
    layers = [fnn.Flatten(), fnn.Standardize(), *hidden, fnn.Dense(10, "softmax")]
    model = fnn.Sequential(layers, input_shape=(8, 8), seed=0)
    model.compile(fnn.Momentum(0.02), "cross_entropy", metrics=["accuracy"])
    return model


def experiment(epochs=15, units=30, seconds=0.2):
    X, X_test, y, y_test = train_test_split(*load_digits())
    found = {}
    for name in NAMES:
        model, monitor = network(name, units), fnn.Monitor(X, y, histograms=False)
        run = model.fit(X, y, epochs=epochs, validation_data=(X_test, y_test), callbacks=monitor, verbose=0)
        layers = list(monitor.data["layers"].values())[:-1]
        delta = [layer["delta"][0] for layer in layers]
        found[name] = {"run": run, "saturated": np.mean([layer["saturated"][-1] for layer in layers]),
                       "dead": np.mean([layer["dead"][-1] for layer in layers]),
                       "gradient": delta[0] / delta[-1],
                       "us": step_time(network(name, 256), X, y, seconds)}
    return found


def step_time(model, X, y, seconds, batch=128):
    """Microseconds of a training step of a wider network, the least of several epochs."""
    steps, least, end = -(-len(X) // batch), np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end or not np.isfinite(least):
        started = time.perf_counter()
        model.fit(X, y, batch, verbose=0)
        least = min(least, time.perf_counter() - started)
    return 1e6 * least / steps


def picture(found):
    axes = plot.figure(rows=3, columns=2, height=7.6, width=6.8)
    for ax, (name, each) in zip(axes.ravel(), found.items(), strict=True):
        plot.activation(name, span=(-4, 4), ax=ax)
        ax.legend(["saturated"] * bool(ax.patches) + ["f(z)", "f'(z)"], fontsize="x-small", loc="upper left")
        ax.set_ylabel("")
        ax.set_ylim(-1.2, 1.6)
        ax.set_title(f"{name}: {each['run']['val_accuracy'][-1]:.1%} right, "
                     f"{each['saturated']:.0%} saturated", fontsize="small")
    return axes


def results(found):
    table = [["activation", "right after 1 epoch", "at the end", "saturated", "dead", "gradient first / last",
              "us a step, 3 x 256"]]
    for name, each in found.items():
        accuracy = each["run"]["val_accuracy"]
        table.append([name, f"{accuracy[0]:.1%}", f"{accuracy[-1]:.1%}", f"{each['saturated']:.1%}",
                      f"{each['dead']:.1%}", f"{each['gradient']:.3f}", f"{each['us']:.0f}"])
    first = {name: each["run"]["val_accuracy"][0] for name, each in found.items()}
    last = {name: each["run"]["val_accuracy"][-1] for name, each in found.items()}
    return Results(table, {
        "sigmoid": first["sigmoid"], "tanh": first["tanh"], "relu": first["relu"],
        "sigmoid_last": last["sigmoid"], "tanh_last": last["tanh"], "relu_last": last["relu"],
        "gradient": found["sigmoid"]["gradient"],
        "tanh_gradient": found["tanh"]["gradient"], "relu_gradient": found["relu"]["gradient"],
        "half": found["relu"]["saturated"], "tanh_saturated": found["tanh"]["saturated"],
        "hard_saturated": found["hard_tanh"]["saturated"], "soft_saturated": found["softsign"]["saturated"],
        "epochs": len(found["relu"]["run"]), "leaky": found["leaky_relu"]["saturated"],
        "slowest": max(each["us"] for each in found.values()),
        "fastest": min(each["us"] for each in found.values())})


LESSON = Lesson(14, "activations", "Activations side by side", experiment, results, picture, """
One network of three hidden layers, one rate, six activations. The sigmoid learns last: after an epoch
{sigmoid:.0%} of the test images are right, with tanh {tanh:.0%}, with ReLU {relu:.0%}. It is not the shape,
which is that of tanh, but the slope: at most 1/4, so that the first layer gets {gradient:.3f} times the
gradient of the last, where tanh leaves {tanh_gradient:.2f} and ReLU {relu_gradient:.2f}. After {epochs}
epochs it is {sigmoid_last:.0%}, {tanh_last:.0%} and {relu_last:.0%}. At the end {tanh_saturated:.0%} of
tanh's values lie where its slope is under 6% of the steepest, {hard_saturated:.0%} of hard tanh's, which is
flat from 1 on, and {soft_saturated:.0%} of softsign's, whose tails are long. For ReLU {half:.0%} is as it
should be: a unit that is off for half the samples is what makes the network more than one matrix; leaky ReLU
counts as many ({leaky:.0%}), but its slope there is 0.01 and not nothing. What they cost does not decide: in
a wider network a step takes from {fastest:.0f} to {slowest:.0f} microseconds, since the time goes into the
products between.""",
                {"epochs": 3, "seconds": 0.02}, ("Saturation", "Dead ReLU"))
