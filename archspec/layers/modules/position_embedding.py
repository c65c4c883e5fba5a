"""Learned positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PositionEmbedding(nn.Module):
    """Adds a learned vector to each token, by its position."""

    def __init__(self, tokens: int, width: int, std: float = 0.02) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, tokens, width).normal_(std=std))

    def forward(self, input: Tensor) -> Tensor:
        return input + self.weight
