"""One token."""

from __future__ import annotations

from torch import Tensor, nn


class Token(nn.Module):
    """One token of a sequence: `(N, tokens, width)` → `(N, width)`."""

    def __init__(self, index: int = 0) -> None:
        super().__init__()
        self.index = index

    def forward(self, input: Tensor) -> Tensor:
        return input[:, self.index]
