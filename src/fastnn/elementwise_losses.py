"""Losses that are a sum over a row's outputs: one row each, as in ``csrc/losses.def``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

Formula = Callable[[np.ndarray, np.ndarray, float, float], np.ndarray]
_INF = np.inf


@dataclass(frozen=True)
class ElementwiseLoss:
    """A loss l(y, t) of one output and its target; a row of outputs has the sum or the mean of it.

    Attributes
    ----------
    name : str
        What `fastnn.functional.elementwise_loss` and, where `of` is empty, `compile` call it.
    formula : str
        l(y, t) in Python's notation, with the parameters by name.
    value, slope : callable
        l and dl/dy as functions of (y, t, a, b), a and b the first two parameters.
    targets : str
        What the targets are (see `fastnn.checks.as_targets`).
    source : str
        Where it comes from, and where other libraries' conventions differ.
    parameters : dict of str to float
        Names and defaults of at most two.
    range : tuple of float
        The least and the largest y that it takes.
    of : str
        The activation whose input y is, "" where y is an output as it stands.
    fused : dict of str to str
        By the name of a final activation, the row that takes its input in place of its output.

    Examples
    --------
    >>> huber = ELEMENTWISE_LOSSES["huber"]
    >>> huber.value(np.array([0.5, 3.0]), np.zeros(2), *huber.settings({})).tolist()
    [0.125, 2.5]
    """

    name: str
    formula: str
    value: Formula
    slope: Formula
    targets: str
    source: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    range: tuple[float, float] = (-_INF, _INF)
    of: str = ""
    fused: Mapping[str, str] = field(default_factory=dict)

    def settings(self, parameters: Mapping[str, float]) -> tuple[float, float]:
        """The numbers a and b of the formulas; parameters that are not given have their defaults.

        Raises
        ------
        TypeError
            If there is no such parameter.
        """
        if unknown := sorted(set(parameters) - set(self.parameters)):
            raise TypeError(f"{self.name}: expected the parameters {list(self.parameters)}, got {unknown}")
        a, b, *_ = [*({**self.parameters, **parameters}.values()), 0.0, 0.0]
        return a, b


# ---- formulas that take more than a line ----

def _by_sign(x: np.ndarray, positive: float, negative: float) -> np.ndarray:
    return np.where(x > 0, positive, np.where(x < 0, negative, 0)).astype(x.dtype)


def _huber(e: np.ndarray, delta: float) -> np.ndarray:
    size = np.abs(e)
    c = np.minimum(size, delta)
    return c * (size - c / 2)


def _log_cosh(e: np.ndarray) -> np.ndarray:
    """log1p(u^2 / (2 (1 + u))), u = e^-|e| - 1, loses nothing near 0; the other form does not overflow."""
    size = np.abs(e)
    u = np.expm1(-np.minimum(size, 1))
    large = size - np.log(2).astype(e.dtype) + np.log1p(np.exp(-2 * size))
    return np.where(size < 1, np.log1p(u * u / (2 + 2 * u)), large)


def _xlogy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(x == 0, 0, x * np.log(np.where(x == 0, 1, y)))


def _clip(y: np.ndarray, epsilon: float) -> np.ndarray:
    return np.clip(y, epsilon, 1 - epsilon)


def _probability_loss(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return -(t * np.log(p) + (1 - t) * np.log1p(-p))


def _probability_slope(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return (p - t) / (p * (1 - p))


def _logistic_loss(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))


def _focal_parts(z: np.ndarray, t: np.ndarray, gamma: float, alpha: float) -> tuple[np.ndarray, ...]:
    """p, 1 - p, m = 1 - p_t and alpha_t m^gamma."""
    e = np.exp(-np.abs(z))
    small, large = e / (1 + e), 1 / (1 + e)
    p, q = np.where(z < 0, small, large), np.where(z < 0, large, small)
    m = np.maximum(p * (1 - t) + q * t, np.finfo(z.dtype).tiny)
    return p, q, m, (alpha * t + (1 - alpha) * (1 - t)) * m ** z.dtype.type(gamma)


def _focal(z: np.ndarray, t: np.ndarray, gamma: float, alpha: float) -> np.ndarray:
    return _focal_parts(z, t, gamma, alpha)[3] * _logistic_loss(z, t)


def _focal_slope(z: np.ndarray, t: np.ndarray, gamma: float, alpha: float) -> np.ndarray:
    p, q, m, weight = _focal_parts(z, t, gamma, alpha)
    return weight * ((p * (1 - t) - q * t) + gamma * _logistic_loss(z, t) * (1 - 2 * t) * (p * q / m))


ELEMENTWISE_LOSSES: dict[str, ElementwiseLoss] = {loss.name: loss for loss in (
    ElementwiseLoss("absolute_error", "abs(y - t)", lambda y, t, a, b: np.abs(y - t),
                    lambda y, t, a, b: _by_sign(y - t, 1, -1), "rows", "Laplace 1774; L1Loss in PyTorch."),
    ElementwiseLoss("huber", "(y - t)**2 / 2 if abs(y - t) <= delta else delta * (abs(y - t) - delta / 2)",
                    lambda y, t, a, b: _huber(y - t, a), lambda y, t, a, b: np.clip(y - t, -a, a), "rows",
                    "Huber 1964; the same in PyTorch and Keras.", {"delta": 1.0}),
    ElementwiseLoss("smooth_l1", "(y - t)**2 / (2 * beta) if abs(y - t) <= beta else abs(y - t) - beta / 2",
                    lambda y, t, a, b: _huber(y - t, a) / a, lambda y, t, a, b: np.clip((y - t) / a, -1, 1),
                    "rows", "Girshick 2015, Fast R-CNN; Huber's divided by beta, SmoothL1Loss in PyTorch.",
                    {"beta": 1.0}),
    ElementwiseLoss("log_cosh", "log(cosh(y - t))", lambda y, t, a, b: _log_cosh(y - t),
                    lambda y, t, a, b: np.tanh(y - t), "rows", "Green 1990; the same in Keras."),
    ElementwiseLoss("quantile", "max(q * (t - y), (q - 1) * (t - y))",
                    lambda y, t, a, b: np.maximum(a * (t - y), (a - 1) * (t - y)),
                    lambda y, t, a, b: _by_sign(y - t, 1 - a, -a), "rows",
                    "Koenker and Bassett 1978; pinball loss in scikit-learn.", {"q": 0.5}),
    ElementwiseLoss("poisson", "y - t * log(y + epsilon)", lambda y, t, a, b: y - _xlogy(t, y + a),
                    lambda y, t, a, b: 1 - t / (y + a), "counts",
                    "The negative log-likelihood of a Poisson distribution of mean y without log t!. epsilon "
                    "is 1e-8 in PyTorch, 1e-7 in Keras.", {"epsilon": 1e-8}, range=(0, _INF),
                    fused={"exponential": "poisson_log"}),
    ElementwiseLoss("poisson_log", "exp(y) - t * y", lambda y, t, a, b: np.exp(y) - t * y,
                    lambda y, t, a, b: np.exp(y) - t, "counts",
                    "poisson of a mean exp(y); PoissonNLLLoss in PyTorch.", of="exponential"),
    ElementwiseLoss("hinge", "max(1 - t * y, 0)", lambda y, t, a, b: np.maximum(1 - t * y, 0),
                    lambda y, t, a, b: np.where(t * y < 1, -t, 0), "signs",
                    "Cortes and Vapnik 1995; the same in Keras."),
    ElementwiseLoss("squared_hinge", "max(1 - t * y, 0)**2", lambda y, t, a, b: np.maximum(1 - t * y, 0) ** 2,
                    lambda y, t, a, b: -2 * t * np.maximum(1 - t * y, 0), "signs",
                    "Tang 2013; the same in Keras."),
    ElementwiseLoss("probability_cross_entropy",
                    "-s * log(p) - (1 - s) * log(1 - p) with p = min(max(y, epsilon), 1 - epsilon) "
                    "and s = t * (1 - smoothing) + smoothing / 2",
                    lambda y, t, a, b: _probability_loss(_clip(y, a), t * (1 - b) + b / 2),
                    lambda y, t, a, b: _probability_slope(_clip(y, a), t * (1 - b) + b / 2), "binary",
                    "Cross-entropy of a probability that no logit is known of; clipped as in Keras, but the "
                    "slope beyond is that at the border. PyTorch has the logarithm end at -100.",
                    {"epsilon": 1e-7, "smoothing": 0.0}, range=(0, 1)),
    ElementwiseLoss("sigmoid_focal",
                    "(alpha * t + (1 - alpha) * (1 - t)) * m**gamma * (log(1 + exp(y)) - t * y) "
                    "with m = p * (1 - t) + (1 - p) * t and p = 1 / (1 + exp(-y))",
                    _focal, _focal_slope, "binary",
                    "Lin et al. 2017; the same in torchvision and, from logits, in Keras. p_t is 1 - m.",
                    {"gamma": 2.0, "alpha": 0.25}, of="sigmoid"),
)}
