"""The lbfgs solver: SciPy's L-BFGS-B on all rows, loss and gradient from the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.optimize
from sklearn.utils.optimize import _check_optimize_result

from ..backends import Pass
from ..compilation import Entry
from ..history import History
from .compatibility import FitTasks
from .network import alpha_of, dense_layers
from .samples import Samples, rows_at_a_time
from .stochastic import Validation

if TYPE_CHECKING:
    from .base import BaseMLP


class Objective:
    """The loss of all rows and its gradient, as functions of one vector: weights first, then biases."""

    def __init__(self, estimator: BaseMLP, samples: Samples) -> None:
        assert estimator._compiled is not None
        self.model, self.compiled, self.samples = estimator.model_, estimator._compiled, samples
        self.alpha = alpha_of(self.model)
        self.layers = dense_layers(self.model)
        self.arrays = [la.weight for la in self.layers] + [la.bias for la in self.layers]
        gradients = self.model._numbers.named_gradients()
        self.gradients = [gradients[f"{la.name}.{kind}"] for kind in ("weight", "bias") for la in self.layers]

    def vector(self) -> np.ndarray:
        """The parameters as one vector."""
        return np.concatenate([a.ravel() for a in self.arrays])

    def assign(self, vector: np.ndarray) -> None:
        """Set the parameters."""
        start = 0
        for array in self.arrays:
            array[...] = vector[start:start + array.size].reshape(array.shape)
            start += array.size

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        self.assign(vector)
        if not self.samples.sparse:
            weight = self.samples.weight
            loss = self._part(self.samples.X, self.samples.y, weight, bare=False)
            return loss, np.concatenate([g.ravel() for g in self.gradients])
        return self._sparse(vector)

    def _part(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, bare: bool) -> float:
        """The mean loss of some rows; their gradient is in the model's vector."""
        block = self.compiled.block_rows(len(X))
        direct = not bare and self.compiled.reads_direct(X, y)
        entry = Entry("gradient", y.ndim == 1, weight is not None, direct=direct,
                      part="data" if bare else "")
        losses = np.zeros(1)
        with self.compiled.borrow(entry, block) as run:
            for slot, array in enumerate((X, y, weight)):
                run.bind(slot, array)
            run.begin(Pass(len(X), len(X), block, row_weight=weight, losses=losses,
                           update_count=self.model.update_count, seed=self.model.seed))
            run.execute(0, 1)
        return float(losses[0])

    def _sparse(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """The same, a part of the rows at a time; the penalty is added once."""
        samples, n = self.samples, len(self.samples)
        step, gradient, loss, total = rows_at_a_time(samples.X, n), np.zeros(len(vector)), 0.0, 0.0
        for start in range(0, n, step):
            rows = slice(start, start + step)
            weight = None if samples.weight is None else samples.weight[rows]
            y = samples.y[rows]
            share = float(len(y) if weight is None else weight.sum())
            loss += share * self._part(samples.dense(rows, self.model.dtype), y, weight, bare=True)
            gradient += share * np.concatenate([g.ravel() for g in self.gradients])
            total += share
        weights = vector[:sum(la.weight.size for la in self.layers)]
        loss += 0.5 * self.alpha * float(weights @ weights)
        gradient[:len(weights)] += self.alpha * weights
        return loss / total, gradient / total


def fit_lbfgs(estimator: BaseMLP, samples: Samples, validation: Validation | None, tasks: FitTasks) -> None:
    """Move the estimator's model to where SciPy's search ends."""
    objective = Objective(estimator, samples)
    history = estimator.model_.history = History()
    tasks.begin_iteration()

    def after_iteration(intermediate_result: scipy.optimize.OptimizeResult) -> None:
        logs = {"loss": float(intermediate_result.fun)}
        objective.assign(intermediate_result.x)
        if validation is not None:
            validation.look()
            logs["val_loss"] = estimator.validation_loss_curve_[-1]
        history.append(len(history), logs)
        if tasks.end_iteration():
            raise StopIteration
        tasks.begin_iteration()

    loud = estimator.verbose is True or estimator.verbose >= 1
    options = {"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol}
    result = scipy.optimize.minimize(objective, objective.vector(), method="L-BFGS-B", jac=True,
                                     callback=after_iteration, options=options)
    if loud:
        print(f"lbfgs: {result.nit} iterations, {result.nfev} evaluations, loss = {result.fun:.8f}")
    estimator.n_iter_ = _check_optimize_result("lbfgs", result, estimator.max_iter)
    estimator.loss_ = result.fun
    objective.assign(result.x)
