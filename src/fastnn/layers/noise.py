"""Layers that disturb their input while a model is trained: Dropout, GaussianNoise."""

from __future__ import annotations

from typing import Any

from .. import checks
from ..program import Builder, Operand
from .base import Layer


class RandomLayer(Layer):
    """What `Dropout` and `GaussianNoise` are: the identity at inference, random in training.

    Parameters
    ----------
    seed : int, optional
        Of the layer's own numbers; by default the model's seed.
    name : str, optional
        The layer's name in the model.
    """

    def __init__(self, seed: int | None, name: str | None) -> None:
        super().__init__(name)
        self.seed = None if seed is None else checks.seed(seed)

    layouts: tuple[str, ...] = ("rows", "time")

    def random_settings(self, builder: Builder, x: Operand) -> dict[str, Any]:
        """What keys the random numbers of a new op, beside the update, the row and the column."""
        return {"instance": builder.instance(), "own_seed": -1 if self.seed is None else self.seed % 2 ** 63,
                "first_group": 0, "in_time": int(x.layout == "time")}

    def get_config(self) -> dict[str, object]:
        return {"seed": self.seed, **super().get_config()}


class Dropout(RandomLayer):
    """In training each value is zero with probability `rate`, else divided by 1 - rate; at inference y = x.

    Parameters
    ----------
    rate : float
        Share of the values that are dropped, 0 <= rate < 1.
    seed : int, optional
        Of the mask; by default the model's seed.
    name : str, optional
        The layer's name in the model.

    Notes
    -----
    "Inverted" dropout: dividing in training keeps the expected value, so that inference does nothing
    (Srivastava et al. 2014; CS231n, "Neural Networks Part 2"). The mask is drawn from counters
    (Philox4x32-10): seed, layer, update, row of the batch and feature. So it is the same on both backends,
    any number of threads and any instruction set, another one each step, and held fixed while ``model.bind``
    or `check_gradients` look at one step.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dropout(0.5), fnn.Dense(1)], input_shape=(4,), seed=0)
    >>> model.compile(loss="squared_error")
    >>> model.layers[1].weight[...] = 1.0
    >>> model.predict(np.ones((1, 4)))  # nothing is dropped
    array([[4.]], dtype=float32)
    >>> gradient = model.bind(np.ones((1, 4)), [0.0]).gradients()["dense.weight"]
    >>> (gradient > 0).ravel()  # what was not dropped
    array([ True,  True,  True, False])
    """

    def __init__(self, rate: float, seed: int | None = None, *, name: str | None = None) -> None:
        super().__init__(seed, name)
        self.rate = checks.fraction("rate", rate)

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        if not builder.training or self.rate == 0:
            return x
        builder.saved[self] = self.random_settings(builder, x)
        return self._drop(builder, x)

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        return self._drop(builder, dy) if self.rate and need_dx else dy

    def _drop(self, builder: Builder, x: Operand) -> Operand:
        """The op, which takes gradients down as it takes values up."""
        y = builder.arena(x.shape)
        builder.emit("dropout", x, y, share=self.rate, **builder.saved[self])
        return y

    def get_config(self) -> dict[str, object]:
        return {"rate": self.rate, **super().get_config()}


class GaussianNoise(RandomLayer):
    """In training y = x + stddev z with z standard normal; at inference y = x.

    Parameters
    ----------
    stddev : float
        Standard deviation of the noise, at least 0.
    seed : int, optional
        Of the noise; by default the model's seed.
    name : str, optional
        The layer's name in the model.

    Notes
    -----
    Noise on the input acts as a penalty on the network's slope (Bishop 1995, "Training with noise is
    equivalent to Tikhonov regularization"). Drawn from counters like the mask of `Dropout`, by Box and
    Muller's method; each z is within 4 ULP of the exact value, so that both backends agree within rounding,
    and at most 5.77 in size.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.GaussianNoise(0.1), fnn.Dense(1)], input_shape=(2,), seed=0)
    >>> model.compile("sgd", loss="squared_error")
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), verbose=0)
    >>> model.predict(np.ones((1, 2))).shape
    (1, 1)
    """

    def __init__(self, stddev: float, seed: int | None = None, *, name: str | None = None) -> None:
        super().__init__(seed, name)
        self.stddev = checks.positive_float("stddev", stddev, allow_zero=True)

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        if not builder.training or self.stddev == 0:
            return x
        y = builder.arena(x.shape)
        builder.emit("gaussian_noise", x, y, deviation=self.stddev, **self.random_settings(builder, x))
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        return dy

    def get_config(self) -> dict[str, object]:
        return {"stddev": self.stddev, **super().get_config()}
