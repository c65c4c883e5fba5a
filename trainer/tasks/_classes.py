"""What the classification of images measures and draws: scores of a confusion matrix, and calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from trainer.figures import BLUE, GREY, VERMILLION, figure_of, save
from trainer.tasks._confusion import ConfusionScore, confusion_matrix

BINS = 15
"""Into how many bins of equal width the probabilities of answers are divided (https://arxiv.org/abs/1706.04599)."""
TOP = 5
"""How many of the likeliest classes the right one may be among."""


class ClassScore(ConfusionScore):
    """One of the scores of images, by logits `(N, classes)` and labels `(N,)`."""

    def count(self, output: Tensor, targets: Tensor) -> Tensor:
        return confusion_matrix(output.argmax(1), targets, self.classes)


def is_in_top(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether the right class is among the `TOP` likeliest, bool `(N,)`, of logits `(N, classes)`."""
    return (logits.topk(TOP, 1).indices == labels[:, None]).any(1)


def bin_probabilities(probability: Tensor, right: Tensor) -> Tensor:
    """Of each bin the number of answers, the sum of their probabilities, and how many are right, `(3, BINS)`.

    `probability` is of floats and `right` of booleans, both `(N,)`. A bin holds its upper bound.
    """
    bounds = torch.arange(1, BINS, device=probability.device) / BINS
    places = torch.bucketize(probability.float(), bounds)
    rows = torch.stack([torch.ones_like(probability), probability, right.to(probability.dtype)])
    return torch.zeros(3, BINS, dtype=rows.dtype, device=rows.device).index_add_(1, places, rows)


def calibration_error(bins: Tensor) -> Tensor:
    """The expected calibration error: by how much probabilities and shares of right answers differ, over the bins.

    https://arxiv.org/abs/1706.04599
    """
    return (bins[1] - bins[2]).abs().sum() / bins[0].sum()


class CalibrationError(Metric):
    """The expected calibration error of all images together, also those of other processes.

    That of torchmetrics has a bin of its own for the probability 1.
    """

    full_state_update = False
    bins: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("bins", torch.zeros(3, BINS), "sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        probability, predicted = logits.float().softmax(1).max(1)
        self.bins += bin_probabilities(probability, predicted == labels)

    def compute(self) -> Tensor:
        return calibration_error(self.bins)


def calibration_rows(bins: Tensor) -> list[list[Any]]:
    """Of each bin its bounds, its number of answers, their mean probability and share of right ones.

    The last two are empty where there are none.
    """
    return [
        [number / BINS, (number + 1) / BINS, int(count), *((sure / count, right / count) if count else ("", ""))]
        for number, (count, sure, right) in enumerate(bins.T.tolist())
    ]


def draw_reliability(bins: Tensor, file: Path, what: str = "images") -> None:
    """The share of right answers by their probability, and how many answers there are of each; `what` was answered."""
    from matplotlib.ticker import PercentFormatter

    figure, (left, right) = figure_of(7.2, 2.9, 2)
    counts, shares = bins[0], bins[0] / bins[0].sum()
    middles, filled = (torch.arange(BINS) + 0.5) / BINS, counts > 0
    width = 0.9 / BINS
    left.plot([0, 1], [0, 1], color=VERMILLION, linewidth=1.5, linestyle="--")
    left.bar(middles[filled].tolist(), (bins[2] / counts)[filled].tolist(), width, color=BLUE)
    left.set(xlabel="probability of the answer", ylabel="right answers", ylim=(0, 1.02))
    left.set_title("on the line: as often right as sure", fontsize=9)
    right.set_title(f"expected calibration error {calibration_error(bins):.2%}", fontsize=9)
    right.bar(middles.tolist(), shares.tolist(), width, color=GREY)
    right.set(xlabel="probability of the answer", ylabel=f"test {what}")
    for axes in (left, right):
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, file)
