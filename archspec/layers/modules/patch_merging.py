"""Patches as channels (Swin)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PatchMerging(nn.Module):
    """The four positions of each 2×2 patch, joined on their channels; an odd size is
    filled up with zeros.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.padding = (0, width % 2, 0, height % 2)

    def forward(self, input: Tensor) -> Tensor:
        even = F.pad(input, self.padding) if any(self.padding) else input
        # down each column of the patch, then the next one
        return torch.cat(
            [even[:, :, i::2, j::2] for j in (0, 1) for i in (0, 1)], dim=1
        )
