"""Residual connections: a deep network that learns nothing without them, and does with them.

Thirty layers in a row shrink what passes through them, forward and backward. With y = x + f(x) the gradient has a way
around every layer (He et al. 2016). Both networks have the same layers, the same initial weights and the same training.

    python examples/residual.py [seeds]
"""
import sys

import numpy as np

import fastnn as fnn
from fastnn.data import load_digits

BLOCKS, WIDTH = 30, 32


def network(residual, seed):
    """BLOCKS hidden layers between a first and a last one."""
    x = fnn.Input((64,))
    h = fnn.Dense(WIDTH, "tanh", name="first")(x)
    for i in range(BLOCKS):
        change = fnn.Dense(WIDTH, "tanh", name=f"block_{i}", kernel_initializer=fnn.initializers.Normal(0.05))(h)
        h = fnn.Add()([h, change]) if residual else change
    model = fnn.Model(x, fnn.Dense(10, "softmax", name="last")(h), seed=seed)
    model.compile(fnn.Adam(1e-3), "cross_entropy", ["accuracy"])
    return model


def main(seeds=3):
    X, y = load_digits()
    X = X.reshape(-1, 64) / 16
    train, test = slice(1400), slice(1400, None)
    for seed in range(seeds):
        accuracy, size = [], []
        for residual in (False, True):
            model = network(residual, seed)
            gradients = model.bind(X[:100], y[:100]).gradients()
            size.append(np.linalg.norm(gradients["first.weight"]))
            model.fit(X[train], y[train], batch_size=32, epochs=15, verbose=0)
            accuracy.append(model.evaluate(X[test], y[test])["accuracy"])
        print(f"seed {seed}: accuracy of the plain network {accuracy[0]:.1%}, of the residual one {accuracy[1]:.1%}; "
              f"the first layer's gradient at the start {size[0]:.1e} and {size[1]:.1e}")
        assert accuracy[1] >= 0.85, "the residual network learns"
        assert accuracy[0] <= 0.5 and size[0] < 1e-3 * size[1], "the plain one does not"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
