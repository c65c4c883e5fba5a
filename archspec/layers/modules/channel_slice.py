"""Some of the channels."""

from __future__ import annotations

from torch import Tensor, nn


class ChannelSlice(nn.Module):
    """The channels from `start` up to but not including `stop`, or to the last one."""

    def __init__(self, start: int, stop: int | None = None) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, input: Tensor) -> Tensor:
        return input[:, self.start : self.stop]
