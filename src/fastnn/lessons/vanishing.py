"""Gradients that vanish on their way down through sigmoid layers, or explode through large weights."""

import fastnn as fnn
from fastnn import plot
from fastnn.data import load_digits

from .base import Lesson, Results


def network(depth, activation="sigmoid", weights="scaled_normal", rate=1.0, normalised=False):
    layers = []
    for i in range(depth):
        layers += [fnn.Dense(30, kernel_initializer=weights), *([fnn.BatchNorm()] if normalised else []),
                   fnn.Activation(activation, name=f"hidden {i + 1}")]
    model = fnn.Sequential([fnn.Flatten(), fnn.Standardize(per_feature=False), *layers,
                            fnn.Dense(10, "softmax", name="output")], input_shape=(8, 8), seed=0)
    model.compile(fnn.SGD(rate), "cross_entropy")
    return model


def experiment(epochs=500, rows=1000):
    X, y = load_digits()
    X, y = X[:rows], y[:rows]
    training = {}
    for depth in (2, 3, 4):  # full batch, as Nielsen has it
        monitor = fnn.Monitor(X, y, rows=rows, histograms=False)
        network(depth).fit(X, y, batch_size=rows, epochs=epochs, callbacks=monitor, verbose=0)
        training[depth] = shown(monitor)
    start = {}
    for name, activation, weights in [
            ("sigmoid, 1/sqrt(n)", "sigmoid", "scaled_normal"),
            ("sigmoid, batch norm", "sigmoid", "scaled_normal"),
            ("tanh, Xavier", "tanh", "glorot_normal"), ("relu, He", "relu", "he_normal"),
            ("relu, normal(0, 1)", "relu", "standard_normal"),
            ("relu, normal(0, 2)", "relu", fnn.initializers.Normal(2.0))]:
        probe = fnn.Monitor(X, y, rows=rows, histograms=False)
        model = network(4, activation, weights, rate=1e-9, normalised="batch norm" in name)
        model.fit(X, y, batch_size=rows, epochs=1, callbacks=probe, verbose=0)
        start[name] = [layer["delta"][0] for layer in shown(probe)["layers"].values()][:4]
    return {"training": training, "start": start}


def shown(monitor):
    """The hidden layers' figures and the output's; those of sums and their normalisation are left out."""
    data = monitor.data
    layers = {name: figures for name, figures in data["layers"].items() if name.startswith(("hidden", "output"))}
    return {**data, "layers": layers}


def picture(found):
    deep = max(found["training"])
    top, bottom = plot.figure(rows=2, height=7.0)
    plot.gradient_norms(found["training"][deep], of="pre-activations", ax=top)
    top.set_title(f"{deep} hidden layers of 30 sigmoid units, 1,000 digits, full batch", fontsize="medium")
    plot.curves(None, found["start"], ax=bottom, first=1, log="y", x_label="hidden layer",
                y_label="gradient norm at the start")
    bottom.set_xticks([1, 2, 3, 4])
    return top


def results(found):
    table = [["network", "layer 1", "last hidden layer", "last / first"]]
    ratios = {}
    for depth, data in found["training"].items():
        norms = [layer["delta"][0] for layer in data["layers"].values()][:depth]
        ratios[depth] = norms[-1] / norms[0]
        table.append([f"{depth} hidden layers, sigmoid", f"{norms[0]:.2g}", f"{norms[-1]:.2g}",
                      f"{ratios[depth]:.1f}"])
    for name, norms in found["start"].items():
        ratios[name] = norms[-1] / norms[0]
        table.append([f"4 hidden layers, {name}", f"{norms[0]:.2g}", f"{norms[-1]:.2g}",
                      f"{ratios[name]:.3g}"])
    deep = list(found["training"][4]["layers"].values())
    early = (len(deep[0]["delta"]) - 1) // 5
    return Results(table, {
        "two": ratios[2], "three": ratios[3], "four": ratios[4], "tanh": ratios["tanh, Xavier"],
        "norm": ratios["sigmoid, batch norm"],
        "relu": ratios["relu, He"], "large": 1 / ratios["relu, normal(0, 2)"],
        "early": early, "shallow_loss": found["training"][2]["loss"][early],
        "deep_loss": found["training"][4]["loss"][early], "epochs": len(deep[0]["delta"]) - 1,
        "later": deep[3]["delta"][-1] / deep[0]["delta"][-1]})


LESSON = Lesson(6, "vanishing", "Vanishing and exploding gradients", experiment, results, picture, """
The gradient of a layer is the gradient of the layer above, times the weights between, times the slope of
the activation. The slope of the sigmoid is at most 1/4, so every layer costs a factor: with two hidden
layers the last one's gradient is {two:.1f} times the first one's, with three {three:.0f} times, with four
{four:.0f} times, before the first step. So the layer that sees the image learns last. On 1,000 digits, in
full batches at one rate, the network of two hidden layers has brought its loss to {shallow_loss:.2f} after
{early} epochs; the one of four stands at {deep_loss:.2f}, and ln 10 = 2.30 is what it costs to know
nothing. It does get off in the end (after {epochs} epochs the ratio is {later:.1f}), once the upper layers
have weights that let a gradient through. It is not a law of depth. With tanh and Xavier's weights the ratio
is {tanh:.1f}, with ReLU and He's {relu:.1f}: slopes near 1, and weights that make up for what is lost.
Batch normalisation leaves the sigmoid where it is and spreads the sums before it over its steep part:
{norm:.1f}. Nor is vanishing the only way to go wrong. Weights of deviation 2 under ReLU turn the product
around, and the first layer's gradient is {large:,.0f} times the last one's: that is called exploding. The
gradient of a deep network is a long product, and a long product is stable only where its factors are near
1.""",
                {"epochs": 20}, ("Vanishing gradients", "Exploding gradients", "Batch normalisation"))
