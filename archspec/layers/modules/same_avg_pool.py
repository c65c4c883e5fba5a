"""Pooling by means that pads by the size of its input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archspec.layers.modules.avg_pool import avg_pool
from archspec.layers.modules.pad_same import pad_same


class SameAvgPool(nn.Module):
    """The mean of each of ⌈size / stride⌉ windows on each axis; what is added at the
    ends, more at the last, does not count.
    """

    def __init__(
        self, kernel_size: tuple[int, ...], stride: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size

    def forward(self, input: Tensor) -> Tensor:
        share = self.mean(torch.ones_like(input[:1, :1]))
        return self.mean(input) / share

    def mean(self, input: Tensor) -> Tensor:
        ones = (1,) * len(self.kernel_size)
        padded = pad_same(input, self.kernel_size, self.stride, ones)
        return avg_pool(padded, self.kernel_size, self.stride)
