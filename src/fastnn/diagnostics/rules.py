"""The rules: what each sickness of a network looks like in figures, and from where on it is one.

A rule is one function with its threshold, reason, remedy and source. Its tests are one row in
``tests/sick.py``: a network that is sick in that way, and one that is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..activations import ACTIVATIONS
from ..bundles import parts
from .findings import Evidence, Found, rule
from .measuring import LayerFigures, Measurement, classifies, last_layers, usual_start

CS231N = "CS231n, Neural Networks Part 3"
GLOROT = "Glorot and Bengio 2010"
LECUN = "LeCun, Bottou, Orr and Mueller 1998, Efficient BackProp, 4.3"
KARPATHY = "Karpathy 2019, A Recipe for Training Neural Networks"


# ---- activations ----

@rule(0.5, "warning", source=f"{GLOROT}; Karpathy, makemore 3, counts |tanh| > 0.97 as here",
      why="there the slope is nearly 0, and so is the gradient of everything below: it learns slowly",
      remedy="glorot_uniform weights, standardized inputs, a smaller learning rate, or ReLU")
def saturated_units(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Share of a layer's values on the flat ends of its activation (below 6% of the steepest slope).

    Not where the network has learned: then units may well be sure of themselves.
    """
    for moment, measurement, layer in evidence.layers():
        if layer.flat_ends == 2 and layer.saturated > limit and not evidence.learned(measurement):
            yield Found(layer.name, layer.saturated, f"{layer.saturated:.0%} of the values of "
                        f"{layer.activation} are saturated; {_weights(measurement, layer)}", moment)


@rule(0.25, "warning", source='CS231n, Neural Networks Part 1: "as much as 40% of your network can be dead"',
      why="a unit whose slope is 0 for every sample has no gradient: it never learns again",
      remedy="a smaller learning rate, he_normal weights and zero biases, or leaky_relu or elu")
def dead_units(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Share of a layer's units on the flat end of their activation on every row probed."""
    for moment, measurement, layer in evidence.layers():
        if layer.flat_ends == 1 and layer.dead > limit:
            yield Found(layer.name, layer.dead, f"{layer.dead:.0%} of the units of {layer.activation} are "
                        f"dead; {_weights(measurement, layer)}, the mean bias is "
                        f"{_bias(measurement, layer):.3g}", moment)


@rule(1e-3, "warning", below=True, source=f"{CS231N} and 2: activations of small weights collapse; {GLOROT}",
      why="what is left of the differences between samples drowns, and gradients shrink by the same factors",
      remedy="glorot_uniform weights, or he_normal with ReLU; other than sigmoid activations; fewer layers")
def shrinking_activations(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Spread of a hidden layer's outputs over the rows, relative to that of the inputs."""
    for moment, measurement, layer in evidence.layers():
        if layer is measurement.layers[-1] or not measurement.input_spread:
            continue
        ratio = layer.spread / measurement.input_spread
        if ratio < limit:
            yield Found(layer.name, ratio, f"the outputs spread {ratio:.1e} times as much as the inputs; "
                        f"{_weights(measurement, layer)}", moment)


@rule(100.0, "warning", source=f"{CS231N} and 2; He et al. 2015: weights of variance 2 / n keep it",
      why="large values mean large gradients and a loss that jumps, and saturate what follows",
      remedy="glorot_uniform weights, or he_normal with ReLU; a smaller learning rate; clipnorm")
def growing_activations(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Spread of a layer's pre-activations, relative to that of the inputs."""
    for moment, measurement, layer in evidence.layers():
        ratio = layer.pre_std / (measurement.input_spread or math.nan)
        if ratio > limit:
            yield Found(layer.name, ratio, f"the pre-activations spread {ratio:.0f} times as much as the "
                        f"inputs; {_weights(measurement, layer)}", moment)


@rule(0.5, "error", source="CS231n, Neural Networks Part 2: the pitfall of all zero initialization",
      why="units with the same weights get the same gradients and stay the same: they count as one",
      remedy="random weights, such as glorot_uniform")
def symmetric_units(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Share of a hidden layer's units that have the same weights, in and out, as another."""
    for moment, _, layer in evidence.layers():
        if layer.alike > limit:
            yield Found(layer.name, layer.alike, f"{layer.alike:.0%} of the {layer.shape[1]} units have a "
                        "twin with the same weights", moment)


# ---- gradients ----

@rule(1e-2, "warning", below=True, source=f"Nielsen, chapter 5: a factor of 100 over four layers; {GLOROT}",
      why="layers near the input learn that much more slowly than the last one",
      remedy="ReLU, or tanh with glorot_uniform weights, instead of sigmoid; fewer layers")
def vanishing_gradients(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Norm of the gradient of a layer's pre-activations, relative to that of the last layer's."""
    for moment, ratios in _ratios(evidence):
        layer = min(ratios, key=ratios.__getitem__, default="")
        if layer and ratios[layer] < limit:
            yield Found(layer, ratios[layer], f"the gradient is {ratios[layer]:.1e} times that of the last "
                        f"layer, a factor of {_factor(ratios, layer):.2g} a layer", moment)


@rule(100.0, "warning", source=f"Nielsen, chapter 5, the mirror of vanishing; Pascanu et al. 2013; {GLOROT}",
      why="steps that suit the last layer throw the lower ones about",
      remedy="glorot_uniform weights, or he_normal with ReLU; clipnorm or global_clipnorm; a smaller rate")
def exploding_gradients(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Norm of the gradient of a layer's pre-activations, relative to that of the last layer's."""
    for moment, ratios in _ratios(evidence):
        layer = max(ratios, key=ratios.__getitem__, default="")
        if layer and ratios[layer] > limit:
            yield Found(layer, ratios[layer], f"the gradient is {ratios[layer]:.3g} times that of the last "
                        f"layer, a factor of {_factor(ratios, layer):.2g} a layer", moment)


# ---- steps ----

@rule(0.5, "warning", source=f"{CS231N}: the ratio should be around 1e-3; 500 times that",
      why="one step replaces what the weights have learned",
      remedy="a smaller learning rate; fnn.find_learning_rate suggests one; clipnorm")
def large_updates(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Size of one update of a layer's weights, relative to theirs."""
    for moment, _, layer in evidence.layers():
        if layer.update_ratio > limit:
            yield Found(layer.name, layer.update_ratio, f"a step changes the weights by "
                        f"{layer.update_ratio:.2g} of their size; 1e-3 is usual", moment)


@rule(1e-5, "warning", below=True, source=f"{CS231N}: the ratio should be around 1e-3; 1 / 100 of it",
      why="the weights hardly move: the training takes a hundred times as long as it might",
      remedy="a larger learning rate (fnn.find_learning_rate suggests one), if no layer kills the gradient")
def small_updates(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Size of one update of a layer's weights, relative to theirs, while there is much to learn."""
    if _rate_rises(evidence):
        return
    for moment, measurement, layer in evidence.layers():
        if layer.update_ratio < limit and not evidence.learned(measurement):
            yield Found(layer.name, layer.update_ratio, f"a step changes the weights by "
                        f"{layer.update_ratio:.1e} of their size; 1e-3 is usual", moment)


@rule(0.5, "error", below=True, source=f"{CS231N}: loss curves of learning rates; {KARPATHY}",
      why="steps overshoot the valley: the loss jumps about or rises",
      remedy="a tenth of the learning rate; fnn.find_learning_rate suggests one; standardized inputs")
def learning_rate_high(evidence: Evidence, limit: float) -> Iterator[Found]:
    """What the loss fell by in a few steps, relative to what it falls by at a tenth of the rate.

    Relative to a twentieth of the loss, where that falls by less; then only where the loss rises.
    """
    o = evidence.outcome
    if o is None or evidence.learned(evidence.measurements[0]) and math.isfinite(o.after):
        return
    twentieth = 0.05 * abs(o.before)
    gained = (o.before - o.after) / max(o.before - o.tenth, twentieth)
    if gained < limit and (o.before - o.tenth > twentieth or o.after - o.before > twentieth):
        ended = f"{o.after:.3g}" if math.isfinite(o.after) else "no number any more"
        yield Found("network", gained, f"in {o.steps} steps the loss went from {o.before:.3g} to {ended}, "
                    f"at a tenth of the learning rate ({_rate(evidence) / 10:.2g}) to {o.tenth:.3g}")


@rule(0.02, "warning", below=True, source=f"{CS231N}: loss curves of learning rates; {KARPATHY}",
      why="at this pace the loss takes thousands of steps to halve",
      remedy="ten times the learning rate; fnn.find_learning_rate suggests one")
def learning_rate_low(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Share of the loss that a few steps take away, where ten times the rate takes away 5 times as much."""
    o = evidence.outcome
    if o is None or evidence.learned(evidence.measurements[0]) or _rate_rises(evidence):
        return
    gained, tenfold = ((o.before - after) / abs(o.before) for after in (o.after, o.tenfold))
    if 0 <= gained < limit and tenfold > max(5 * gained, 1e-6):
        yield Found("network", gained, f"in {o.steps} steps the loss fell by {gained:.2%}, at ten times "
                    f"the learning rate ({10 * _rate(evidence):.2g}) by {tenfold:.2%}")


@rule(0.0, "error", source=f"{CS231N}: loss curves of learning rates; Pascanu et al. 2013",
      why="a value that is no number any more makes all the others so",
      remedy="a smaller learning rate; standardized inputs; clipnorm; smaller initial weights")
def divergence(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Whether (1 or 0) the training ended in values that are not finite."""
    error = evidence.divergence
    if error is not None:
        yield Found("network", 1.0, f"the training ended in epoch {error.epoch}, step {error.step}: the first"
                    f" values that are not finite are in layer {error.layer!r}")


@rule(2.0, "error", source=f"{CS231N}: loss curves of learning rates",
      why="the training undoes what it has learned",
      remedy="a smaller learning rate, or one that falls (fnn.CosineDecay); clipnorm")
def rising_loss(evidence: Evidence, limit: float) -> Iterator[Found]:
    """The last epoch's training loss, relative to the best before."""
    losses = np.array(evidence.history.get("loss", []))
    if len(losses) > 1 and losses[:-1].min() > 0 and losses[-1] > limit * losses[:-1].min():
        ratio = losses[-1] / losses[:-1].min()
        yield Found("network", ratio, f"the last epoch's loss is {losses[-1]:.3g}, {ratio:.3g} times that of "
                    f"epoch {losses[:-1].argmin()}")


@rule(1.2, "warning", source="Nielsen, chapter 3, Overfitting and regularization; Prechelt 1998",
      why="the network learns what is true of the training rows alone",
      remedy="fnn.EarlyStopping, L2 or dropout, more data, or a smaller network")
def overfitting(evidence: Evidence, limit: float) -> Iterator[Found]:
    """The last epoch's validation loss, relative to the best before, while the training loss falls."""
    loss, held_out = (np.array(evidence.history.get(name, [])) for name in ("loss", "val_loss"))
    if len(held_out) < 3 or not np.isfinite(held_out).all():
        return
    best = int(held_out.argmin())
    ratio = held_out[-1] / held_out[best]
    if held_out[best] > 0 and ratio > limit and loss[-1] < loss[best]:
        yield Found("network", ratio, f"the validation loss is {held_out[-1]:.3g}, {ratio:.3g} times that of "
                    f"epoch {best}, and the training loss has fallen from {loss[best]:.3g} to "
                    f"{loss[-1]:.3g}")


# ---- data and loss ----

@rule(5.0, "warning", source=LECUN,
      why="the weights of large features get large gradients: no learning rate suits all, and units saturate",
      remedy="fnn.Standardize() as the first layer, or fnn.MinMax()")
def unscaled_inputs(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Root mean square of the largest feature that reaches the first layer."""
    inputs = evidence.last.inputs
    size, feature = float(inputs.max()), int(inputs.argmax())
    if size > limit:
        yield Found("input", size, f"feature {feature} has a root mean square of {size:.3g}, the median "
                    f"feature {np.median(inputs):.3g}; 1 is best")


@rule(0.01, "warning", below=True, source=LECUN,
      why="the gradient of the first layer's weights is as small as its inputs",
      remedy="fnn.Standardize() as the first layer, or fnn.MinMax()")
def tiny_inputs(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Root mean square of the largest feature that reaches the first layer."""
    size = float(evidence.last.inputs.max())
    if size < limit:
        yield Found("input", size, f"no feature has a root mean square above {size:.3g}; 1 is best")


@rule(10.0, "warning", source="LeCun et al. 1998, Efficient BackProp, 4.5; Bishop 1995, chapter 8",
      why="the last layer must grow by that much first, and errors of that size make steps that overshoot",
      remedy="targets divided by their standard deviation, after subtracting their mean")
def unscaled_targets(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Root mean square of the targets of a network that ends without an activation."""
    for name, activation, targets in _of_numbers(evidence):
        size = float(np.sqrt(np.mean(np.square(targets, dtype=np.float64))))
        if activation == "identity" and size > limit and evidence.uninformed > limit / 2:  # nothing to a cosine
            yield Found(name, size, f"the targets have a root mean square of {size:.3g}; 1 is best")


@rule(0.0, "error", source="the range of the activation",
      why="the outputs cannot get there: weights grow for ever and the last layer saturates",
      remedy="no activation in the last layer, or targets scaled into its range")
def unreachable_targets(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Share of the targets outside the range of the last activation."""
    for name, activation, targets in _of_numbers(evidence):
        if activation in ACTIVATIONS:
            low, high = ACTIVATIONS[activation].range
            share = float(((targets < low) | (targets > high)).mean())
            if share > limit:
                yield Found(name, share, f"{share:.0%} of the targets lie outside of [{low:g}, {high:g}], "
                            f"the range of the last layer's {activation}")


def _of_numbers(evidence: Evidence) -> Iterator[tuple[str, str, np.ndarray]]:
    """Of each output whose targets are numbers: what these are called, its activation, and they."""
    model = evidence.model
    for i, (head, targets) in enumerate(zip(model._compiled.heads, parts(evidence.targets), strict=True)):
        if model._target_kind(i) == "rows":
            name = "targets" if len(model.output_names) == 1 else f"targets of {model.output_names[i]}"
            yield name, head.activation, targets


@rule(2.0, "warning", source=f"{CS231N}: look for correct loss at chance performance; {KARPATHY}",
      why="the first hundreds of steps only shrink weights that are sure of nonsense",
      remedy="smaller weights in the last layer, such as glorot_uniform; standardized inputs")
def initial_loss(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Loss of an untrained classifier, relative to that of one that says nothing (ln C)."""
    start, expected = evidence.measurements[0], evidence.uninformed
    if not evidence.fresh or not classifies(evidence.model) or not expected > 0:
        return
    ratio = start.data_loss / expected
    if ratio > limit and start.data_loss > usual_start(evidence.model, expected)[1]:
        last = [layer for layer in start.layers if layer.shape][-1]
        yield Found(last.name, ratio, f"the loss is {start.data_loss:.3g} at the start, {ratio:.3g} times "
                    f"the {expected:.3g} of a network that knows nothing; {_weights(start, last)}")


# ---- where the training stands still ----

FLAT_CURVATURE = 0.1  # of the loss, for a way as long as the weights
DOWNWARD = -0.02  # of the largest curvature


@rule(1e-2, "error", below=True, source="Dauphin et al. 2014; CS231n, Neural Networks Part 3",
      why="the gradient is nearly zero and the loss is not, but no minimum: the surface falls off to a side",
      remedy="other initial weights (not all alike), mini-batches for their noise, momentum or Adam")
def saddle(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Share of the loss that the gradient promises for a way as long as the weights; curvature below 0."""
    promise = _promise(evidence)
    if promise < limit:
        lowest, highest = evidence.curvatures()
        if lowest < DOWNWARD * max(abs(lowest), abs(highest)) and not _is_flat(evidence, lowest, highest):
            yield Found("network", promise, f"the loss is {evidence.last.data_loss:.3g}; a way along "
                        f"the gradient, as long as the weights, would change it by {promise:.1e} of that; "
                        f"the curvature is {lowest:.2g} in one direction and {highest:.2g} in another")


@rule(1e-2, "error", below=True, source="Nielsen, chapter 3, the learning slowdown; Hochreiter 1991",
      why="gradient and curvature are nearly zero, the loss is not: nothing shows the way down",
      remedy="cross_entropy in place of squared error, other initial weights, standardized inputs, ReLU")
def plateau(evidence: Evidence, limit: float) -> Iterator[Found]:
    """Share of the loss that the gradient promises for a way as long as the weights; no curvature either."""
    promise = _promise(evidence)
    if promise < limit:
        lowest, highest = evidence.curvatures()
        if _is_flat(evidence, lowest, highest):
            yield Found("network", promise, f"the loss is {evidence.last.data_loss:.3g}; a way along "
                        f"the gradient, as long as the weights, would change it by {promise:.1e} of that; "
                        f"the largest curvature is {max(abs(lowest), abs(highest)):.1e}")


def _promise(evidence: Evidence) -> float:
    """By which share of the loss a way as long as the weights, along the gradient, changes it."""
    if not evidence.last.loss > 0:
        return math.inf
    return evidence.last.gradient * evidence.last.reach / evidence.last.loss


def _is_flat(evidence: Evidence, lowest: float, highest: float) -> bool:
    way = evidence.last.reach ** 2 / evidence.last.loss
    return max(abs(lowest), abs(highest)) * way < FLAT_CURVATURE


# ---- words and figures that several rules share ----

def _weights(measurement: Measurement, layer: LayerFigures) -> str:
    """How the weights of a layer, or of the nearest one below, compare with Xavier's or He's."""
    below = _weighted(measurement, layer)
    if below is None:
        return "no weights below"
    n_in, n_out = math.prod(below.shape[:-1]), below.shape[-1]
    name, std = ("He", math.sqrt(2 / n_in)) if layer.flat_ends == 1 else \
        ("Xavier", math.sqrt(2 / (n_in + n_out)))
    return f"weights have standard deviation {below.weight_std:.2g}, {name} would be {std:.2g}"


def _bias(measurement: Measurement, layer: LayerFigures) -> float:
    below = _weighted(measurement, layer)
    return math.nan if below is None else below.bias_mean


def _weighted(measurement: Measurement, layer: LayerFigures) -> LayerFigures | None:
    up_to = measurement.layers[:measurement.layers.index(layer) + 1]
    return next((la for la in reversed(up_to) if len(la.shape) > 1), None)


def _ratios(evidence: Evidence) -> Iterator[tuple[int, dict[str, float]]]:
    """At every moment each lower layer's gradient by that of the last, from the last but one down.

    Of several last ones, by the largest.
    """
    ends = {layer.name for layer in last_layers(evidence.model)}
    for moment, measurement in enumerate(evidence.measurements):
        layers = [la for la in measurement.layers if len(la.shape) > 1 and not math.isnan(la.delta)]
        last = [la for la in layers if la.name in ends] or layers[-1:]
        largest = max((la.delta for la in last), default=0.0)
        if largest > 0:
            yield moment, {la.name: la.delta / largest for la in reversed(layers) if la not in last}


def _factor(ratios: dict[str, float], layer: str) -> float:
    """From layer to layer, on the way down to this one."""
    return ratios[layer] ** (1 / (list(ratios).index(layer) + 1))


def _rate(evidence: Evidence) -> float:
    assert evidence.model.optimizer is not None
    return float(evidence.model.optimizer.rates(evidence.measurements[0].update, 1)[0])


def _rate_rises(evidence: Evidence) -> bool:
    """Whether a schedule is about to raise the rate, as in a warm-up."""
    optimizer = evidence.model.optimizer
    assert optimizer is not None
    if not callable(optimizer.learning_rate):
        return False
    rates = optimizer.rates(evidence.measurements[0].update, 10_000)
    return bool(np.max(rates) > 2 * rates[0])
