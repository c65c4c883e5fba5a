"""Powers."""

from __future__ import annotations

from torch import Tensor, nn


class Power(nn.Module):
    """Each value to a constant power."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, input: Tensor) -> Tensor:
        return input.pow(self.exponent)
