"""Pooling by maxima that pads each side by itself."""

from __future__ import annotations

from math import inf

from torch import Tensor, nn
from torch.nn import functional

from archspec.layers.modules.max_pool import max_pool


class PaddedMaxPool(nn.Module):
    """The largest value of each window; what is added on each side, those of the last
    axis first, is never the largest.
    """

    def __init__(
        self,
        kernel_size: tuple[int, ...],
        sides: tuple[int, ...],
        stride: tuple[int, ...] | None = None,
        dilation: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size
        self.sides, self.dilation = sides, dilation or (1,) * len(kernel_size)

    def forward(self, input: Tensor) -> Tensor:
        padded = functional.pad(input, self.sides, value=-inf)
        return max_pool(padded, self.kernel_size, self.stride, self.dilation)
