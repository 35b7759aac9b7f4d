"""Losses: what training makes small. Each emits its op, fused with the final activation it belongs to.

`LOSSES` has all of them by name, `ALIASES` the names that other libraries have for some.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .. import checks
from ..elementwise_losses import ELEMENTWISE_LOSSES
from .base import Loss
from .cross_entropy import BinaryCrossEntropy, CategoricalCrossEntropy, CrossEntropy, Focal, KLDivergence
from .deviance import PoissonDeviance
from .elementwise import (
    AbsoluteError,
    Elementwise,
    Hinge,
    Huber,
    LogCosh,
    Poisson,
    Quantile,
    SmoothL1,
    SquaredHinge,
)
from .entropy import EntropyDecomposition, entropy_decomposition
from .rows import CosineDistance, FunctionLoss, MeanSquaredError, MultiClassHinge, SquaredError

__all__ = ["ALIASES", "LOSSES", "AbsoluteError", "BinaryCrossEntropy", "CategoricalCrossEntropy",
           "CosineDistance", "CrossEntropy", "Elementwise", "EntropyDecomposition", "Focal", "FunctionLoss",
           "Hinge", "Huber", "KLDivergence", "LogCosh", "Loss", "MeanSquaredError", "MultiClassHinge",
           "Poisson", "PoissonDeviance", "Quantile", "SmoothL1", "SquaredError", "SquaredHinge",
           "entropy_decomposition", "get", "registered"]

LOSSES: dict[str, Callable[..., Loss]] = {
    name: partial(Elementwise, name) for name, row in ELEMENTWISE_LOSSES.items() if not row.of
} | {
    "cross_entropy": CrossEntropy, "categorical_cross_entropy": CategoricalCrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy, "kl_divergence": KLDivergence, "focal": Focal,
    "squared_error": SquaredError, "mean_squared_error": MeanSquaredError, "absolute_error": AbsoluteError,
    "huber": Huber, "smooth_l1": SmoothL1, "log_cosh": LogCosh, "quantile": Quantile, "poisson": Poisson,
    "poisson_deviance": PoissonDeviance,
    "hinge": Hinge, "squared_hinge": SquaredHinge, "multi_class_hinge": MultiClassHinge,
    "cosine_distance": CosineDistance,
}

ALIASES: dict[str, tuple[str, dict[str, Any]]] = {
    "log_likelihood": ("categorical_cross_entropy", {}),  # Nielsen, chapter 3
    "categorical_crossentropy": ("categorical_cross_entropy", {}),  # from here on Keras's words
    "sparse_categorical_crossentropy": ("categorical_cross_entropy", {}),
    "binary_crossentropy": ("binary_cross_entropy", {}),
    "mse": ("mean_squared_error", {}), "mae": ("absolute_error", {}),
    "mean_absolute_error": ("absolute_error", {}),
    "kld": ("kl_divergence", {}), "logcosh": ("log_cosh", {}),
    "categorical_hinge": ("multi_class_hinge", {"variant": "crammer_singer"}),
    "cosine_similarity": ("cosine_distance", {"offset": 0.0}),
    "quadratic": ("squared_error", {}), "cosine": ("cosine_distance", {}), "svm": ("multi_class_hinge", {}),
    "pinball": ("quantile", {}),
}


def get(loss: object) -> Loss:
    """A loss from its name or an alias, with its default settings; from a function; or the loss itself.

    Examples
    --------
    >>> get("mse").name, get("cosine_similarity")
    ('mean_squared_error', CosineDistance(offset=0.0, reduction='mean'))
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) and issubclass(loss, Loss):
        raise TypeError(f"loss: expected a name, a fastnn Loss or a function, got the class {loss.__name__}; "
                        f"pass {loss.__name__}()")
    if callable(loss):
        return FunctionLoss(loss)
    if not isinstance(loss, str):
        raise TypeError(f"loss: expected a name, a fastnn Loss or a function of (output, target) that "
                        f"returns (value, gradient), got {type(loss).__name__}")
    name, settings = ALIASES.get(loss, (loss, {}))
    return checks.lookup("loss", name, LOSSES)(**settings)


def registered(loss: Loss) -> bool:
    """Whether `LOSSES` makes this loss from its name and `Loss.get_config`, so that a file can hold it.

    Examples
    --------
    >>> registered(get("huber")), registered(get(lambda output, target: (0, 0)))
    (True, False)
    """
    made = LOSSES.get(loss.name)
    return type(loss) is (made.func if isinstance(made, partial) else made)
