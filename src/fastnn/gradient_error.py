"""How good finite differences are at which step: the error as data, to be plotted."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import checks
from .checks_arrays import as_numbers
from .gradcheck import bound_twice, table
from .numerical import along


@dataclass(frozen=True)
class GradientErrorCurve:
    """What `gradient_error_curve` found: the error of differences over their step, a V on logarithmic axes.

    Attributes
    ----------
    steps : numpy.ndarray, shape (n,)
        The steps h.
    forward, central : numpy.ndarray, shape (n,)
        ``|d - g| / (|d| + |g|)`` of the one-sided differences ``(f(h) - f(0)) / h`` and of the central ones
        ``(f(h) - f(-h)) / 2h`` along the directions drawn, g from backpropagation in float64.
    dtype : str
        Of the loss.

    Examples
    --------
    >>> steps = np.array([1e-6, 1e-3])
    >>> curve = GradientErrorCurve(steps, forward=steps, central=np.array([1e-9, 1e-7]), dtype="float64")
    >>> curve.best
    (1e-06, 1e-09)
    >>> print(curve)
    Error of differences of a float64 loss
       step  forward  central
    1.0e-06  1.0e-06  1.0e-09
    1.0e-03  1.0e-03  1.0e-07
    """

    steps: np.ndarray
    forward: np.ndarray
    central: np.ndarray
    dtype: str

    @property
    def best(self) -> tuple[float, float]:
        """The step at which the central differences are best, and their error there."""
        i = int(np.argmin(self.central))
        return float(self.steps[i]), float(self.central[i])

    def plot(self, **settings: Any) -> Any:
        """Draw the V: `fastnn.plot.gradient_error`, which has the settings."""
        from . import plot  # pictures stand above
        return plot.gradient_error(self, **settings)

    def __str__(self) -> str:
        rows = [("step", "forward", "central")]
        rows += [(f"{h:.1e}", f"{a:.1e}", f"{b:.1e}")
                 for h, a, b in zip(self.steps, self.forward, self.central, strict=True)]
        return "\n".join([f"Error of differences of a {self.dtype} loss", *table(rows, left=())])


def gradient_error_curve(model: Any, X: Any, y: Any, sample_weight: Any = None, *, dtype: Any = "float64",
                         steps: Any = None, directions: int = 4, seed: int = 0) -> GradientErrorCurve:
    """The error of plain finite differences as a function of their step, as data to plot.

    Large steps err by the loss's curvature, h for one-sided differences and h^2 for central ones; small ones
    by rounding, epsilon / h. So the curve is a V, whose tip is near epsilon's square root and its cube root:
    why gradients are checked in float64, with central differences (CS231n, "Neural Networks Part 3").

    Parameters
    ----------
    model, X, y, sample_weight
        As for `check_gradients`.
    dtype : {"float64", "float32"}
        Of the loss.
    steps : array-like, optional
        By default two a decade from 1e-12 to 1.
    directions : int
        All trained parameters are moved together along so many random directions of length 1.
    seed : int
        Of the directions.

    Returns
    -------
    GradientErrorCurve
        With the arrays ``steps``, ``forward`` and ``central``.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(4, "tanh"), fnn.Dense(3, "softmax")], input_shape=(5,), seed=0)
    >>> model.compile(loss="cross_entropy")
    >>> X = np.random.default_rng(0).standard_normal((8, 5))
    >>> curve = gradient_error_curve(model, X, np.arange(8) % 3)
    >>> 1e-7 < curve.best[0] < 1e-3 and curve.best[1] < 1e-8
    True
    """
    steps = np.logspace(-12, 0, 25) if steps is None else \
        as_numbers(steps, "steps", "a list of finite numbers above 0", "give it numbers").astype(np.float64)
    if steps.ndim != 1 or not steps.size or not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError("steps: expected a list of finite numbers above 0")
    directions = checks.positive_int("directions", directions, maximum=10 ** 6)
    rng = np.random.default_rng(checks.seed(seed))
    judged, exact = bound_twice(model, checks.float_dtype("dtype", dtype), X, y, sample_weight)
    gradients = {name: np.array(g) for name, g in exact.gradients().items()}
    if not gradients:
        raise ValueError("model must have parameters that are trained, got none")
    parameters = judged.model.named_parameters()
    arrays = [parameters[name] for name in gradients]
    forward, central, slopes = (np.empty((directions, len(steps))) for _ in range(3))
    for i in range(directions):
        drawn = [rng.standard_normal(a.shape) for a in arrays]
        length = np.sqrt(sum(float((v * v).sum()) for v in drawn))
        unit = [v / length for v in drawn]
        slopes[i] = sum(float(np.vdot(g, v)) for g, v in zip(gradients.values(), unit, strict=True))
        with along(judged.loss, arrays, unit) as phi:
            middle = phi(0.0)
            for j, h in enumerate(steps):
                up, down = phi(h), phi(-h)
                forward[i, j], central[i, j] = (up - middle) / h, (up - down) / (2 * h)

    def error(d: np.ndarray) -> np.ndarray:
        norm = np.linalg.norm
        return norm(d - slopes, axis=0) / (norm(d, axis=0) + norm(slopes, axis=0))

    return GradientErrorCurve(steps, error(forward), error(central), judged.model.dtype.name)
