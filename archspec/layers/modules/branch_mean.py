"""The mean of branches, some of which are dropped in training (FractalNet)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archspec.layers.modules.survivors import Survivors


class BranchMean(nn.Module):
    """The mean of equal parts of the channels, `(N, branches·C, …)`.

    In training, each sample drops parts of its own. Where it would drop all, it keeps
    one, any of them as likely.
    """

    def __init__(self, branches: int, axes: int, drop: float = 0.0) -> None:
        super().__init__()
        self.branches, self.axes = branches, axes
        self.survivors = Survivors(branches, drop) if drop else None

    def forward(self, input: Tensor) -> Tensor:
        parts = torch.unflatten(input, 1, (self.branches, -1))
        if self.survivors is None:
            return parts.mean(1)
        kept: Tensor = self.survivors(input.new_ones((input.shape[0], self.branches)))
        weight = kept / kept.sum(1, keepdim=True)
        return (parts * weight[(..., *[None] * self.axes)]).sum(1)
