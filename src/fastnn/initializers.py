"""Initial weights, by name: each a function of (generator, shape, n_in, n_out) in float64.

`INITIALIZERS` has them by name. Sources: Glorot and Bengio (2010), He et al. (2015), LeCun et al. (1998).

Examples
--------
>>> weight = INITIALIZERS["he_normal"](np.random.default_rng(0), (200, 100), 200, 100)
>>> weight.shape, bool(abs(weight.var() * 200 - 2) < 0.1)  # the variance is 2 / n_in
((200, 100), True)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# In quotes, because looking at np.random would import it: 10 ms of an import that need not have them.
Initializer = Callable[["np.random.Generator", tuple[int, ...], int, int], np.ndarray]


def zeros(rng: np.random.Generator, shape: tuple[int, ...], n_in: int, n_out: int) -> np.ndarray:
    """All zero: right for biases, wrong for weights (all units of a layer would stay alike).

    Parameters
    ----------
    rng : numpy.random.Generator
        Not drawn from.
    shape : tuple of int
        Of the array.
    n_in, n_out : int
        Inputs and outputs of a unit; not used.

    Returns
    -------
    numpy.ndarray
        float64 of that shape.
    """
    return np.zeros(shape)


def _normal(variance: Callable[[int, int], float], doc: str) -> Initializer:
    def initializer(rng, shape, n_in, n_out):
        return rng.normal(0.0, np.sqrt(variance(n_in, n_out)), shape)
    initializer.__doc__ = doc
    return initializer


def _uniform(variance: Callable[[int, int], float], doc: str) -> Initializer:
    def initializer(rng, shape, n_in, n_out):
        limit = np.sqrt(3 * variance(n_in, n_out))
        return rng.uniform(-limit, limit, shape)
    initializer.__doc__ = doc
    return initializer


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "glorot_uniform": _uniform(lambda i, o: 2 / (i + o), "Uniform with variance 2 / (n_in + n_out)."),
    "glorot_normal": _normal(lambda i, o: 2 / (i + o), "Normal with variance 2 / (n_in + n_out)."),
    "he_uniform": _uniform(lambda i, o: 2 / i, "Uniform with variance 2 / n_in, for ReLU."),
    "he_normal": _normal(lambda i, o: 2 / i, "Normal with variance 2 / n_in, for ReLU."),
    "lecun_uniform": _uniform(lambda i, o: 1 / i, "Uniform with variance 1 / n_in."),
    "lecun_normal": _normal(lambda i, o: 1 / i, "Normal with variance 1 / n_in."),
    "standard_normal": _normal(lambda i, o: 1.0, "Normal with variance 1: what saturates sigmoid layers."),
}
