"""Transposed convolution that leaves off positions on each side by itself."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class CroppedConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution that leaves off positions on each side of its result by
    itself, those of the last axis first.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        sides: tuple[int, ...],
        stride: int | tuple[int, int] = 1,
        output_padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            output_padding=output_padding,
            groups=groups,
            bias=bias,
            dilation=dilation,
        )
        self.sides = sides

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        output = functional.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            output_padding=self.output_padding,
            groups=self.groups,
            dilation=self.dilation,
        )
        return functional.pad(output, [-one for one in self.sides])
