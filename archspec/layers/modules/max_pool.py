"""Pooling by maxima on one to three axes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def max_pool(
    input: Tensor,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Tensor:
    """The largest value of each window, on as many axes as the kernel has."""
    pools = functional.max_pool1d, functional.max_pool2d, functional.max_pool3d
    pool = pools[len(kernel_size) - 1]
    output: Tensor = pool(input, kernel_size, stride, dilation=dilation)
    return output
