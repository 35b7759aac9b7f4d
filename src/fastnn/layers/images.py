"""Images in other sizes: ZeroPadding2D, Cropping2D, UpSampling2D."""

from __future__ import annotations

from typing import Any

from .. import checks
from ..program import Builder, Operand
from .base import Layer, Vectors
from .windows import as_image, padding, sizes

Pairs = tuple[tuple[int, int], tuple[int, int]]


def pairs(name: str, value: Any) -> Pairs:
    """`value` as ((above, below), (left, right)); a number stands for all, two for both of an axis."""
    try:
        result = padding("valid" if isinstance(value, str) else value, 2)
    except (TypeError, ValueError):
        result = "valid"
    if isinstance(result, str):
        raise ValueError(f"{name}: expected a number of pixels, or two or pairs ((above, below), (left, right)), "
                         f"got {checks.describe(value)}")
    return result  # type: ignore[return-value]


class _Framing(Layer):
    """An image with pixels added or taken away at its sides."""

    layouts = ("lanes",)
    added: Pairs  # negative: taken away

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        h, w, c = self.image = as_image(shape, 2, self.name, type(self).__name__)
        (above, below), (left, right) = self.added
        self.input_shape, self.output_shape = shape, (h + above + below, w + left + right, c)
        if min(self.output_shape) < 1:
            raise ValueError(f"layer {self.name!r}: expected to leave a pixel of {(h, w)}, got "
                             f"cropping={tuple((-a, -b) for a, b in self.added)}")

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(("B", *self.output_shape), layout="lanes")
        builder.emit("crop_pad", x, y, pad_y=self.added[0][0], pad_x=self.added[1][0])
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        if not need_dx:
            return None
        dx = builder.arena(("B", *self.image), layout="lanes")
        builder.emit("crop_pad", dy, dx, pad_y=-self.added[0][0], pad_x=-self.added[1][0])
        return dx


class ZeroPadding2D(_Framing):
    """Zeros around an image.

    Takes samples of shape ``(height, width, channels)``.

    Parameters
    ----------
    padding : int, (int, int) or ((int, int), (int, int))
        Pixels at every side; above and below, and left and right; or each, ((above, below), (left, right)).
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.ZeroPadding2D((0, 1)), fnn.Flatten()], input_shape=(1, 2, 1))
    >>> model.predict([[[[1], [2]]]])
    array([[0., 1., 2., 0.]], dtype=float32)
    """

    def __init__(self, padding: Any = 1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.padding = self.added = pairs("padding", padding)

    def get_config(self) -> dict[str, object]:
        return {"padding": self.padding, **super().get_config()}


class Cropping2D(_Framing):
    """An image without the pixels at its sides.

    Takes samples of shape ``(height, width, channels)``.

    Parameters
    ----------
    cropping : int, (int, int) or ((int, int), (int, int))
        Pixels at every side; above and below, and left and right; or each, ((above, below), (left, right)).
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.Cropping2D(((0, 0), (1, 0))), fnn.Flatten()], input_shape=(1, 3, 1))
    >>> model.predict([[[[1], [2], [3]]]])
    array([[2., 3.]], dtype=float32)
    """

    def __init__(self, cropping: Any = 1, *, name: str | None = None) -> None:
        super().__init__(name)
        (above, below), (left, right) = self.cropping = pairs("cropping", cropping)
        self.added = (-above, -below), (-left, -right)

    def get_config(self) -> dict[str, object]:
        return {"cropping": self.cropping, **super().get_config()}


class UpSampling2D(Layer):
    """An image enlarged by whole factors.

    Takes samples of shape ``(height, width, channels)``.

    Parameters
    ----------
    size : int or (int, int)
        The factors, vertical and horizontal.
    interpolation : {"nearest", "bilinear"}
        Each pixel again and again, or values between the centres of four pixels, as in Keras and with PyTorch's
        ``align_corners=False``; beyond the outermost centres the border goes on.
    name : str, optional
        The layer's name in the model.

    Examples
    --------
    >>> import fastnn as fnn
    >>> model = fnn.Sequential([fnn.UpSampling2D((1, 2), "bilinear"), fnn.Flatten()], input_shape=(1, 2, 1))
    >>> model.predict([[[[0], [4]]]])
    array([[0., 1., 3., 4.]], dtype=float32)
    """

    layouts = ("lanes",)

    def __init__(self, size: int | tuple[int, int] = 2, interpolation: str = "nearest", *,
                 name: str | None = None) -> None:
        super().__init__(name)
        self.size = sizes("size", size, 2)
        self.interpolation = checks.choice("interpolation", interpolation, ("nearest", "bilinear"))

    def build(self, shape: tuple[int, ...], vectors: Vectors) -> None:
        h, w, c = self.image = as_image(shape, 2, self.name, "UpSampling2D")
        self.input_shape, self.output_shape = shape, (h * self.size[0], w * self.size[1], c)

    @property
    def _settings(self) -> dict[str, Any]:
        return {"factor_y": self.size[0], "factor_x": self.size[1], "bilinear": int(self.interpolation == "bilinear")}

    def forward(self, builder: Builder, x: Operand, *, activate: bool = True) -> Operand:
        y = builder.arena(("B", *self.output_shape), layout="lanes")
        builder.emit("upsample_forward", x, y, **self._settings)
        return y

    def backward(self, builder: Builder, dy: Operand, *, need_dx: bool) -> Operand | None:
        if not need_dx:
            return None
        dx = builder.arena(("B", *self.image), layout="lanes")
        builder.emit("upsample_backward", dy, dx, **self._settings)
        return dx

    def get_config(self) -> dict[str, object]:
        return {"size": self.size, "interpolation": self.interpolation, **super().get_config()}
