"""What an estimator's parameters may be, in scikit-learn's terms, so that its checks and messages hold."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from ..activations import ACTIVATIONS, ALIASES
from ..layers import Layer
from ..losses import ALIASES as LOSS_ALIASES
from ..losses import LOSSES, Loss
from ..metrics import Metric
from ..optimizers import OPTIMIZERS, Optimizer
from ..schedules import Schedule

ABOVE_ZERO = Interval(Real, 0, None, closed="neither")
AT_LEAST_ZERO = Interval(Real, 0, None, closed="left")
FRACTION = Interval(Real, 0, 1, closed="left")
COUNT = Interval(Integral, 1, None, closed="left")
LOSS_NAMES = {*LOSSES, *LOSS_ALIASES}

CONSTRAINTS: dict[str, Any] = {
    "hidden_layer_sizes": ["array-like", COUNT],
    "activation": [StrOptions({*ACTIVATIONS, *ALIASES}), list, tuple, Layer],
    "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
    "alpha": [AT_LEAST_ZERO],
    "batch_size": [StrOptions({"auto"}), COUNT],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), Schedule, callable],
    "learning_rate_init": [ABOVE_ZERO],
    "power_t": [AT_LEAST_ZERO],
    "max_iter": [COUNT],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [AT_LEAST_ZERO],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [FRACTION],
    "beta_1": [FRACTION],
    "beta_2": [FRACTION],
    "epsilon": [ABOVE_ZERO],
    "n_iter_no_change": [COUNT, Options(Real, {np.inf})],
    "max_fun": [COUNT],
    # fastnn's own
    "dropout": [FRACTION, list, tuple],
    "batch_norm": ["boolean", list, tuple],
    "optimizer": [StrOptions({*OPTIMIZERS}), Optimizer, None],
    "clipnorm": [ABOVE_ZERO, None],
    "clipvalue": [ABOVE_ZERO, None],
    "global_clipnorm": [ABOVE_ZERO, None],
    "dtype": [StrOptions({"float32", "float64"}), None],
    "early_stopping_metric": [str, Metric, callable, None],
    "keep_optimizer_state": ["boolean"],
    "n_threads": [COUNT, None],
    "callbacks": "no_validation",
}
CLASSIFIER_CONSTRAINTS = {**CONSTRAINTS, "loss": [StrOptions({"log_loss", *LOSS_NAMES}), Loss, callable],
                          "class_weight": [StrOptions({"balanced"}), dict, list, None]}
REGRESSOR_CONSTRAINTS = {**CONSTRAINTS,
                         "loss": [StrOptions({"squared_error", "poisson", *LOSS_NAMES}), Loss, callable]}


LBFGS_IGNORES = ("dropout", "batch_norm", "optimizer", "clipnorm", "clipvalue", "global_clipnorm",
                 "callbacks", "keep_optimizer_state")  # of fastnn's own options


def check_solver_options(estimator: Any) -> None:
    """Refuse options of fastnn's own that the solver would not heed.

    Raises
    ------
    ValueError
        If there is one.
    """
    if estimator.solver != "lbfgs":
        return
    for name in LBFGS_IGNORES:
        if np.any(getattr(estimator, name)):
            raise ValueError(f"{name}: expected the default with solver='lbfgs', which takes all rows at "
                             "once with steps of its own; try solver='adam'")


def keep(estimator: Any, parameters: dict[str, Any]) -> None:
    """Set a constructor's arguments as attributes, unchanged; `parameters` are its ``locals()``."""
    for name, value in parameters.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)
