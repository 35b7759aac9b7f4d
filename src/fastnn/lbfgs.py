"""L-BFGS on all samples at once, through SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import checks
from .history import History
from .inference import BoundModel, adapt
from .model import Model
from .training import with_class_weight


def fit_lbfgs(model: Model, X: Any, y: Any, *, max_iterations: int = 200, memory: int = 10,
              tolerance: float = 1e-6, sample_weight: Any = None, class_weight: Any = None) -> History:
    """Train on the loss of all samples with L-BFGS (Liu and Nocedal 1989), as SciPy has it.

    For small data and smooth networks: a quasi-Newton step from the last `memory` gradients and a line
    search, no learning rate. Needs SciPy (``pip install scipy``).

    Parameters
    ----------
    model : Model
        The model, compiled; its optimizer is not used. float64 lets the search go further.
    X, y, sample_weight, class_weight
        As `fit` takes them.
    max_iterations : int
        An iteration takes one or a few evaluations of the loss and its gradient.
    memory : int
        Gradients that the curvature is built from.
    tolerance : float
        The search ends when no element of the gradient is larger.

    Returns
    -------
    History
        The loss after each iteration; also ``model.history``.

    Raises
    ------
    ImportError
        Without SciPy.
    RuntimeError
        If another thread trains the model.

    Notes
    -----
    A `fastnn.BatchNorm` normalises by all samples; its running statistics become theirs at the end.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(1)], input_shape=(1,), dtype="float64")
    >>> model.compile(loss="squared_error")
    >>> history = fit_lbfgs(model, [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])  # doctest: +SKIP
    >>> model.predict([[3.0]]).round(4)                                     # doctest: +SKIP
    array([[7.]])
    """
    try:
        from scipy.optimize import minimize  # type: ignore[import-untyped]  # an extra
    except ImportError as error:
        raise ImportError("fit_lbfgs needs SciPy: pip install scipy") from error
    max_iterations = checks.positive_int("max_iterations", max_iterations)
    memory = checks.positive_int("memory", memory, maximum=10 ** 4)
    tolerance = checks.positive_float("tolerance", tolerance, allow_zero=True)
    with checks.known_model(model)._training.whole():
        return _search(minimize, model, X, y, max_iterations, memory, tolerance, sample_weight, class_weight)


def _search(minimize: Any, model: Model, X: Any, y: Any, max_iterations: int, memory: int, tolerance: float,
            sample_weight: Any, class_weight: Any) -> History:
    X, y, weight = model._checked(X, y, sample_weight)
    weight = with_class_weight(model, class_weight, y, weight)
    adapt(model, X)
    bound = BoundModel(model, X, y, weight)
    everything = model.named_parameters()
    parameters = {name: everything[name] for name in bound.gradients()}  # without frozen ones
    if not parameters:
        raise ValueError("model: expected parameters to train, got none that is not frozen")
    model.history = history = History()

    def set_all(vector: np.ndarray) -> None:
        at = 0
        for parameter in parameters.values():
            parameter[...] = vector[at:at + parameter.size].reshape(parameter.shape)
            at += parameter.size

    def flat(arrays: Any) -> np.ndarray:
        return np.concatenate([np.asarray(a, np.float64).ravel() for a in arrays])

    seen: dict[bytes, float] = {}

    def loss_and_gradient(vector: np.ndarray) -> tuple[float, np.ndarray]:
        set_all(vector)
        loss, gradients = bound.loss_and_gradients()
        seen.clear()
        seen[vector.tobytes()] = loss
        if not math.isfinite(loss):  # the line search steps back
            return np.inf, np.zeros_like(vector)
        return loss, flat(gradients[name] for name in parameters)

    def note(vector: np.ndarray) -> None:
        if (loss := seen.get(vector.tobytes())) is None:
            set_all(vector)
            loss = bound.loss()
        history.append(len(history), {"loss": loss})

    result = minimize(loss_and_gradient, flat(parameters.values()), jac=True, method="L-BFGS-B",
                      callback=note, options={"maxiter": max_iterations, "maxcor": memory, "gtol": tolerance,
                               "ftol": 0.0, "maxfun": 20 * max_iterations})
    set_all(result.x)
    bound.gather_statistics()
    return model.returned_history((X, y, weight), None)
