"""What a confusion matrix says: how often one class (row) is taken for another (column)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


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
