"""Pooling by means that pads each side by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from archspec.layers.modules.avg_pool import avg_pool


class PaddedAvgPool(nn.Module):
    """The mean of each window; zeros are added on each side, those of the last axis
    first, and count or do not.
    """

    def __init__(
        self,
        kernel_size: tuple[int, ...],
        sides: tuple[int, ...],
        stride: tuple[int, ...] | None = None,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size
        self.sides, self.count_include_pad = sides, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        if self.count_include_pad:
            return self.mean(input)
        return self.mean(input) / self.mean(torch.ones_like(input[:1, :1]))

    def mean(self, input: Tensor) -> Tensor:
        padded = functional.pad(input, self.sides)
        return avg_pool(padded, self.kernel_size, self.stride)
