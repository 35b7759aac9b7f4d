"""Model files."""

from .model_file import load, save
from .records import ModelFileError

__all__ = ["ModelFileError", "load", "save"]
