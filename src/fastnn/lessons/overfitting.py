"""A network that learns few images by heart, and what keeps it from that."""

import numpy as np

import fastnn as fnn
from fastnn import plot
from fastnn.data import load_digits, train_test_split

from .base import Lesson, Results


def cross_entropy(y, outputs):
    """The loss without penalties."""
    return -np.log(outputs[np.arange(len(y)), y] + 1e-12).mean()


def experiment(rows=150, epochs=150, wrong=0.2):
    X, X_test, y, y_test = train_test_split(*load_digits())
    rng = np.random.default_rng(0)
    order = rng.permutation(len(X))  # the digits are ordered by writer
    X, y = X[order], np.where(rng.random(len(X)) < wrong, rng.integers(0, 10, len(X)), y[order])
    cures = {"nothing": {}, "L1": {"regularizer": fnn.L1(6e-3)}, "L2": {"regularizer": fnn.L2(0.08)},
             "dropout": {"dropout": 0.5}, "early stopping": {"patience": 5},
             "8 times the data": {"rows": 8 * rows}}
    found = {}
    for name, cure in cures.items():
        n, regularizer = cure.get("rows", rows), cure.get("regularizer")
        layers = [fnn.Flatten(), fnn.Standardize(per_feature=False), fnn.Dropout(cure.get("dropout", 0) / 2),
                  fnn.Dense(100, "relu", kernel_regularizer=regularizer), fnn.Dropout(cure.get("dropout", 0)),
                  fnn.Dense(10, "softmax", kernel_regularizer=regularizer)]
        model = fnn.Sequential(layers, input_shape=(8, 8), seed=0)
        model.compile(fnn.Adam(3e-3), "cross_entropy", metrics=["accuracy", cross_entropy])
        stop = [fnn.EarlyStopping(patience=cure["patience"])] if "patience" in cure else []
        run = model.fit(X[:n], y[:n], epochs=epochs, validation_data=(X_test, y_test), callbacks=stop,
                        verbose=0)
        found[name] = {"run": run, "trained": model.evaluate(X[:n], y[:n])["accuracy"],
                       "test": model.evaluate(X_test, y_test)["accuracy"],
                       "losses": run["val_cross_entropy"]}
    return found


def picture(found):
    lines = {name: each["losses"] for name, each in found.items()}
    ax = plot.curves(None, lines, ax=plot.figure(height=4.2), first=1, x_label="epoch",
                     y_label="cross-entropy of the test images")
    ax.set_ylim(0, 1.5 * max(lines["nothing"][-1], lines["L2"][-1]))
    return ax


def results(found):
    table = [["against overfitting", "labels by heart", "test images right", "lowest test loss",
              "last test loss"]]
    for name, each in found.items():
        table.append([name, f"{each['trained']:.1%}", f"{each['test']:.1%}", f"{min(each['losses']):.2f}",
                      f"{each['losses'][-1]:.2f}"])
    losses = {name: each["losses"] for name, each in found.items()}
    return Results(table, {
        "trained": found["nothing"]["trained"], "test": found["nothing"]["test"],
        "lowest": min(losses["nothing"]), "best": 1 + losses["nothing"].index(min(losses["nothing"])),
        "last": losses["nothing"][-1], "epochs": len(losses["nothing"]), "l1": found["L1"]["test"],
        "l2": found["L2"]["test"], "dropout": found["dropout"]["test"],
        "l1_loss": losses["L1"][-1], "l2_loss": losses["L2"][-1], "dropout_loss": losses["dropout"][-1],
        "stopped": len(losses["early stopping"]), "early": found["early stopping"]["test"],
        "early_loss": losses["early stopping"][-1], "more": found["8 times the data"]["test"],
        "more_lowest": min(losses["8 times the data"])})


LESSON = Lesson(4, "overfitting", "Overfitting, and what helps", experiment, results, picture, """
A fifth of the labels of these few images were drawn at random. A network with 7,510 parameters learns
{trained:.0%} of all labels by heart, the wrong ones too, and gets {test:.1%} of the images right that it has
never seen. What gives it away first is the loss on those: it is lowest, {lowest:.2f}, after {best} epochs,
and {last:.2f} after {epochs}, as the network grows sure of what it should not believe. Stopping early, at
epoch {stopped}, keeps {early:.1%}. L2 pulls at all weights, L1 sets many to zero, and both leave less room
for a memory of single images ({l2:.1%} and {l1:.1%} right, a last loss of {l2_loss:.2f} and {l1_loss:.2f});
dropout has each unit do without the others now and then ({dropout:.1%}, {dropout_loss:.2f}). Eight times as
many images, wrong labels among them as before, bring the lowest loss to {more_lowest:.2f}, which none of the
cures comes near; left to run on, that network learns its wrong labels too, and ends at {more:.1%}. More data
is the first thing to ask for, and the cures go with it.""", {"epochs": 60},
                ("Overfitting", "Weight decay: L2 and L1", "Dropout", "Early stopping"))
