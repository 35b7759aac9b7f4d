"""What every layer is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import checks
from ..activations import Choice
from ..checks_arrays import describe
from ..program import Builder, Layout, Operand, Segment
from .tensor import Node, Tensor

WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<!^)(?=[A-Z][a-z])")  # where one ends: RowNormalize, PCAWhitening


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

    Parameters
    ----------
    name : str, optional
        The layer's name in the model; by default its class's, with a number where that is taken.

    Attributes
    ----------
    name : str
        Unique in the model; parameters are called ``name.weight``, ``name.bias``.
    input_shape, output_shape : tuple of int
        Shapes of one sample, known once the layer is in a model.
    trainable : bool
        True at first. Set to False, the next ``model.compile`` freezes the layer: no training moves its
        parameters.

    Notes
    -----
    As in Keras, `trainable` counts from the next ``model.compile`` on; `fit` warns where it changed since.
    A frozen layer's parameters have no gradient, no optimizer state, no penalty and no constraint; backward
    ops go no lower than the lowest layer that is trained. In all else the layer works as before: a frozen
    `fastnn.Dropout` still drops.

    Examples
    --------
    A new last layer on one that stays as it is:

    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.Dense(8, "tanh"), fnn.Dense(1)], input_shape=(2,))
    >>> model.layers[0].trainable = False
    >>> model.compile("sgd", loss="squared_error")
    >>> before = model.layers[0].weight.copy()
    >>> history = model.fit(np.eye(2), [0.0, 1.0], verbose=0)
    >>> bool((model.layers[0].weight == before).all())
    True

    A layer whose ops Python runs, y = -x:

    >>> class Negate(fnn.Layer):
    ...     def forward(self, builder, x, *, activate=True):
    ...         y = builder.arena(x.shape)
    ...         builder.emit_host(np.negative, [x], [y])
    ...         return y
    ...     def backward(self, builder, dy, *, need_dx):
    ...         return self.forward(builder, dy) if need_dx else None
    >>> model = fnn.Sequential([Negate()], input_shape=(2,))
    >>> model.predict([[1.0, -2.0]])
    array([[-1.,  2.]], dtype=float32)
    """

    emits = True  # whether there are ops at all
    layouts: tuple[str, ...] = ("rows",)  # that `forward` takes; others are converted to the first
    takes_many = False  # whether it can be called on several tensors at once
    takes_tokens = False  # whether its input is whole numbers, ("BT",) int64 in the time layout,
    n_tokens = 0  # below this
    keeps_mask = True  # whether steps in time that do not count in its input do not in its output
    across_rows = False  # whether a row's output in training depends on other rows: then no step goes in blocks
    reads_unpadded = False  # whether its ops can read rows of the caller's own array
    state_rows: int | None = None  # rows of every batch, where it carries a state from one to the next

    def __init__(self, name: str | None = None) -> None:
        self.given_name = checks.optional_name("name", name)
        self.trainable = True
        self.name = name or WORDS.sub("_", type(self).__name__).lower()
        self.segments: dict[str, Segment] = {}
        self.persistent: dict[str, Segment] = {}
        self.input_shape: tuple[int, ...] = ()
        self.output_shape: tuple[int, ...] = ()
        self.owned = False  # by a model

    @property
    def activation(self) -> str:
        """The name of the activation at the layer's end."""
        return "identity"

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the outputs: `output_shape`, where there is one."""
        return (self.output_shape,)

    def __call__(self, inputs: Tensor | Sequence[Tensor]) -> Any:
        """The layer's output for a value of a graph, see `fastnn.Model`.

        Parameters
        ----------
        inputs : Tensor or sequence of Tensor
            What `fastnn.Input` or another call gave; several for a layer that takes several.

        Returns
        -------
        Tensor or tuple of Tensor
            A tuple where the layer has several outputs.
        """
        many = not isinstance(inputs, Tensor)
        tensors = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
        if not tensors or not all(isinstance(tensor, Tensor) for tensor in tensors):
            raise TypeError(f"layer {self.name!r}: expected tensors such as fastnn.Input gives, got "
                            f"{describe(inputs)}; arrays go to model.predict")
        if many and not self.takes_many:
            raise TypeError(f"layer {self.name!r}: expected one tensor, got {len(tensors)}")
        if self.owned:
            raise ValueError(f"layer {self.name!r} already belongs to a model; call it before, or call a new layer")
        shapes = tuple(tensor.shape for tensor in tensors)
        dtype = np.dtype(np.float32)
        self.build(shapes if many else shapes[0], Vectors(Layout(dtype), Layout(dtype)))  # type: ignore[arg-type]
        node = Node(self, tensors, many, self.output_shapes)
        return node.outputs if len(node.outputs) > 1 else node.outputs[0]

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        """Take the shape of a sample, set `output_shape`, declare parameters.

        A layer called on several tensors gets a tuple of shapes.

        Raises
        ------
        ValueError
            If the layer cannot take samples of that shape.
        """
        self.input_shape = self.output_shape = shape

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Initial values of the parameters and persistent arrays, by name; those left out are zero."""
        return {}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        """Emit the forward ops on x, in one of `layouts`, and return y.

        A layer called on several tensors gets a tuple, one with several outputs returns one. Without `activate`
        the final activation is left out, because the loss contains it.
        """
        raise NotImplementedError

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        """Emit the backward ops, given the gradient of what `forward` returned; return that of x.

        Both are tuples where those are; None stands for a gradient of zero, or one that nobody reads. `dy` is in
        the layout of y; that of x may be in any.

        Without `need_dx`, in the lowest layer that is trained, nobody reads the gradient of x: None will do.
        Gradients of parameters are wanted where ``builder.trains(segment)``: a layer may be frozen.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, object]:
        """The constructor's arguments."""
        return {"name": self.given_name}

    def __getattr__(self, name: str) -> np.ndarray:
        if name in ("weight", "bias"):
            raise AttributeError(f"layer {self.__dict__.get('name')!r} has no {name} yet: "
                                 "put it into a model first")
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items() if v is not None)
        return f"{type(self).__name__}({settings})"


def name_layers(layers: list[Layer]) -> None:
    """Give layers without a name of their own "dense", "dense_1", ...; refuse a name given twice."""
    taken = {layer.given_name for layer in layers if layer.given_name}
    if len(taken) < sum(layer.given_name is not None for layer in layers):
        raise ValueError(f"layers: every name must be given once, got {[la.given_name for la in layers]}")
    for layer in layers:
        if layer.given_name:
            continue
        base, i = layer.name, 0
        while layer.name in taken:
            i += 1
            layer.name = f"{base}_{i}"
        taken.add(layer.name)


def emit_activation(builder: Builder, choice: Choice, z: Operand) -> Operand:
    """y = f(z) as an op of its own."""
    builder.probe("pre_activation", z)
    if choice.name == "identity":
        return z
    y = builder.like(z)
    if choice.functions is not None:
        builder.emit_host(_Host(choice.functions[0]), [z], [y])
    elif choice.elementwise:
        builder.emit("activation_forward", z, y, activation=choice.name, alpha=choice.alpha)
    else:
        builder.emit(f"{choice.name}_forward", z, y)
    return y


def emit_slope(builder: Builder, choice: Choice, dy: Operand, z: Operand | None, y: Operand) -> Operand:
    """dz = dy * f'(z), given the activation's input and output."""
    builder.probe("delta", dy)
    if choice.name == "identity":
        return dy
    dz = builder.like(dy)
    if choice.functions is not None:
        assert z is not None
        builder.emit_host(_HostSlope(choice.functions[1]), [dy, z], [dz])
    elif choice.elementwise:
        f = z if choice.slope_of_input else y
        builder.emit("activation_backward", dy, f, dz, activation=choice.name, alpha=choice.alpha)
    else:
        builder.emit(f"{choice.name}_backward", dy, y, dz)
    builder.probe("delta", dz)
    return dz


class _Host:
    """The host op y = f(x) of a user's function."""

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self.function = function
        self.__name__ = getattr(function, "__name__", "function")

    def values(self, x: np.ndarray) -> np.ndarray:
        """f(x), of the same shape."""
        values = np.asarray(self.function(x))
        if values.shape != x.shape:
            raise ValueError(f"activation: expected {self.__name__} to return an array of its argument's "
                             f"shape {x.shape}, got {values.shape}; it must work element by element")
        return values

    def __call__(self, x: np.ndarray, y: np.ndarray) -> None:
        y[...] = self.values(x)


class _HostSlope(_Host):
    """The host op dx = dy * df(x)."""

    def __call__(self, dy: np.ndarray, x: np.ndarray, dx: np.ndarray) -> None:  # type: ignore[override]
        np.multiply(dy, self.values(x), out=dx, casting="same_kind")
