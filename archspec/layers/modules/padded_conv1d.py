"""Convolution that pads each side by itself."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class PaddedConv1d(nn.Conv1d):
    """A convolution with zeros on each side by itself, those of the last axis first."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        sides: tuple[int, ...],
        **others: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, **others)
        self.sides = sides

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(functional.pad(input, self.sides))
