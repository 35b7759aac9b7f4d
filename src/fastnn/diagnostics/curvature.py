"""The lowest and highest curvature of a loss, without its Hessian."""

from __future__ import annotations

import numpy as np

from ..inference import BoundModel

STEPS = 24  # of Lanczos: enough for the two ends of the spectrum
STEP = 1e-4  # of the differences, relative to the parameters' size


def extreme_curvatures(bound: BoundModel, parameters: dict[str, np.ndarray], steps: int = STEPS,
                       ) -> tuple[float, float]:
    """The lowest and the highest eigenvalue of the Hessian, in float64.

    Products of the Hessian with a vector are central differences of gradients,
    ``(g(w + h v) - g(w - h v)) / 2h``; Lanczos's method finds the ends of the spectrum from a few of them
    (Golub and Van Loan, Matrix Computations, 10.1; Pearlmutter 1994 for the products). A negative one is the
    mark of a saddle (Dauphin et al. 2014).

    Parameters
    ----------
    bound : BoundModel
        The loss as a function of the parameters.
    parameters : dict of str to ndarray
        Views of the parameters; they are put back.
    steps : int
        At the most; each costs two gradients.

    Returns
    -------
    tuple of float
        Lowest and highest.

    Examples
    --------
    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False)
    >>> model = fnn.Sequential([line], input_shape=(2,), dtype="float64")
    >>> model.compile(loss="squared_error")
    >>> bound = model.bind([[3.0, 0.0], [0.0, 1.0]], [0.0, 0.0])  # the loss is (9 w1^2 + w2^2) / 4
    >>> [round(c, 6) for c in extreme_curvatures(bound, model.named_parameters())]
    [0.5, 4.5]
    """
    origin = _flat(parameters)
    h = STEP * max(1.0, float(np.sqrt(np.mean(origin ** 2))))

    def product(v: np.ndarray) -> np.ndarray:
        scaled = h * v * (np.sqrt(len(v)) / np.linalg.norm(v))
        _set(parameters, origin + scaled)
        up = _flat(bound.gradients())
        _set(parameters, origin - scaled)
        return (up - _flat(bound.gradients())) * (np.linalg.norm(v) / (2 * h * np.sqrt(len(v))))

    try:
        return _lanczos(product, len(origin), steps)
    finally:
        _set(parameters, origin)


def _lanczos(product, n: int, steps: int) -> tuple[float, float]:
    """The extreme Ritz values of a symmetric product, with full reorthogonalisation."""
    basis = np.zeros((0, n))
    v = np.random.default_rng(0).standard_normal(n)
    v /= np.linalg.norm(v)
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(min(steps, n)):
        basis = np.vstack([basis, v])
        w = product(v)
        diagonal.append(float(v @ w))
        for _ in range(2):
            w -= basis.T @ (basis @ w)
        length = float(np.linalg.norm(w))
        if length <= 1e-10 * max(map(abs, diagonal)):
            break
        beside.append(length)
        v = w / length
    k = len(diagonal)
    values = np.linalg.eigvalsh(np.diag(diagonal) + np.diag(beside[:k - 1], 1) + np.diag(beside[:k - 1], -1))
    return float(values[0]), float(values[-1])


def _flat(arrays: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([a.ravel() for a in arrays.values()])


def _set(arrays: dict[str, np.ndarray], values: np.ndarray) -> None:
    start = 0
    for a in arrays.values():
        a[...] = values[start:start + a.size].reshape(a.shape)
        start += a.size
