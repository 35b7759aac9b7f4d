"""The stochastic solvers: scikit-learn's rules for epochs, learning rates and stopping, around `Steps`."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..callbacks import Callback, CallbackList
from ..history import History
from ..interrupts import deferred_interrupt
from .compatibility import FitTasks
from .samples import Samples, loss_and_outputs
from .steps import Steps

if TYPE_CHECKING:
    from .base import BaseMLP

SMALLEST_RATE = 1e-6  # at which learning_rate="adaptive" gives up


class Validation:
    """What is held out: how well the network does on it after each epoch."""

    def __init__(self, estimator: BaseMLP, samples: Samples) -> None:
        self.estimator, self.samples = estimator, samples

    def look(self) -> float:
        """Note the loss; the score, larger for better, NaN where the outputs are not finite."""
        estimator = self.estimator
        loss, outputs = loss_and_outputs(estimator.model_, estimator.model_._compiled, self.samples)
        estimator.__dict__.setdefault("validation_loss_curve_", []).append(loss)
        if not np.isfinite(outputs).all():
            return math.nan
        return float(estimator._score_outputs(self.samples, outputs, loss))


def batch_rows(estimator: BaseMLP, n: int) -> int:
    """Rows of a step."""
    if isinstance(estimator.batch_size, str):
        return min(200, n)
    if estimator.batch_size > n:
        warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return int(min(max(estimator.batch_size, 1), n))


class Epochs:
    """One call of fit or partial_fit with a stochastic solver."""

    def __init__(self, estimator: BaseMLP, samples: Samples, validation: Validation | None, tasks: FitTasks,
                 incremental: bool) -> None:
        self.estimator, self.samples, self.validation = estimator, samples, validation
        self.tasks, self.incremental = tasks, incremental
        self.model = estimator.model_
        assert estimator._compiled is not None
        self.steps = Steps(self.model, estimator._compiled, samples, batch_rows(estimator, len(samples)))
        self.callbacks = _callback_list(estimator.callbacks)
        self.order = np.arange(len(samples)) if samples.rows is None else samples.rows.copy()
        self.n = len(samples)

    # ---- the loop ----

    def run(self) -> None:
        """All epochs, until one of the rules ends them."""
        estimator, model = self.estimator, self.model
        estimator.n_iter_ = 0
        model.stop_training = False
        model.history = History()
        self._announce()
        try:
            with deferred_interrupt() as interrupted, self.steps.opened():
                while not self._call(interrupted):
                    if interrupted:
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.")
        finally:
            if self.callbacks is not None:
                self.callbacks.on_train_end(model.history.last())

    def _announce(self) -> None:
        if self.callbacks is not None:
            self.callbacks.set_model(self.model)
            self.callbacks.set_params({"epochs": self.estimator.max_iter, "steps": self.steps.per_epoch,
                                       "batch_size": self.steps.batch, "rows": self.n})
            self.callbacks.on_train_begin({})

    def _call(self, interrupted: list[bool]) -> bool:
        """One call into the core, of one or several epochs; whether the training is over."""
        estimator, watched = self.estimator, self.callbacks is not None or self.tasks.context is not None
        left = 1 if self.incremental else estimator.max_iter - estimator.n_iter_
        # no rule can end the training before so many epochs have passed without improvement
        patience = estimator.n_iter_no_change + 1 - estimator._no_improvement_count
        alone = watched or self.validation is not None
        epochs = 1 if alone else self.steps.ahead(max(1, min(left, patience)))
        self._begin_epoch()
        losses = self.steps.run(self._orders(epochs), self._epoch_rates(epochs), interrupted, self.callbacks)
        if not estimator.early_stopping and not np.isfinite(losses).all():
            raise nonfinite_weights(self.steps.explain())
        over = False
        for loss in self.steps.means(losses):
            over = self._end_epoch(loss) or over
        return over

    def _orders(self, epochs: int) -> np.ndarray:
        """The rows of the next epochs: each order is a shuffle of the one before, as scikit-learn's."""
        orders = np.empty((epochs, self.n), np.int64)
        for order in orders:
            if self.estimator.shuffle:
                self.estimator._random_state.shuffle(self.order)
            order[...] = self.order
        return orders

    def _epoch_rates(self, epochs: int) -> list[float] | None:
        """The rates of the next epochs by scikit-learn's rules; None where the optimizer has its own."""
        estimator = self.estimator
        if not _sklearn_rates(estimator):
            return None
        later = [_inverse_scaling(estimator, estimator.t_ + i * self.n) for i in range(1, epochs)]
        return [estimator._learning_rate, *(later if estimator.learning_rate == "invscaling" else
                                            [estimator._learning_rate] * (epochs - 1))]

    # ---- one epoch ----

    def _begin_epoch(self) -> None:
        self.tasks.begin_iteration()
        if self.callbacks is not None:
            self.callbacks.on_epoch_begin(self.estimator.n_iter_, {})

    def _end_epoch(self, loss: float) -> bool:
        """Book-keeping after an epoch, in scikit-learn's order; whether the training is over."""
        estimator = self.estimator
        estimator.n_iter_ += 1
        estimator.loss_ = loss
        estimator.t_ += self.n
        estimator.loss_curve_.append(loss)
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        logs = {"loss": loss}
        if self.validation is not None:
            score = self.validation.look()
            logs |= {"val_loss": estimator.validation_loss_curve_[-1], "val_score": score}
        if estimator.early_stopping:
            self._note_score(score)
        else:
            _note_loss(estimator, loss)
        if _sklearn_rates(estimator) and estimator.learning_rate == "invscaling":
            estimator._learning_rate = _inverse_scaling(estimator, estimator.t_)
        self.model.history.append(estimator.n_iter_ - 1, logs)
        if self.callbacks is not None:
            self.callbacks.on_epoch_end(estimator.n_iter_ - 1, logs)
        stop = self.tasks.end_iteration() or self.model.stop_training
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            if self._give_up():
                return True
            estimator._no_improvement_count = 0
        if stop or self.incremental:
            return True
        if estimator.n_iter_ == estimator.max_iter:
            warnings.warn(f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the "
                          "optimization hasn't converged yet.", ConvergenceWarning)
            return True
        return False

    def _note_score(self, score: float) -> None:
        estimator = self.estimator
        estimator.validation_scores_.append(score)
        if estimator.verbose:
            print(f"Validation score: {score:f}")
        worse = score < estimator.best_validation_score_ + estimator.tol
        estimator._no_improvement_count = estimator._no_improvement_count + 1 if worse else 0
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            estimator._best = self.model.state_dict()

    def _give_up(self) -> bool:
        """No improvement for too long: whether to stop, rather than to lower the rate."""
        estimator = self.estimator
        what = "Validation score" if estimator.early_stopping else "Training loss"
        message = (f"{what} did not improve more than tol={estimator.tol:f} for "
                   f"{estimator.n_iter_no_change} consecutive epochs.")
        ends = " Stopping."
        if _sklearn_rates(estimator) and estimator.learning_rate == "adaptive":
            if estimator._learning_rate > SMALLEST_RATE:
                estimator._learning_rate /= 5.0
                ends = f" Setting learning rate to {estimator._learning_rate:f}"
            else:
                ends = " Learning rate too small. Stopping."
        if estimator.verbose:
            print(message + ends)
        return ends.endswith("Stopping.")


def nonfinite_weights(where: str = "") -> ValueError:
    """The error for weights that are not finite after a fit."""
    detail = f" In detail: {where}." if where else ""
    return ValueError("Solver produced non-finite parameter weights. The input data may contain large values "
                      f"and need to be preprocessed.{detail} Try a StandardScaler before the estimator, a "
                      "smaller learning_rate_init, or global_clipnorm=1.0.")


def _note_loss(estimator: BaseMLP, loss: float) -> None:
    worse = loss > estimator.best_loss_ - estimator.tol
    estimator._no_improvement_count = estimator._no_improvement_count + 1 if worse else 0
    estimator.best_loss_ = min(estimator.best_loss_, loss)


def _sklearn_rates(estimator: BaseMLP) -> bool:
    """Whether ``learning_rate`` is one of scikit-learn's rules, which belong to its sgd."""
    return estimator.solver == "sgd" and estimator.optimizer is None and \
        isinstance(estimator.learning_rate, str)


def _inverse_scaling(estimator: BaseMLP, samples_seen: int) -> float:
    return float(estimator.learning_rate_init) / (samples_seen + 1) ** estimator.power_t


def _callback_list(callbacks) -> CallbackList | None:
    if callbacks is None:
        return None
    return CallbackList([callbacks] if isinstance(callbacks, Callback) else callbacks)
