"""Convolution that pads by the size of its input."""

from __future__ import annotations

from torch import Tensor, nn

from archspec.layers.modules.pad_same import pad_same


class SameConv3d(nn.Conv3d):
    """A convolution that adds zeros so that ⌈size / stride⌉ windows fit, the odd one at
    the end.
    """

    def forward(self, input: Tensor) -> Tensor:
        padded = pad_same(input, self.kernel_size, self.stride, self.dilation)
        output: Tensor = self._conv_forward(padded, self.weight, self.bias)
        return output
