"""A random choice in training, and a fixed one in evaluation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Choice(nn.Module):
    """For each row one of `count` columns, as a one: in training any of them as likely,
    in evaluation the first. Dropout is what draws, since it does so in training alone.
    """

    def __init__(self, count: int, bits: int = 24) -> None:
        super().__init__()
        self.count, self.bits = count, bits
        self.coin = nn.Dropout(0.5)

    def forward(self, rows: Tensor) -> Tensor:
        ones = torch.ones((rows.shape[0], self.count, self.bits), device=rows.device)
        places = 0.5 ** torch.arange(self.bits, device=rows.device)
        highest = (self.coin(ones) * places).sum(2).argmax(1)
        return functional.one_hot(highest, self.count).type_as(rows)
