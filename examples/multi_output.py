"""Two outputs of one network: which digit an image shows, and how much ink it has.

The tasks share their hidden layers; the losses, each with a weight, are added up. One network does both jobs about as
well as two networks, of the same layers, do one each: those have a weight of 0 for the other.

    python examples/multi_output.py [seeds]
"""
import sys

import fastnn as fnn
from fastnn.data import load_digits

EPOCHS = 40


def network(digit_weight, ink_weight, seed):
    """From 64 pixels to ten probabilities and a number."""
    x = fnn.Input((64,), name="pixels")
    h = fnn.Dense(64, "relu")(x)
    h = fnn.Dense(32, "relu", name="shared")(h)
    digit = fnn.Dense(10, "softmax", name="digit")(h)
    ink = fnn.Dense(1, name="ink")(fnn.Dense(16, "relu")(h))
    model = fnn.Model(x, [digit, ink], seed=seed)
    model.compile(fnn.Adam(1e-3), loss={"digit": "cross_entropy", "ink": "squared_error"},
                  loss_weights={"digit": digit_weight, "ink": ink_weight},
                  metrics={"digit": ["accuracy"], "ink": ["r2"]})
    return model


def main(seeds=3):
    X, y = load_digits()
    X = X.reshape(-1, 64) / 16
    ink = X.sum(axis=1)
    ink = (ink - ink.mean()) / ink.std()
    train, test = slice(1400), slice(1400, None)
    targets = {"digit": y[train], "ink": ink[train]}
    for seed in range(seeds):
        results = {}
        for name, weights in (("both", (1.0, 1.0)), ("digit alone", (1.0, 0.0)), ("ink alone", (0.0, 1.0))):
            model = network(*weights, seed)
            model.fit(X[train], targets, batch_size=32, epochs=EPOCHS, verbose=0)
            results[name] = model.evaluate(X[test], {"digit": y[test], "ink": ink[test]})
        both = results["both"]
        alone = results["digit alone"]["digit_accuracy"], results["ink alone"]["ink_r2"]
        print(f"seed {seed}: both tasks in one network: accuracy {both['digit_accuracy']:.1%}, R2 of the ink "
              f"{both['ink_r2']:.3f}; each alone: {alone[0]:.1%}, {alone[1]:.3f}")
        total = both["digit_loss"] + both["ink_loss"]
        assert abs(both["loss"] - total) < 1e-4 * total, "the loss is the weighted sum of both"
        assert both["digit_accuracy"] >= max(0.88, alone[0] - 0.03) and both["ink_r2"] >= 0.9


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
