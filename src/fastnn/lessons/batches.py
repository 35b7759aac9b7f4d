"""Batches from one row to all: noise of the gradient, time of an epoch, time to an accuracy."""

import time

import numpy as np

import fastnn as fnn
from fastnn import plot
from fastnn.data import load_digits, train_test_split

from .base import Lesson, Results


class UntilGood(fnn.Callback):
    """Stop at an accuracy; the seconds of training until then, without validation."""

    def __init__(self, accuracy):
        self.accuracy, self.seconds, self.steps = accuracy, [], 0

    def on_epoch_begin(self, epoch, logs):
        self.started = time.perf_counter()

    def on_progress(self, step, logs):  # also after the last step, before validation
        self.now = time.perf_counter() - self.started

    def on_epoch_end(self, epoch, logs):
        self.seconds.append(self.now)
        self.steps += self.params["steps"]
        self.model.stop_training = logs["val_accuracy"] >= self.accuracy


def network():
    layers = [fnn.Flatten(), fnn.Standardize(), fnn.Dense(64, "relu"), fnn.Dense(10, "softmax")]
    model = fnn.Sequential(layers, input_shape=(8, 8), seed=0)
    model.compile(fnn.SGD(0.02), "cross_entropy", metrics=["accuracy"])
    return model


def noise(X, y, batch, draws=50):
    """How far a batch's gradient is from that of all rows, relative to that."""
    model, rng = network(), np.random.default_rng(0)
    model.train_on_batch(X, y)  # gives Standardize its numbers
    whole = np.concatenate([g.ravel().copy() for g in model.bind(X, y).gradients().values()])
    errors = []
    for _ in range(draws):
        rows = rng.choice(len(X), batch, replace=False)
        part = np.concatenate([g.ravel() for g in model.bind(X[rows], y[rows]).gradients().values()])
        errors.append(np.linalg.norm(part - whole) / np.linalg.norm(whole))
    return float(np.sqrt(np.mean(np.square(errors))))


def experiment(sizes=(1, 8, 32, 128, 512, 1438), accuracy=0.95, epochs=400):
    X, X_test, y, y_test = train_test_split(*load_digits())
    found = {}
    for size in sizes:
        model, until = network(), UntilGood(accuracy)
        run = model.fit(X, y, batch_size=size, epochs=epochs, validation_data=(X_test, y_test),
                        callbacks=until, verbose=0)
        epoch = float(np.median(until.seconds))
        found[size] = {"noise": noise(X, y, size), "epoch": epoch, "steps": until.steps, "epochs": len(run),
                       "seconds": epoch * len(run), "good": run["val_accuracy"][-1] >= accuracy,
                       "accuracy": accuracy}
    return found


def picture(found):
    sizes = list(found)
    top, bottom = plot.figure(rows=2, height=6.6)
    root = found[sizes[0]]["noise"] / np.sqrt(np.array(sizes) / sizes[0])
    part = {size: each["noise"] for size, each in found.items() if each["noise"] > 1e-3}
    top.loglog(list(part), list(part.values()), "o-", color=plot.colour(0), label="measured")
    top.loglog(sizes, root, "--", color="0.5", label="1 / sqrt(rows)")
    top.set_ylabel("noise of the gradient, relative")
    top.legend(fontsize="small")
    for i, (name, label) in enumerate([("epoch", "an epoch"), ("seconds", "to the accuracy")]):
        bottom.loglog(sizes, [1e3 * each[name] for each in found.values()], "os"[i] + ("-", "--")[i],
                      color=plot.colour(i), label=label)
    bottom.set_xlabel("rows of a batch")
    bottom.set_ylabel("milliseconds")
    bottom.legend(fontsize="small")
    return top


def results(found):
    table = [["rows", "noise", "ms an epoch", "epochs", "steps", "ms to the accuracy"]]
    for size, each in found.items():
        table.append([f"{size}", f"{each['noise']:.2f}", f"{1e3 * each['epoch']:.1f}", str(each["epochs"]),
                      str(each["steps"]), f"{1e3 * each['seconds']:.1f}" if each["good"] else "not reached"])
    sizes = list(found)
    good = {size: each for size, each in found.items() if each["good"]}
    fastest = min(good, key=lambda size: good[size]["seconds"]) if good else sizes[0]
    one, whole = found[sizes[0]], found[sizes[-1]]
    return Results(table, {
        "one": one["noise"], "middle_size": sizes[2], "middle": found[sizes[2]]["noise"],
        "slow": one["epoch"] / found[sizes[-2]]["epoch"], "large": sizes[-2], "fastest": fastest,
        "fastest_ms": 1e3 * found[fastest]["seconds"], "accuracy": one["accuracy"],
        "one_ms": 1e3 * one["seconds"], "one_epochs": one["epochs"], "all_epochs": whole["epochs"],
        "all_ms": 1e3 * whole["seconds"],
        "steps": found[fastest]["steps"], "reached": "" if whole["good"] else ", without getting there"})


LESSON = Lesson(10, "batches", "Batches from one row to all", experiment, results, picture, """
The gradient of a few rows is a guess at the gradient of all. Of one row it is off by {one:.1f} times the
length of what it guesses at, of {middle_size} rows by {middle:.2f} times: the noise falls with the square
root of the batch, so that the last digit of precision is dear. A computer sees it from the other side: an
epoch of single rows takes {slow:.0f} times as long as one in batches of {large}, since large products keep
its arithmetic units busy. At one and the same rate, {accuracy:.0%} of the test images are right after
{one_epochs} epoch(s) of single rows ({one_ms:.0f} ms) and after {all_epochs} steps on all rows at once
({all_ms:.0f} ms{reached}). The shortest way here was batches of {fastest}, with {steps} steps in
{fastest_ms:.0f} ms: enough rows to fill the machine, and still many steps an epoch. Large batches want a
larger rate, which their small noise allows.""",
                {"sizes": (8, 32, 128, 1438), "epochs": 20}, ("Full batch, stochastic, mini-batch",))
