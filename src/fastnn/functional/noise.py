"""Noise on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from .base import as_array, call


def dropout(x: Any, rate: float, seed: int = 0, update: int = 1, instance: int = 0) -> np.ndarray:
    """Each value zero with probability `rate`, else divided by 1 - rate: "inverted" dropout.

    Parameters
    ----------
    x : array_like, shape (B, n)
        Values; or a gradient dy, since the same call with the same numbers takes that down: dx.
    rate : float
        0 <= rate < 1.
    seed, update, instance : int
        What the mask depends on, besides row and column: the seed of a model or of its `fastnn.Dropout`, the
        number of the update (from 1), which of the model's random layers it is (from 0).

    Returns
    -------
    ndarray, shape (B, n)
        Of x's dtype.

    Examples
    --------
    >>> y = dropout(np.ones((100, 50)), 0.2, seed=1)
    >>> np.unique(y).tolist(), bool(0.78 < (y > 0).mean() < 0.82)
    ([0.0, 1.25], True)
    """
    return noisy("dropout", x, seed, update, instance, share=checks.fraction("rate", rate))


def gaussian_noise(x: Any, stddev: float, seed: int = 0, update: int = 1, instance: int = 0) -> np.ndarray:
    """y = x + stddev z, z standard normal: x (B, n); seed, update and instance as for `dropout`.

    Its gradient is the identity, dx = dy.

    Examples
    --------
    >>> y = gaussian_noise(np.zeros((100, 50)), 0.1, seed=1)
    >>> bool(0.095 < y.std() < 0.105), bool((y == gaussian_noise(np.zeros((100, 50)), 0.1, seed=1)).all())
    (True, True)
    """
    deviation = checks.positive_float("stddev", stddev, allow_zero=True)
    return noisy("gaussian_noise", x, seed, update, instance, deviation=deviation)


def noisy(name: str, x: Any, seed: int, update: int, instance: int, **settings: Any) -> np.ndarray:
    x = as_array("x", x, "bn")
    y = np.empty_like(x)
    if x.size:
        call(name, (x, y), seed=checks.seed(seed) % 2 ** 64, own_seed=-1,
             update=checks.positive_int("update", update),
             instance=checks.positive_int("instance", instance, minimum=0), **settings)
    return y
