"""The classifier."""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from .. import checks
from .base import FLOATS, STOCHASTIC, BaseMLP
from .compatibility import with_callbacks
from .parameters import CLASSIFIER_CONSTRAINTS, keep


def _is_stochastic(estimator: BaseMLP) -> bool:
    if estimator.solver not in STOCHASTIC:
        raise AttributeError("partial_fit is only available for stochastic optimizers. "
                             f"{estimator.solver} is not stochastic.")
    return True


class MLPClassifier(ClassifierMixin, BaseMLP):
    """scikit-learn's MLPClassifier, trained by fastnn.

    Takes every parameter of ``sklearn.neural_network.MLPClassifier`` with the same meaning and default, and
    has its attributes, warnings and errors. The objective is scikit-learn's, the mean loss of a batch plus
    alpha / 2n times the squared norm of the weights; for one `random_state` the initial weights and the
    order of the rows are scikit-learn's too.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int, default=(100,)
        Widths of the hidden layers.
    activation : str, Activation layer, (f, df), or a list of these, default="relu"
        Of the hidden layers: "identity", "logistic", "tanh", "relu", and all of fastnn's ("gelu", "elu",
        ``fnn.LeakyReLU(0.1)``, ...); a list has one for each hidden layer.
    solver : {"adam", "sgd", "lbfgs"}, default="adam"
        lbfgs takes all rows at once, through SciPy.
    alpha : float, default=1e-4
        Strength of the squared penalty on the weights, divided by the rows (or weights) of a batch.
    batch_size : int, default="auto"
        Rows of a step; "auto" is min(200, n).
    learning_rate : {"constant", "invscaling", "adaptive"}, Schedule or callable, default="constant"
        scikit-learn's rules belong to sgd; a `fastnn.Schedule`, or a function of the updates done, to sgd
        and adam.
    learning_rate_init, power_t : float, default=1e-3, 0.5
        The first rate, and the exponent of "invscaling".
    max_iter : int, default=200
        Epochs, or iterations of lbfgs.
    shuffle : bool, default=True
        Draw a new order of the rows for each epoch.
    random_state : int, RandomState instance or None, default=None
        Fixes initial weights, orders, the split of early stopping and dropout.
    tol : float, default=1e-4
        An improvement is more than this.
    verbose : bool, default=False
        Print the loss of each epoch.
    warm_start : bool, default=False
        Go on from the weights of the last fit.
    momentum, nesterovs_momentum : float, bool, default=0.9, True
        Of sgd.
    early_stopping : bool, default=False
        Hold rows out, stop when their score no longer improves, and take the best weights back.
    validation_fraction : float, default=0.1
        Share of the rows that is held out.
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        Of adam.
    n_iter_no_change : int, default=10
        Epochs without improvement that are too many.
    max_fun : int, default=15000
        Evaluations of the loss that lbfgs may take.
    loss : str or Loss, default="log_loss"
        Any of fastnn's that takes probabilities; "log_loss" is its cross-entropy.
    class_weight : dict, list of dict or "balanced", default=None
        Weights of the classes, as in scikit-learn's other classifiers; they multiply `sample_weight`.
    dropout : float or list of float, default=0.0
        Share of the outputs of each hidden layer that a step of training drops.
    batch_norm : bool or list of bool, default=False
        Whether a hidden layer's sums pass through a `fastnn.BatchNorm` (momentum 0.9) before its activation.
    optimizer : str or Optimizer, default=None
        Any of fastnn's in the place of `solver`'s; it has its own rate.
    clipnorm, clipvalue, global_clipnorm : float, default=None
        One way of clipping gradients, see `fastnn.Clipping`.
    dtype : {"float32", "float64"}, default=None
        Of the network; by default that of X (lbfgs: float64).
    early_stopping_metric : str, Metric or callable, default=None
        What early stopping looks at: "loss" or a metric of fastnn; None is the accuracy. A metric that is
        better when smaller is negated in ``validation_scores_``.
    keep_optimizer_state : bool, default=False
        With `warm_start`, have the optimizer go on where it was (scikit-learn starts it anew).
    n_threads : int, default=None
        At most so many threads; results do not depend on it.
    callbacks : Callback or list of Callback, default=None
        fastnn's, called while a stochastic solver trains.

    Attributes
    ----------
    classes_ : ndarray or list of ndarray
        Labels of the classes.
    loss_, best_loss_ : float
        Of the last and of the best epoch; with early stopping ``best_loss_`` is None.
    loss_curve_ : list of float
        Loss of each epoch (not with lbfgs).
    validation_scores_ : list of float or None
        Scores on the rows held out, with early stopping; `best_validation_score_` is the best.
    validation_loss_curve_ : list of float
        Loss on the rows held out, or on `X_val`, without the penalty; only where there are such rows.
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases, views of the model's.
    n_features_in_, feature_names_in_, n_iter_, n_layers_, n_outputs_, out_activation_, t_
        As in scikit-learn.
    model_ : Sequential
        The fitted fastnn model, to save, check or go on with.

    Examples
    --------
    >>> from fastnn.data import load_digits, train_test_split
    >>> from fastnn.estimators import MLPClassifier
    >>> X, y = load_digits()
    >>> X, X_test, y, y_test = train_test_split(X.reshape(len(X), -1) / 16, y)
    >>> mlp = MLPClassifier((32,), "gelu", learning_rate_init=0.01, dropout=0.1, early_stopping=True,
    ...                     n_iter_no_change=3, random_state=0).fit(X, y)
    >>> mlp.score(X_test, y_test) > 0.9, mlp.predict_proba(X_test[:2]).shape
    (True, (2, 10))
    """

    _parameter_constraints: dict = CLASSIFIER_CONSTRAINTS

    def __init__(self, hidden_layer_sizes=(100,), activation="relu", *, solver="adam", alpha=0.0001,
                 batch_size="auto", learning_rate="constant", learning_rate_init=0.001, power_t=0.5,
                 max_iter=200, shuffle=True, random_state=None, tol=1e-4, verbose=False, warm_start=False,
                 momentum=0.9, nesterovs_momentum=True, early_stopping=False, validation_fraction=0.1,
                 beta_1=0.9, beta_2=0.999, epsilon=1e-8, n_iter_no_change=10, max_fun=15000,
                 loss="log_loss", class_weight=None, dropout=0.0, batch_norm=False, optimizer=None,
                 clipnorm=None, clipvalue=None, global_clipnorm=None, dtype=None, early_stopping_metric=None,
                 keep_optimizer_state=False, n_threads=None, callbacks=None):
        keep(self, locals())

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None):
        """Train on all rows.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n_samples, n_features)
            The samples. Sparse ones are made dense a bounded part at a time.
        y : array-like, shape (n_samples,) or (n_samples, n_labels)
            Class labels, numbers or strings; or an indicator matrix of several labels a row.
        sample_weight : array-like, shape (n_samples,), default=None
            Weights of the rows.
        X_val, y_val : array-like, default=None
            Rows to look at after each epoch: ``validation_loss_curve_``, and what early stopping uses
            instead of a share of the rows.

        Returns
        -------
        MLPClassifier
            This one.
        """
        return self._fit(X, y, sample_weight, incremental=False, X_val=X_val, y_val=y_val)

    @available_if(_is_stochastic)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Go on for one epoch; optimizer and learning rate keep their state from call to call.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array-like, default=None
            All labels that calls will bring, in the first call.

        Returns
        -------
        MLPClassifier
            This one.
        """
        if _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X):
        """The most probable class of each row; of several labels, those with a probability above 1/2.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray, shape (n_samples,) or (n_samples, n_labels)
            Labels.
        """
        outputs = self._outputs(X)
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return self._label_binarizer.inverse_transform(outputs)
        if len(self.classes_) == 1:
            return np.repeat(self.classes_, len(outputs))
        return self.classes_[_class_indices(outputs)]

    def predict_proba(self, X):
        """The probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
            In the network's dtype.
        """
        outputs = self._outputs(X)
        if outputs.shape[1] > 1:
            return outputs
        both = np.empty((len(outputs), 2), outputs.dtype)
        both[:, 1:] = outputs
        np.subtract(1, outputs, out=both[:, :1])
        return both

    def predict_log_proba(self, X):
        """The logarithm of `predict_proba`; minus infinity where that is 0.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
        """
        probability = self.predict_proba(X)
        return np.log(probability, out=probability)

    # ---- targets ----

    def _validate_input(self, X, y, incremental, reset, held_out=False):
        X, y = validate_data(self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=FLOATS,
                             reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not held_out and (not hasattr(self, "classes_") or not (self.warm_start or incremental)):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_known_classes(unique_labels(y), all_of_them=self.warm_start and not held_out)
        return X, self._indicators(y)

    def _indicators(self, y):
        """What the label binarizer makes of labels that were looked at, as booleans (n, n_outputs)."""
        if y.ndim > 1 or self._label_binarizer.y_type_.startswith("multilabel"):
            return self._label_binarizer.transform(y).astype(bool)
        if len(self.classes_) > 2:
            return y[:, np.newaxis] == self.classes_
        return (y == self.classes_[-1])[:, np.newaxis] & (len(self.classes_) == 2)  # one class: all negative

    def _check_known_classes(self, classes, all_of_them):
        if all_of_them:
            if set(classes) != set(self.classes_):
                raise ValueError("warm_start can only be used where `y` has the same classes as in the "
                                 f"previous call to fit. Previously got {self.classes_}, `y` has {classes}")
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                             f"'y' has {classes}.")

    def _output_activation(self):
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _targets(self, y):
        kind = self.model_.target_kind
        labels = kind.startswith("labels") and self.n_outputs_ > 1
        return checks.as_targets(y.argmax(axis=1) if labels else y, kind, self.n_outputs_, len(y),
                                 self.model_.dtype)

    def _labels(self, y):
        return self._label_binarizer.inverse_transform(y)

    def _weights(self, y, weight, incremental):
        if self.class_weight is not None:
            if incremental and isinstance(self.class_weight, str):
                raise ValueError("class_weight: expected a dict with partial_fit, which never sees all rows, "
                                 f"got {self.class_weight!r}; pass what sklearn.utils.class_weight."
                                 "compute_class_weight gives for all of them")
            of_class = compute_sample_weight(self.class_weight, self._labels(y))
            weight = of_class if weight is None else weight * of_class
        return super()._weights(y, weight, incremental)

    def _default_score(self, samples, outputs):
        truth = samples.y
        if outputs.shape[1] > 1 and self.out_activation_ == "logistic":  # all labels of a row
            right = ((outputs > 0.5) == (truth > 0.5)).all(axis=1)
        else:
            truth = truth if truth.ndim == 1 else _class_indices(truth)
            right = _class_indices(outputs) == truth
        return np.average(right, weights=samples.weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _class_indices(outputs: np.ndarray) -> np.ndarray:
    return outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0.5).astype(np.intp)
