"""Layers: each builds its parameters and emits its ops, forward and backward."""

from .base import Layer
from .dense import Dense
from .elementwise import Activation, Flatten
from .inputs import AdaptedLayer, InputLayer, MinMax, PCAWhitening, RowNormalize, Standardize
from .noise import Dropout, GaussianNoise

LAYERS: dict[str, type[Layer]] = {cls.__name__: cls for cls in (
    Activation, Dense, Dropout, Flatten, GaussianNoise, MinMax, PCAWhitening, RowNormalize, Standardize)}

__all__ = ["LAYERS", "Activation", "AdaptedLayer", "Dense", "Dropout", "Flatten", "GaussianNoise",
           "InputLayer", "Layer", "MinMax", "PCAWhitening", "RowNormalize", "Standardize"]
