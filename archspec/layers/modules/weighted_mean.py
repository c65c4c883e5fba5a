"""The mean of branches with learned weights (BiFPN)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class WeightedMean(nn.Module):
    """The mean of equal parts of the channels, `(N, branches·C, …)`, with learned
    weights: what is positive of each, over the sum of all and `eps`; or by `softmax`.
    """

    def __init__(
        self, branches: int, axes: int, by: str = "relu", eps: float = 1e-4
    ) -> None:
        super().__init__()
        self.branches, self.axes, self.by, self.eps = branches, axes, by, eps
        self.weight = nn.Parameter(torch.ones(branches))

    def forward(self, input: Tensor) -> Tensor:
        parts = torch.unflatten(input, 1, (self.branches, -1))
        if self.by == "softmax":
            weight = self.weight.softmax(0)
        else:
            positive = functional.relu(self.weight)
            weight = positive / (positive.sum() + self.eps)
        return (parts * weight[(..., *[None] * self.axes)]).sum(1)
