"""Pooling by means on one to three axes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def avg_pool(
    input: Tensor, kernel_size: tuple[int, ...], stride: tuple[int, ...]
) -> Tensor:
    """The mean of each window, on as many axes as the kernel has."""
    pools = functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d
    pool = pools[len(kernel_size) - 1]
    output: Tensor = pool(input, kernel_size, stride)
    return output
