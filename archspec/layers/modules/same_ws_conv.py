"""Convolution with standardised weights that pads by the size of its input."""

from __future__ import annotations

from torch import Tensor

from archspec.layers.modules.pad_same import pad_same
from archspec.layers.modules.ws_conv import WsConv


class SameWsConv(WsConv):
    """A `WsConv` that adds zeros so that ⌈size / stride⌉ windows fit, the odd one at
    the end.
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(
            pad_same(input, self.kernel_size, self.stride, self.dilation)
        )
