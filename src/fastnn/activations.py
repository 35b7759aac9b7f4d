"""Activations: one row each, as in ``csrc/activations.def``, and how a layer names the one it wants."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import checks


@dataclass(frozen=True)
class Activation:
    """One activation y = f(x), element by element.

    Attributes
    ----------
    name : str
        What layers call it.
    formula : str
        f(x) in Python's notation.
    function : callable
        f(x, alpha), element by element.
    slope : callable
        f' as a function of (y, alpha) or (x, alpha).
    derivative_of : {"output", "input"}
        Which of the two `slope` takes.
    range : tuple of float
        Infimum and supremum of y.
    onnx : str
        The operator's name in ONNX.
    source : str
        Where it comes from, and where other libraries' conventions differ.
    alpha : float, optional
        Default of its one parameter; None where it has none.
    kinks : tuple of float
        The points without a derivative, with the default alpha.

    Examples
    --------
    >>> relu = ACTIVATIONS["relu"]
    >>> relu.formula, relu.function(np.array([-1.0, 2.0]), 0.0).tolist()
    ('max(x, 0)', [0.0, 2.0])
    """

    name: str
    formula: str
    function: Callable[[np.ndarray, float], np.ndarray]
    slope: Callable[[np.ndarray, float], np.ndarray]
    derivative_of: str
    range: tuple[float, float]
    onnx: str
    source: str
    alpha: float | None = None
    kinks: tuple[float, ...] = ()


# ---- formulas that take more than a line ----

SELU_SCALE, SELU_FLOOR = 1.0507009873554805, 1.7580993408473769  # scale, scale times alpha
GELU_1, GELU_3 = 1.5957691216057308, 0.07135481627260025  # sqrt(8 / pi), and that times 0.044715
_erfc = np.frompyfunc(math.erfc, 1, 1)


def _sigmoid(x: np.ndarray, alpha: float) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _size(x: np.ndarray, limit: float) -> np.ndarray:
    """|x| up to where the tail is 0, so that no infinity meets a zero."""
    return np.minimum(np.abs(x), limit)


def _mirrored(x: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The slope of max(x, 0) - a g(a), given d = (a g(a))'."""
    return np.where(x < 0, d, 1 - d).astype(x.dtype, copy=False)


def _softsign(x: np.ndarray, alpha: float) -> np.ndarray:
    a = _size(x, 1e30)
    return np.copysign(a / (1 + a), x)


def _normal_tail(a: np.ndarray) -> np.ndarray:
    """Phi(-a) in float64."""
    return 0.5 * np.asarray(_erfc(a.astype(np.float64) / math.sqrt(2)), np.float64)


def _gelu(x: np.ndarray, alpha: float) -> np.ndarray:
    a = _size(x, 40)
    return (np.maximum(x, 0) - a * _normal_tail(a)).astype(x.dtype)


def _gelu_slope(x: np.ndarray, alpha: float) -> np.ndarray:
    a = _size(x, 40)
    return _mirrored(x, _normal_tail(a) - a * np.exp(-0.5 * a * a) / math.sqrt(2 * math.pi))


def _gelu_tanh(x: np.ndarray, alpha: float) -> np.ndarray:
    a = _size(x, 40)
    e = np.exp(-a * (GELU_1 + GELU_3 * a * a))
    return np.maximum(x, 0) - a * e / (1 + e)


def _gelu_tanh_slope(x: np.ndarray, alpha: float) -> np.ndarray:
    a = _size(x, 40)
    e = np.exp(-a * (GELU_1 + GELU_3 * a * a))
    return _mirrored(x, e / (1 + e) * (1 - a * (GELU_1 + 3 * GELU_3 * a * a) / (1 + e)))


def _silu(x: np.ndarray, alpha: float) -> np.ndarray:
    a = _size(x, 1000)
    e = np.exp(-a)
    return np.maximum(x, 0) - a * e / (1 + e)


def _silu_slope(x: np.ndarray, alpha: float) -> np.ndarray:
    a = _size(x, 1000)
    e = np.exp(-a)
    return _mirrored(x, e / (1 + e) * (1 - a / (1 + e)))


def _mish(x: np.ndarray, alpha: float) -> np.ndarray:
    a = _size(x, 1000)
    e = np.exp(-a)  # e^x where x < 0
    tail = np.where(x < 0, (e + 2) / (2 + e * (e + 2)), 2 * e / (1 + 2 * e * (1 + e)))
    return np.maximum(x, 0) - a * e * tail


def _mish_slope(x: np.ndarray, alpha: float) -> np.ndarray:
    x = np.clip(x, -1000, 40)
    w = np.exp(x)
    n = w * (w + 2)
    return (n + 4 * x * (w * (1 + w) / (n + 2))) / (n + 2)


def _branches(x: np.ndarray, positive: np.ndarray | float, other: np.ndarray | float) -> np.ndarray:
    return np.where(x > 0, positive, other).astype(x.dtype, copy=False)


_INF = np.inf

ACTIVATIONS: dict[str, Activation] = {a.name: a for a in (
    Activation("identity", "x", lambda x, alpha: x, lambda y, alpha: np.ones_like(y), "output", (-_INF, _INF),
               "Identity", "No activation."),
    Activation("sigmoid", "1 / (1 + exp(-x))", _sigmoid, lambda y, alpha: y * (1 - y), "output", (0, 1),
               "Sigmoid", "The logistic function; Nielsen, chapter 1."),
    Activation("tanh", "(exp(x) - exp(-x)) / (exp(x) + exp(-x))", lambda x, alpha: np.tanh(x),
               lambda y, alpha: 1 - y * y, "output", (-1, 1), "Tanh",
               "LeCun, Bottou, Orr and Mueller 1998, Efficient BackProp."),
    Activation("hard_tanh", "max(min(x, 1), -1)", lambda x, alpha: np.clip(x, -1, 1),
               lambda y, alpha: (np.abs(y) < 1).astype(y.dtype), "output", (-1, 1), "Clip",
               "Collobert 2004; CS224d.", kinks=(-1.0, 1.0)),
    Activation("hard_sigmoid", "max(min(alpha * x + 1/2, 1), 0)",
               lambda x, alpha: np.clip((x + 0.5 / alpha) * alpha, 0, 1),
               lambda y, alpha: np.where((y > 0) & (y < 1), alpha, 0).astype(y.dtype), "output", (0, 1),
               "HardSigmoid", "Howard et al. 2019, MobileNetV3. alpha is 1/6 in PyTorch and Keras 3; 0.2 in "
               "Courbariaux et al. 2015, ONNX and Keras 2.", alpha=1 / 6, kinks=(-3.0, 3.0)),
    Activation("softsign", "x / (1 + abs(x))", _softsign, lambda x, alpha: (1 / (1 + np.abs(x))) ** 2,
               "input", (-1, 1), "Softsign", "Bergstra et al. 2009; Glorot and Bengio 2010."),
    Activation("relu", "max(x, 0)", lambda x, alpha: np.maximum(x, 0),
               lambda y, alpha: (y > 0).astype(y.dtype), "output", (0, _INF), "Relu",
               "Nair and Hinton 2010; the slope at 0 is 0.", kinks=(0.0,)),
    Activation("leaky_relu", "x if x > 0 else alpha * x", lambda x, alpha: _branches(x, x, alpha * x),
               lambda y, alpha: _branches(y, 1, alpha), "output", (-_INF, _INF), "LeakyRelu",
               "Maas, Hannun and Ng 2013. alpha is 0.01 there, in PyTorch and ONNX; in Keras 0.2, of its "
               "layer 0.3.", alpha=0.01, kinks=(0.0,)),
    Activation("elu", "x if x > 0 else alpha * (exp(x) - 1)",
               lambda x, alpha: _branches(x, x, alpha * np.expm1(np.minimum(x, 0))),
               lambda y, alpha: _branches(y, 1, y + alpha), "output", (-1, _INF), "Elu",
               "Clevert, Unterthiner and Hochreiter 2016. y > -alpha; without a kink where alpha is 1.",
               alpha=1.0, kinks=(0.0,)),
    Activation("selu", f"{SELU_SCALE} * x if x > 0 else {SELU_FLOOR} * (exp(x) - 1)",
               lambda x, alpha: _branches(x, SELU_SCALE * x, SELU_FLOOR * np.expm1(np.minimum(x, 0))),
               lambda y, alpha: _branches(y, SELU_SCALE, y + SELU_FLOOR), "output",
               (-1.7580994, _INF), "Selu", "Klambauer et al. 2017, with lecun_normal weights.", kinks=(0.0,)),
    Activation("gelu", "x * (1 + erf(x / sqrt(2))) / 2", _gelu, _gelu_slope, "input", (-0.16997121, _INF),
               "Gelu", "Hendrycks and Gimpel 2016; x Phi(x), the default of PyTorch and Keras."),
    Activation("gelu_tanh", "x * (1 + tanh(sqrt(2 / pi) * (x + x**3 * 44715 / 1000000))) / 2", _gelu_tanh,
               _gelu_tanh_slope, "input", (-0.17004081, _INF), "Gelu",
               "Hendrycks and Gimpel 2016; approximate='tanh' in PyTorch, approximate=True in Keras."),
    Activation("silu", "x / (1 + exp(-x))", _silu, _silu_slope, "input", (-0.27846456, _INF), "Swish",
               "Elfwing, Uchibe and Doya 2018; swish of Ramachandran, Zoph and Le 2017."),
    Activation("mish", "x * tanh(log(1 + exp(x)))", _mish, _mish_slope, "input", (-0.30884014, _INF), "Mish",
               "Misra 2020."),
    Activation("softplus", "log1p(exp(x))", lambda x, alpha: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
               lambda y, alpha: -np.expm1(-y), "output", (0, _INF), "Softplus", "Dugas et al. 2001."),
    Activation("exponential", "exp(x)", lambda x, alpha: np.exp(x), lambda y, alpha: y, "output", (0, _INF),
               "Exp", "The inverse link of Poisson regression."),
)}


@dataclass(frozen=True)
class RowActivation:
    """An activation of whole rows, whose op is ``<name>_forward``; the fields are those of `Activation`."""

    name: str
    formula: str
    range: tuple[float, float]
    onnx: str
    source: str


ROW_ACTIVATIONS: dict[str, RowActivation] = {a.name: a for a in (
    RowActivation("softmax", "exp(x_j) / sum_k exp(x_k)", (0, 1), "Softmax", "Bridle 1990; CS231n."),
    RowActivation("log_softmax", "x_j - log sum_k exp(x_k)", (-_INF, 0), "LogSoftmax",
                  "The logarithm of softmax, finite where that underflows."),
)}

ALIASES = {"linear": "identity", "logistic": "sigmoid", "swish": "silu"}
CUSTOM = "custom"


@dataclass(frozen=True)
class Choice:
    """The activation that a layer was given.

    Attributes
    ----------
    name : str
        A registered name, or "custom".
    alpha : float
        Its parameter, 0 where it has none.
    functions : tuple of callable, optional
        The user's (f, df) of a custom activation.
    """

    name: str = "identity"
    alpha: float = 0.0
    functions: tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]] | None = None

    @property
    def elementwise(self) -> bool:
        """Whether kernels have it inside: it is neither of whole rows nor the user's own."""
        return self.name in ACTIVATIONS

    @property
    def slope_of_input(self) -> bool:
        """Whether its slope takes the activation's input."""
        return self.name in ACTIVATIONS and ACTIVATIONS[self.name].derivative_of == "input"

    def config(self) -> object:
        """What gives the same choice again, plain data unless the functions are the user's."""
        if self.functions is not None:
            return self.functions
        row = ACTIVATIONS.get(self.name)
        if row is None or row.alpha is None or row.alpha == self.alpha:
            return self.name
        return {"name": self.name, "alpha": self.alpha}


def default_alpha(name: str) -> float:
    """The alpha of an activation that was given none."""
    return ACTIVATIONS[name].alpha or 0.0


def choose(argument: str, value: Any, alpha: float | None = None) -> Choice:
    """What a layer's argument says about its activation.

    Parameters
    ----------
    argument : str
        The argument's name, for errors.
    value : str, layer, (f, df), dict or None
        A registered name; an `fastnn.Activation` layer, of which `fastnn.LeakyReLU` is one; two functions of
        an array that return one of the same shape; what `Choice.config` gave. None is the identity.
    alpha : float, optional
        The activation's parameter, with a name only.

    Raises
    ------
    TypeError, ValueError
        If it is none of those, the name is unknown, or alpha is not positive or not wanted.

    Examples
    --------
    >>> choose("activation", "elu").alpha, choose("activation", {"name": "elu", "alpha": 0.5}).alpha
    (1.0, 0.5)
    """
    value = getattr(value, "choice", "identity" if value is None else value)
    if isinstance(value, dict):
        if value.keys() != {"name", "alpha"}:
            raise ValueError(f"{argument}: expected a dict of 'name' and 'alpha', got {checks.describe(value)}")
        value, alpha = value["name"], value["alpha"]
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(map(callable, value)):
        value = Choice(CUSTOM, functions=(value[0], value[1]))
    if isinstance(value, Choice):
        if alpha is not None:
            raise ValueError(f"alpha: expected None where {argument} is not a name, got {checks.describe(alpha)}")
        return value
    if not isinstance(value, str):
        raise TypeError(f"{argument}: expected a name such as 'relu', an fnn.Activation layer or a pair of "
                        f"functions (f, df), f(x) and its derivative df(x), got {checks.describe(value)}")
    name = ALIASES.get(value, value)
    checks.lookup("activation", name, {**ACTIVATIONS, **ROW_ACTIVATIONS})
    default = ACTIVATIONS[name].alpha if name in ACTIVATIONS else None
    if alpha is None:
        return Choice(name, default or 0.0)
    if default is None:
        raise ValueError(f"alpha: {name} has no parameter, got {checks.describe(alpha)}")
    return Choice(name, checks.positive_float("alpha", alpha))
