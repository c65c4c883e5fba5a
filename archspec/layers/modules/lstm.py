"""A recurrent layer that gives what it has at each token."""

from __future__ import annotations

from torch import Tensor, nn


class Lstm(nn.Module):
    """The hidden states of `nn.LSTM` at each token, `(N, tokens, hidden)`; with two
    directions, those of the second come after those of the first.
    """

    def __init__(self, width: int, hidden: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.rnn = nn.LSTM(width, hidden, batch_first=True, bidirectional=bidirectional)

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self.rnn(input)[0]
        return output
