"""Factors that drop branches in training, by a column that was drawn (FractalNet)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archspec.layers.modules.survivors import Survivors


class BranchFactors(nn.Module):
    """A factor for each channel of branches that were joined, `(N, branches·channels)`,
    of the columns that were drawn, `(N, columns)`.

    Of a sample with one column, the branch of that column is kept, or all of them where
    none is. Of a sample with all columns, branches are dropped with probability `drop`,
    but one survives. Those kept share the factors of those dropped.
    """

    def __init__(
        self, columns: tuple[int, ...], channels: int, drop: float = 0.0
    ) -> None:
        super().__init__()
        self.columns, self.channels = columns, channels
        self.survivors = Survivors(len(columns), drop) if drop else None

    def forward(self, drawn: Tensor) -> Tensor:
        drawn = torch.where(drawn > 0, 1.0, 0.0).type_as(drawn)
        kept = torch.stack([drawn[:, one] for one in self.columns], 1)
        kept = torch.where(kept.sum(1, keepdim=True) > 0, kept, 1.0)
        if self.survivors is not None:
            there = self.survivors(torch.ones_like(kept))
            kept = torch.where(drawn.sum(1, keepdim=True) > 1, there, kept)
        factors = kept * (len(self.columns) / kept.sum(1, keepdim=True))
        return factors.repeat_interleave(self.channels, 1)
