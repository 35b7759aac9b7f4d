"""Softmax with log-likelihood beside sigmoids with cross-entropy, and the quadratic cost after both."""

import numpy as np

import fastnn as fnn
from fastnn import plot
from fastnn.data import load_digits, train_test_split

from .base import Lesson, Results

SURE = (0.98, 0.01, 0.01)


def experiment(epochs=20, rate=0.1):
    X, X_test, y, y_test = train_test_split(*load_digits())
    one_hot, one_hot_test = np.eye(10)[y], np.eye(10)[y_test]
    runs, gradients = {}, {}
    for cost in ("cross_entropy", "quadratic"):
        for activation in ("softmax", "sigmoid"):
            layers = [fnn.Flatten(), fnn.Standardize(), fnn.Dense(30, "tanh"), fnn.Dense(10, activation)]
            model = fnn.Sequential(layers, input_shape=(8, 8), seed=0)
            model.compile(fnn.SGD(rate), cost, metrics=["accuracy"])
            runs[f"{activation}, {cost}"] = model.fit(X, one_hot, epochs=epochs, verbose=0,
                                                      validation_data=(X_test, one_hot_test))
            gradients[f"{activation}, {cost}"] = gradient_when_wrong(activation, cost)
    return {"runs": runs, "gradients": gradients}


def gradient_when_wrong(activation, cost):
    """dC/dz of one sample of class 1 that is taken for class 0 at 98%."""
    p = np.array([0.98, 0.01, 0.01])
    model = fnn.Sequential([fnn.Dense(3, activation, kernel_initializer="zeros")], (1,), dtype="float64")
    model.layers[0].bias[...] = np.log(p) if activation == "softmax" else np.log(p / (1 - p))
    model.compile(loss=cost)
    return model.bind([[1.0]], [[0.0, 1.0, 0.0]]).gradients()["dense.bias"].copy()


def picture(found):
    left, right = plot.figure(rows=2, height=7.0)
    plot.compare(found["runs"], "val_accuracy", ax=left)
    for i, (label, gradient) in enumerate(found["gradients"].items()):
        right.bar(np.arange(3) + 0.2 * i - 0.3, gradient, width=0.18, color=plot.colour(i),
                  hatch=("", "//", "..", "xx")[i], edgecolor="white", label=label)
    right.set_xticks(range(3), ["class 0\n(said at 98%)", "class 1\n(the right one)", "class 2"])
    right.set_ylabel("gradient dC/dz")
    right.legend(fontsize="small")
    return left


def results(found):
    table = [["output and cost", "accuracy after 1 epoch", "at the end", "dC/dz of the right class"]]
    accuracy = {label: run["val_accuracy"] for label, run in found["runs"].items()}
    for label, gradient in found["gradients"].items():
        table.append([label, f"{accuracy[label][0]:.1%}", f"{accuracy[label][-1]:.1%}", f"{gradient[1]:.4f}"])
    gradients = found["gradients"]
    errors = np.abs([gradients[f"{activation}, cross_entropy"] - (np.array(SURE) - [0, 1, 0])
                     for activation in ("softmax", "sigmoid")])
    return Results(table, {
        "error": errors.max(), "easy": gradients["softmax, cross_entropy"][1],
        "quadratic": gradients["softmax, quadratic"][1], "likelihood": accuracy["softmax, cross_entropy"][0],
        "sigmoid": accuracy["sigmoid, cross_entropy"][0], "squares": accuracy["softmax, quadratic"][0],
        "sigmoid_squares": accuracy["sigmoid, quadratic"][0]})


LESSON = Lesson(2, "softmax", "Softmax with log-likelihood, sigmoid with cross-entropy", experiment, results,
                picture, """
Two outputs, two costs, one gradient. After softmax with the log-likelihood, and after sigmoids with
cross-entropy, the derivative with respect to the sum z that goes into a unit is what the unit says less what
it should say: measured here for a sample that is taken for another class at 98%, the two agree with y - t to
{error:.0e}. The unit that should have said 1 gets {easy:.2f}, nearly the largest gradient there can be. With
the quadratic cost after softmax the same unit gets {quadratic:.4f}, because that gradient passes through the
slope of an output that is sure of itself. On the digits this decides how fast a network learns at one and the
same rate: after the first epoch {likelihood:.0%} of the test images are right with softmax and
log-likelihood, {sigmoid:.0%} with sigmoids and cross-entropy, but {squares:.0%} and {sigmoid_squares:.0%}
with squares, which catch up later. Softmax says which class, its outputs add up to 1; sigmoids say yes or no
for each class by itself, and are right where several may hold at once.""", {"epochs": 4},
                ("Softmax", "Log-likelihood and softmax's easy gradient", "Softmax or sigmoid"))
