"""What several outputs with tasks of their own compute: losses, answers and scores of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.wrappers.abstract import WrapperMetric

from trainer.tasks._several import Head


class SeveralLosses(nn.Module):
    """The sum of each output's loss times its weight, of a mapping of outputs and the targets `(N, T)` of all."""

    def __init__(self, heads: Sequence[Head], losses: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.heads = tuple(heads)
        self.losses = nn.ModuleList(losses)
        self.weights = list(weights)

    def forward(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        parts = [
            weight * loss(outputs[head.output], head.targets(targets))
            for head, loss, weight in zip(self.heads, self.losses, self.weights, strict=True)
        ]
        return torch.stack(parts).sum()


class SeveralAnswers(nn.Module):
    """What each output's task makes of it; those of which it makes nothing stay as they are."""

    def __init__(self, answers: Mapping[str, nn.Module | None]) -> None:
        super().__init__()
        self.names = tuple(answers)
        # an output's name may be that of an attribute, so places stand for names
        self.answers = nn.ModuleList([one or nn.Identity() for one in answers.values()])

    def of(self, name: str) -> nn.Module:
        """The answer of an output."""
        return self.answers[self.names.index(name)]

    def forward(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: self.of(name)(outputs[name]) for name in self.names}


class MetricOfOne(WrapperMetric):
    """A metric of one of several outputs, which keeps all state itself."""

    def __init__(self, head: Head, metric: Metric) -> None:
        super().__init__()
        self.head = head
        self.metric = metric

    def update(self, outputs: Mapping[str, Tensor], targets: Tensor) -> None:
        self.metric.update(outputs[self.head.output], self.head.targets(targets))

    def forward(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Any:
        self._forward_cache = self.metric(outputs[self.head.output], self.head.targets(targets))
        return self._forward_cache

    def compute(self) -> Any:
        return self.metric.compute()

    def reset(self) -> None:
        self.metric.reset()
