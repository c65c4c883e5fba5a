"""Transposed convolution that leaves off positions on each side by itself."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class CroppedConvTranspose3d(nn.ConvTranspose3d):
    """A transposed convolution that leaves off positions on each side of its result by
    itself, those of the last axis first.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int, int],
        sides: tuple[int, ...],
        **others: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, **others)
        self.sides = sides

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        return functional.pad(super().forward(input), [-one for one in self.sides])
