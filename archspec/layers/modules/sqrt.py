"""Square roots."""

from __future__ import annotations

from torch import Tensor, nn


class Sqrt(nn.Module):
    """The square root of each value."""

    def forward(self, input: Tensor) -> Tensor:
        return input.sqrt()
