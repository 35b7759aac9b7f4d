"""Layers: each builds its parameters and emits its ops, forward and backward."""

from .activations import ELU, Activation, HardSigmoid, LeakyReLU, PReLU
from .base import Layer
from .dense import Dense
from .elementwise import Flatten
from .inputs import AdaptedLayer, InputLayer, MinMax, PCAWhitening, RowNormalize, Standardize
from .noise import Dropout, GaussianNoise

LAYERS: dict[str, type[Layer]] = {cls.__name__: cls for cls in (
    Activation, Dense, Dropout, ELU, Flatten, GaussianNoise, HardSigmoid, LeakyReLU, MinMax, PCAWhitening,
    PReLU, RowNormalize, Standardize)}

__all__ = ["ELU", "LAYERS", "Activation", "AdaptedLayer", "Dense", "Dropout", "Flatten", "GaussianNoise",
           "HardSigmoid", "InputLayer", "Layer", "LeakyReLU", "MinMax", "PCAWhitening", "PReLU",
           "RowNormalize", "Standardize"]
