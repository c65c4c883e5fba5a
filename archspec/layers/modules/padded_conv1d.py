"""Convolution that pads each side by itself."""

from __future__ import annotations

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
        stride: int | tuple[int] = 1,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
        self.sides = sides

    def forward(self, input: Tensor) -> Tensor:
        padded = functional.pad(input, self.sides)
        output: Tensor = self._conv_forward(padded, self.weight, self.bias)
        return output
