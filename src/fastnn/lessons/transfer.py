"""Few labels: a network from scratch, and one that has learned other digits before."""

import numpy as np

import fastnn as fnn
from fastnn import plot
from fastnn.data import load_digits, train_test_split

from .base import Lesson, Results

SIDE = 14


def placed(X, rng):
    """The 8 x 8 digits anywhere on a sheet of 14 x 14: what to look for must be learned wherever it is."""
    sheets = np.zeros((len(X), SIDE, SIDE, 1), np.float32)
    for sheet, image, (top, left) in zip(sheets, X, rng.integers(0, SIDE - 7, (len(X), 2)), strict=True):
        sheet[top:top + 8, left:left + 8, 0] = image / 16
    return sheets


def network(seed=0):
    layers = [fnn.Conv2D(16, 3, activation="relu"), fnn.MaxPool2D(2), fnn.Conv2D(32, 3, activation="relu"),
              fnn.MaxPool2D(2), fnn.Flatten(), fnn.Dense(64, "relu"), fnn.Dense(5, "softmax")]
    return fnn.Sequential(layers, input_shape=(SIDE, SIDE, 1), seed=seed)


def with_features_of(base, frozen, seed):
    """A new last layer on what another network's layers have learned."""
    features = base.cut(base.layers[-2])
    if frozen:
        features.freeze()
    return features.extend([fnn.Dense(5, "softmax")], seed=seed)


def experiment(labels=(1, 2, 5, 10, 20, 50), repeats=4, sheets=8):
    X, X_test, y, y_test = train_test_split(*load_digits())
    rng = np.random.default_rng(0)
    old, asked = y < 5, y_test >= 5
    base = network()
    base.compile(fnn.Adam(2e-3), "cross_entropy", metrics=["accuracy"])
    base.fit(np.concatenate([placed(X[old], rng) for _ in range(sheets)]), np.tile(y[old], sheets), epochs=10,
             verbose=0)
    tests = placed(X_test, rng)
    found = {"before": base.evaluate(tests[~asked], y_test[~asked])["accuracy"],
             "accuracy": {"from scratch": {}, "features frozen": {}, "features trained on": {}}}
    for n in labels:
        for name, scores in found["accuracy"].items():
            scores[n] = []
            for seed in range(repeats):
                draw = np.random.default_rng(seed)
                rows = np.concatenate([draw.choice(np.flatnonzero(y == c), n, replace=False) for c in range(5, 10)])
                model = network(seed) if name == "from scratch" else \
                    with_features_of(base, name == "features frozen", seed)
                model.compile(fnn.Adam(2e-3), "cross_entropy", metrics=["accuracy"])
                model.fit(placed(X[rows], draw), y[rows] - 5, batch_size=16, epochs=100, verbose=0)
                scores[n].append(model.evaluate(tests[asked], y_test[asked] - 5)["accuracy"])
    return found


def picture(found):
    ax = plot.figure(height=4.2)
    for i, (name, scores) in enumerate(found["accuracy"].items()):
        mean = [np.mean(values) for values in scores.values()]
        ends = np.abs([[m - min(v), max(v) - m] for m, v in zip(mean, scores.values(), strict=True)]).T
        ax.errorbar(np.array(list(scores)) * 1.04 ** (i - 1), mean, ends, color=plot.colour(i), capsize=3,
                    marker="os^"[i], linestyle=("-", "--", ":")[i], label=name)
    ax.set_xscale("log")
    ax.set_xticks(list(scores), [str(n) for n in scores])
    ax.minorticks_off()
    ax.set_xlabel("labelled images of each class")
    ax.set_ylabel("test images of digits 5 to 9 right")
    ax.legend(fontsize="small")
    return ax


def results(found):
    accuracy = found["accuracy"]
    table = [["labels of each class", *accuracy]]
    mean = {name: {n: float(np.mean(values)) for n, values in scores.items()} for name, scores in accuracy.items()}
    sizes = list(mean["from scratch"])
    table += [[str(n), *(f"{scores[n]:.1%}" for scores in mean.values())] for n in sizes]
    few, many = (5 if 5 in sizes else sizes[0]), sizes[-1]
    return Results(table, {
        "before": found["before"], "few": few, "many": many, "repeats": len(accuracy["from scratch"][few]),
        **{f"{kind}_{word}": mean[name][n] for kind, name in (
            ("scratch", "from scratch"), ("frozen", "features frozen"), ("tuned", "features trained on"))
           for word, n in (("few", few), ("many", many))}})


LESSON = Lesson(18, "transfer", "Transfer: few labels, and features from elsewhere", experiment, results, picture, """
A convolutional network has learned the digits 0 to 4, put anywhere on a larger sheet, from thousands of images
({before:.0%} of new ones right). Now it is asked for 5 to 9, which it has never seen, with {few} labelled images of
each. A network that starts from nothing gets {scratch_few:.0%} right, where guessing gets a fifth: it knows those
images by heart and has no idea that a digit stays the same when it moves. One that takes over all layers but the
last, frozen, and learns only a new last layer gets {frozen_few:.0%}, because strokes, bends and their whereabouts
are features of all digits. With {many} of each the order is another: {scratch_many:.0%} from scratch,
{frozen_many:.0%} with frozen features, which are now in the way, since what tells 0 from 4 is not all that tells 5
from 9, and {tuned_many:.0%} where they are a start and are trained on. All are means of {repeats} draws of images,
and the draws differ: look at the bars. Few labels: borrow features and freeze them. More labels: borrow them and
train on.""",
                {"labels": (5, 20), "repeats": 2}, ("Transfer learning, fine-tuning", "Rates by layer, frozen layers"))
