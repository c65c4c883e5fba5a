"""Convolution with standardised weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WsConv(nn.Conv2d):
    """A convolution whose weights are standardised for each output channel, then scaled
    by a learned gain.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        gain: bool = True,
        eps: float = 1e-6,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
        )
        self.eps = eps
        self.factor = self.weight[0].numel() ** -0.5
        self.gain = nn.Parameter(torch.ones(out_channels, 1, 1, 1)) if gain else None

    def forward(self, input: Tensor) -> Tensor:
        variance, mean = torch.var_mean(
            self.weight, dim=(1, 2, 3), keepdim=True, correction=0
        )
        weight = (self.weight - mean) * torch.rsqrt(variance + self.eps)
        if self.gain is not None:
            weight = weight * (self.gain * self.factor)
        output: Tensor = self._conv_forward(input, weight, self.bias)
        return output
