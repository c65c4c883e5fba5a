"""Layer normalisation over channels."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ChannelNorm(nn.LayerNorm):
    """Normalises the channels of each position, `(N, channels, …)`."""

    def forward(self, input: Tensor) -> Tensor:
        last = input.movedim(1, -1)
        normalized = functional.layer_norm(
            last, self.normalized_shape, self.weight, self.bias, self.eps
        )
        return normalized.movedim(-1, 1)
