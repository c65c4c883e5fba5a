"""Padding by the size of the input, as TensorFlow's `same`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def pad_same(
    input: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    value: float = 0.0,
) -> Tensor:
    """Add values so that ⌈size / stride⌉ windows fit on each axis, the odd one last."""
    sides: list[int] = []
    for axis in reversed(range(len(kernel))):
        total: Any = dilation[axis] * (kernel[axis] - 1)
        if stride[axis] > 1:
            total = torch.sym_max(total - (input.shape[axis + 2] - 1) % stride[axis], 0)
        sides += [total // 2, total - total // 2]
    return functional.pad(input, sides, value=value)
