"""Losses that torch does not have."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class BinaryCrossEntropy(nn.Module):
    """Each class is a yes-or-no decision of its own: the mean over images and classes (https://arxiv.org/abs/2110.00476)."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of logits `(N, classes)` and labels `(N,)` or `(N, classes)`; smoothing is spread over classes."""
        classes = logits.shape[1]
        targets = functional.one_hot(labels, classes) if labels.ndim == 1 else labels
        targets = targets.to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing / classes
        return functional.binary_cross_entropy_with_logits(logits, targets)
