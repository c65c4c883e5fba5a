"""Tokens as positions."""

from __future__ import annotations

from torch import Tensor, nn


class FeatureMap(nn.Module):
    """A sequence of tokens as a feature map: `(N, H·W, C)` → `(N, C, H, W)`."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.size = (channels, height, width)

    def forward(self, input: Tensor) -> Tensor:
        return input.transpose(1, 2).reshape(-1, *self.size)
