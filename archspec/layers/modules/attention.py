"""Self-attention."""

from __future__ import annotations

from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention over the tokens of a sequence, `(N, tokens, width)`."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(width, heads, dropout, batch_first=True)

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self.heads(input, input, input, need_weights=False)[0]
        return output
