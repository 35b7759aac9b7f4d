"""Convolutions: Conv1D, Conv2D, DepthwiseConv2D, ConvTranspose2D."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import checks, initializers
from ..activations import Choice, choose
from ..initializers import Initializer
from ..operands import leading_dimension
from ..program import Builder, Operand
from ..regularizers import Constraint, Regularizer, config, get_constraint, get_regularizer
from .base import Layer, Vectors, emit_activation, emit_slope
from .windows import Window, as_image, padding, sizes

MOST_PARTS, PARTS_BYTES = 8, 2 ** 22  # of a weight's gradient: one for each chunk of the batch's images


class Convolution(Layer):
    """What all convolutions are.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size, strides, dilation_rate : int or tuple of int
        Of the window, for all axes or each.
    zeros : "valid", "same", int or tuple
        The padding.
    groups : int
        Parts that the channels fall into, on both sides; each sees its own.
    activation : str, Activation layer or (f, df), optional
        Element by element.
    use_bias, kernel_initializer, kernel_regularizer, bias_regularizer, kernel_constraint, name
        As `fastnn.Dense` has them.
    """

    layouts = ("lanes",)
    axes = 2
    takes_filters = True  # rather than having some for each channel
    forward_op, input_op = "conv_forward", "conv_backward_input"
    parameters_op = "conv_backward_parameters"

    def __init__(self, filters: int, kernel_size: Any, strides: Any, zeros: Any, dilation_rate: Any,
                 groups: int, activation: object, use_bias: bool = True,
                 kernel_initializer: str | Initializer = "glorot_uniform",
                 kernel_regularizer: str | Regularizer | dict | None = None,
                 bias_regularizer: str | Regularizer | dict | None = None,
                 kernel_constraint: str | Constraint | dict | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.filters = checks.positive_int("filters", filters) if self.takes_filters else 0
        self.kernel_size = sizes("kernel_size", kernel_size, self.axes)
        self.strides = sizes("strides", strides, self.axes)
        self.padding = padding(zeros, self.axes)
        self.dilation_rate = sizes("dilation_rate", dilation_rate, self.axes)
        self.window = Window(self.kernel_size, self.strides, self.padding, self.dilation_rate)
        self.groups = checks.positive_int("groups", groups)
        self.choice = choose("activation", activation)
        if not (self.choice.elementwise or self.choice.functions):
            raise ValueError(f"activation: expected one that works element by element, got {self.choice.name!r}; "
                             "put a Flatten layer and an Activation layer after the convolution")
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
        h, w, c = self.image = as_image(shape, self.axes, self.name, type(self).__name__)
        filters = self.n_filters(c)
        if c % self.groups or filters % self.groups:
            raise ValueError(f"layer {self.name!r}: groups must divide the {c} channels of its input and its "
                             f"{filters} filters, got {self.groups}")
        self.result = (*self.sizes_after((h, w)), filters)
        if min(self.result) < 1:
            raise ValueError(f"layer {self.name!r}: a kernel of {self.kernel_size} does not fit into samples of shape "
                             f"{shape}; try padding='same'")
        self.input_shape, self.output_shape = shape, self.result[2 - self.axes:]
        self.segments = {"weight": vectors.parameters.add(
            f"{self.name}.weight", self.weight_shape(c, filters), regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint)}
        if self.use_bias:
            self.segments["bias"] = vectors.parameters.add(f"{self.name}.bias", (filters,),
                                                           regularizer=self.bias_regularizer)

    def n_filters(self, channels: int) -> int:
        """Channels of the output."""
        return self.filters

    def sizes_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the output."""
        return self.window.count(size)

    def weight_shape(self, channels: int, filters: int) -> tuple[int, ...]:
        """The shape of the weights."""
        return *self.kernel_size, channels // self.groups, filters

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        field, c, filters = math.prod(self.kernel_size), self.image[2], self.result[2]
        initializer = initializers.get("kernel_initializer", self.kernel_initializer)
        shape = self.segments["weight"].shape
        return {"weight": initializer(rng, shape, field * c // self.groups, field * filters // self.groups)}

    def settings(self) -> dict[str, Any]:
        """What all ops are told."""
        return {**self.window.settings(self.image[:2]), "dilation_y": self.window.y.dilation,
                "dilation_x": self.window.x.dilation, "groups": self.groups}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        choice = self.choice if activate else Choice()
        inside = choice if choice.elementwise else Choice()
        y = builder.arena(("B", *self.result), layout="lanes")
        wanted = inside.slope_of_input and builder.differentiates or builder.probing
        z = builder.like(y) if wanted and inside.name != "identity" else None
        bias = builder.parameter(self.segments["bias"]) if self.use_bias else None
        builder.emit(self.forward_op, x, builder.parameter(self.segments["weight"]), bias, y, z,
                     activation=inside.name, alpha=inside.alpha, **self.settings())
        builder.probe("pre_activation", y if z is None else z)
        if not choice.elementwise:
            z, y = y, emit_activation(builder, choice, y)
        builder.saved[self] = choice, x, z, y
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        choice, x, z, y = builder.saved[self]
        dz = emit_slope(builder, choice, dy, z, y)
        weight, dx = self.segments["weight"], None
        if need_dx:
            dx = builder.like(x)
            builder.emit(self.input_op, dz, builder.parameter(weight), None, dx, activation="identity",
                         **self.settings())
        if builder.trains(weight):
            rows, n = math.prod(weight.shape[:-1]), weight.shape[-1]
            bytes_ = rows * leading_dimension(n, builder.dtype.itemsize) * builder.dtype.itemsize
            parts = max(1, min(MOST_PARTS, PARTS_BYTES // bytes_))
            dw = builder.arena((parts, rows, n))
            db = builder.arena((parts, self.result[2])) if self.use_bias else None
            inputs = (x, dz, None) if self.parameters_op == "conv_backward_parameters" else (x, dz)
            builder.emit(self.parameters_op, *inputs, dw, db, **self.settings())
            builder.emit("sum_chunks", dw, dz, builder.gradient(weight))
            if self.use_bias:
                builder.emit("sum_chunks", db, dz, builder.gradient(self.segments["bias"]))
        return dx

    def get_config(self) -> dict[str, object]:
        return {"filters": self.filters, "kernel_size": self.kernel_size, "strides": self.strides,
                "padding": self.padding, "dilation_rate": self.dilation_rate, "groups": self.groups,
                "activation": self.choice.config(), "use_bias": self.use_bias,
                "kernel_initializer": initializers.config(self.kernel_initializer),
                "kernel_regularizer": config(self.kernel_regularizer),
                "bias_regularizer": config(self.bias_regularizer),
                "kernel_constraint": config(self.kernel_constraint), **super().get_config()}


class Conv2D(Convolution):
    """Images, each pixel of the output a weighted sum of a window of the input: y = f(x * W + b).

    Takes samples of shape ``(height, width, channels)``, gives ``(height', width', filters)``.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int or (int, int)
        Height and width of the window.
    strides : int or (int, int)
        Pixels from one window to the next.
    padding : "valid", "same", int or ((int, int), (int, int))
        Zeros around the image: none; so many that ``ceil(height / stride)`` rows come out, the odd one at the end;
        or given, above, below, left and right.
    dilation_rate : int or (int, int)
        Pixels from one weight of the window to the next.
    groups : int
        Parts that the channels of both sides fall into; filters see the channels of their own part.
    activation : str, Activation layer or (f, df), optional
        As `fastnn.Dense` has it, element by element.
    **settings
        ``use_bias``, ``kernel_initializer``, ``kernel_regularizer``, ``bias_regularizer``, ``kernel_constraint`` and
        ``name``, as `fastnn.Dense` has them.

    Attributes
    ----------
    weight : numpy.ndarray, shape (kernel height, kernel width, channels / groups, filters)
        W, a writable view, once the layer is in a model.
    bias : numpy.ndarray, shape (filters,)
        b, likewise.

    Notes
    -----
    Strictly a cross-correlation: the kernel is not turned around (CS231n, "Convolutional Neural Networks"). An
    initializer counts as a unit's inputs the ``kernel height * kernel width * channels / groups`` that it sees, and as
    its outputs as many of the filters.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Conv2D(6, 5, activation="relu"), fnn.MaxPool2D(2)], input_shape=(28, 28, 1))
    >>> model.layers[0].weight.shape, model.layers[0].output_shape, model.layers[1].output_shape
    ((5, 5, 1, 6), (24, 24, 6), (12, 12, 6))
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], strides: int | tuple[int, int] = 1,
                 padding: Any = "valid", dilation_rate: int | tuple[int, int] = 1, groups: int = 1,
                 activation: object = None, **settings: Any) -> None:
        super().__init__(filters, kernel_size, strides, padding, dilation_rate, groups, activation, **settings)


class DepthwiseConv2D(Convolution):
    """A convolution of each channel by itself: `fastnn.Conv2D` with as many groups as channels.

    Takes samples of shape ``(height, width, channels)``, gives ``(height', width', channels * depth_multiplier)``: the
    first `depth_multiplier` maps are of the first channel. A `fastnn.Conv2D` of size 1 after it mixes the channels.

    Parameters
    ----------
    kernel_size, strides, padding, dilation_rate, activation, **settings
        As `fastnn.Conv2D` has them.
    depth_multiplier : int
        Filters of each channel.

    Attributes
    ----------
    weight : numpy.ndarray, shape (kernel height, kernel width, 1, channels * depth_multiplier)
        A writable view, once the layer is in a model.
    bias : numpy.ndarray, shape (channels * depth_multiplier,)
        Likewise.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.DepthwiseConv2D(3, padding="same")], input_shape=(8, 8, 5))
    >>> model.layers[0].weight.shape, model.layers[0].output_shape
    ((3, 3, 1, 5), (8, 8, 5))
    """

    takes_filters = False

    def __init__(self, kernel_size: int | tuple[int, int], strides: int | tuple[int, int] = 1, padding: Any = "valid",
                 depth_multiplier: int = 1, dilation_rate: int | tuple[int, int] = 1, activation: object = None,
                 **settings: Any) -> None:
        super().__init__(0, kernel_size, strides, padding, dilation_rate, 1, activation, **settings)
        self.depth_multiplier = checks.positive_int("depth_multiplier", depth_multiplier)

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        self.groups = shape[-1]
        super().build(shape, vectors)

    def n_filters(self, channels: int) -> int:
        return channels * self.depth_multiplier

    def get_config(self) -> dict[str, object]:
        settings = super().get_config()
        del settings["filters"], settings["groups"]
        return {**settings, "depth_multiplier": self.depth_multiplier}


class Conv1D(Convolution):
    """Sequences, each step of the output a weighted sum of a stretch of the input: y = f(x * W + b).

    Takes samples of shape ``(time, features)``, gives ``(time', filters)``.

    Parameters
    ----------
    filters : int
        Features of the output.
    kernel_size, strides, dilation_rate : int
        Steps in time that a window has, from one window to the next, and from one weight to the next.
    padding : "valid", "same", int or ((int, int),)
        Zeros around the sequence, as `fastnn.Conv2D` has it; ``((before, after),)`` where they differ.
    groups, activation, **settings
        As `fastnn.Conv2D` has them.

    Attributes
    ----------
    weight : numpy.ndarray, shape (kernel size, features / groups, filters)
        A writable view, once the layer is in a model.
    bias : numpy.ndarray, shape (filters,)
        Likewise.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Conv1D(4, 3, padding=((2, 0),))], input_shape=(10, 2))  # sees the past only
    >>> model.layers[0].weight.shape, model.layers[0].output_shape
    ((3, 2, 4), (10, 4))
    """

    axes = 1

    def __init__(self, filters: int, kernel_size: int, strides: int = 1, padding: Any = "valid",
                 dilation_rate: int = 1, groups: int = 1, activation: object = None, **settings: Any) -> None:
        super().__init__(filters, kernel_size, strides, padding, dilation_rate, groups, activation, **settings)


class ConvTranspose2D(Convolution):
    """The transpose of a convolution, which makes images larger: each pixel spreads over a window of the output.

    Takes samples of shape ``(height, width, channels)``, gives ``(height', width', filters)``. What `fastnn.Conv2D`
    does to a gradient on its way back, with weights of its own.

    Parameters
    ----------
    filters, kernel_size, strides, dilation_rate, groups, activation, **settings
        As `fastnn.Conv2D` has them; a stride is pixels of the output.
    padding : "valid", "same", int or ((int, int), (int, int))
        What is cut off the output: nothing; so much that ``height * stride`` rows are left; or given.

    Attributes
    ----------
    weight : numpy.ndarray, shape (kernel height, kernel width, filters / groups, channels)
        A writable view, once the layer is in a model.
    bias : numpy.ndarray, shape (filters,)
        Likewise.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.ConvTranspose2D(3, 4, strides=2, padding="same")], input_shape=(7, 7, 8))
    >>> model.layers[0].weight.shape, model.layers[0].output_shape
    ((4, 4, 3, 8), (14, 14, 3))
    """

    forward_op, input_op = "conv_transpose_forward", "conv_transpose_backward_input"
    parameters_op = "conv_transpose_backward_parameters"

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], strides: int | tuple[int, int] = 1,
                 padding: Any = "valid", dilation_rate: int | tuple[int, int] = 1, groups: int = 1,
                 activation: object = None, **settings: Any) -> None:
        super().__init__(filters, kernel_size, strides, padding, dilation_rate, groups, activation, **settings)

    def sizes_after(self, size: tuple[int, int]) -> tuple[int, int]:
        return self.window.spread(size)

    def weight_shape(self, channels: int, filters: int) -> tuple[int, ...]:
        return *self.kernel_size, filters // self.groups, channels

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), **self.window.settings(self.result[:2])}
