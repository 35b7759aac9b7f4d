"""scikit-learn's MLP: an epoch of `fit` without shuffling, so that its checks are paid once a pass."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from .worker import Job
from .workloads import BETA1, BETA2, EPSILON, Workload


def start(threads: int) -> None:
    """Its threads are those of NumPy's BLAS, which the environment sets."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch a call is what is wanted


def make(workload: Workload, variant: str) -> Job | None:
    if workload.convolutions or workload.judge is not None:  # no network of dense layers
        return None
    return Training(workload) if workload.trains else Prediction(workload)


def estimator(workload: Workload, X: np.ndarray, y: np.ndarray) -> MLPClassifier | MLPRegressor:
    """Fitted once, because only then it has weights to replace."""
    kind = MLPClassifier if workload.output == "softmax" else MLPRegressor
    hidden = {"sigmoid": "logistic"}.get(workload.hidden, workload.hidden)
    mlp = kind(hidden_layer_sizes=workload.sizes[1:-1], activation=hidden, alpha=0.0,
               solver=workload.optimizer or "adam", learning_rate_init=workload.rate or 1e-3,
               batch_size=min(workload.batch, len(X)),
               shuffle=False, max_iter=1, n_iter_no_change=10 ** 9, momentum=0.0, nesterovs_momentum=False,
               beta_1=BETA1, beta_2=BETA2, epsilon=EPSILON, warm_start=True, random_state=0)
    return mlp.fit(X, y)


def set_weights(mlp: MLPClassifier | MLPRegressor, workload: Workload) -> None:
    weights = workload.weights()
    mlp.coefs_ = [w.copy() for w, _ in weights]
    mlp.intercepts_ = [b.copy() for _, b in weights]


class Training(Job):
    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.X, self.y = workload.rows()
        self.mlp = estimator(workload, self.X, self.y)
        self.steps = workload.batches

    def reset(self) -> None:
        set_weights(self.mlp, self.workload)

    def run(self, units: int) -> None:
        if self.workload.batches == 1:  # each call begins a fresh optimizer, so more epochs a call
            self.mlp.max_iter = units
            self.mlp.fit(self.X, self.y)
            return
        for _ in range(units):
            self.mlp.fit(self.X, self.y)

    def check(self) -> np.ndarray:
        """The estimator tells the mean loss over the steps of a call, so calls of 1, 2, 3, ... steps."""
        n = self.workload.checked_steps
        sums = np.zeros(n + 1)
        for steps in range(1, n + 1):
            self.reset()
            if self.workload.batches == 1:
                self.mlp.max_iter = steps
                self.mlp.loss_curve_ = []
                self.mlp.fit(self.X, self.y)
                sums[steps] = sum(self.mlp.loss_curve_)
            else:
                rows = slice(0, steps * self.workload.batch)
                self.mlp.fit(self.X[rows], self.y[rows])
                sums[steps] = steps * self.mlp.loss_
        if self.workload.output != "softmax":
            sums *= self.workload.sizes[-1]  # its mean goes over the outputs too
        return np.diff(sums)


class Prediction(Job):
    def __init__(self, workload: Workload) -> None:
        self.X = workload.rows()[0]
        fitted_on = np.zeros((workload.sizes[-1], workload.sizes[0]), np.float32)
        mlp = estimator(workload, fitted_on, np.arange(workload.sizes[-1]))
        set_weights(mlp, workload)
        self.predict = mlp.predict_proba

    def run(self, units: int) -> None:
        predict, X = self.predict, self.X
        for _ in range(units):
            predict(X)

    def check(self) -> np.ndarray:
        return self.predict(self.X)
