"""Attention in windows that may be moved (Swin)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archspec.layers.modules.relative_positions import relative_positions


class WindowAttention(nn.Module):
    """Self-attention within windows of a feature map of one size, biased by relative
    position.
    """

    position: Tensor
    mask: Tensor

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        heads: int,
        window: tuple[int, int] = (7, 7),
        shift: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.channels, self.height, self.width, self.heads = (
            channels,
            height,
            width,
            heads,
        )
        self.window, self.size = window, window[0] * window[1]
        self.rows, self.columns = -(-height // window[0]), -(-width // window[1])
        self.count = self.rows * self.columns
        self.padded = (self.rows * window[0], self.columns * window[1])
        # along an axis that one window fills, nothing is moved
        self.shift = (
            shift[0] if self.rows > 1 else 0,
            shift[1] if self.columns > 1 else 0,
        )
        self.make_bias()
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.register_buffer("position", relative_positions(*window), persistent=False)
        if any(self.shift):
            self.register_buffer("mask", self.make_mask(), persistent=False)

    def make_bias(self) -> None:
        table = torch.empty(
            (2 * self.window[0] - 1) * (2 * self.window[1] - 1), self.heads
        )
        self.bias_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))

    def make_mask(self) -> Tensor:
        """−100 where two positions of a moved window come from opposite ends of the
        map, else 0.
        """
        regions = []
        for size, window, shift in zip(
            self.padded, self.window, self.shift, strict=True
        ):
            region = torch.zeros(size)
            if shift:
                region[-window:-shift] = 1
                region[-shift:] = 2
            regions.append(region)
        region = regions[0][:, None] * 3 + regions[1]
        region = region.view(self.rows, self.window[0], self.columns, self.window[1])
        region = region.permute(0, 2, 1, 3).reshape(self.count, 1, -1)
        return (region != region.transpose(1, 2)).float().mul(-100.0)[:, None]

    def split(self, images: Tensor) -> Tensor:
        """`(N, C, H, W)` → `(N·windows, positions, C)`."""
        x = images.permute(0, 2, 3, 1)
        x = F.pad(
            x, (0, 0, 0, self.padded[1] - self.width, 0, self.padded[0] - self.height)
        )
        if any(self.shift):
            x = torch.roll(x, (-self.shift[0], -self.shift[1]), (1, 2))
        x = x.reshape(
            -1, self.rows, self.window[0], self.columns, self.window[1], self.channels
        )
        return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, self.size, self.channels)

    def join(self, x: Tensor) -> Tensor:
        """`(N·windows, positions, C)` → `(N, C, H, W)`."""
        x = x.view(-1, self.rows, self.columns, *self.window, self.channels)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(-1, *self.padded, self.channels)
        if any(self.shift):
            x = torch.roll(x, self.shift, (1, 2))
        return x[:, : self.height, : self.width].contiguous().permute(0, 3, 1, 2)

    def bias(self) -> Tensor:
        """What is added to the match of each pair of positions, `(heads, positions,
        positions)`.
        """
        bias: Tensor = self.bias_table[self.position].view(
            self.size, self.size, self.heads
        )
        return bias.permute(2, 0, 1).contiguous()

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each `(N·windows, heads, positions, head size)`."""
        qkv: Tensor = F.linear(x, self.qkv.weight, self.qkv.bias)
        qkv = qkv.reshape(-1, self.size, 3, self.heads, self.channels // self.heads)
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)

    def match(self, query: Tensor, key: Tensor) -> Tensor:
        scale: float = (self.channels // self.heads) ** -0.5
        return (query * scale) @ key.transpose(-2, -1)

    def forward(self, input: Tensor) -> Tensor:
        bias = self.bias()
        query, key, value = self.project(self.split(input))
        match = self.match(query, key) + bias
        if any(self.shift):
            match = (
                match.view(-1, self.count, self.heads, self.size, self.size) + self.mask
            )
            match = match.view(-1, self.heads, self.size, self.size)
        x = (match.softmax(-1) @ value).transpose(1, 2)
        return self.join(self.out(x.reshape(-1, self.size, self.channels)))
