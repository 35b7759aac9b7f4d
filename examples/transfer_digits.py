"""Transfer learning: a network that knows the digits 0 to 4 learns 5 to 9 from three examples of each.

Every digit lies somewhere in a frame of 12 x 12 pixels, so that the shape alone counts: three examples do not show
where a digit may be, and what the first network learned of that is worth having. Three ways, on the same labels: from
nothing; a new head on the frozen features of the first network; and those features unfrozen layer by layer, at rates
that fall with depth, once the head has settled.

    python examples/transfer_digits.py [seeds]
"""
import sys

import numpy as np

import fastnn as fnn
from fastnn.data import load_digits

LABELS = 3  # of each new digit
DRAWS = 4  # of those few; their accuracies are averaged
COPIES = 10  # of each old digit, in different places
SIZE = 12
GAIN = 0.05


def placed(X, rng):
    """Images of 8 x 8 in random places of a larger frame."""
    frames = np.zeros((len(X), SIZE, SIZE, 1), np.float32)
    for frame, image, (i, j) in zip(frames, X, rng.integers(0, SIZE - 7, (len(X), 2)), strict=True):
        frame[i:i + 8, j:j + 8, 0] = image
    return frames


def network(seed):
    """Two convolutions with pooling, then two dense layers."""
    return fnn.Sequential(
        [fnn.Conv2D(16, 3, padding="same", activation="relu"), fnn.MaxPool2D(2),
         fnn.Conv2D(32, 3, padding="same", activation="relu"), fnn.MaxPool2D(2), fnn.Flatten(),
         fnn.Dense(128, "relu", name="features"), fnn.Dropout(0.5), fnn.Dense(5, "softmax")],
        input_shape=(SIZE, SIZE, 1), seed=seed)


def trained(model, X, y, epochs, optimizer, **settings):
    """The model, compiled and fitted."""
    model.compile(optimizer, "cross_entropy", ["accuracy"])
    model.fit(X, y, batch_size=32, epochs=epochs, verbose=0, **settings)
    return model


def three_ways(teacher, few, test, seed):
    """Accuracies on the test rows after learning from a few."""
    nothing = trained(network(seed + 100), *few, 150, fnn.Adam(3e-3))

    features = teacher.cut("features")
    features.freeze()
    frozen = trained(features.extend([fnn.Dense(5, "softmax", name="head")], seed), *few, 150, fnn.Adam(3e-3))
    moved = [name for name, w in features.state_dict().items() if (frozen.state_dict()[name] != w).any()]
    assert not moved, f"frozen, and yet they moved: {moved}"

    tuned = features.extend([fnn.Dense(5, "softmax", name="head")], seed)
    rates = tuned.rates_by_depth(1 / 2.6)
    trained(tuned, *few, 150, fnn.Adam(3e-3, rate_factors=rates), callbacks=fnn.GradualUnfreezing(every=40))
    return [model.evaluate(*test)["accuracy"] for model in (nothing, frozen, tuned)]


def main(seeds=3):
    X, y = load_digits()
    X, old, new = X / 16, y < 5, y >= 5
    gains = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        teacher = trained(network(seed), placed(np.repeat(X[old], COPIES, axis=0), rng), np.repeat(y[old], COPIES),
                          10, fnn.Adam(1e-3))
        X_new, y_new = placed(X[new], rng), y[new] - 5
        results = []
        for draw in range(DRAWS):
            rows = np.concatenate([rng.permutation(np.flatnonzero(y_new == digit))[:LABELS] for digit in range(5)])
            rest = np.setdiff1d(np.arange(len(y_new)), rows)
            few, test = (X_new[rows], y_new[rows]), (X_new[rest], y_new[rest])
            results.append(three_ways(teacher, few, test, DRAWS * seed + draw))
        nothing, frozen, tuned = np.mean(results, axis=0)
        gains.append(frozen - nothing)
        print(f"seed {seed}: {LABELS} labels of each new digit, accuracy on the {len(rest)} others: from nothing "
              f"{nothing:.1%}, frozen features {frozen:.1%}, gradually unfrozen {tuned:.1%}")
    print(f"gained by frozen features: {', '.join(f'{100 * gain:+.1f}' for gain in gains)} points")
    assert min(gains) >= GAIN, f"expected a gain of {100 * GAIN:.0f} points or more"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
