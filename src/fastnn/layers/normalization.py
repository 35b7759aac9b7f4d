"""Layers that normalise what passes through: BatchNorm over a batch, LayerNorm and GroupNorm over each sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..program import Builder, Operand, Segment
from .base import Layer, Vectors


class _Normalization(Layer):
    """What normalising layers share: gamma and beta, and 1 / sqrt(variance + epsilon)."""

    def __init__(self, epsilon: float, center: bool, scale: bool, name: str | None) -> None:
        super().__init__(name)
        self.epsilon = checks.positive_float("epsilon", epsilon)
        self.center = checks.boolean("center", center)
        self.scale = checks.boolean("scale", scale)

    def add_parameters(self, vectors: Vectors, shape: tuple[int, ...]) -> None:
        """Declare gammas and betas of that shape, as far as they are wanted."""
        wanted = {"gamma": self.scale, "beta": self.center}
        self.segments = {name: vectors.parameters.add(f"{self.name}.{name}", shape)
                         for name, there in wanted.items() if there}

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"gamma": np.ones(())} if self.scale else {}

    def parameters(self, builder: Builder) -> tuple[Operand | None, Operand | None]:
        """gamma and beta as operands."""
        gamma, beta = (builder.parameter(s) if (s := self.segments.get(name)) else None
                       for name in ("gamma", "beta"))
        return gamma, beta

    def gradients(self, builder: Builder) -> tuple[Operand | None, Operand | None]:
        """The places of their gradients, where training moves them."""
        def place(segment: Segment | None) -> Operand | None:
            return builder.gradient(segment) if segment is not None and builder.trains(segment) else None
        return place(self.segments.get("gamma")), place(self.segments.get("beta"))

    def get_config(self) -> dict[str, object]:
        return {"epsilon": self.epsilon, "center": self.center, "scale": self.scale, **super().get_config()}


NATURAL = {1: "rows", 2: "time", 3: "lanes"}  # layouts of samples with so many axes


class BatchNorm(_Normalization):
    """Each feature with mean 0 and variance 1 over the batch, then times gamma plus beta.

    In training y = gamma (x - mean) / sqrt(variance + epsilon) + beta with mean and variance of the step's
    rows, variance dividing by their number. At inference y = gamma (x - running_mean) /
    sqrt(running_variance + epsilon) + beta, one multiply-add a value.

    Takes samples of shape ``(features,)``; of ``(time, features)``, whose features are normalised over rows and
    steps; of ``(height, width, channels)``, whose channels are over rows and pixels. Steps that a mask leaves out
    do not count.

    Parameters
    ----------
    momentum : float
        0 <= momentum < 1: what running statistics keep in a step, ``running = momentum * running +
        (1 - momentum) * batch``. Keras's convention and default; PyTorch's ``momentum`` is 1 minus this, its
        default of 0.1 is 0.9 here.
    epsilon : float
        Added to the variance: 1e-3 as in Keras, where PyTorch has 1e-5.
    center, scale : bool
        Whether beta, and whether gamma, is there to be learned. Keras's words; PyTorch's ``affine`` is both.
    unbiased : bool
        Whether the running variance is that which divides by the number of values minus 1, as in PyTorch;
        Keras divides by their number in both places. One value alone divides by 1.
    name : str, optional
        The layer's name in the model.

    Attributes
    ----------
    gamma, beta : numpy.ndarray, shape (features,)
        Start at 1 and 0; writable views, once the layer is in a model.

    Notes
    -----
    Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift". A bias right before it does nothing: ``fnn.Dense(n, use_bias=False)``. Activations come
    as layers of their own behind it.

    The running statistics are the arrays ``name.running_mean`` and ``name.running_variance`` of
    ``model.state_dict()``. Only steps of training move them, ``model.forward`` among them: `evaluate` and
    `predict` use them, ``model.bind`` and `check_gradients` look at the batch's and leave them alone.

    Frozen (``trainable = False`` at ``model.compile``) the layer works as at inference in training too, and
    its statistics stay, as in Keras. Rows of weight 0 count like the others. Since all rows of a step belong
    together, a step is never cut into blocks of rows.

    As in PyTorch with ``momentum=0.1, eps=1e-5``: ``BatchNorm(0.9, 1e-5, unbiased=True)``.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> layers = [fnn.Dense(16, use_bias=False), fnn.BatchNorm(), fnn.Activation("relu"), fnn.Dense(1)]
    >>> model = fnn.Sequential(layers, input_shape=(3,), seed=0)
    >>> model.compile("adam", loss="squared_error")
    >>> history = model.fit(np.eye(3), [0.0, 1.0, 2.0], epochs=2, verbose=0)
    >>> model.state_dict()["batch_norm.running_variance"].shape
    (16,)
    """

    across_rows = True

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3, *, center: bool = True,
                 scale: bool = True, unbiased: bool = False, name: str | None = None) -> None:
        super().__init__(epsilon, center, scale, name)
        self.momentum = checks.fraction("momentum", momentum)
        self.unbiased = checks.boolean("unbiased", unbiased)

    def frozen(self, builder: Builder) -> bool:
        """Whether training leaves the layer as it is, which `compile` has settled where it has parameters."""
        return not any(map(builder.trains, self.segments.values())) if self.segments else not self.trainable

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        if len(shape) not in NATURAL:
            raise ValueError(f"layer {self.name!r}: BatchNorm expects samples of one to three axes, got shape {shape}")
        super().build(shape, vectors)
        self.layouts = (NATURAL[len(shape)],)
        self.add_parameters(vectors, shape[-1:])
        self.persistent = {name: vectors.persistent.add(f"{self.name}.{name}", (shape[-1],))
                           for name in ("running_mean", "running_variance")}

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"running_variance": np.ones(()), **super().initial(rng)}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y, n = builder.like(x), self.input_shape[-1:]
        parameters = self.parameters(builder)
        running = [builder.persistent_array(s) for s in self.persistent.values()]
        if not builder.training or self.frozen(builder):
            scale, shift = builder.arena(n), builder.arena(n)
            builder.emit("batch_norm_fold", *running, *parameters, scale, shift, epsilon=self.epsilon)
            builder.emit("scale_shift", x, scale, shift, y)
            builder.saved[self] = scale
            return y
        mask = builder.mask_of(x)
        statistics = [builder.arena(n), builder.arena(n)] if builder.differentiates else [None, None]
        builder.emit("batch_norm_forward", x, *parameters, mask, y, *statistics, *(running if builder.updates else ()),
                     unbiased=int(self.unbiased), epsilon=self.epsilon,
                     momentum=0.0 if builder.anew else self.momentum)
        builder.saved[self] = x, *statistics, mask
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        dx, saved = builder.like(dy) if need_dx else None, builder.saved[self]
        if self.frozen(builder):
            if dx is not None:
                builder.emit("scale_shift", dy, saved, None, dx)
            return dx
        gradients, (*of_forward, mask) = self.gradients(builder), saved
        if dx is not None or any(gradients):
            builder.emit("batch_norm_backward", dy, *of_forward, self.parameters(builder)[0], mask, dx, *gradients)
        return dx

    def get_config(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "unbiased": self.unbiased, **super().get_config()}


class _SampleNorm(_Normalization):
    """What LayerNorm and GroupNorm share: each sample by itself, a row of features or an image."""

    groups, per_pixel = 1, False  # of images

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y, cells = builder.like(x), self._cells(x)
        statistics = [builder.arena(cells, layout=x.layout) for _ in range(2)] if builder.differentiates else []
        builder.emit(f"{self._kind(x)}_norm_forward", x, *self.parameters(builder), y, *statistics,
                     epsilon=self.epsilon, **self._settings(x))
        builder.saved[self] = x, *statistics
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        saved, dx = builder.saved[self], None
        op, settings = f"{self._kind(dy)}_norm_backward", self._settings(dy)
        if need_dx:
            dx = builder.like(dy)
            builder.emit(op, dy, *saved, self.parameters(builder)[0], dx, **settings)
        gradients = self.gradients(builder)
        if any(gradients):
            builder.emit(f"{op}_parameters", dy, *saved, *gradients, **settings)
        return dx

    def _kind(self, x: Operand) -> str:
        return "group" if x.layout == "lanes" else "layer"

    def _settings(self, x: Operand) -> dict[str, Any]:
        """What the ops are told of images."""
        return {"groups": self.groups, "per_pixel": int(self.per_pixel)} if x.layout == "lanes" else {}

    def _cells(self, x: Operand) -> tuple[int | str, ...]:
        """The shape of the statistics."""
        if x.layout != "lanes":
            return x.shape[:1]
        return ("B", *(x.shape[1:3] if self.per_pixel else (1, 1)), self.groups)


class LayerNorm(_SampleNorm):
    """Each sample with mean 0 and variance 1 over its features, then times gamma plus beta.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta with the sample's own mean and variance, in training
    and at inference alike: no row depends on another. A sample is ``(features,)``; each step of
    ``(time, features)``; and of ``(height, width, channels)`` each pixel over its channels, or the whole image.

    Parameters
    ----------
    epsilon : float
        Added to the variance: 1e-3 as in Keras, where PyTorch has 1e-5.
    axis : int or tuple of int
        What mean and variance are over, counted as in Keras with the rows as axis 0: -1, the last axis, or
        (1, 2, 3), the whole of an image. gamma and beta have the shape of these axes.
    center, scale : bool
        Whether beta, and whether gamma, is there to be learned.
    name : str, optional
        The layer's name in the model.

    Attributes
    ----------
    gamma, beta : numpy.ndarray, shape (features,), (channels,) or (height, width, channels)
        Start at 1 and 0; writable views, once the layer is in a model.

    Notes
    -----
    Ba, Kiros and Hinton 2016, "Layer normalization". The variance divides by the number of features. PyTorch's
    ``LayerNorm`` over the last axes, in its order of channels.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.LayerNorm()], input_shape=(3,), dtype="float64")
    >>> model.predict([[1.0, 2.0, 3.0]]).round(2)
    array([[-1.22,  0.  ,  1.22]])
    """

    def __init__(self, epsilon: float = 1e-3, axis: int | tuple[int, ...] = -1, *, center: bool = True,
                 scale: bool = True, name: str | None = None) -> None:
        super().__init__(epsilon, center, scale, name)
        axes = tuple(checks.positive_int("axis", a, minimum=-4, maximum=3)
                     for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))
        self.axis = axes if isinstance(axis, (tuple, list)) else axes[0]

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        over = sorted(a % (len(shape) + 1) for a in axes)
        self.per_pixel = over == [len(shape)]
        if len(shape) not in NATURAL or not (self.per_pixel or over == [1, 2, 3]):
            raise ValueError(f"layer {self.name!r}: axis: expected -1, the last one, or (1, 2, 3), the whole of an "
                             f"image, got {self.axis!r} for samples of shape {shape}")
        super().build(shape, vectors)
        self.layouts = (NATURAL[len(shape)],)
        self.add_parameters(vectors, shape[-1:] if self.per_pixel else shape)

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis, **super().get_config()}


class GroupNorm(_SampleNorm):
    """Each image's channels in groups, each group with mean 0 and variance 1, then times gamma plus beta.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta with mean and variance over the pixels and channels of
    a group, for each image by itself: a small batch is no matter. Takes ``(height, width, channels)``. One group
    is layer norm over the image with a gamma a channel, as many groups as channels are instance norm.

    Parameters
    ----------
    groups : int
        How many groups of neighbouring channels; a divisor of their number, or -1 for as many as there are.
    epsilon : float
        Added to the variance: 1e-3 as in Keras, where PyTorch has 1e-5.
    center, scale : bool
        Whether beta, and whether gamma, is there to be learned.
    name : str, optional
        The layer's name in the model.

    Attributes
    ----------
    gamma, beta : numpy.ndarray, shape (channels,)
        Start at 1 and 0; writable views, once the layer is in a model.

    Notes
    -----
    Wu and He 2018, "Group normalization"; Ulyanov, Vedaldi and Lempitsky 2016 for instance norm. The variance
    divides by the number of values.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.GroupNorm(2), fnn.Flatten()], input_shape=(4, 4, 6), dtype="float64")
    >>> groups = model.predict(np.random.default_rng(0).random((1, 4, 4, 6))).reshape(16, 2, 3)
    >>> np.allclose(groups.mean((0, 2)), 0), np.allclose(groups.std((0, 2)), 1, atol=0.01)
    (True, True)
    """

    layouts = ("lanes",)

    def __init__(self, groups: int = 32, epsilon: float = 1e-3, *, center: bool = True, scale: bool = True,
                 name: str | None = None) -> None:
        super().__init__(epsilon, center, scale, name)
        self.given_groups = checks.positive_int("groups", groups, minimum=-1)
        if not groups:
            raise ValueError("groups must be a divisor of the number of channels, or -1 for as many, got 0")

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        if len(shape) != 3:
            raise ValueError(f"layer {self.name!r}: GroupNorm expects samples of shape (height, width, channels), got "
                             f"{shape}; LayerNorm takes others")
        super().build(shape, vectors)
        self.groups = shape[2] if self.given_groups == -1 else self.given_groups
        if shape[2] % self.groups:
            raise ValueError(f"layer {self.name!r}: groups: expected a divisor of the {shape[2]} channels, got "
                             f"{self.groups}")
        self.add_parameters(vectors, shape[2:])

    def get_config(self) -> dict[str, Any]:
        return {"groups": self.given_groups, **super().get_config()}
