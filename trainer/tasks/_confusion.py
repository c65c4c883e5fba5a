"""What a confusion matrix says: how often one class (row) is taken for another (column)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torchmetrics import Metric


def confusion_matrix(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """How often samples of a class (row) are taken for a class (column): int64 `(classes, classes)`."""
    return torch.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def class_scores(confusion: Tensor) -> dict[str, Tensor]:
    """IoU, Dice, precision and recall of each class, doubles `(classes,)`; NaN where there is nothing to divide by."""
    matrix = confusion.double()
    hits, truth, found = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    return {
        "IoU": hits / (truth + found - hits),
        "Dice": 2 * hits / (truth + found),
        "precision": hits / found,
        "recall": hits / truth,
    }


def compute_accuracy(confusion: Tensor) -> Tensor:
    """The share of samples that are taken for their own class."""
    return confusion.diagonal().sum() / confusion.sum()


def average_recall(confusion: Tensor) -> Tensor:
    """The mean recall of the classes."""
    return class_scores(confusion)["recall"].nanmean().nan_to_num()


def average_dice(confusion: Tensor) -> Tensor:
    """The mean of the classes' Dice scores, each of which is its F1 too."""
    return class_scores(confusion)["Dice"].nanmean().nan_to_num()


def average_iou(confusion: Tensor) -> Tensor:
    """The mean IoU of the classes."""
    return class_scores(confusion)["IoU"].nanmean().nan_to_num()


# functions with names, since a module that holds one can be pickled
SCORES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "accuracy": compute_accuracy,
    "balanced_accuracy": average_recall,
    "f1": average_dice,
    "mean_iou": average_iou,
    "dice": average_dice,
}
"""The scores of a confusion matrix.

`balanced_accuracy` is a mean over the classes that occur, the others over those that occur or are answered.
"""


class ConfusionScore(Metric, ABC):
    """One of `SCORES` of all that was seen, also by other processes."""

    full_state_update = False
    confusion: Tensor

    def __init__(self, classes: int, name: str) -> None:
        super().__init__()
        self.classes = classes
        self.score = SCORES[name]
        self.add_state("confusion", torch.zeros(classes, classes, dtype=torch.int64), "sum")

    @abstractmethod
    def count(self, output: Tensor, targets: Tensor) -> Tensor:
        """The confusion matrix of a batch, int64 `(classes, classes)`."""

    def update(self, output: Tensor, targets: Tensor) -> None:
        self.confusion += self.count(output, targets)

    def compute(self) -> Tensor:
        # moved first: not every device has doubles
        return self.score(self.confusion.cpu()).float().to(self.confusion.device)
