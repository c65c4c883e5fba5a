"""The pictures of a run: curves, confusion matrix, worst mistakes, samples of the augmentation."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from trainer.input.augment_batch import Augmentation
from trainer.input.datasets import InMemory
from trainer.input.images import fit_to_input
from trainer.input.loaders import Stream
from trainer.runs.job import Job
from trainer.tasks.classification import Evaluation

MISTAKES = 24
SAMPLES, DRAWS = 6, 7
_TILE, _TALL = 160, 195
NUMBERED = 20
"""Up to how many classes a confusion matrix is written out."""


def draw_all(folder: Path, job: Job, found: Evaluation) -> None:
    """Draw all pictures of a run into its folder, as PNG files, from what its network says of the test images."""
    names = job.data.class_names
    curves(folder / "metrics.csv", folder / "curves.png")
    confusion(confusion_matrix(found.predicted, found.labels, len(names)), names, folder / "confusion.png")
    wrong = worst(found)
    titles = [
        f"{names[found.labels[i]]}, taken for\n{names[found.predicted[i]]} ({found.probability[i]:.0%})"
        for i in wrong.tolist()
    ]
    images = _images(job.test, wrong.tolist())
    grid(images, titles, folder / "mistakes.png", 6, "the surest of the wrong answers" if titles else "no mistakes")
    if isinstance(job.train, InMemory):
        shape = job.spec.plan.input
        augmentation = Augmentation(job.recipe.augment, shape, job.data.classes)
        samples(
            augmentation,
            fit_to_input(job.train.images[:SAMPLES], shape, job.recipe.resize),
            folder / "augmentation.png",
        )


def _images(part: InMemory | Stream, positions: list[int]) -> Tensor:
    """Some images of a part, uint8 `(N, C, H, W)`; those of a stream at the network's size."""
    if isinstance(part, InMemory):
        return part.images[positions]
    if not positions:
        return torch.empty(0, *part.shape, dtype=torch.uint8)
    batch = part[0, positions]
    if not isinstance(batch, tuple):
        raise batch
    return batch[0]


def confusion_matrix(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """How often images of a class (row) are taken for a class (column): int64 `(classes, classes)`."""
    return torch.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def worst(found: Evaluation) -> Tensor:
    """The positions of the mistakes that the network is surest of, the surest first: `MISTAKES` at most."""
    wrong = (found.predicted != found.labels).nonzero().flatten()
    return wrong[found.probability[wrong].argsort(descending=True, stable=True)][:MISTAKES]


def curves(log: Path, file: Path) -> None:
    """The losses and the accuracy by epoch, of a `metrics.csv`."""
    with open(log, newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    figure, (left, right) = _figure(9, 3.5, 2)
    for axes, name, label in (
        (left, "train_loss", "training"),
        (left, "val_loss", "validation"),
        (right, "val_accuracy", "validation"),
    ):
        points = [(int(row["epoch"]) + 1, float(row[name])) for row in rows if row.get(name) and row.get("epoch")]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else None)
            axes.legend()
    left.set(title="loss", xlabel="epoch")
    right.set(title="accuracy", xlabel="epoch")
    figure.savefig(file, dpi=120)


def confusion(matrix: Tensor, names: Sequence[str], file: Path) -> None:
    """A confusion matrix, each row by its sum."""
    size = min(12.0, 3 + 0.4 * len(names))
    figure, (axes,) = _figure(size + 1, size, 1)
    shares = matrix / matrix.sum(1, keepdim=True).clamp(min=1)
    shown = axes.imshow(shares.numpy(), vmin=0, vmax=1, cmap="Blues")
    axes.set(xlabel="taken for", ylabel="class", title="test images")
    if len(names) <= NUMBERED:
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        for row, column in matrix.nonzero().tolist():
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, int(matrix[row, column]), ha="center", va="center", color=colour, fontsize=7)
    figure.colorbar(shown, ax=axes, fraction=0.046)
    figure.savefig(file, dpi=120)


def samples(augmentation: Augmentation, images: Tensor, file: Path) -> None:
    """Training images `(N, C, H, W)` of the network's size, each followed by what augmentation makes of it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        labels = torch.zeros(len(images), dtype=torch.int64)
        drawn = torch.stack([images, *(augmentation(images.clone(), labels)[0] for _ in range(DRAWS))], 1)
    titles = ["image", *[""] * DRAWS] + [""] * ((len(images) - 1) * (DRAWS + 1))
    grid(drawn.flatten(0, 1), titles, file, DRAWS + 1, "training images, and draws of their augmentation")


def grid(images: Tensor, titles: Sequence[str], file: Path, columns: int, title: str) -> None:
    """uint8 images `(N, C, H, W)` side by side, each below its title."""
    rows = max(1, math.ceil(len(images) / columns))
    # one picture of all: a part of a figure for each would take matplotlib seconds
    whole = torch.full((_TALL * rows, _TILE * columns, 3), 255, dtype=torch.uint8)
    figure, (axes,) = _figure(1.5 * columns, 1.5 * _TALL / _TILE * rows + 0.4, 1)
    tiles = functional.resize(images.cpu(), [_TILE - 8, _TILE - 8], InterpolationMode.NEAREST).permute(0, 2, 3, 1)
    for number, (tile, text) in enumerate(zip(tiles, titles, strict=True)):
        top, left = _TALL * (number // columns) + _TALL - _TILE, _TILE * (number % columns)
        whole[top : top + _TILE - 8, left + 4 : left + _TILE - 4] = tile
        axes.text(left + _TILE / 2, top - 4, text, ha="center", va="bottom", fontsize=6)
    axes.imshow(whole.numpy(), interpolation="nearest")
    axes.set_title(title)
    axes.axis("off")
    figure.savefig(file, dpi=120)


def _figure(width: float, height: float, count: int) -> tuple[Any, list[Any]]:
    """A figure of so many inches, and its parts side by side; without a window, or anything that all figures share."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, count, squeeze=False).flatten())
