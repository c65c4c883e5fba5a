"""A learned factor."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LearnedFactor(nn.Module):
    """Multiplies by one learned number."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float(value)))

    def forward(self, input: Tensor) -> Tensor:
        return input * self.weight
