"""Positions as tokens."""

from __future__ import annotations

from torch import Tensor, nn


class Tokens(nn.Module):
    """A feature map as a sequence of tokens: `(N, C, H, W)` → `(N, H·W, C)`."""

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(2).transpose(1, 2)
