"""Model files."""

from .model_file import ModelFileError, load, save

__all__ = ["ModelFileError", "load", "save"]
