"""Orders of axes, in which other programs have values; and values that have been read from there."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

from ..layers.tensor import Shape, Tensor

# Orders of a value's axes: of "samples" as fastnn has them, (n, ..., channels); "channels" first, as ONNX has
# images, (n, channels, ...); "steps" first, as ONNX has sequences, (time, n, features).
ORDERS = SAMPLES, CHANNELS, STEPS = "samples", "channels", "steps"


def require(package: str, extra: str | None = None) -> Any:
    """A package that is imported on use; an error says how it is installed."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        where = f'"fastnn-cpu[{extra}]"' if extra else package.partition(".")[0]
        raise ImportError(f"this needs {package.partition('.')[0]}: pip install {where}") from error


def permutation(rank: int, before: str, after: str) -> tuple[int, ...]:
    """The axes of a value of `rank` axes in one order, as they are in another.

    Examples
    --------
    >>> permutation(4, "samples", "channels"), permutation(4, "channels", "samples")
    ((0, 3, 1, 2), (0, 2, 3, 1))
    """
    to = {SAMPLES: range(rank), CHANNELS: (0, rank - 1, *range(1, rank - 1)), STEPS: (1, 0, *range(2, rank))}
    place = list(to[before])
    return tuple(place.index(axis) for axis in to[after])


class Read:
    """A value that has been read: the tensor, and the order of the axes that the file has it in.

    `places` is of an image that was flattened with its channels first: where each feature of the file is in
    fastnn's row of features.
    """

    def __init__(self, tensor: Tensor, order: str, places: np.ndarray | None = None) -> None:
        self.tensor, self.order, self.places = tensor, order, places

    @property
    def shape(self) -> Shape:
        """Of a sample, as fastnn has it."""
        return self.tensor.shape

    @property
    def trained(self) -> bool:
        """Whether there are layers with weights below."""
        stack = [self.tensor]
        while stack:
            node = stack.pop().node
            if node is not None and node.layer.segments:
                return True
            stack += node.inputs if node is not None else ()
        return False

    def features(self, array: np.ndarray, axis: int = 0) -> np.ndarray:
        """An array with an entry for each feature of the file, as fastnn has the features."""
        return array if self.places is None else np.take(array, np.argsort(self.places), axis)

    def spread(self, array: np.ndarray, where: object) -> np.ndarray:
        """An array that is broadcast to samples, as one of fastnn's samples."""
        rank = len(self.shape) + 1
        shape = [1 if n is None else n for n in (1, *self.shape)]
        shape = [shape[i] for i in permutation(rank, SAMPLES, self.order)]
        try:
            full = np.broadcast_to(array, shape)
        except ValueError:
            raise ValueError(f"{where}: expected a constant that is broadcast to {shape}, the rows being 1, got shape "
                             f"{array.shape}") from None
        return self.features(np.transpose(full, permutation(rank, self.order, SAMPLES))[0])


def places_of(x: Read) -> np.ndarray | None:
    """Where the features of an image, flattened with its channels first, are in fastnn's row."""
    sizes = [int(n) for n in x.shape if n is not None]
    if 1 in (sizes[-1], math.prod(sizes[:-1])):
        return None
    axes = [i - 1 for i in permutation(len(sizes) + 1, SAMPLES, CHANNELS)[1:]]
    return np.arange(math.prod(sizes)).reshape(sizes).transpose(axes).ravel()
