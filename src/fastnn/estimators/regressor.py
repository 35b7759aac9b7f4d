"""The regressor."""

from __future__ import annotations

from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.validation import validate_data

from .. import checks
from ..losses import PoissonDeviance
from ..metric_functions import r2
from . import network
from .base import FLOATS, BaseMLP
from .compatibility import with_callbacks
from .parameters import REGRESSOR_CONSTRAINTS, keep


class MLPRegressor(RegressorMixin, BaseMLP):
    """scikit-learn's MLPRegressor, trained by fastnn.

    Takes every parameter of ``sklearn.neural_network.MLPRegressor`` with the same meaning and default, and
    has its attributes, warnings and errors.

    Parameters
    ----------
    loss : str or Loss, default="squared_error"
        "squared_error" (half of it, the mean over outputs), "poisson" (half the deviance, for y >= 0, after
        an exponential), or any of fastnn's that takes numbers.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, \
max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, \
validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As for `MLPClassifier`.
    dropout, batch_norm, optimizer, clipnorm, clipvalue, global_clipnorm, dtype, early_stopping_metric, \
keep_optimizer_state, n_threads, callbacks
        As for `MLPClassifier`; by default early stopping looks at R^2.

    Attributes
    ----------
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, validation_loss_curve_, \
coefs_, intercepts_, n_features_in_, feature_names_in_, n_iter_, n_layers_, n_outputs_, out_activation_, t_, \
model_
        As for `MLPClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.estimators import MLPRegressor
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> y = X[:, 0] * X[:, 1]
    >>> mlp = MLPRegressor(hidden_layer_sizes=(32, 32), activation="gelu", solver="lbfgs", random_state=0)
    >>> mlp.fit(X, y).score(X, y) > 0.99
    True
    """

    _parameter_constraints: dict = REGRESSOR_CONSTRAINTS

    def __init__(self, loss="squared_error", hidden_layer_sizes=(100,), activation="relu", *, solver="adam",
                 alpha=0.0001, batch_size="auto", learning_rate="constant", learning_rate_init=0.001,
                 power_t=0.5, max_iter=200, shuffle=True, random_state=None, tol=1e-4, verbose=False,
                 warm_start=False, momentum=0.9, nesterovs_momentum=True, early_stopping=False,
                 validation_fraction=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-8, n_iter_no_change=10,
                 max_fun=15000, dropout=0.0, batch_norm=False, optimizer=None, clipnorm=None, clipvalue=None,
                 global_clipnorm=None, dtype=None, early_stopping_metric=None, keep_optimizer_state=False,
                 n_threads=None, callbacks=None):
        keep(self, locals())

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None):
        """Train on all rows.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n_samples, n_features)
            The samples. Sparse ones are made dense a bounded part at a time.
        y : array-like, shape (n_samples,) or (n_samples, n_outputs)
            Numbers.
        sample_weight : array-like, shape (n_samples,), default=None
            Weights of the rows.
        X_val, y_val : array-like, default=None
            Rows to look at after each epoch: ``validation_loss_curve_``, and what early stopping uses
            instead of a share of the rows.

        Returns
        -------
        MLPRegressor
            This one.
        """
        return self._fit(X, y, sample_weight, incremental=False, X_val=X_val, y_val=y_val)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Go on for one epoch; optimizer and learning rate keep their state from call to call.

        With lbfgs a call is a whole search from the weights of the last one, as in scikit-learn.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        MLPRegressor
            This one.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X):
        """The network's outputs.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray, shape (n_samples,) or (n_samples, n_outputs)
            In the network's dtype.
        """
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    # ---- targets ----

    def _validate_input(self, X, y, incremental, reset, held_out=False):
        X, y = validate_data(self, X, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=True,
                             dtype=FLOATS, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self._output_activation() == "exp" and y.min() < 0:
            raise ValueError(f"y: expected values of at least 0 with loss={self.loss!r}, got {y.min()}")
        return X, y.reshape(len(y), -1)

    def _output_activation(self):
        return "exp" if isinstance(network.make_loss(self), PoissonDeviance) else "identity"

    def _targets(self, y):
        return checks.as_targets(y, self.model_.target_kind, self.n_outputs_, len(y), self.model_.dtype)

    def _labels(self, y):
        return y.ravel() if y.shape[1] == 1 else y

    def _default_score(self, samples, outputs):
        if samples.weight is None and len(samples) > 1:
            return r2(samples.y, outputs)  # the same without checks, which take as long as three epochs
        return r2_score(samples.y, outputs, sample_weight=samples.weight)
