"""Activations as layers: Activation, and those with a parameter that is chosen or learned."""

from __future__ import annotations

import math

import numpy as np

from .. import checks
from ..activations import Choice, choose
from ..program import Builder, Operand
from .base import Layer, Vectors, emit_activation, emit_slope


class Activation(Layer):
    """y = f(x), element by element; "softmax" and "log_softmax" row by row.

    It stands among the layers, or as the ``activation`` of another.

    Parameters
    ----------
    activation : str or (f, df)
        Name of f, one of `fastnn.activations.ACTIVATIONS` (each row has its formula, range and source),
        "softmax" or "log_softmax". Or your own f(x) and its derivative df(x), Python functions of an array,
        which run between two native segments: slower, and a model with them cannot be saved to a file.
    alpha : float, optional
        The parameter of an activation that has one: "leaky_relu", "elu", "hard_sigmoid".
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.Activation("leaky_relu", alpha=0.5)], input_shape=(2,))
    >>> model.predict([[-1.0, 2.0]])
    array([[-0.5,  2. ]], dtype=float32)

    One of your own, with its derivative:

    >>> square = fnn.Activation((lambda x: x * x, lambda x: 2 * x))
    >>> model = fnn.Sequential([fnn.Dense(3, square), fnn.Dense(1)], input_shape=(2,), dtype="float64")
    >>> model.compile(loss="squared_error")
    >>> fnn.check_gradients(model, [[1.0, 2.0], [0.5, -1.0]], [0.0, 1.0]).passed
    True
    """

    def __init__(self, activation: object, *, alpha: float | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.choice = choose("activation", activation, alpha)

    @property
    def activation(self) -> str:
        return self.choice.name

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        super().build(shape, vectors)
        one_by_one = self.choice.elementwise or self.choice.functions is not None
        self.layouts = ("rows", "time", "lanes") if one_by_one else ("time",) if len(shape) == 2 else ("rows",)

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        choice = self.choice if activate else Choice()
        y = emit_activation(builder, choice, x)
        builder.saved[self] = choice, x, y
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        choice, x, y = builder.saved[self]
        return emit_slope(builder, choice, dy, x, y) if need_dx else None

    def get_config(self) -> dict[str, object]:
        return {"activation": self.choice.config(), **super().get_config()}


class _WithAlpha(Activation):
    """An activation whose class is its name, and whose first argument is alpha."""

    row = ""

    def __init__(self, alpha: float, *, name: str | None = None) -> None:
        super().__init__(self.row, alpha=alpha, name=name)
        self.name = name or self.row

    def get_config(self) -> dict[str, object]:
        return {"alpha": self.choice.alpha, "name": self.given_name}


class LeakyReLU(_WithAlpha):
    """y = x where x > 0, else alpha x, of any size and sign. Maas, Hannun and Ng 2013.

    Parameters
    ----------
    alpha : float
        The slope for x < 0, greater than 0; 0.01 by default as in PyTorch (``negative_slope``). Keras has 0.3
        in its layer and 0.2 in its function.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(8, fnn.LeakyReLU(0.1)), fnn.Dense(1)], input_shape=(2,))
    >>> model.layers[0]
    Dense(units=8, activation={'name': 'leaky_relu', 'alpha': 0.1}, use_bias=True, \
kernel_initializer='glorot_uniform')
    """

    row = "leaky_relu"

    def __init__(self, alpha: float = 0.01, *, name: str | None = None) -> None:
        super().__init__(alpha, name=name)


class ELU(_WithAlpha):
    """y = x where x > 0, else alpha (e^x - 1); y > -alpha. Clevert, Unterthiner and Hochreiter 2016.

    Parameters
    ----------
    alpha : float
        Greater than 0; 1 by default, as in PyTorch and Keras.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.Sequential([fnn.ELU(0.5)], input_shape=(1,)).predict([[-100.0], [1.0]]).tolist()
    [[-0.5], [1.0]]
    """

    row = "elu"

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(alpha, name=name)


class HardSigmoid(_WithAlpha):
    """y = alpha x + 1/2 where that is between 0 and 1, else the nearer of the two.

    Parameters
    ----------
    alpha : float
        The slope in the middle, greater than 0; 1/6 by default, as in PyTorch and Keras 3. Courbariaux et
        al. 2015, ONNX and Keras 2 have 0.2.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.Sequential([fnn.HardSigmoid(0.25)], input_shape=(1,)).predict([[-9.0], [1.0]]).tolist()
    [[0.0], [0.75]]
    """

    row = "hard_sigmoid"

    def __init__(self, alpha: float = 1 / 6, *, name: str | None = None) -> None:
        super().__init__(alpha, name=name)


class PReLU(Layer):
    """y = x where x > 0, else alpha x, with one alpha learned for each feature. He et al. 2015.

    Parameters
    ----------
    alpha : float
        Where the slopes start: 0.25 by default, as in the paper and in PyTorch, which shares one slope unless
        told the number of features; Keras starts at 0.
    name : str, optional
        The layer's name in the model.

    Attributes
    ----------
    alpha : numpy.ndarray, shape (features,)
        The slopes, a writable view, once the layer is in a model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.PReLU()], input_shape=(2,))
    >>> model.predict([[-1.0, 2.0]])
    array([[-0.25,  2.  ]], dtype=float32)
    >>> model.layers[0].alpha
    array([0.25, 0.25], dtype=float32)
    """

    def __init__(self, alpha: float = 0.25, *, name: str | None = None) -> None:
        super().__init__(name)
        self.name = name or "prelu"
        self.start = checks.positive_float("alpha", alpha, allow_zero=True)

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        super().build(shape, vectors)
        self.segments = {"alpha": vectors.parameters.add(f"{self.name}.alpha", (math.prod(shape),))}

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"alpha": np.asarray(self.start)}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(x.shape)
        builder.emit("prelu_forward", x, builder.parameter(self.segments["alpha"]), y)
        builder.saved[self] = x
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        x = builder.saved[self]
        dx = None
        if need_dx:
            dx = builder.arena(x.shape)
            builder.emit("prelu_backward_input", dy, x, builder.parameter(self.segments["alpha"]), dx)
        if builder.trains(self.segments["alpha"]):
            builder.emit("prelu_backward_parameters", dy, x, builder.gradient(self.segments["alpha"]))
        return dx

    def get_config(self) -> dict[str, object]:
        return {"alpha": self.start, **super().get_config()}
