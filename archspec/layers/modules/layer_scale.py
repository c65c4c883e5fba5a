"""A learned factor for each channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LayerScale(nn.Module):
    """Multiplies each channel, or each feature, by a learned value."""

    def __init__(
        self, channels: int, value: float = 1e-6, spatial_axes: int = 2
    ) -> None:
        super().__init__()
        shape = (channels, *[1] * spatial_axes)
        self.weight = nn.Parameter(torch.full(shape, float(value)))

    def forward(self, input: Tensor) -> Tensor:
        return self.weight * input
