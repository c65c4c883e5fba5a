"""Attention in windows and over grids (MaxViT)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archspec.layers.modules.relative_positions import relative_positions


class MultiAxisAttention(nn.Module):
    """Self-attention within windows, or among positions spread evenly over the feature
    map.
    """

    position: Tensor

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        size: int = 7,
        by: str = "window",
        head_size: int = 32,
    ) -> None:
        super().__init__()
        if by == "window":
            self.split = (height // size, size, width // size, size)
            self.order = (0, 1, 3, 2, 4, 5)
        else:
            self.split = (size, height // size, size, width // size)
            self.order = (0, 2, 4, 1, 3, 5)
        self.back = tuple(sorted(range(6), key=self.order.__getitem__))
        self.ordered = tuple(
            (*self.split, channels)[axis - 1] for axis in self.order[1:]
        )
        self.channels, self.height, self.width = channels, height, width
        self.heads, self.head_size, self.count = (
            channels // head_size,
            head_size,
            size**2,
        )
        self.groups = height * width // size**2
        self.qkv = nn.Linear(channels, 3 * channels)
        table = torch.empty((2 * size - 1) ** 2, self.heads)
        self.bias_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
        self.out = nn.Linear(channels, channels)
        self.register_buffer(
            "position", relative_positions(size, size), persistent=False
        )

    def forward(self, input: Tensor) -> Tensor:
        x = (
            input.permute(0, 2, 3, 1)
            .reshape(-1, *self.split, self.channels)
            .permute(self.order)
        )
        qkv = self.qkv(x.reshape(-1, self.groups, self.count, self.channels))
        qkv = qkv.reshape(-1, self.groups, self.count, 3, self.heads, self.head_size)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)
        bias = self.bias_table[self.position].view(self.count, self.count, self.heads)
        bias = bias.permute(2, 0, 1).contiguous()
        match = query @ (key * self.channels**-0.5).transpose(-2, -1) + bias
        x = (match.softmax(-1) @ value).transpose(2, 3)
        x = self.out(x.reshape(-1, self.groups, self.count, self.channels))
        x = torch.reshape(x, (-1, *self.ordered)).permute(self.back)
        return x.reshape(-1, self.height, self.width, self.channels).permute(0, 3, 1, 2)
