"""Global response normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GlobalResponseNorm(nn.Module):
    """Adds to each channel itself times its norm, relative to the mean norm of the
    channels.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, input: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(input, dim=(2, 3), keepdim=True)
        relative = norm / (norm.mean(dim=1, keepdim=True) + self.eps)
        scaled: Tensor = self.weight.view(1, -1, 1, 1) * (input * relative)
        return input + self.bias.view(1, -1, 1, 1) + scaled
