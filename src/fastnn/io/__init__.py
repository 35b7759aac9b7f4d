"""Model files, and the ways to other programs."""

from .c_export import export_c
from .keras import from_keras_weights
from .model_file import load, save
from .onnx_export import to_onnx
from .onnx_import import from_onnx
from .records import ModelFileError
from .torch_export import to_torch
from .torch_import import from_torch

__all__ = [
    "ModelFileError", "export_c", "from_keras_weights", "from_onnx", "from_torch", "load", "save", "to_onnx",
    "to_torch",
]
