"""Reductions along an axis."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Reduce(nn.Module):
    """The mean, sum, largest or smallest value, or Euclidean norm, along one axis; axis
    0 is the batch.
    """

    def __init__(self, by: str, axis: int, keep: bool = True) -> None:
        super().__init__()
        kinds = {
            "mean": torch.mean,
            "sum": torch.sum,
            "max": torch.amax,
            "min": torch.amin,
        }
        self.take = kinds.get(by, torch.linalg.vector_norm)
        self.axis, self.keep = axis, keep

    def forward(self, input: Tensor) -> Tensor:
        reduced: Tensor = self.take(input, dim=self.axis, keepdim=self.keep)
        return reduced
