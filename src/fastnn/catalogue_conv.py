"""The rows of `fastnn.catalogue` for convolutions and maximum pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .layers import (
    Activation,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    Layer,
    MaxPool1D,
    MaxPool2D,
)
from .layers.tensor import Input, Tensor

N_OUT = 3


def _ends() -> list[Layer]:
    return [Flatten(), Dense(N_OUT, "softmax")]


def _lenet() -> list[Layer]:
    return [Conv2D(3, 3, activation="relu"), MaxPool2D(2), Conv2D(4, 2, activation="tanh"), MaxPool2D(2), *_ends()]


def _shared() -> tuple[Tensor, Tensor]:
    x, twice = Input((4, 5, 2)), Conv2D(2, 3, padding="same", activation="tanh")
    last = Dense(N_OUT, "softmax")
    return x, last(Flatten()(twice(twice(x))))


CONVOLUTIONS: tuple[tuple[str, type[Layer], Callable[[], Any], tuple[int, ...]], ...] = (
    ("conv2d", Conv2D, lambda: [Conv2D(3, (3, 2), activation="tanh"), *_ends()], (5, 6, 2)),
    ("conv2d-same", Conv2D, lambda: [Conv2D(4, 3, 2, "same", activation="relu"), Conv2D(2, 3, padding="same"),
                                     *_ends()], (5, 4, 3)),
    ("conv2d-explicit", Conv2D, lambda: [Conv2D(7, 2, padding=((1, 0), (2, 1)), activation="silu"), *_ends()],
     (3, 4, 1)),
    ("conv2d-dilated", Conv2D, lambda: [Conv2D(3, 3, dilation_rate=2, padding=1), Activation("tanh"), *_ends()],
     (6, 5, 2)),
    ("conv2d-groups", Conv2D, lambda: [Conv2D(6, 3, groups=2, use_bias=False), *_ends()], (4, 4, 4)),
    ("conv2d-shared", Conv2D, _shared, (4, 5, 2)),
    ("depthwise-conv2d", DepthwiseConv2D, lambda: [DepthwiseConv2D(3, depth_multiplier=2, activation="tanh"),
                                                   Conv2D(3, 1), *_ends()], (4, 5, 3)),
    ("conv1d", Conv1D, lambda: [Conv1D(4, 3, padding=((2, 0),), activation="tanh"), Conv1D(3, 2, 2), *_ends()],
     (7, 2)),
    ("conv-transpose2d", ConvTranspose2D, lambda: [ConvTranspose2D(2, 3, 2, activation="tanh"), *_ends()], (2, 3, 3)),
    ("conv-transpose2d-same", ConvTranspose2D, lambda: [Conv2D(4, 2, 2), ConvTranspose2D(6, 3, 2, "same", groups=2),
                                                        *_ends()], (4, 5, 2)),
    ("max-pool2d", MaxPool2D, _lenet, (10, 11, 1)),
    ("max-pool2d-overlapping", MaxPool2D, lambda: [Conv2D(3, 1, activation="elu"), MaxPool2D(3, 2, "same"), *_ends()],
     (5, 6, 2)),
    ("max-pool1d", MaxPool1D, lambda: [Conv1D(3, 3), MaxPool1D(2), Activation("tanh"), *_ends()], (9, 2)),
)
