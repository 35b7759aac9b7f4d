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


class Recurrent(nn.Module):
    """One layer of an RNN, LSTM or GRU: its output after every step, or the last state of each direction.

    A GRU with the reset gate before the product (``reset_after=False``) PyTorch does not have.
    """

    def __init__(self, rnn: nn.RNN | nn.LSTM | nn.GRU, sequences: bool) -> None:
        super().__init__()
        self.rnn, self.sequences = rnn, sequences

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, time, features) to (n, time, units) or (n, units), units of both directions side by side."""
        y, state = self.rnn(x)
        if self.sequences:
            return y
        h = state[0] if isinstance(state, tuple) else state
        return torch.cat(list(h), dim=-1)

    def extra_repr(self) -> str:
        """Shown by print."""
        return f"sequences={self.sequences}"


class Mean(nn.Module):
    """The mean, or the largest value, over all axes but the first and the channels, which are second."""

    def __init__(self, largest: bool = False) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, channels, ...) to (n, channels)."""
        flat = x.flatten(2)
        return flat.amax(2) if self.largest else flat.mean(2)

    def extra_repr(self) -> str:
        """Shown by print."""
        return f"largest={self.largest}"
