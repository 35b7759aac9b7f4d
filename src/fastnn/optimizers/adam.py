"""Adam and its relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from .base import Optimizer, Rate


class Adam(Optimizer):
    """Adam: steps of about the rate, each parameter's scaled by running averages (Kingma and Ba 2015).

    m = beta_1 m + (1 - beta_1) dw; v = beta_2 v + (1 - beta_2) dw^2;
    w -= rate (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon), at the t-th update.

    Parameters
    ----------
    learning_rate : float, Schedule or callable
        The rate, or a function from the number of updates done to the rate.
    beta_1, beta_2 : float
        How slowly the two running averages move, 0 <= beta < 1.
    epsilon : float
        1e-8 as in the paper and PyTorch (Keras: 1e-7), added to the root after the bias correction.
    bias_correction : bool
        False leaves out both divisions by 1 - beta^t: the first steps then are far too long.
    epsilon_hat : bool
        Add epsilon to the root before the bias correction, sqrt(v) + epsilon: the form at the end of the
        paper's section 2, and Keras's.
    **common
        `rate_factors`, `weight_decay` and clipping, as for `Optimizer`.

    Examples
    --------
    Whatever the size of the gradient, the first step has the length of the rate:

    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_initializer="zeros")
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(fnn.Adam(learning_rate=0.1), loss="squared_error")
    >>> history = model.fit([[1.0]], [2000.0], verbose=0)
    >>> round(line.weight.item(), 6)
    0.1
    """

    op = "adam"
    initial_states: tuple[float, ...] = (0.0, 0.0)

    def __init__(self, learning_rate: Rate = 1e-3, beta_1: float = 0.9, beta_2: float = 0.999,
                 epsilon: float = 1e-8, bias_correction: bool = True, epsilon_hat: bool = False,
                 **common: Any) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2 = checks.fraction("beta_1", beta_1), checks.fraction("beta_2", beta_2)
        self.epsilon = checks.positive_float("epsilon", epsilon)
        self.bias_correction = checks.boolean("bias_correction", bias_correction)
        self.epsilon_hat = checks.boolean("epsilon_hat", epsilon_hat)

    def scalars(self) -> dict[str, Any]:
        correct = 0 if not self.bias_correction else 2 if self.epsilon_hat else 1
        return {**super().scalars(), "correct": correct, "beta1": self.beta_1, "beta2": self.beta_2,
                "epsilon": self.epsilon}

    def get_config(self) -> dict[str, object]:
        config = {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2,
                  "epsilon": self.epsilon}
        rare = {"bias_correction": (self.bias_correction, True), "epsilon_hat": (self.epsilon_hat, False)}
        return config | {name: value for name, (value, usual) in rare.items() if value != usual}


class AMSGrad(Adam):
    """AMSGrad: Adam with the largest v so far, so that no step grows again (Reddi, Kale and Kumar 2018).

    m and v as for `Adam`; u = max(u, v);
    w -= rate (m / (1 - beta_1^t)) / (sqrt(u / (1 - beta_2^t)) + epsilon).

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, bias_correction, epsilon_hat, **common
        As for `Adam`.

    Notes
    -----
    Bias correction as in PyTorch; the paper has none: ``bias_correction=False``.

    Examples
    --------
    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_initializer="zeros")
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(fnn.AMSGrad(learning_rate=0.1), loss="squared_error")
    >>> history = model.fit([[1.0]], [2000.0], verbose=0)
    >>> round(line.weight.item(), 6)
    0.1
    """

    op = "amsgrad"
    initial_states = (0.0, 0.0, 0.0)


class NAdam(Optimizer):
    """NAdam: Adam with Nesterov's momentum (Dozat 2016).

    mu_t = beta_1 (1 - 1/2 0.96^(t momentum_decay)), P_t = mu_1 ... mu_t; m, v as for `Adam`;
    m' = mu_(t+1) m / (1 - P_(t+1)) + (1 - mu_t) dw / (1 - P_t);
    w -= rate m' / (sqrt(v / (1 - beta_2^t)) + epsilon).

    Parameters
    ----------
    learning_rate : float, Schedule or callable
        2e-3 as in PyTorch; Keras has 1e-3. A schedule's momentum is left aside: mu has its own.
    beta_1, beta_2, epsilon, bias_correction, **common
        As for `Adam`.
    momentum_decay : float
        0.004 as in the paper (0.96^(t/250)) and PyTorch; 1 gives Keras's.

    Examples
    --------
    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_initializer="zeros")
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(fnn.NAdam(learning_rate=0.1), loss="squared_error")
    >>> history = model.fit([[1.0]], [2000.0], verbose=0)
    >>> round(line.weight.item(), 4)
    0.1056
    """

    op = "nadam"
    initial_states = (0.0, 0.0)

    def __init__(self, learning_rate: Rate = 2e-3, beta_1: float = 0.9, beta_2: float = 0.999,
                 epsilon: float = 1e-8, momentum_decay: float = 4e-3, bias_correction: bool = True,
                 **common: Any) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2 = checks.fraction("beta_1", beta_1), checks.fraction("beta_2", beta_2)
        self.epsilon = checks.positive_float("epsilon", epsilon)
        self.momentum_decay = checks.positive_float("momentum_decay", momentum_decay, allow_zero=True)
        self.bias_correction = checks.boolean("bias_correction", bias_correction)

    def momenta(self, first: int, n: int) -> np.ndarray:
        return np.full(n, self.beta_1)

    def scalars(self) -> dict[str, Any]:
        return {**super().scalars(), "correct": int(self.bias_correction), "beta1": self.beta_1,
                "beta2": self.beta_2, "epsilon": self.epsilon, "momentum_decay": self.momentum_decay}

    def get_config(self) -> dict[str, object]:
        names = "beta_1", "beta_2", "epsilon", "momentum_decay", "bias_correction"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class AdamW(Adam):
    """AdamW: Adam with weight decay beside the gradient, not in it (Loshchilov and Hutter 2019).

    w *= 1 - rate weight_decay, then the step of `Adam`.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, bias_correction, epsilon_hat, **common
        As for `Adam`.
    weight_decay : float
        0.01 as in PyTorch. It applies to every parameter, biases included. The decay of every `Optimizer`;
        this is `Adam` with another default.

    Notes
    -----
    The decay is multiplied by the rate, as in PyTorch and Keras. The paper's own lambda is multiplied by the
    schedule's multiplier alone: it is ``weight_decay * rate`` here, for the rate that the multiplier scales.

    Examples
    --------
    Without a gradient there is decay alone:

    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_initializer="ones")
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(fnn.AdamW(learning_rate=0.1, weight_decay=0.5), loss="squared_error")
    >>> history = model.fit([[1.0]], [1.0], verbose=0)
    >>> round(line.weight.item(), 6)
    0.95
    """

    def __init__(self, learning_rate: Rate = 1e-3, beta_1: float = 0.9, beta_2: float = 0.999,
                 epsilon: float = 1e-8, weight_decay: float = 0.01, bias_correction: bool = True,
                 epsilon_hat: bool = False, **common: Any) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, bias_correction, epsilon_hat,
                         weight_decay=weight_decay, **common)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "weight_decay": self.weight_decay}


class Lion(Optimizer):
    """Lion: every parameter moves by the rate, only the direction is learned (Chen et al. 2023).

    w *= 1 - rate weight_decay; w -= rate sign(beta_1 m + (1 - beta_1) dw); m = beta_2 m + (1 - beta_2) dw.

    Parameters
    ----------
    learning_rate : float, Schedule or callable
        1e-4 as in the paper: a third to a tenth of Adam's.
    beta_1, beta_2 : float
        0 <= beta < 1.
    weight_decay : float
        Multiplied by the rate, so three to ten times AdamW's.
    **common
        `rate_factors` and clipping, as for `Optimizer`.

    Examples
    --------
    >>> import fastnn as fnn
    >>> line = fnn.Dense(1, use_bias=False, kernel_initializer="zeros")
    >>> model = fnn.Sequential([line], input_shape=(1,), dtype="float64")
    >>> model.compile(fnn.Lion(learning_rate=0.1), loss="squared_error")
    >>> history = model.fit([[1.0]], [2.0], epochs=3, verbose=0)
    >>> round(line.weight.item(), 6)
    0.3
    """

    op = "lion"
    initial_states = (0.0,)

    def __init__(self, learning_rate: Rate = 1e-4, beta_1: float = 0.9, beta_2: float = 0.99,
                 weight_decay: float = 0.0, **common: Any) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **common)
        self.beta_1, self.beta_2 = checks.fraction("beta_1", beta_1), checks.fraction("beta_2", beta_2)

    def scalars(self) -> dict[str, Any]:
        return {**super().scalars(), "beta1": self.beta_1, "beta2": self.beta_2}

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2,
                "weight_decay": self.weight_decay}
