"""Pooling by maxima that pads by the size of its input."""

from __future__ import annotations

from math import inf

from torch import Tensor, nn

from archspec.layers.modules.max_pool import max_pool
from archspec.layers.modules.pad_same import pad_same


class SameMaxPool(nn.Module):
    """The largest value of each of ⌈size / stride⌉ windows on each axis; what is added
    at the ends, more at the last, is never the largest.
    """

    def __init__(
        self,
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...] | None = None,
        dilation: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size
        self.dilation = dilation or (1,) * len(kernel_size)

    def forward(self, input: Tensor) -> Tensor:
        padded = pad_same(input, self.kernel_size, self.stride, self.dilation, -inf)
        return max_pool(padded, self.kernel_size, self.stride, self.dilation)
