"""Stochastic depth, as torchvision computes it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """Sets whole samples to zero with probability p in training, and scales the others
    up.
    """

    def __init__(self, p: float, mode: str = "row") -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return input
        samples = input.shape[0] if self.mode == "row" else 1
        noise = torch.empty(
            [samples] + [1] * (input.ndim - 1), dtype=input.dtype, device=input.device
        )
        return input * noise.bernoulli_(1.0 - self.p).div_(1.0 - self.p)
