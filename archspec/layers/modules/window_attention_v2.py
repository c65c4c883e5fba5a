"""Attention in windows that may be moved, by cosines (Swin v2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archspec.layers.modules.window_attention import WindowAttention


class WindowAttentionV2(WindowAttention):
    """Window attention by cosines, with biases that a small network computes from
    distances.
    """

    offsets: Tensor
    keys: Tensor

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        heads: int,
        window: tuple[int, int] = (7, 7),
        shift: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(channels, height, width, heads, window, shift)
        self.bias_network = nn.Sequential(
            nn.Linear(2, 512), nn.ReLU(), nn.Linear(512, heads, bias=False)
        )
        # distances between positions, on a logarithmic scale from -1 to 1
        axes = [
            torch.arange(-(size - 1), size, dtype=torch.float32) / (size - 1) * 8
            for size in window
        ]
        offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        offsets = torch.sign(offsets) * torch.log2(torch.abs(offsets) + 1.0) / 3.0
        self.register_buffer("offsets", offsets, persistent=False)
        # keys have no bias: it would be the same for all of them
        keys = torch.tensor([False, True, False]).repeat_interleave(channels)
        self.register_buffer("keys", keys, persistent=False)
        with torch.no_grad():
            self.qkv.bias.masked_fill_(self.keys, 0)

    def make_bias(self) -> None:
        self.temperature = nn.Parameter(torch.log(10 * torch.ones(self.heads, 1, 1)))

    def bias(self) -> Tensor:
        table = self.bias_network(self.offsets).view(-1, self.heads)
        bias = table[self.position].view(self.size, self.size, self.heads)
        return 16 * torch.sigmoid(bias.permute(2, 0, 1).contiguous())

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        bias = self.qkv.bias.clone().masked_fill_(self.keys, 0)
        qkv: Tensor = F.linear(x, self.qkv.weight, bias)
        qkv = qkv.reshape(-1, self.size, 3, self.heads, self.channels // self.heads)
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)

    def match(self, query: Tensor, key: Tensor) -> Tensor:
        match = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(-2, -1)
        return match * torch.clamp(self.temperature, max=math.log(100.0)).exp()
