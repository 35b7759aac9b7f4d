"""What every optimizer is."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .. import checks, schedules
from ..clipping import Clipping
from ..program import Builder, Segment
from ..schedules import Schedule

Rate = float | Schedule | Callable[[int], float]
Factors = Mapping[str, float] | None


class Optimizer:
    """A rule that moves parameters along their gradients: what `SGD`, `Adam` and the others are.

    Parameters
    ----------
    learning_rate : float, Schedule or callable
        The rate, or a function from the number of updates done to the rate.
    rate_factors : mapping of str to float, optional
        What the rate is multiplied by in some layers, by the name of a layer ("dense_1") or of a parameter
        ("dense_1.bias", which goes before the layer's). 0 leaves it as it is.
    weight_decay : float
        Decoupled decay: ``w *= 1 - rate weight_decay`` before each step, for every parameter, biases
        included. 0 for none; see the notes.
    **clipping : float
        One of `clipnorm`, `clipvalue` and `global_clipnorm`: see `fastnn.Clipping`.

    Attributes
    ----------
    learning_rate : float, Schedule or callable
        It may be set at any time; the next chunk of steps uses it.

    Notes
    -----
    Every parameter takes every step, also where its gradient is exactly zero: velocities go on and running
    averages decay there. The one exception are the rows of a table whose gradient names the rows it is of:
    `fastnn.optimizers` says, optimizer by optimizer, what that means.

    There are two kinds of weight decay. `weight_decay` is the decoupled one (Loshchilov and Hutter 2019): it
    acts on the weight itself, no running average, velocity or clipping sees it; it is multiplied by the rate
    (and a layer's rate factor), as in Keras and PyTorch's AdamW. The coupled one is `fastnn.L2`, a term
    ``l2 w`` of the gradient, which Adam divides by its root like the rest of it: what PyTorch calls
    ``weight_decay`` in SGD, Adam and the others but AdamW. For `SGD` without momentum the two are the same.

    Examples
    --------
    A rate that falls with the updates:

    >>> import fastnn as fnn
    >>> optimizer = fnn.SGD(lambda update: 0.1 / (1 + update))
    >>> optimizer.rates(0, 4).round(3).tolist()
    [0.1, 0.05, 0.033, 0.025]
    """

    def __init__(self, learning_rate: Rate = 0.01, rate_factors: Factors = None, weight_decay: float = 0.0,
                 **clipping: float | None) -> None:
        self.clipping = Clipping(**clipping)
        self.learning_rate = schedules.get(learning_rate)
        self.weight_decay = checks.positive_float("weight_decay", weight_decay, allow_zero=True)
        if rate_factors is not None and not isinstance(rate_factors, Mapping):
            raise TypeError("rate_factors: expected a dict from names of layers or parameters to numbers, "
                            f"got {checks.describe(rate_factors)}")
        self.rate_factors = {name: checks.positive_float(f"rate_factors[{name!r}]", factor, allow_zero=True)
                             for name, factor in (rate_factors or {}).items()}

    @property
    def op(self) -> str:
        """The op that updates one parameter array."""
        raise NotImplementedError

    @property
    def initial_states(self) -> tuple[float, ...]:
        """For each array of a parameter's shape that is kept for it, the value it begins with."""
        return ()

    @property
    def n_states(self) -> int:
        """How many arrays of a parameter's shape are kept for it."""
        return len(self.initial_states)

    def rates(self, first: int, n: int) -> np.ndarray:
        """The learning rates of the `n` updates from the one that has `first` before it; float64 (n,)."""
        if isinstance(self.learning_rate, Schedule):
            return self.learning_rate.rates(np.arange(first, first + n, dtype=np.float64))
        if callable(self.learning_rate):
            given = [self.learning_rate(i) for i in range(first, first + n)]
            if wrong := [rate for rate in given if not isinstance(rate, numbers.Real)]:
                raise TypeError("learning_rate: expected a function of the number of updates that returns a number, "
                                f"got one that returns {checks.describe(wrong[0])}")
            return np.array(given, np.float64)
        return np.full(n, self.learning_rate, np.float64)

    def momenta(self, first: int, n: int) -> np.ndarray:
        """The momenta (beta_1) of the same updates; the schedule's, where it has them."""
        beta1 = self.scalars()["beta1"]
        if beta1 and isinstance(self.learning_rate, Schedule):
            momenta = self.learning_rate.momenta(np.arange(first, first + n, dtype=np.float64))
            if momenta is not None:
                return momenta
        return np.full(n, beta1, np.float64)

    def scalars(self) -> dict[str, Any]:
        """The op's settings; learning rate and momentum come with each step."""
        return {"correct": 0, "rate_outside": 0, "whole_first": 0, "since": 0, "rate_factor": 1.0, "beta1": 0.0,
                "beta2": 0.0, "epsilon": 0.0, "epsilon_inside": 0.0, "decay": self.weight_decay,
                "momentum_decay": 0.0}

    def emit(self, builder: Builder, segment: Segment) -> None:
        """Emit the update of one parameter array."""
        states = [builder.state(segment, i) for i in range(self.n_states)]
        settings = self.scalars()
        settings["rate_factor"] *= segment.rate_factor * self.rate_factor(segment.name)
        settings["decay"] *= segment.decay_factor
        settings["since"] = builder.trained.segments[segment.name].since
        if segment.name in builder.row_gradients:
            builder.emit("lazy_update", *builder.row_gradients[segment.name], builder.parameter(segment), *states,
                         optimizer=self.op, **settings)
            return
        builder.emit(self.op, builder.gradient(segment), builder.parameter(segment), *states, **settings)

    def rate_factor(self, name: str) -> float:
        """What the rate is multiplied by for the parameter of a name."""
        layer = name.rpartition(".")[0]
        return self.rate_factors.get(name, self.rate_factors.get(layer, 1.0))

    def check_names(self, names: Iterable[str]) -> None:
        """Refuse factors for what is not among these names of parameters."""
        known = dict.fromkeys(known for name in names for known in (name.rpartition(".")[0], name))
        for name in self.rate_factors:
            checks.lookup("layer or parameter in rate_factors", name, known)

    def get_config(self) -> dict[str, object]:
        """The constructor's arguments."""
        rare = {"rate_factors": self.rate_factors, "weight_decay": self.weight_decay}
        given = {name: value for name, value in rare.items() if value}
        return {"learning_rate": self.learning_rate, **given, **self.clipping.get_config()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


def epsilons(epsilon: float, epsilon_inside: bool) -> dict[str, float]:
    """The settings of an epsilon that is added to a root, or under it."""
    return {"epsilon_inside" if epsilon_inside else "epsilon": epsilon}
