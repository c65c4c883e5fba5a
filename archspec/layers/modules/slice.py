"""A part of an axis."""

from __future__ import annotations

from torch import Tensor, nn


class Slice(nn.Module):
    """The positions of one axis from `start` up to but not including `stop`; axis 0 is
    the batch.
    """

    def __init__(self, axis: int, start: int, stop: int | None, step: int = 1) -> None:
        super().__init__()
        self.taken = (slice(None),) * axis + (slice(start, stop, step),)

    def forward(self, input: Tensor) -> Tensor:
        return input[self.taken]
