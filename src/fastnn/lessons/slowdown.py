"""One sigmoid neuron that is badly wrong, with the quadratic cost and with cross-entropy."""

import fastnn as fnn
from fastnn import plot

from .base import Lesson, Results, first_below


def experiment(epochs=300, rate=0.15, weight=2.0, bias=2.0):
    found = {}
    for cost in ("quadratic", "cross_entropy"):
        neuron = fnn.Sequential([fnn.Dense(1, "sigmoid")], input_shape=(1,))
        neuron.set_weights([[[weight]], [bias]])  # it says 0.98 of the sample 1, and should say 0
        neuron.compile(fnn.SGD(rate), cost)
        found[cost] = [neuron.predict([[1.0]]).item()]
        for _ in range(epochs):
            neuron.train_on_batch([[1.0]], [0.0])
            found[cost].append(neuron.predict([[1.0]]).item())
    return found


def picture(found):
    return plot.curves(None, found, x_label="epoch", y_label="output of the neuron (should be 0)",
                       ax=plot.figure())


def results(found):
    last = len(found["quadratic"]) - 1
    table = [["cost", "at the start", "after 50 epochs", f"after {last} epochs", "epochs until below 0.5"]]
    for cost, y in found.items():
        table.append([cost, f"{y[0]:.3f}", f"{y[50]:.3f}", f"{y[-1]:.3f}", str(first_below(y, 0.5))])
    quadratic, cross_entropy = found["quadratic"], found["cross_entropy"]
    return Results(table, {
        "start": quadratic[0], "slope": quadratic[0] * (1 - quadratic[0]),
        "quadratic": quadratic[50], "cross_entropy": cross_entropy[50],
        "late": first_below(quadratic, 0.5), "early": first_below(cross_entropy, 0.5)})


LESSON = Lesson(1, "slowdown", "Learning slowdown", experiment, results, picture, """
The neuron begins by saying {start:.2f} where 0 is right: as wrong as it can be, and one would like it to
learn fastest now. With the quadratic cost it does the opposite. The gradient is the error times the slope of
the sigmoid, and out there the slope is {slope:.3f}, so that after 50 epochs it still says {quadratic:.2f}.
Cross-entropy divides by that slope: the gradient is the error itself, the first steps are the largest ones,
and after 50 epochs the same neuron says {cross_entropy:.2f}. It needs {early} epochs to get below 0.5; with
the quadratic cost it is {late}. The rate was the same for both, but it is not the rate that matters. Look at
the shape of the curves: one of them begins flat.""", {"epochs": 120},
                ("Learning slowdown", "Cross-entropy, and why it cures the slowdown"))
