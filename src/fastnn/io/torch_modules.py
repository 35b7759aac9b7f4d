"""What PyTorch has no module for, so that layers in a row are an ``nn.Sequential``. Imported on use: it needs torch."""

from __future__ import annotations

import torch
from torch import nn


class Permute(nn.Module):
    """Axes in another order."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The axes of x as told."""
        return x.permute(*self.axes)

    def extra_repr(self) -> str:
        """Shown by print."""
        return str(self.axes)


class ScaleShift(nn.Module):
    """(x - mean) scale, numbers that no training moves."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, mean: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(x - mean) scale."""
        return (x - self.mean) * self.scale
