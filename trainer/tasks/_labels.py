"""What the multi-label task measures, of probabilities and truths `(N, labels)`, by torchmetrics."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import (
    multilabel_average_precision,
    multilabel_f1_score,
    multilabel_precision,
    multilabel_recall,
)
from torchmetrics.utilities import dim_zero_cat


def label_scores(probabilities: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Average precision, precision, recall and F1 of each label; NaN where no image has a label."""
    count, truth = truth.shape[1], truth.long()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No positive samples")  # they are left out
        scores = {
            "average precision": multilabel_average_precision(probabilities, truth, count, average="none"),
            "precision": multilabel_precision(probabilities, truth, count, average="none"),
            "recall": multilabel_recall(probabilities, truth, count, average="none"),
            "f1": multilabel_f1_score(probabilities, truth, count, average="none"),
        }
    there = truth.sum(0) > 0
    return {name: torch.where(there, score, torch.nan) for name, score in scores.items()}


def mean_average_precision(probabilities: Tensor, truth: Tensor) -> Tensor:
    """The mean of the average precision, over the labels that images have."""
    return label_scores(probabilities, truth)["average precision"].nanmean().nan_to_num()


def macro_f1(probabilities: Tensor, truth: Tensor) -> Tensor:
    """The mean of F1, over the labels that images have."""
    return label_scores(probabilities, truth)["f1"].nanmean().nan_to_num()


class LabelScore(Metric):
    """A score of all images together, also those of other processes: `map` or `f1`."""

    full_state_update = False
    probabilities: list[Tensor]
    truth: list[Tensor]

    def __init__(self, name: str) -> None:
        super().__init__()
        self.score = {"map": mean_average_precision, "f1": macro_f1}[name]
        self.add_state("probabilities", [], "cat")
        self.add_state("truth", [], "cat")

    def update(self, output: Tensor, targets: Tensor) -> None:
        self.probabilities.append(output.float().sigmoid())
        self.truth.append(targets > 0.5)

    def compute(self) -> Tensor:
        return self.score(dim_zero_cat(self.probabilities), dim_zero_cat(self.truth))
