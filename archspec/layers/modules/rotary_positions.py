"""Rotary positions (RoFormer)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RotaryPositions(nn.Module):
    """Turns neighbouring pairs of features by the position of their token: in a
    sequence, or by row, then by column.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(
        self, width: int, size: tuple[int, ...], heads: int = 1, base: float = 10000.0
    ) -> None:
        super().__init__()
        self.heads = heads
        pairs = width // heads // 2 // len(size)
        speed = base ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
        places = torch.meshgrid(
            *(torch.arange(one, dtype=torch.float64) for one in size), indexing="ij"
        )
        angle = torch.cat([place.flatten()[:, None] * speed for place in places], -1)[
            :, None
        ]
        self.register_buffer("cosine", angle.cos().float(), persistent=False)
        self.register_buffer("sine", angle.sin().float(), persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        first, second = torch.unflatten(input, -1, (self.heads, -1, 2)).unbind(-1)
        turned = (
            first * self.cosine - second * self.sine,
            second * self.cosine + first * self.sine,
        )
        return torch.stack(turned, -1).flatten(2)
