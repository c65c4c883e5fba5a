"""A learned factor for each channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LayerScale(nn.Module):
    """Multiplies each channel, or each feature, by a learned value."""

    def __init__(self, *shape: int, value: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full(shape, float(value)))

    def forward(self, input: Tensor) -> Tensor:
        return self.weight * input
