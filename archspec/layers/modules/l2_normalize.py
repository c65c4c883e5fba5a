"""Vectors of length 1."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class L2Normalize(nn.Module):
    """Divides by the Euclidean norm along one axis; axis 0 is the batch."""

    def __init__(self, axis: int, eps: float = 1e-12) -> None:
        super().__init__()
        self.axis, self.eps = axis, eps

    def forward(self, input: Tensor) -> Tensor:
        return functional.normalize(input, dim=self.axis, eps=self.eps)
