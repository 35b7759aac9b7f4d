"""Cross-entropy is entropy and KL divergence; the divergence in one direction and in the other."""

import numpy as np

import fastnn as fnn
from fastnn import plot

from .base import Lesson, Results


def experiment(steps=400, bins=60):
    # part 1: a softmax layer learns a distribution p by cross-entropy
    x = np.linspace(-6, 6, bins)
    p = np.exp(-0.5 * ((x + 2.5) / 0.7) ** 2) + 0.6 * np.exp(-0.5 * ((x - 2.5) / 0.7) ** 2) + 1e-6
    p /= p.sum()
    model = fnn.Sequential([fnn.Dense(bins, "softmax", kernel_initializer="zeros")], (1,), dtype="float64")
    model.compile(fnn.SGD(0.5), "cross_entropy")
    course = []
    for _ in range(steps):
        q = model.predict([[1.0]])[0]
        loss = model.train_on_batch([[1.0]], [p])["loss"]
        course.append((loss, fnn.entropy_decomposition(p, q).divergence))
    entropy = fnn.entropy_decomposition(p, p).entropy

    # part 2: one bell curve for the two hills of p, by KL(p || q) and by KL(q || p)
    def bell(w):
        logits = -0.5 * ((x - w[0]) / np.exp(w[1])) ** 2
        q = np.exp(logits - logits.max())
        return q / q.sum(), np.stack([(x - w[0]) / np.exp(2 * w[1]), -2 * logits])  # and d logits / dw

    def forward(w):
        q, slope = bell(w)
        return np.sum(p * np.log(p / q)), slope @ (q - p)

    def reverse(w):
        q, slope = bell(w)
        value = np.sum(q * np.log(q / p))
        return value, slope @ (q * (np.log(q / p) - value))

    ways = {"KL(p || q)": forward, "KL(q || p)": reverse}
    ends = {}
    for name, function in ways.items():  # KL(q || p) has several valleys: the best of three starts
        tried = [fnn.descend(function, [mean, 0.0], fnn.Adam(0.05), 2 * steps) for mean in (-3.0, 0.0, 3.0)]
        ends[name] = min(tried, key=lambda way: way.values[-1]).points[-1]
    values = {name: {other: float(ways[other](w)[0]) for other in ways} for name, w in ends.items()}
    return {"course": np.array(course), "entropy": entropy, "x": x, "p": p, "ends": ends, "values": values,
            "bells": {name: bell(w)[0] for name, w in ends.items()}}


def picture(found):
    top, bottom = plot.figure(rows=2, height=7.0)
    lines = {"cross-entropy H(p, q)": found["course"][:, 0], "divergence KL(p || q)": found["course"][:, 1],
             "entropy H(p)": np.full(len(found["course"]), found["entropy"])}
    plot.curves(None, lines, ax=top, x_label="step", y_label="nats")
    bottom.bar(found["x"], found["p"], width=0.19, color="0.8", label="p")
    shown = {f"q that minimises {name}": q for name, q in found["bells"].items()}
    plot.curves(found["x"], shown, ax=bottom, x_label="x", y_label="probability")
    return top


def results(found):
    table = [["one bell curve q", "mean", "deviation", "KL(p || q)", "KL(q || p)"]]
    for name, (mean, log_deviation) in found["ends"].items():
        table.append([f"minimises {name}", f"{mean:.2f}", f"{np.exp(log_deviation):.2f}",
                      *(f"{value:.3f}" for value in found["values"][name].values())])
    gap = found["course"][:, 0] - found["course"][:, 1]
    ends = found["ends"]
    return Results(table, {
        "entropy": found["entropy"], "gap": np.abs(gap - found["entropy"]).max(), "steps": len(gap),
        "first": found["course"][0, 1], "last": found["course"][-1, 1],
        "wide": np.exp(ends["KL(p || q)"][1]), "narrow": np.exp(ends["KL(q || p)"][1]),
        "mean": ends["KL(q || p)"][0]})


LESSON = Lesson(3, "divergence", "Cross-entropy and KL divergence", experiment, results, picture, """
A softmax layer learns a distribution p with two hills from nothing but p as its target. The cross-entropy
falls from step to step, and so does the divergence: their difference is the entropy of p, {entropy:.3f} nats,
within {gap:.0e} at every one of the {steps} steps, because it does not depend on the network. So making one
small makes the other small, and the divergence, which went from {first:.2f} to {last:.3f}, says how much is
left. The second part asks for the impossible: one bell curve for two hills. Minimising KL(p || q), as
cross-entropy does, punishes q for being near 0 where p is not, and gives a wide curve (deviation {wide:.2f})
over both hills and the empty valley between. Minimising KL(q || p) punishes q for being where p is not, and
settles on one hill, at {mean:.2f} with deviation {narrow:.2f}. The divergence is no distance: it matters
which of the two comes first.""", {"steps": 300}, ("Cross-entropy, entropy, KL divergence",))
