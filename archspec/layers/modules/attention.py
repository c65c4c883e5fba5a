"""Self-attention."""

from __future__ import annotations

from math import inf

from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention over the tokens of a sequence, `(N, tokens, width)`."""

    def __init__(
        self, width: int, heads: int, dropout: float = 0.0, causal: bool = False
    ) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.causal = causal

    def forward(self, input: Tensor) -> Tensor:
        tokens = input.shape[1]
        later = input.new_full((tokens, tokens), -inf).triu(1) if self.causal else None
        output: Tensor = self.heads(
            input,
            input,
            input,
            need_weights=False,
            attn_mask=later,
            is_causal=self.causal,
        )[0]
        return output
