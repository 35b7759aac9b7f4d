"""Layers that normalise what passes through: BatchNorm over a batch, LayerNorm over each sample."""

from __future__ import annotations

import math
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

    def add_parameters(self, vectors: Vectors, n: int) -> None:
        """Declare n gammas and betas, as far as they are wanted."""
        wanted = {"gamma": self.scale, "beta": self.center}
        self.segments = {name: vectors.parameters.add(f"{self.name}.{name}", (n,))
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


class BatchNorm(_Normalization):
    """Each feature with mean 0 and variance 1 over the batch, then times gamma plus beta.

    In training y = gamma (x - mean) / sqrt(variance + epsilon) + beta with mean and variance of the step's
    rows, variance dividing by their number. At inference y = gamma (x - running_mean) /
    sqrt(running_variance + epsilon) + beta, one multiply-add a value.

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
        super().build(shape, vectors)
        self.add_parameters(vectors, shape[-1])
        self.persistent = {name: vectors.persistent.add(f"{self.name}.{name}", (shape[-1],))
                           for name in ("running_mean", "running_variance")}

    def initial(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"running_variance": np.ones(()), **super().initial(rng)}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(x.shape)
        parameters = self.parameters(builder)
        running = [builder.persistent_array(s) for s in self.persistent.values()]
        n = self.input_shape[-1:]
        if not builder.training or self.frozen(builder):
            scale, shift = builder.arena(n), builder.arena(n)
            builder.emit("batch_norm_fold", *running, *parameters, scale, shift, epsilon=self.epsilon)
            builder.emit("scale_shift", x, scale, shift, y)
            builder.saved[self] = scale
            return y
        statistics = [builder.arena(n), builder.arena(n)] if builder.differentiates else [None, None]
        builder.emit("batch_norm_forward", x, *parameters, y, *statistics,
                     *(running if builder.updates else ()), unbiased=int(self.unbiased),
                     epsilon=self.epsilon, momentum=self.momentum)
        builder.saved[self] = x, *statistics
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        dx = builder.arena(dy.shape) if need_dx else None
        saved = builder.saved[self]
        if not self.frozen(builder):
            gradients = self.gradients(builder)
            if dx is not None or any(gradients):
                builder.emit("batch_norm_backward", dy, *saved, self.parameters(builder)[0], dx, *gradients)
        elif dx is not None:
            builder.emit("scale_shift", dy, saved, None, dx)
        return dx

    def get_config(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "unbiased": self.unbiased, **super().get_config()}


class LayerNorm(_Normalization):
    """Each sample with mean 0 and variance 1 over its features, then times gamma plus beta.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta with the row's own mean and variance, in training
    and at inference alike: no row depends on another.

    Parameters
    ----------
    epsilon : float
        Added to the variance: 1e-3 as in Keras, where PyTorch has 1e-5.
    center, scale : bool
        Whether beta, and whether gamma, is there to be learned.
    name : str, optional
        The layer's name in the model.

    Attributes
    ----------
    gamma, beta : numpy.ndarray, shape (features,)
        Start at 1 and 0; writable views, once the layer is in a model.

    Notes
    -----
    Ba, Kiros and Hinton 2016, "Layer normalization". The variance divides by the number of features.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.LayerNorm()], input_shape=(3,), dtype="float64")
    >>> model.predict([[1.0, 2.0, 3.0]]).round(2)
    array([[-1.22,  0.  ,  1.22]])
    """

    def __init__(self, epsilon: float = 1e-3, *, center: bool = True, scale: bool = True,
                 name: str | None = None) -> None:
        super().__init__(epsilon, center, scale, name)

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        super().build(shape, vectors)
        self.add_parameters(vectors, math.prod(shape))

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(x.shape)
        of_rows = x.shape[:1]
        statistics = [builder.arena(of_rows), builder.arena(of_rows)] if builder.differentiates else []
        builder.emit("layer_norm_forward", x, *self.parameters(builder), y, *statistics, epsilon=self.epsilon)
        builder.saved[self] = x, *statistics
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        saved, dx = builder.saved[self], None
        if need_dx:
            dx = builder.arena(dy.shape)
            builder.emit("layer_norm_backward", dy, *saved, self.parameters(builder)[0], dx)
        gradients = self.gradients(builder)
        if any(gradients):
            builder.emit("layer_norm_backward_parameters", dy, *saved, *gradients)
        return dx
