"""Blurred subsampling."""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BlurPool(nn.Module):
    """Every stride-th position of a feature map blurred by fixed binomial weights."""

    weight: Tensor

    def __init__(self, channels: int, kernel_size: int = 3, stride: int = 2) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride
        self.padding = (kernel_size // 2,) * 4
        row = torch.tensor(
            [comb(kernel_size - 1, tap) for tap in range(kernel_size)],
            dtype=torch.float32,
        )
        weight = torch.outer(row, row) / 4 ** (kernel_size - 1)
        weight = weight.expand(channels, 1, kernel_size, kernel_size).clone()
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        around = F.pad(input, self.padding, "reflect")
        return F.conv2d(around, self.weight, stride=self.stride, groups=self.channels)
