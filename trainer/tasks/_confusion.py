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


SCORES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "accuracy": lambda confusion: confusion.diagonal().sum() / confusion.sum(),
    "balanced_accuracy": lambda confusion: class_scores(confusion)["recall"].nanmean().nan_to_num(),
    # of a class, F1 is Dice's measure
    "f1": lambda confusion: class_scores(confusion)["Dice"].nanmean().nan_to_num(),
    "mean_iou": lambda confusion: class_scores(confusion)["IoU"].nanmean().nan_to_num(),
    "dice": lambda confusion: class_scores(confusion)["Dice"].nanmean().nan_to_num(),
}
"""The scores of a confusion matrix.

`balanced_accuracy` is a mean over the classes that occur, the others over those that occur or are answered.
"""
