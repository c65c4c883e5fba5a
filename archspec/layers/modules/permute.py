"""Axes in another order."""

from __future__ import annotations

from torch import Tensor, nn


class Permute(nn.Module):
    """The axes of a batch in another order; axis 0 is the batch."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, input: Tensor) -> Tensor:
        return input.permute(self.axes)
