"""Biases of attention by relative position."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archspec.layers.modules.relative_positions import relative_positions


class RelativePositionBias(nn.Module):
    """A learned bias for each head and pair of tokens, `(N, heads, tokens, tokens)`,
    whatever the tokens hold.
    """

    position: Tensor

    def __init__(self, heads: int, height: int, width: int, std: float = 0.02) -> None:
        super().__init__()
        self.shape = (height * width, height * width, heads)
        table = torch.empty((2 * height - 1) * (2 * width - 1), heads)
        self.weight = nn.Parameter(
            nn.init.trunc_normal_(table, std=std) if std else nn.init.zeros_(table)
        )
        self.register_buffer(
            "position", relative_positions(height, width), persistent=False
        )

    def forward(self, input: Tensor) -> Tensor:
        bias = self.weight[self.position].view(self.shape).permute(2, 0, 1)
        return bias.expand(input.shape[0], -1, -1, -1)
