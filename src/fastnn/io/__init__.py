"""Model files, and the ways to other programs."""

from .model_file import load, save
from .onnx_export import to_onnx
from .onnx_import import from_onnx
from .records import ModelFileError

__all__ = ["ModelFileError", "from_onnx", "load", "save", "to_onnx"]
