"""Which branches are left where some are dropped at random (FractalNet)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archspec.layers.modules.choice import Choice


class Survivors(nn.Module):
    """For each row of ones, `(N, branches)`, a one for each branch that is left.

    In training each is dropped with probability `drop`; where all would be, one is
    kept, any of them as likely.
    """

    def __init__(self, branches: int, drop: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(drop)
        self.choice = Choice(branches)

    def forward(self, ones: Tensor) -> Tensor:
        kept = torch.where(self.drop(ones) > 0, 1.0, 0.0).type_as(ones)
        lone = self.choice(kept)
        return torch.where(kept.sum(1, keepdim=True) > 0, kept, lone)
