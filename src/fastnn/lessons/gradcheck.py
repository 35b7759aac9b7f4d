"""A right and a wrong backpropagation, told apart by finite differences; how wide a step should be."""

import numpy as np

import fastnn as fnn
from fastnn import plot
from fastnn.data import load_digits

from .base import Lesson, Results


def experiment(rows=8):
    X, y = load_digits()
    right = (np.tanh, lambda z: 1 - np.tanh(z) ** 2)
    wrong = (np.tanh, lambda z: 1 - np.tanh(z))  # the square was forgotten
    checks, accuracy = {}, {}
    for name, functions in (("right", right), ("wrong", wrong)):
        layers = [fnn.Flatten(), fnn.Standardize(), fnn.Dense(16, functions), fnn.Dense(10, "softmax")]
        model = fnn.Sequential(layers, input_shape=(8, 8), seed=0)
        model.compile(fnn.SGD(0.1), "cross_entropy", metrics=["accuracy"])
        checks[name] = fnn.check_gradients(model, X[:rows], y[:rows], samples=40)
        if name == "right":
            curves = {dtype: fnn.gradient_error_curve(model, X[:rows], y[:rows], dtype=dtype)
                      for dtype in ("float64", "float32")}
        model.fit(X, y, epochs=5, verbose=0)
        accuracy[name] = model.evaluate(X, y)["accuracy"]
    return {"checks": checks, "curves": curves, "accuracy": accuracy}


def picture(found):
    top, bottom = plot.figure(rows=2, height=7.0)
    plot.gradient_check(found["checks"]["wrong"], ax=top)
    top.set_title("the wrong derivative of tanh, in the first layer", fontsize="medium")
    for i, (dtype, curve) in enumerate(found["curves"].items()):
        bottom.loglog(curve.steps, curve.central, color=plot.colour(2 * i), label=f"central, {dtype}")
        bottom.loglog(curve.steps, curve.forward, color=plot.colour(2 * i), linestyle="--",
                      label=f"one-sided, {dtype}")
    bottom.set_xlabel("step h of the differences")
    bottom.set_ylabel("relative error")
    bottom.legend(fontsize="small")
    return top


def results(found):
    table = [["tensor", "error, right", "error, wrong", "allowed"]]
    right, wrong = ({t.name: t for t in found["checks"][name].tensors if t.part == "data"}
                    for name in ("right", "wrong"))
    for name, t in right.items():
        table.append([name, f"{t.error:.1e}", f"{wrong[name].error:.1e}", f"{t.tolerance:.1e}"])
    step, error = found["curves"]["float64"].best
    single = found["curves"]["float32"].best[1]
    return Results(table, {
        "right": max(t.error for t in right.values()), "wrong": wrong["dense.weight"].error,
        "last": wrong["dense_1.weight"].error, "step": step, "error": error, "single": single,
        "forward": found["curves"]["float64"].forward.min(), "learned": found["accuracy"]["right"],
        "learned_wrong": found["accuracy"]["wrong"]})


LESSON = Lesson(8, "gradcheck", "Checking gradients", experiment, results, picture, """
Someone wrote the derivative of tanh as 1 - tanh(z), without the square. The network learns all the same,
{learned_wrong:.0%} of the digits in five epochs where the right one has {learned:.0%}, and nothing gives the
error away: that is why gradients are checked. Against differences of the loss the right derivative is off by
{right:.0e} at the worst, the wrong one by {wrong:.2f} in the layer that has it. The layer above is as right
as before ({last:.0e}): its gradient does not pass there, and so the check also says where to look. The second
picture is about the ruler. A difference over a wide step errs by the loss's curvature, over a narrow one by
rounding, and in between is the tip of a V: for (f(h) - f(-h)) / 2h in float64 the best step is about
{step:.0e}, with an error of {error:.0e}. One-sided differences reach {forward:.0e} at best, and in float32
even central ones stay above {single:.0e}. Central differences, float64, a step of about 1e-5.""",
                {}, ("Gradient checking", "The step of a difference: the V", "Backpropagation"))
