"""How weights begin: rules that draw an array from its shape and a unit's numbers of inputs and outputs.

A layer takes a name of `INITIALIZERS` or an object of a class here: ``kernel_initializer="he_normal"``,
``kernel_initializer=fnn.initializers.Constant(0.1)``.

Examples
--------
>>> weight = INITIALIZERS["he_normal"](np.random.default_rng(0), (200, 100), 200, 100)
>>> weight.shape, bool(abs(weight.var() * 200 - 2) < 0.1)  # the variance is 2 / n_in
((200, 100), True)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import checks

# "np.random.Generator" in quotes, because looking at np.random would import it: 10 ms that need not be.


class Initializer:
    """A rule for initial values; a subclass gives `__call__` and is a dataclass of its settings.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Ramp(Initializer):
    ...     step: float
    ...     def __call__(self, rng, shape, n_in, n_out):
    ...         return self.step * np.arange(np.prod(shape)).reshape(shape)
    >>> get("kernel_initializer", {"class": "Ramp", "step": 0.5})(None, (1, 3), 1, 3)
    array([[0. , 0.5, 1. ]])
    """

    def __init_subclass__(cls) -> None:
        CLASSES[cls.__name__] = cls

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], n_in: int, n_out: int) -> np.ndarray:
        """Values of that shape, float64.

        Parameters
        ----------
        rng : numpy.random.Generator
            What to draw from.
        shape : tuple of int
            Of the array; its last axis counts the outputs.
        n_in, n_out : int
            Inputs and outputs of a unit (the receptive field times the channels, where weights are shared).
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The class and the settings, as plain data; `get` takes it back."""
        return {"class": type(self).__name__, **dataclasses.asdict(self)}  # type: ignore[call-overload]

    def _check(self, *names: str) -> None:
        for name in names:
            object.__setattr__(self, name, checks.positive_float(name, getattr(self, name), allow_zero=True))


CLASSES: dict[str, type[Initializer]] = {}


@dataclass(frozen=True)
class Constant(Initializer):
    """One value everywhere: 0 is right for biases and wrong for weights, whose units would stay alike.

    Parameters
    ----------
    value : float
        The value.

    Examples
    --------
    >>> Constant(0.1)(np.random.default_rng(0), (2,), 5, 2)
    array([0.1, 0.1])
    """

    value: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", checks.finite_float("value", self.value))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], n_in: int, n_out: int) -> np.ndarray:
        return np.full(shape, self.value)


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal with mean 0: std = 1, where sums over many inputs saturate sigmoid units (Nielsen, chapter 1).

    Parameters
    ----------
    std : float
        The standard deviation.

    Examples
    --------
    >>> Normal(0.01)(np.random.default_rng(0), (2,), 5, 2).round(4)
    array([ 0.0013, -0.0013])
    """

    std: float = 1.0

    def __post_init__(self) -> None:
        self._check("std")

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], n_in: int, n_out: int) -> np.ndarray:
        return rng.normal(0.0, self.std, shape)


@dataclass(frozen=True)
class Uniform(Initializer):
    """Uniform between -limit and limit.

    Parameters
    ----------
    limit : float
        The largest absolute value.

    Examples
    --------
    >>> bool(abs(Uniform(0.05)(np.random.default_rng(0), (100,), 5, 2)).max() <= 0.05)
    True
    """

    limit: float = 0.05

    def __post_init__(self) -> None:
        self._check("limit")

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], n_in: int, n_out: int) -> np.ndarray:
        return rng.uniform(-self.limit, self.limit, shape)


@dataclass(frozen=True)
class TruncatedNormal(Initializer):
    """Normal with mean 0, drawn again where it is more than two standard deviations out.

    Parameters
    ----------
    std : float
        The standard deviation before the tails are cut, as in Keras; what is left has 0.8796 of it.

    Examples
    --------
    >>> bool(abs(TruncatedNormal(0.1)(np.random.default_rng(0), (1000,), 5, 2)).max() <= 0.2)
    True
    """

    std: float = 0.05

    def __post_init__(self) -> None:
        self._check("std")

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], n_in: int, n_out: int) -> np.ndarray:
        values = rng.standard_normal(shape)
        while (out := np.abs(values) > 2).any():
            values[out] = rng.standard_normal(int(out.sum()))
        return self.std * values


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Variance `scale` / n, so that sums over n inputs keep their size from layer to layer.

    Parameters
    ----------
    scale : float
        1 for LeCun et al. (1998) and for Nielsen's 1 / sqrt(n_in), 1 with "average" for Glorot and Bengio
        (2010), 2 for He et al. (2015), whose ReLU loses half.
    mode : {"n_in", "n_out", "average"}
        What n is; "average" is (n_in + n_out) / 2.
    distribution : {"normal", "uniform"}
        Of the values.

    Examples
    --------
    >>> weight = VarianceScaling(1.0, "n_out")(np.random.default_rng(0), (200, 100), 200, 100)
    >>> round(float(weight.var() * 100), 1)
    1.0
    """

    scale: float = 1.0
    mode: str = "n_in"
    distribution: str = "normal"

    def __post_init__(self) -> None:
        self._check("scale")
        checks.choice("mode", self.mode, ("n_in", "n_out", "average"))
        checks.choice("distribution", self.distribution, ("normal", "uniform"))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], n_in: int, n_out: int) -> np.ndarray:
        n = {"n_in": n_in, "n_out": n_out, "average": (n_in + n_out) / 2}[self.mode]
        std = np.sqrt(self.scale / n)
        if self.distribution == "normal":
            return rng.normal(0.0, std, shape)
        return rng.uniform(-np.sqrt(3) * std, np.sqrt(3) * std, shape)


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """A random matrix with orthonormal rows or columns, whichever are fewer, times gain (Saxe et al. 2014).

    Parameters
    ----------
    gain : float
        1 keeps lengths; sqrt(2) suits ReLU.

    Notes
    -----
    Arrays of more than two axes count as matrices of all axes but the last by the last. The signs make it
    uniform over all such matrices (Mezzadri 2007).

    Examples
    --------
    >>> weight = Orthogonal()(np.random.default_rng(0), (5, 3), 5, 3)
    >>> np.allclose(weight.T @ weight, np.eye(3))
    True
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        self._check("gain")

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], n_in: int, n_out: int) -> np.ndarray:
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


@dataclass(frozen=True)
class Identity(Initializer):
    """Ones on the diagonal, times gain: a recurrent layer starts by keeping its state (Le, Jaitly and Hinton 2015).

    Parameters
    ----------
    gain : float
        On the diagonal.

    Examples
    --------
    >>> Identity(0.5)(np.random.default_rng(0), (2, 3), 2, 3)
    array([[0.5, 0. , 0. ],
           [0. , 0.5, 0. ]])
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        self._check("gain")

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...], n_in: int, n_out: int) -> np.ndarray:
        return self.gain * np.eye(math.prod(shape[:-1]), shape[-1]).reshape(shape)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": Constant(0.0),
    "ones": Constant(1.0),
    "standard_normal": Normal(1.0),
    "scaled_normal": VarianceScaling(1.0, "n_in", "normal"),
    "glorot_uniform": VarianceScaling(1.0, "average", "uniform"),
    "glorot_normal": VarianceScaling(1.0, "average", "normal"),
    "he_uniform": VarianceScaling(2.0, "n_in", "uniform"),
    "he_normal": VarianceScaling(2.0, "n_in", "normal"),
    "lecun_uniform": VarianceScaling(1.0, "n_in", "uniform"),
    "lecun_normal": VarianceScaling(1.0, "n_in", "normal"),
    "truncated_normal": TruncatedNormal(),
    "uniform": Uniform(),
    "orthogonal": Orthogonal(),
    "identity": Identity(),
}


def get(argument: str, value: str | Initializer | Mapping[str, Any]) -> Initializer:
    """An initializer from its name, from ``get_config()`` or as it is; `argument` names it in an error.

    Examples
    --------
    >>> get("kernel_initializer", "orthogonal")
    Orthogonal(gain=1.0)
    """
    if isinstance(value, Initializer):
        return value
    if isinstance(value, Mapping):
        settings = {name: setting for name, setting in value.items() if name != "class"}
        return checks.lookup(f"{argument}: class", value.get("class", ""), CLASSES)(**settings)
    return checks.lookup(argument, value, INITIALIZERS)


def config(value: str | Initializer | Mapping[str, Any]) -> str | dict[str, Any]:
    """What `get` takes, as plain data."""
    if isinstance(value, Initializer):
        return value.get_config()
    return value if isinstance(value, str) else dict(value)
