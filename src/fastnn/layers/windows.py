"""Windows that slide over images: how convolutions and pooling are told their sizes, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import checks
from ..checks_arrays import describe
from ..operands import MOST_PIXELS

Pair = tuple[int, int]
Padding = str | tuple[Pair, ...]


def sizes(name: str, value: Any, axes: int) -> tuple[int, ...]:
    """`value` as a positive size for each axis; a single one stands for all.

    Examples
    --------
    >>> sizes("strides", 2, axes=2)
    (2, 2)
    """
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(values) != axes:
        raise ValueError(f"{name}: expected one number or {axes}, got {describe(value)}")
    return tuple(checks.positive_int(name, n, maximum=MOST_PIXELS) for n in values)


def padding(value: Any, axes: int) -> Padding:
    """`value` as "valid", "same", or zeros (before, after) for each axis; a number stands for both.

    Examples
    --------
    >>> padding((1, (0, 2)), axes=2)
    ((1, 1), (0, 2))
    """
    expected = f"padding: expected 'valid', 'same', a number of zeros, or {axes} numbers or pairs (before, after)"
    if isinstance(value, str):
        return checks.choice("padding", value, ("valid", "same"))
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(values) != axes:
        raise ValueError(f"{expected}, got {describe(value)}")
    pairs = [tuple(v) if isinstance(v, (tuple, list)) else (v, v) for v in values]
    if any(len(p) != 2 for p in pairs):
        raise ValueError(f"{expected}, got {describe(value)}")
    return tuple((checks.positive_int("padding", before, 0, MOST_PIXELS),
                  checks.positive_int("padding", after, 0, MOST_PIXELS)) for before, after in pairs)


class Axis(NamedTuple):
    """A window along one axis: its size in taps, so far apart, in steps of `stride` over n pixels."""

    size: int
    stride: int
    dilation: int
    padding: str | Pair

    @property
    def span(self) -> int:
        """Pixels from the first tap to the last."""
        return (self.size - 1) * self.dilation + 1

    def before(self, n: int) -> int:
        """Zeros before n pixels."""
        if self.padding == "same":
            return max((-(-n // self.stride) - 1) * self.stride + self.span - n, 0) // 2
        return 0 if isinstance(self.padding, str) else self.padding[0]

    def count(self, n: int) -> int:
        """Windows over n pixels; less than one where none fits."""
        if self.padding == "same":
            return -(-n // self.stride)
        zeros = 0 if isinstance(self.padding, str) else sum(self.padding)
        return (n + zeros - self.span) // self.stride + 1

    def spread(self, n: int) -> int:
        """Pixels that n windows came from: what a transposed convolution makes of n."""
        if self.padding == "same":
            return n * self.stride
        zeros = 0 if isinstance(self.padding, str) else sum(self.padding)
        return (n - 1) * self.stride + self.span - zeros


class Window:
    """A window over the axes of an image; one over a sequence has height 1.

    Parameters
    ----------
    size, strides, dilation : sequence of int
        For each of one or two axes.
    zeros : str or tuple of pairs
        As `padding` gives it.
    """

    def __init__(self, size: Sequence[int], strides: Sequence[int], zeros: Padding,
                 dilation: Sequence[int] | None = None) -> None:
        dilation = dilation or [1] * len(size)
        each: Sequence[str | Pair] = [zeros] * len(size) if isinstance(zeros, str) else zeros
        axes = [Axis(k, s, d, p) for k, s, d, p in zip(size, strides, dilation, each, strict=True)]
        self.y, self.x = [Axis(1, 1, 1, "valid")] * (2 - len(axes)) + axes

    def count(self, size: Pair) -> Pair:
        """Windows over an image of (h, w)."""
        return self.y.count(size[0]), self.x.count(size[1])

    def spread(self, size: Pair) -> Pair:
        """The image that so many windows came from."""
        return self.y.spread(size[0]), self.x.spread(size[1])

    def settings(self, size: Pair) -> dict[str, int]:
        """What the ops are told of windows over an image of (h, w)."""
        y, x = self.y, self.x
        return {"kernel_y": y.size, "kernel_x": x.size, "stride_y": y.stride, "stride_x": x.stride,
                "pad_y": y.before(size[0]), "pad_x": x.before(size[1])}


def as_image(shape: tuple[int, ...], axes: int, layer: str, kind: str) -> tuple[int, int, int]:
    """(h, w, c) of samples of shape (h, w, c), or with one axis (time, features).

    Raises
    ------
    ValueError
        If samples have another number of axes.
    """
    expected = "(height, width, channels)" if axes == 2 else "(time, features)"
    if len(shape) != axes + 1 or None in shape:
        raise ValueError(f"layer {layer!r}: {kind} expects samples of shape {expected}, got {shape}")
    return shape if axes == 2 else (1, *shape)  # type: ignore[return-value]
