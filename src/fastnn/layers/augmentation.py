"""Images changed at random while a model is trained: RandomFlip, RandomShift, RandomRotation."""

from __future__ import annotations

import math
from typing import Any

from .. import checks
from ..operands import MOST_PIXELS
from ..program import Builder, Operand
from .base import Vectors
from .noise import RandomLayer
from .windows import as_image


class Augmentation(RandomLayer):
    """What the layers of this file are: in training each image is changed by itself, at inference none is.

    Parameters
    ----------
    seed : int, optional
        Of the layer's own numbers; by default the model's seed.
    name : str, optional
        The layer's name in the model.
    """

    layouts = ("rows",)
    op = ""

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        super().build(shape, vectors)
        self.image = as_image(shape, 2, self.name, type(self).__name__)

    def change(self, gradient: bool) -> dict[str, Any]:
        """What the op is told, of images or of their gradient."""
        raise NotImplementedError

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        if not builder.training:
            return x
        height, width, channels = self.image
        builder.saved[self] = {"height": height, "width": width, "channels": channels,
                               **self.random_settings(builder, x)}
        return self._changed(builder, x, gradient=False)

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        return self._changed(builder, dy, gradient=True) if need_dx else None

    def _changed(self, builder: Builder, x: Operand, gradient: bool) -> Operand:
        y = builder.like(x)
        builder.emit(self.op, x, y, **builder.saved[self], **self.change(gradient))
        return y


class RandomFlip(Augmentation):
    """In training each image is mirrored with probability 1/2; at inference y = x.

    Takes samples of shape ``(height, width, channels)``.

    Parameters
    ----------
    mode : {"horizontal", "vertical", "horizontal_and_vertical"}
        Left to right, upside down, or each by itself.
    seed : int, optional
        Of the draws; by default the model's seed.
    name : str, optional
        The layer's name in the model.

    Notes
    -----
    Drawn from counters as the mask of `fastnn.Dropout` is: the same on both backends and any number of threads,
    another one each step.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> layers = [fnn.RandomFlip(), fnn.Flatten(), fnn.Dense(3, "softmax")]
    >>> model = fnn.Sequential(layers, input_shape=(8, 8, 1), seed=0)
    >>> model.compile()
    >>> history = model.fit(np.ones((6, 8, 8, 1)), [0, 1, 2, 0, 1, 2], verbose=0)
    """

    op = "random_flip"

    def __init__(self, mode: str = "horizontal", seed: int | None = None, *, name: str | None = None) -> None:
        super().__init__(seed, name)
        self.mode = checks.choice("mode", mode, ("horizontal", "vertical", "horizontal_and_vertical"))

    def change(self, gradient: bool) -> dict[str, Any]:
        return {axis: int(axis in self.mode) for axis in ("horizontal", "vertical")}

    def get_config(self) -> dict[str, object]:
        return {"mode": self.mode, **super().get_config()}


class RandomShift(Augmentation):
    """In training each image is moved by a few whole pixels; at inference y = x.

    Takes samples of shape ``(height, width, channels)``.

    Parameters
    ----------
    height, width : int
        The most pixels up or down, and aside: each number of them is as likely.
    fill : float
        What comes in at the sides.
    seed : int, optional
        Of the draws; by default the model's seed.
    name : str, optional
        The layer's name in the model.

    Notes
    -----
    Drawn from counters as the mask of `fastnn.Dropout` is.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.RandomShift(1, 1), fnn.Flatten()], input_shape=(2, 2, 1))
    >>> model.predict([[[[1], [2]], [[3], [4]]]])
    array([[1., 2., 3., 4.]], dtype=float32)
    """

    op = "random_shift"

    def __init__(self, height: int = 2, width: int = 2, fill: float = 0.0, seed: int | None = None, *,
                 name: str | None = None) -> None:
        super().__init__(seed, name)
        self.height = checks.positive_int("height", height, 0, MOST_PIXELS)
        self.width = checks.positive_int("width", width, 0, MOST_PIXELS)
        self.fill = checks.finite_float("fill", fill)

    def change(self, gradient: bool) -> dict[str, Any]:
        return {"most_y": self.height, "most_x": self.width, "fill": self.fill, "gradient": int(gradient)}

    def get_config(self) -> dict[str, object]:
        return {"height": self.height, "width": self.width, "fill": self.fill, **super().get_config()}


class RandomRotation(Augmentation):
    """In training each image is turned about its middle by a small angle; at inference y = x.

    Takes samples of shape ``(height, width, channels)``. Values lie between those of four pixels (bilinear).

    Parameters
    ----------
    degrees : float
        The largest angle, either way: each up to it is as likely.
    fill : float
        What lies around the image.
    seed : int, optional
        Of the draws; by default the model's seed.
    name : str, optional
        The layer's name in the model.

    Notes
    -----
    Drawn from counters as the mask of `fastnn.Dropout` is.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> model = fnn.Sequential([fnn.RandomRotation(15.0), fnn.Flatten()], input_shape=(2, 2, 1))
    >>> model.predict([[[[1], [2]], [[3], [4]]]])
    array([[1., 2., 3., 4.]], dtype=float32)
    """

    op = "random_rotation"

    def __init__(self, degrees: float = 10.0, fill: float = 0.0, seed: int | None = None, *,
                 name: str | None = None) -> None:
        super().__init__(seed, name)
        self.degrees = checks.positive_float("degrees", degrees, allow_zero=True)
        self.fill = checks.finite_float("fill", fill)

    def change(self, gradient: bool) -> dict[str, Any]:
        return {"most": math.radians(self.degrees), "fill": self.fill, "gradient": int(gradient)}

    def get_config(self) -> dict[str, object]:
        return {"degrees": self.degrees, "fill": self.fill, **super().get_config()}
