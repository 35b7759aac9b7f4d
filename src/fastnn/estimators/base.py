"""What both estimators share: fit and partial_fit, the fitted attributes, the model behind them."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import backends, metrics
from ..compilation import Compiled
from ..sequential import Sequential
from ..turns import Turn
from . import files, network
from .compatibility import CallbackSupportMixin, FitTasks
from .parameters import check_solver_options
from .quasi_newton import fit_lbfgs
from .samples import Samples, as_rows, outputs
from .stochastic import Epochs, Validation, nonfinite_weights

STOCHASTIC = ("sgd", "adam")
FLOATS = (np.float64, np.float32)


class BaseMLP(CallbackSupportMixin, BaseEstimator):
    """A multilayer perceptron behind scikit-learn's interface; `MLPClassifier` and `MLPRegressor` are two."""

    # parameters, which each class sets in its constructor
    hidden_layer_sizes: Any
    activation: Any
    loss: Any
    solver: str
    alpha: float
    batch_size: Any
    learning_rate: Any
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: Any
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    dropout: Any
    batch_norm: Any
    optimizer: Any
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    dtype: str | None
    early_stopping_metric: Any
    keep_optimizer_state: bool
    n_threads: int | None
    callbacks: Any

    # fitted
    model_: Sequential
    _compiled: Compiled | None  # the Programs that train; made anew after unpickling
    _views: tuple[list[np.ndarray], list[np.ndarray]]
    coefs_: Any
    intercepts_: Any
    n_outputs_: int
    out_activation_: str
    loss_curve_: list[float]
    validation_loss_curve_: list[float]
    validation_scores_: Any
    best_validation_score_: Any
    best_loss_: Any
    _no_improvement_count: int
    _learning_rate: float
    _random_state: np.random.RandomState
    _best: Any
    _label_binarizer: Any
    classes_: Any

    # what each class knows of its targets
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool,
                        held_out: bool = False) -> tuple[Any, np.ndarray]:
        """X, and y as rows (n, n_outputs)."""
        raise NotImplementedError

    def _output_activation(self) -> str:
        """scikit-learn's name of the output activation."""
        raise NotImplementedError

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """Validated targets as the loss takes them."""
        raise NotImplementedError

    def _default_score(self, samples: Samples, outputs: np.ndarray) -> float:
        raise NotImplementedError

    # ---- fitting ----

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool, X_val: Any = None,
             y_val: Any = None) -> Any:
        turn = self.__dict__.setdefault("_training", Turn("estimator", "a clone of it"))
        with turn.whole(), backends.at_most_threads(self.n_threads):
            return self._fit_alone(X, y, sample_weight, incremental, X_val, y_val)

    def _fit_alone(self, X: Any, y: Any, sample_weight: Any, incremental: bool, X_val: Any, y_val: Any) -> Any:
        sizes = network.hidden_sizes(self.hidden_layer_sizes)
        first_pass = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val, y_val: expected both or neither")
        X, y = self._validate_input(X, y, incremental, reset=first_pass)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        check_solver_options(self)
        self._random_state = check_random_state(self.random_state)
        if first_pass:
            self.n_outputs_ = y.shape[1]
            self._initialize(X, sizes)
        self._prepare_model(incremental)
        self._check_outputs("y", y)
        everything = Samples(as_rows(X, self.model_.dtype), self._targets(y),
                             self._weights(y, weight, incremental))
        if X_val is not None:
            X_val, y_val = self._validate_input(X_val, y_val, incremental, reset=False, held_out=True)
            self._check_outputs("y_val", y_val)
            X_val = Samples(as_rows(X_val, self.model_.dtype), self._targets(y_val))
        tasks = FitTasks(self, self.max_iter + (self.solver == "lbfgs"), lambda: {
            "X": X, "y": self._labels(y),
            "metadata": None if weight is None else {"sample_weight": weight}})
        with self.model_._training.whole():
            if self.solver == "lbfgs":
                watch = None if X_val is None else Validation(self, X_val)
                fit_lbfgs(self, everything, watch, tasks)
                self._refuse_nonfinite()
            else:
                self._fit_stochastic(everything, y, X_val, tasks, incremental)
        tasks.end()
        return self

    def _check_outputs(self, name: str, y: np.ndarray) -> None:
        if y.shape[1] != self.n_outputs_:
            raise ValueError(f"{name}: expected {self.n_outputs_} outputs, as the network has, got "
                             f"{y.shape[1]}")

    def _fit_stochastic(self, everything: Samples, y: np.ndarray, validation: Samples | None,
                        tasks: FitTasks, incremental: bool) -> None:
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        if self.early_stopping and validation is None:
            everything, validation = self._split(everything, y)
        if not hasattr(self, "loss_curve_"):  # warm_start after another solver
            self._begin_curves()
        watch = None if validation is None else Validation(self, validation)
        epochs = Epochs(self, everything, watch, tasks, incremental)
        epochs.run()
        if self.early_stopping and self._best is not None:
            self.model_._numbers.memory.parameters[...] = 0  # what diverged is in the pad lanes too
            self.model_.load_state_dict(self._best)
        self._best = None  # of this fit: a warm start need not go back to what was best on other rows
        self._refuse_nonfinite(epochs)

    def _refuse_nonfinite(self, epochs: Epochs | None = None) -> None:
        """Refuse weights that are not finite, also those that the very last step made."""
        if not backends.all_finite(self.model_._numbers.memory.parameters):
            raise nonfinite_weights("" if epochs is None or self.early_stopping else epochs.steps.explain())

    def _initialize(self, X: Any, sizes: list[int]) -> None:
        """A new network, and the attributes of a fit that begins."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(sizes) + 2
        self.out_activation_ = self._output_activation()
        rounded = np.dtype(self.dtype or X.dtype)
        dtype = np.dtype(np.float64) if self.solver == "lbfgs" and self.dtype is None else rounded
        model = network.build(self, X.shape[1], sizes, self.n_outputs_, dtype, self._random_state)
        if dtype != rounded:  # scikit-learn draws in the dtype of X, which lbfgs then leaves
            for values in model.named_parameters().values():
                values[...] = values.astype(rounded)
        self.model_, self._compiled = model, model._compiled
        self._link()
        for name in ("validation_loss_curve_", "loss_curve_"):
            self.__dict__.pop(name, None)
        if self.solver in STOCHASTIC:
            self._begin_curves()

    def _begin_curves(self) -> None:
        """What the stochastic solvers note, with nothing noted yet."""
        stops = self.early_stopping
        self.loss_curve_ = []
        self._no_improvement_count = 0
        self.best_loss_ = None if stops else math.inf
        self.validation_scores_ = [] if stops else None
        self.best_validation_score_ = -math.inf if stops else None
        self._best = self.model_.state_dict() if stops else None

    def _prepare_model(self, incremental: bool) -> None:
        """Bring the model up to what the parameters say now: alpha, and a new optimizer for a new fit."""
        model = self._linked_model()
        keeps = model.loss is not None and (incremental or (self.warm_start and self.keep_optimizer_state))
        same_alpha = network.alpha_of(model) == self.alpha
        if incremental and keeps and same_alpha and self._compiled is not None:
            return
        snapshot, optimizer = model.snapshot() if keeps else {}, model.optimizer if incremental else None
        if not same_alpha:
            model = self.model_ = network.with_alpha(model, self.alpha)
            self._link()
        self._compiled = network.compile_model(self, model, optimizer)
        assert model.optimizer is not None
        if keeps and len(snapshot["states"]) == model.optimizer.n_states:
            model.restore(snapshot)
        if not keeps:
            self._learning_rate = float(self.learning_rate_init)

    def _weights(self, y: np.ndarray, weight: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        """Weights of the rows, contiguous float64, those of their classes included."""
        return None if weight is None else np.ascontiguousarray(weight, np.float64)

    def _labels(self, y: np.ndarray) -> np.ndarray:
        """Targets as the user knows them."""
        return y

    def _split(self, everything: Samples, y: np.ndarray) -> tuple[Samples, Samples]:
        """Rows to train on and rows to look at, as scikit-learn's early stopping draws them."""
        stratify = y if is_classifier(self) and self.n_outputs_ == 1 else None
        rows, held_out = train_test_split(np.arange(len(everything)), random_state=self._random_state,
                                          test_size=self.validation_fraction, stratify=stratify)
        if len(held_out) < 2:
            raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of "
                             "your dataset.")
        return Samples(everything.X, everything.y, everything.weight, rows), everything.take(held_out)

    def _score_outputs(self, samples: Samples, outputs: np.ndarray, loss: float) -> float:
        """The score that early stopping looks at, larger for better."""
        if self.early_stopping_metric is None:
            return self._default_score(samples, outputs)
        if self.early_stopping_metric == "loss":
            return -loss
        metric = metrics.resolve(self.early_stopping_metric)
        value = metric(samples.y, outputs)
        return -value if metric.larger_is_better is False else value

    def _fitted_now(self) -> dict[str, Any]:
        """The attributes of an estimator that stopped here, for scikit-learn's callbacks."""
        model = self.model_.copy()
        return {"model_": model, "_compiled": model._compiled, **_arrays_of(model)}

    def save(self, path: str | os.PathLike) -> None:
        """Write the estimator, fitted or not, to one file without pickle; `load_estimator` reads it.

        Parameters
        ----------
        path : path-like
            The file; it is replaced only once the new one is complete and on the disk.

        Raises
        ------
        ValueError
            If it holds what a file cannot: Python functions, callbacks, objects of other classes.
        """
        known = next(cls for cls in type(self).__mro__ if cls.__module__.startswith(__package__))
        files.save(self, path, known)

    # ---- the model behind the attributes ----

    def _link(self) -> None:
        """Have ``coefs_`` and ``intercepts_`` be views of the model's parameters."""
        self.__dict__.update(_arrays_of(self.model_))

    def _linked_model(self) -> Sequential:
        """The fitted model, with the arrays that a caller may have put into coefs_ and intercepts_."""
        coefs, intercepts = self._views
        for mine, views in ((self.coefs_, coefs), (self.intercepts_, intercepts)):
            for i, view in enumerate(views):
                if mine[i] is not view:
                    view[...] = mine[i]
                    mine[i] = view
        return self.model_

    def _outputs(self, X: Any) -> np.ndarray:
        """The network's outputs for samples of the caller."""
        if "_views" not in self.__dict__:
            check_is_fitted(self)
        model = self._linked_model()
        if "feature_names_in_" not in self.__dict__:  # else scikit-learn compares names
            quick = model._compiled.quick_predict(X)
            if quick is not None:
                return quick
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        with backends.at_most_threads(self.n_threads):
            return outputs(model, X)

    def __getstate__(self) -> dict[str, Any]:
        if "_views" in self.__dict__:
            self._linked_model()
        state = dict(super().__getstate__())
        for name in ("coefs_", "intercepts_", "_views", "_compiled", "_training"):
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            self._compiled = None
            self._link()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _arrays_of(model: Sequential) -> dict[str, Any]:
    """``coefs_`` and ``intercepts_`` of a model, and the same views once more, to compare with."""
    layers = network.dense_layers(model)
    coefs, intercepts = [layer.weight for layer in layers], [layer.bias for layer in layers]
    return {"coefs_": list(coefs), "intercepts_": list(intercepts), "_views": (coefs, intercepts)}
