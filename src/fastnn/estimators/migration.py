"""Taking over what scikit-learn has fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn.neural_network
from sklearn.utils.validation import check_is_fitted

from . import network
from .base import BaseMLP
from .classifier import MLPClassifier
from .regressor import MLPRegressor

TWINS: dict[type, type[BaseMLP]] = {sklearn.neural_network.MLPClassifier: MLPClassifier,
                                    sklearn.neural_network.MLPRegressor: MLPRegressor}
NOT_TAKEN = {"coefs_", "intercepts_"}  # the model has them
PRIVATE = ("_label_binarizer", "_no_improvement_count", "_random_state")


def from_sklearn(fitted: Any) -> Any:
    """fastnn's estimator with the parameters, weights and fitted attributes of a scikit-learn MLP.

    It predicts the same, and `partial_fit` and `warm_start` go on from there, with a fresh optimizer.

    Parameters
    ----------
    fitted : sklearn.neural_network.MLPClassifier or MLPRegressor
        The estimator, fitted; it is left as it is.

    Returns
    -------
    MLPClassifier or MLPRegressor

    Raises
    ------
    TypeError
        If it is neither of the two.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neural_network import MLPRegressor
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> theirs = MLPRegressor(max_iter=20, solver="lbfgs", tol=1e9).fit(X, X.sum(axis=1))
    >>> mine = from_sklearn(theirs)
    >>> bool(np.allclose(mine.predict(X), theirs.predict(X)))
    True
    """
    twin = next((mine for theirs, mine in TWINS.items() if isinstance(fitted, theirs)), None)
    if twin is None:
        raise TypeError("fitted: expected scikit-learn's MLPClassifier or MLPRegressor, got "
                        f"{type(fitted).__name__}")
    check_is_fitted(fitted)
    estimator = twin(**fitted.get_params(deep=False))
    state = {name: value for name, value in vars(fitted).items()
             if (name.endswith("_") and not name.startswith("_") or name in PRIVATE)
             and name not in NOT_TAKEN}
    estimator.__dict__.update(state)
    sizes = [coef.shape[1] for coef in fitted.coefs_[:-1]]
    n_in, n_out = fitted.coefs_[0].shape[0], fitted.coefs_[-1].shape[1]
    model = network.build(estimator, n_in, sizes, n_out, fitted.coefs_[0].dtype, np.random.RandomState(0))
    for layer, coef, intercept in zip(network.dense_layers(model), fitted.coefs_, fitted.intercepts_,
                                      strict=True):
        layer.weight[...], layer.bias[...] = coef, intercept
    estimator.model_ = model
    estimator._compiled = network.compile_model(estimator, model)
    estimator._learning_rate = float(estimator.learning_rate_init)
    estimator._best = None
    estimator._link()
    return estimator
