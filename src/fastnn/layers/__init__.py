"""Layers: each builds its parameters and emits its ops, forward and backward."""

from .base import Layer
from .dense import Dense
from .elementwise import Activation, Flatten, Standardize

LAYERS: dict[str, type[Layer]] = {cls.__name__: cls for cls in (Activation, Dense, Flatten, Standardize)}

__all__ = ["LAYERS", "Activation", "Dense", "Flatten", "Layer", "Standardize"]
