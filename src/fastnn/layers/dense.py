"""The fully connected layer."""

from __future__ import annotations

import numpy as np

from .. import checks, initializers
from ..activations import Choice, choose
from ..initializers import Initializer
from ..program import Builder, Operand
from ..regularizers import Constraint, Regularizer, config, get_constraint, get_regularizer
from .base import Layer, Vectors, emit_activation, emit_slope


class Dense(Layer):
    """y = f(x W + b): every unit sees every input.

    Takes samples of shape ``(n_in,)``, gives ``(units,)``; of sequences ``(time, n_in)`` each step alike, as a
    row of its own, gives ``(time, units)``.

    Parameters
    ----------
    units : int
        Number of outputs.
    activation : str, Activation layer or (f, df), optional
        Name of f, one of `fastnn.activations.ACTIVATIONS`, "softmax" or "log_softmax"; with a parameter
        chosen, a layer such as ``fnn.LeakyReLU(0.1)``; or your own f(x) and its derivative df(x), Python
        functions of an array (see `fastnn.Activation`). The identity where None.
    use_bias : bool
        Whether b is there; it starts at zero.
    kernel_initializer : str or Initializer
        How W (n_in, units) starts, a name of `fastnn.initializers.INITIALIZERS` or an object from there.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        The penalty on W and on b, such as ``fnn.L2(1e-4)`` or "l2".
    kernel_constraint : str or Constraint, optional
        What W fulfils after every update, such as ``fnn.MaxNorm(3.0)``.
    name : str, optional
        The layer's name in the model.

    Attributes
    ----------
    weight : numpy.ndarray, shape (n_in, units)
        W, a writable view, once the layer is in a model.
    bias : numpy.ndarray, shape (units,)
        b, likewise.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(3, "tanh")], input_shape=(2,), seed=0)
    >>> model.layers[0].weight.shape
    (2, 3)
    """

    reads_unpadded = True

    def __init__(self, units: int, activation: object = None, *, use_bias: bool = True,
                 kernel_initializer: str | Initializer = "glorot_uniform",
                 kernel_regularizer: str | Regularizer | dict | None = None,
                 bias_regularizer: str | Regularizer | dict | None = None,
                 kernel_constraint: str | Constraint | dict | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.units = checks.positive_int("units", units)
        self.choice = choose("activation", activation)
        self.use_bias = checks.boolean("use_bias", use_bias)
        initializers.get("kernel_initializer", kernel_initializer)
        self.kernel_initializer = kernel_initializer
        self.kernel_regularizer = get_regularizer("kernel_regularizer", kernel_regularizer)
        self.bias_regularizer = get_regularizer("bias_regularizer", bias_regularizer)
        self.kernel_constraint = get_constraint("kernel_constraint", kernel_constraint)

    @property
    def activation(self) -> str:
        return self.choice.name

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        if len(shape) > 2:
            raise ValueError(f"layer {self.name!r}: Dense expects samples of shape (features,) or (time, features), "
                             f"got {shape}; put a Flatten layer before it")
        self.input_shape, self.output_shape = shape, (*shape[:-1], self.units)
        self.layouts = ("rows",) if len(shape) == 1 else ("time",)
        self.segments = {"weight": vectors.parameters.add(
            f"{self.name}.weight", (shape[-1], self.units), regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint)}
        if self.use_bias:
            self.segments["bias"] = vectors.parameters.add(f"{self.name}.bias", (self.units,),
                                                             regularizer=self.bias_regularizer)

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        n_in, n_out = self.input_shape[-1], self.units
        initializer = initializers.get("kernel_initializer", self.kernel_initializer)
        return {"weight": initializer(rng, (n_in, n_out), n_in, n_out)}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        choice = self.choice if activate else Choice()
        inside = choice if choice.elementwise else Choice()
        y = builder.arena((x.shape[0], self.units))
        wanted = inside.slope_of_input and builder.differentiates or builder.probing
        z = builder.arena(y.shape) if wanted and inside.name != "identity" else None
        bias = builder.parameter(self.segments["bias"]) if self.use_bias else None
        builder.emit("dense_forward", x, builder.parameter(self.segments["weight"]), bias, y, z,
                     activation=inside.name, alpha=inside.alpha)
        builder.probe("pre_activation", y if z is None else z)
        if not choice.elementwise:
            z, y = y, emit_activation(builder, choice, y)
        builder.saved[self] = choice, x, z, y
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        choice, x, z, y = builder.saved[self]
        dz = emit_slope(builder, choice, dy, z, y)
        dx = None
        if need_dx:
            dx = builder.arena(x.shape)
            builder.emit("dense_backward_input", dz, builder.parameter(self.segments["weight"]), None, dx,
                         activation="identity")
        if builder.trains(self.segments["weight"]):
            builder.emit("dense_backward_parameters", x, dz, builder.gradient(self.segments["weight"]),
                         builder.gradient(self.segments["bias"]) if self.use_bias else None)
        return dx

    def get_config(self) -> dict[str, object]:
        return {"units": self.units, "activation": self.choice.config(), "use_bias": self.use_bias,
                "kernel_initializer": initializers.config(self.kernel_initializer),
                "kernel_regularizer": config(self.kernel_regularizer),
                "bias_regularizer": config(self.bias_regularizer),
                "kernel_constraint": config(self.kernel_constraint), **super().get_config()}
