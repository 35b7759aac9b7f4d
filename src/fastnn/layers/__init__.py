"""Layers: each builds its parameters and emits its ops, forward and backward."""

from typing import Any

from .activations import ELU, Activation, HardSigmoid, LeakyReLU, PReLU
from .base import Layer
from .convolution import Conv1D, Conv2D, ConvTranspose2D, DepthwiseConv2D
from .dense import Dense
from .elementwise import Flatten
from .inputs import AdaptedLayer, InputLayer, MinMax, PCAWhitening, RowNormalize, Standardize
from .merge import Add, Concatenate, Multiply
from .noise import Dropout, GaussianNoise
from .normalization import BatchNorm, LayerNorm
from .pooling import MaxPool1D, MaxPool2D

LAYERS: dict[str, type[Layer]] = {cls.__name__: cls for cls in (
    Activation, Add, BatchNorm, Concatenate, Conv1D, Conv2D, ConvTranspose2D, Dense, DepthwiseConv2D, Dropout, ELU,
    Flatten, GaussianNoise, HardSigmoid, LayerNorm, LeakyReLU, MaxPool1D, MaxPool2D, MinMax, Multiply, PCAWhitening,
    PReLU, RowNormalize, Standardize)}


def to_config(layer: Layer) -> dict[str, Any]:
    """A layer as plain data: its class, its arguments, and whether it is frozen.

    Raises
    ------
    ValueError
        If its class is not registered, so that `from_config` could not make it.
    """
    cls = type(layer)
    if LAYERS.get(cls.__name__) is not cls:
        raise ValueError(f"layer {layer.name!r}: {cls.__name__} is a class of yours, which copies and files "
                         "know by its name alone; register it, fastnn.layers.LAYERS"
                         f"[{cls.__name__!r}] = {cls.__name__}, wherever a file is written and read")
    frozen = {} if layer.trainable else {"trainable": False}
    return {"class": type(layer).__name__, **layer.get_config(), **frozen}


def from_config(config: dict[str, Any]) -> Layer:
    """A new layer from `to_config`.

    Examples
    --------
    >>> from_config(to_config(Flatten(name="rows")))
    Flatten(name='rows')
    """
    arguments = dict(config)
    cls, trainable = LAYERS[arguments.pop("class")], arguments.pop("trainable", True)
    layer = cls(**arguments)
    layer.trainable = trainable
    return layer


__all__ = [
    "ELU", "LAYERS", "Activation", "AdaptedLayer", "Add", "BatchNorm", "Concatenate", "Conv1D", "Conv2D",
    "ConvTranspose2D", "Dense", "DepthwiseConv2D", "Dropout", "Flatten", "GaussianNoise", "HardSigmoid", "InputLayer",
    "Layer", "LayerNorm", "LeakyReLU", "MaxPool1D", "MaxPool2D", "MinMax", "Multiply", "PCAWhitening", "PReLU",
    "RowNormalize", "Standardize", "from_config", "to_config",
]
