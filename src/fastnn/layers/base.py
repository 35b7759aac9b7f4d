"""What every layer is."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from .. import checks
from ..activations import ACTIVATIONS
from ..program import Builder, Layout, Operand, Segment

SOFTMAX = "softmax"
ALIASES = {"linear": "identity", "logistic": "sigmoid"}


def activation_name(argument: str, value: str | None) -> str:
    """The registered name of an activation, or an error that names the argument."""
    if value is None:
        return "identity"
    checks.lookup("activation", ALIASES.get(value, value), {**ACTIVATIONS, SOFTMAX: None})
    return ALIASES.get(value, value)


@dataclass
class Vectors:
    """Where a layer declares its arrays while a model is built."""

    parameters: Layout
    persistent: Layout


class Layer:
    """A piece of a network.

    A subclass sets `output_shape` and declares its arrays in `build`, emits ops in `forward` and `backward`,
    and returns its settings from `get_config`. A layer holds no array of a run: what `backward` needs of
    `forward` it puts into ``builder.saved``.

    Attributes
    ----------
    name : str
        Unique in the model; parameters are called ``name.weight``, ``name.bias``.
    input_shape, output_shape : tuple of int
        Shapes of one sample, known once the layer is in a model.
    """

    emits = True  # whether there are ops at all
    reads_unpadded = False  # whether its ops can read rows of the caller's own array

    def __init__(self, name: str | None = None) -> None:
        self.given_name = name
        self.name = name or re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        self.segments: dict[str, Segment] = {}
        self.persistent: dict[str, Segment] = {}
        self.input_shape: tuple[int, ...] = ()
        self.output_shape: tuple[int, ...] = ()

    @property
    def activation(self) -> str:
        """The name of the activation at the layer's end."""
        return "identity"

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        """Take the shape of a sample, set `output_shape`, declare parameters."""
        self.input_shape = self.output_shape = shape

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Initial values of the parameters and persistent arrays, by name."""
        return {}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        """Emit the forward ops on x (B, features); without `activate` the final activation is left out."""
        raise NotImplementedError

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        """Emit the backward ops, given the gradient of what `forward` returned; return that of x."""
        raise NotImplementedError

    def get_config(self) -> dict[str, object]:
        """The constructor's arguments."""
        return {"name": self.given_name}

    def __getattr__(self, name: str) -> np.ndarray:
        if name in ("weight", "bias"):
            raise AttributeError(f"layer {self.__dict__.get('name')!r} has no {name} yet: put it into a model first")
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items() if v is not None)
        return f"{type(self).__name__}({settings})"


def emit_activation(builder: Builder, name: str, z: Operand) -> Operand:
    """y = f(z) as an op of its own."""
    if name == "identity":
        return z
    y = builder.arena(z.shape)
    if name == SOFTMAX:
        builder.emit("softmax_forward", z, y)
    else:
        builder.emit("activation_forward", z, y, activation=name, alpha=0.0)
    return y


def emit_slope(builder: Builder, name: str, dy: Operand, z: Operand | None, y: Operand) -> Operand:
    """dz = dy * f'(z), given the activation's input and output."""
    if name == "identity":
        return dy
    dz = builder.arena(dy.shape)
    if name == SOFTMAX:
        builder.emit("softmax_backward", dy, y, dz)
    else:
        f = y if ACTIVATIONS[name].derivative_of == "output" else z
        builder.emit("activation_backward", dy, f, dz, activation=name, alpha=0.0)
    return dz
