"""The tensors of a network, and how messages describe one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archspec.foundation.shapes import show


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, each once."""
    return dict(module.named_parameters()) | dict(module.named_buffers())


def format_tensor(tensor: Tensor) -> str:
    """Shape and, where it is not the usual one, the type: `64×3×7×7`, `64 float16`."""
    shape = show(tuple(tensor.shape)) or "a scalar"
    return shape if tensor.dtype == torch.float32 else f"{shape} {str(tensor.dtype).removeprefix('torch.')}"
