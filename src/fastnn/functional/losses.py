"""Losses on arrays: values, and gradients of the mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..elementwise_losses import ELEMENTWISE_LOSSES
from .base import Array, flag, op

_FUSED = "logits:bn target:bn|b<n sample_weight?:b.f8 -> y:bn dlogits:bn row_loss:b.f8"
_OF_LABELS = "y:bn target:b<n sample_weight?:b.f8 -> dy:bn row_loss:b.f8"
_OF_ROWS = "y:bn target:bn sample_weight?:b.f8 -> dy:bn row_loss:b.f8"
_softmax_cross_entropy = [op("softmax_cross_entropy", _FUSED, divergence=d) for d in (0, 1)]
_sigmoid_cross_entropy = [op("sigmoid_cross_entropy", _FUSED.replace("|b<n", ""), divergence=d)
                          for d in (0, 1)]
_softmax_focal = op("softmax_focal", _FUSED)
_poisson_deviance = op("poisson_deviance", _FUSED.replace("|b<n", ""))
_squared_error = op("squared_error", _OF_ROWS)
_elementwise_loss = op("elementwise_loss", _OF_ROWS)
_multi_class_hinge = [op("multi_class_hinge", _OF_LABELS, hardest=h) for h in (0, 1)]
_cosine_distance = op("cosine_distance", _OF_ROWS)


def softmax_cross_entropy(logits: Any, target: Any, sample_weight: Any = None, label_smoothing: float = 0.0,
                          factor: float = 1.0, divergence: bool = False) -> tuple[Array, Array, Array]:
    """Probabilities, gradient of the mean loss for the logits (B, n), and each row's loss (float64).

    `target` holds labels (B,) or rows (B, n). Weights (B,) weigh the mean, not the rows' losses. `factor`
    multiplies loss and gradient; `divergence` subtracts the entropy of the target (`fastnn.KLDivergence`).

    Examples
    --------
    >>> probability, dlogits, row_loss = softmax_cross_entropy([[0.0, 0.0]], [1])
    >>> dlogits
    array([[ 0.5, -0.5]])
    """
    settings = label_smoothing, factor
    return _softmax_cross_entropy[flag("divergence", divergence)]((logits, target, sample_weight), None, settings)


def sigmoid_cross_entropy(logits: Any, target: Any, sample_weight: Any = None, label_smoothing: float = 0.0,
                          factor: float = 1.0, divergence: bool = False) -> tuple[Array, Array, Array]:
    """Probabilities, gradient of the mean loss for the logits, each row's loss (float64); target (B, n).

    Examples
    --------
    >>> probability, dlogits, row_loss = sigmoid_cross_entropy([[0.0]], [[1.0]])
    >>> probability.item(), dlogits.item(), row_loss.round(3).item()
    (0.5, -0.5, 0.693)
    """
    settings = label_smoothing, factor
    return _sigmoid_cross_entropy[flag("divergence", divergence)]((logits, target, sample_weight), None, settings)


def poisson_deviance(logits: Any, target: Any, sample_weight: Any = None) -> tuple[Array, Array, Array]:
    """Rates exp(logits), gradient of the mean loss for them, each row's loss (`fastnn.PoissonDeviance`).

    Examples
    --------
    >>> rate, dlogits, row_loss = poisson_deviance([[0.0]], [[0.0]])
    >>> rate.item(), dlogits.item(), row_loss.item()
    (1.0, 1.0, 1.0)
    """
    return _poisson_deviance((logits, target, sample_weight))


def softmax_focal(logits: Any, target: Any, sample_weight: Any = None, gamma: float = 2.0,
                  factor: float = 1.0) -> tuple[Array, Array, Array]:
    """As `softmax_cross_entropy`, for the focal loss (`fastnn.Focal`).

    Examples
    --------
    >>> probability, dlogits, row_loss = softmax_focal([[0.0, 0.0]], [1])
    >>> row_loss.round(3)  # (1 - 1/2)^2 ln 2
    array([0.173])
    """
    return _softmax_focal((logits, target, sample_weight), None, (gamma, factor))


def squared_error(y: Any, target: Any, sample_weight: Any = None,
                  factor: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the mean loss for y, and each row's loss factor * sum_j (y_ij - t_ij)^2 (float64).

    Examples
    --------
    >>> squared_error([[1.0, 3.0]], [[0.0, 1.0]])
    (array([[1., 2.]]), array([2.5]))
    """
    return _squared_error((y, target, sample_weight), None, (factor,))


def elementwise_loss(y: Any, target: Any, sample_weight: Any = None, loss: str = "absolute_error",
                     factor: float = 1.0, **parameters: float) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the mean loss for y (B, n), and each row's loss: factor times the sum over its outputs.

    `loss` is a name of `fastnn.elementwise_losses.ELEMENTWISE_LOSSES`, whose row has the formula and the
    parameters with their defaults.

    Examples
    --------
    >>> dy, row_loss = elementwise_loss([[0.5, 3.0]], [[0.0, 0.0]], loss="huber", delta=1.0)
    >>> dy, row_loss
    (array([[0.5, 1. ]]), array([2.625]))
    """
    checks.lookup("loss", loss, ELEMENTWISE_LOSSES)
    settings = *ELEMENTWISE_LOSSES[loss].settings(parameters), factor
    return _elementwise_loss((y, target, sample_weight), loss, settings)


def multi_class_hinge(y: Any, target: Any, sample_weight: Any = None, margin: float = 1.0, power: float = 1.0,
                      factor: float = 1.0, hardest: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the mean loss for the scores y (B, n), and each row's loss; target: labels (B,).

    The loss is `fastnn.MultiClassHinge`; `hardest` has only the largest of the other scores count.

    Examples
    --------
    >>> multi_class_hinge([[1.0, 0.5, -2.0]], [0])
    (array([[-1.,  1.,  0.]]), array([0.5]))
    """
    return _multi_class_hinge[flag("hardest", hardest)]((y, target, sample_weight), None, (margin, power, factor))


def cosine_distance(y: Any, target: Any, sample_weight: Any = None,
                    offset: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the mean loss for y (B, n), and each row's loss offset - cos(y_i, t_i) (float64).

    Examples
    --------
    >>> dy, row_loss = cosine_distance([[1.0, 0.0]], [[0.0, 2.0]])
    >>> dy, row_loss
    (array([[ 0., -1.]]), array([1.]))
    """
    return _cosine_distance((y, target, sample_weight), None, (offset,))
