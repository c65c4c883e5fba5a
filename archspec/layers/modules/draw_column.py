"""The columns of a fractal network that each sample goes through (FractalNet)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archspec.layers.modules.choice import Choice


class DrawColumn(nn.Module):
    """For each sample, ones for the columns that it goes through, `(N, columns)`: in
    training a single one with probability p, otherwise all.
    """

    def __init__(self, columns: int, p: float, mode: str = "row") -> None:
        super().__init__()
        self.columns, self.mode = columns, mode
        self.drop = nn.Dropout(p)
        self.choice = Choice(columns)

    def forward(self, input: Tensor) -> Tensor:
        samples = input.shape[0]
        rows = samples if self.mode == "row" else 1
        ones = torch.ones((rows, self.columns), device=input.device).type_as(input)
        drawn = torch.where(self.drop(ones[:, :1]) > 0, ones, self.choice(ones))
        return drawn.expand(samples, -1)
