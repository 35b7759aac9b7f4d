"""Normalisation on arrays: of columns, rows, images."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from .base import Array, as_arrays, call, number, op

_standardize = op("standardize", "x:bn mean:n scale:n -> y:bn")
_standardize_backward = op("standardize_backward", "dy:bn scale:n -> dx:bn")
_NORMS = {"l1": 1, "l2": 2}
_row_normalize = {k: op("row_normalize", "x:bn -> y:bn", order=n) for k, n in _NORMS.items()}
_row_normalize_backward = {k: op("row_normalize_backward", "dy:bn x:bn -> dx:bn", order=n)
                           for k, n in _NORMS.items()}
_batch_norm_backward = op("batch_norm_backward",
                           "dy:bn x:bn mean:n inverse:n gamma?:n mask?:b -> dx:bn dgamma:n dbeta:n")
_scale_shift = op("scale_shift", "x:bn scale:n shift?:n -> y:bn")
_layer_norm_forward = op("layer_norm_forward", "x:bn gamma?:n beta?:n -> y:bn mean:b inverse:b")
_layer_norm_backward = op("layer_norm_backward", "dy:bn x:bn mean:b inverse:b gamma?:n -> dx:bn")
_layer_norm_backward_parameters = op("layer_norm_backward_parameters",
                                      "dy:bn x:bn mean:b inverse:b -> dgamma:n dbeta:n")
_batch_norm_forward = op("batch_norm_forward",
                          "x:bn gamma?:n beta?:n mask?:b -> y:bn mean:n inverse:n")
_batch_norm_fold = op("batch_norm_fold", "mean:n variance:n gamma?:n beta?:n -> scale:n shift:n")


def batch_norm_forward(x: Any, gamma: Any = None, beta: Any = None, mask: Any = None,
                       epsilon: float = 1e-3) -> tuple[Array, Array, Array]:
    """y = (x - mean) inverse gamma + beta, mean and inverse = 1 / sqrt(variance + epsilon), both (n), of the
    columns of x (B, n); the variance divides by B; gamma and beta (n) or None. Rows with a 0 in mask (B) do
    not count. Images are rows of pixels: x.reshape(-1, channels).

    Examples
    --------
    >>> y, mean, inverse = batch_norm_forward([[1.0], [5.0]], epsilon=0.0)
    >>> y.ravel().tolist(), mean.item(), inverse.item()
    ([-1.0, 1.0], 3.0, 0.5)
    """
    return _batch_norm_forward((x, gamma, beta, mask), None, (epsilon,))


def batch_norm_backward(dy: Any, x: Any, mean: Any, inverse: Any, gamma: Any = None,
                        mask: Any = None) -> tuple[Array, Array, Array]:
    """dx (B, n), dgamma and dbeta (n) of `batch_norm_forward`, whose mean and inverse these are.

    Examples
    --------
    >>> dx, dgamma, dbeta = batch_norm_backward([[1.0], [0.0]], [[1.0], [5.0]], [3.0], [0.5])
    >>> dx.ravel(), dgamma, dbeta
    (array([0., 0.]), array([-1.]), array([1.]))
    """
    return _batch_norm_backward((dy, x, mean, inverse, gamma, mask))


def batch_norm_fold(mean: Any, variance: Any, gamma: Any = None, beta: Any = None,
                    epsilon: float = 1e-3) -> tuple[Array, Array]:
    """scale = gamma / sqrt(variance + epsilon) and shift = beta - mean scale, all (n), for `scale_shift`.

    Examples
    --------
    >>> batch_norm_fold([1.0], [4.0], [3.0], [0.5], epsilon=0.0)
    (array([1.5]), array([-1.]))
    """
    return _batch_norm_fold((mean, variance, gamma, beta), None, (epsilon,))


def scale_shift(x: Any, scale: Any, shift: Any = None) -> np.ndarray:
    """y_ij = x_ij scale_j + shift_j: x (B, n), scale and shift (n), or None for 0.

    Examples
    --------
    >>> scale_shift([[1.0, 2.0]], [2.0, 3.0], [0.5, 0.5])
    array([[2.5, 6.5]])
    """
    return _scale_shift((x, scale, shift))


def layer_norm_forward(x: Any, gamma: Any = None, beta: Any = None,
                       epsilon: float = 1e-3) -> tuple[Array, Array, Array]:
    """y = (x - mean) inverse gamma + beta, mean and inverse = 1 / sqrt(variance + epsilon), both (B), of the
    rows of x (B, n); the variance divides by n; gamma and beta (n) or None.

    Examples
    --------
    >>> y, mean, inverse = layer_norm_forward([[1.0, 5.0]], epsilon=0.0)
    >>> y, mean, inverse
    (array([[-1.,  1.]]), array([3.]), array([0.5]))
    """
    return _layer_norm_forward((x, gamma, beta), None, (epsilon,))


def layer_norm_backward(dy: Any, x: Any, mean: Any, inverse: Any, gamma: Any = None) -> np.ndarray:
    """dx (B, n) of `layer_norm_forward`, whose mean and inverse these are.

    Examples
    --------
    >>> layer_norm_backward([[1.0, 0.0, 2.0]], [[1.0, 3.0, 5.0]], [3.0], [0.5]).round(3)
    array([[ 0.167, -0.5  ,  0.333]])
    """
    return _layer_norm_backward((dy, x, mean, inverse, gamma))


def layer_norm_backward_parameters(dy: Any, x: Any, mean: Any, inverse: Any) -> tuple[Array, Array]:
    """dgamma and dbeta (n) of `layer_norm_forward`.

    Examples
    --------
    >>> layer_norm_backward_parameters([[1.0, 2.0]], [[1.0, 5.0]], [3.0], [0.5])
    (array([-1.,  2.]), array([1., 2.]))
    """
    return _layer_norm_backward_parameters((dy, x, mean, inverse))


def standardize(x: Any, mean: Any, scale: Any) -> np.ndarray:
    """y_ij = (x_ij - mean_j) scale_j, x (B, n).

    Examples
    --------
    >>> standardize([[3.0, 1.0]], [1.0, 1.0], [0.5, 2.0])
    array([[1., 0.]])
    """
    return _standardize((x, mean, scale))


def standardize_backward(dy: Any, scale: Any) -> np.ndarray:
    """dx_ij = dy_ij scale_j, dy (B, n).

    Examples
    --------
    >>> standardize_backward([[1.0, 1.0]], [0.5, 2.0])
    array([[0.5, 2. ]])
    """
    return _standardize_backward((dy, scale))


def row_normalize(x: Any, norm: str = "l2") -> np.ndarray:
    """y_i = x_i / |x_i| for each row of x (B, n), by its norm "l2" or "l1"; a row of zeros stays.

    Examples
    --------
    >>> row_normalize([[3.0, 1.0]], "l1")
    array([[0.75, 0.25]])
    """
    return checks.lookup("norm", norm, _row_normalize)((x,))


def row_normalize_backward(dy: Any, x: Any, norm: str = "l2") -> np.ndarray:
    """dx_i = (dy_i - u_i sum_j dy_ij y_ij) / |x_i|: u is y for "l2", sign(x) for "l1".

    Examples
    --------
    >>> row_normalize_backward([[1.0, 0.0]], [[3.0, 4.0]]).round(3)
    array([[ 0.128, -0.096]])
    """
    return checks.lookup("norm", norm, _row_normalize_backward)((dy, x))


def group_norm_forward(x: Any, gamma: Any = None, beta: Any = None, groups: int = 1, per_pixel: bool = False,
                       epsilon: float = 1e-3) -> tuple[Array, Array, Array]:
    """y = (x - mean) inverse gamma + beta of images x (B, h, w, c), with each image's own mean and
    inverse = 1 / sqrt(variance + epsilon): over its pixels and the channels of each of the groups, mean and inverse
    (B, 1, 1, groups), or of each pixel, (B, h, w, groups). gamma and beta (c), or (h, w, c), or None.

    Examples
    --------
    >>> y, mean, inverse = group_norm_forward(np.arange(8.0).reshape(1, 2, 2, 2), groups=2)
    >>> mean.ravel().tolist()
    [3.0, 4.0]
    """
    x, gamma, beta = as_arrays("x:bhwc gamma?:c|hwc beta?:c|hwc", x, gamma, beta)
    per_pixel, epsilon = checks.boolean("per_pixel", per_pixel), number("epsilon", epsilon)
    if x.shape[3] % checks.positive_int("groups", groups):
        raise ValueError(f"groups: expected a divisor of the {x.shape[3]} channels, got {groups}")
    y, cells = np.empty_like(x), (len(x), *(x.shape[1:3] if per_pixel else (1, 1)), groups)
    mean, inverse = np.empty(cells, x.dtype), np.empty(cells, x.dtype)
    gamma, beta = (a if a is None or a.ndim == 1 else a.reshape(-1, a.shape[-1]) for a in (gamma, beta))
    call("group_norm_forward", (x, gamma, beta, y, mean, inverse), groups=groups, per_pixel=int(per_pixel),
         epsilon=epsilon)
    return y, mean, inverse


def group_norm_backward(dy: Any, x: Any, mean: Any, inverse: Any, gamma: Any = None) -> np.ndarray:
    """dx of `group_norm_forward`, whose mean and inverse these are.

    Examples
    --------
    >>> dx = group_norm_backward([[[[1.0], [0.0], [2.0]]]], [[[[1.0], [3.0], [5.0]]]], [[[[3.0]]]], [[[[0.5]]]])
    >>> dx.ravel().round(3)
    array([ 0.167, -0.5  ,  0.333])
    """
    dy, x, mean, inverse, gamma = as_arrays("dy:bhwc x:bhwc mean:bpqg inverse:bpqg gamma?:c|hwc",
                                          dy, x, mean, inverse, gamma)
    gamma = gamma if gamma is None or gamma.ndim == 1 else gamma.reshape(-1, gamma.shape[-1])
    dx = np.empty_like(x)
    call("group_norm_backward", (dy, x, mean, inverse, gamma, dx), **_grouping(mean, x))
    return dx


def group_norm_backward_parameters(dy: Any, x: Any, mean: Any, inverse: Any) -> tuple[Array, Array]:
    """dgamma and dbeta (c) of `group_norm_forward`.

    Examples
    --------
    >>> group_norm_backward_parameters([[[[1.0], [2.0]]]], [[[[1.0], [5.0]]]], [[[[3.0]]]], [[[[0.5]]]])
    (array([1.]), array([3.]))
    """
    dy, x, mean, inverse = as_arrays("dy:bhwc x:bhwc mean:bpqg inverse:bpqg", dy, x, mean, inverse)
    dgamma, dbeta = np.empty(x.shape[3], x.dtype), np.empty(x.shape[3], x.dtype)
    call("group_norm_backward_parameters", (dy, x, mean, inverse, dgamma, dbeta), **_grouping(mean, x))
    return dgamma, dbeta


def _grouping(mean: np.ndarray, x: np.ndarray) -> dict[str, int]:
    """What the ops of group norm are told, by the shape of the means."""
    cells, groups = mean.shape[1:3], mean.shape[3]
    if cells not in ((1, 1), x.shape[1:3]) or x.shape[3] % groups:
        raise ValueError(f"mean: expected shape (rows, 1, 1, groups) or (rows, height, width, groups) for images of "
                         f"shape {x.shape}, got {mean.shape}")
    return {"groups": groups, "per_pixel": int(cells != (1, 1))}
