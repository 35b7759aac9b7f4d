"""Optimizers: each is one op, applied to every parameter array after the backward pass.

`OPTIMIZERS` has all of them by name.
"""

from __future__ import annotations

from .. import checks
from .adam import Adam, AdamW, AMSGrad, Lion, NAdam
from .adaptive import AdaDelta, AdaGrad, RMSprop
from .base import Optimizer
from .sgd import SGD, Momentum, Nesterov

__all__ = ["OPTIMIZERS", "SGD", "AMSGrad", "AdaDelta", "AdaGrad", "Adam", "AdamW", "Lion", "Momentum",
           "NAdam", "Nesterov", "Optimizer", "RMSprop", "get"]

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD, "momentum": Momentum, "nesterov": Nesterov, "adagrad": AdaGrad, "rmsprop": RMSprop,
    "adadelta": AdaDelta, "adam": Adam, "amsgrad": AMSGrad, "nadam": NAdam, "adamw": AdamW, "lion": Lion,
}


def get(optimizer: str | Optimizer) -> Optimizer:
    """An optimizer from its name, with its default settings, or the optimizer itself.

    Examples
    --------
    >>> get("sgd")
    SGD(learning_rate=0.01, momentum=0.0, nesterov=False)
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(f"optimizer: expected a name or a fastnn Optimizer, got {type(optimizer).__name__}")
    return checks.lookup("optimizer", optimizer, OPTIMIZERS)()
