"""What the regression of images computes: outputs in the units of the targets, losses in their deviations, scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class InUnits(nn.Module):
    """Makes numbers in the targets' units of a network's output: times `std`, plus `mean`, each `(K,)`."""

    mean: Tensor
    std: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("std", torch.ones(count))

    def forward(self, output: Tensor) -> Tensor:
        return output.float() * self.std + self.mean


class InDeviations(nn.Module):
    """A loss of numbers and targets divided by `std` `(K,)`, the standard deviation of the training targets."""

    std: Tensor

    def __init__(self, loss: nn.Module, count: int) -> None:
        super().__init__()
        self.loss = loss
        self.register_buffer("std", torch.ones(count))

    def forward(self, output: Tensor, targets: Tensor) -> Tensor:
        loss: Tensor = self.loss(output / self.std, targets / self.std)
        return loss


def number_scores(output: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """MAE, RMSE and R² of each number, doubles `(K,)`, of `(N, K)`; R² is NaN where all targets are the same."""
    found, meant = output.cpu().double(), targets.cpu().double()
    errors = found - meant
    spread = ((meant - meant.mean(0)) ** 2).sum(0)
    return {
        "MAE": errors.abs().mean(0),
        "RMSE": (errors**2).mean(0).sqrt(),
        "R2": torch.where(spread > 0, 1 - (errors**2).sum(0) / spread, torch.nan),
    }


def average_error(output: Tensor, targets: Tensor) -> Tensor:
    """The mean MAE of the numbers."""
    return number_scores(output, targets)["MAE"].mean()


def average_squared_error(output: Tensor, targets: Tensor) -> Tensor:
    """The mean RMSE of the numbers."""
    return number_scores(output, targets)["RMSE"].mean()


def average_r2(output: Tensor, targets: Tensor) -> Tensor:
    """The mean R² of the numbers whose targets differ."""
    return number_scores(output, targets)["R2"].nanmean().nan_to_num()


# functions with names, since a module that holds one can be pickled
SCORES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mae": average_error,
    "rmse": average_squared_error,
    "r2": average_r2,
}
"""The scores of numbers and targets `(N, K)`: means over the K numbers."""


class NumberScore(Metric):
    """One of `SCORES` of all images together, also those of other processes."""

    full_state_update = False
    output: list[Tensor]
    targets: list[Tensor]

    def __init__(self, name: str) -> None:
        super().__init__()
        self.score = SCORES[name]
        self.add_state("output", [], "cat")
        self.add_state("targets", [], "cat")

    def update(self, output: Tensor, targets: Tensor) -> None:
        self.output.append(output.float())
        self.targets.append(targets)

    def compute(self) -> Tensor:
        output, targets = dim_zero_cat(self.output), dim_zero_cat(self.targets)
        return self.score(output, targets).float().to(output.device)
