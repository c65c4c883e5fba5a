"""Pictures, as PNG files: curves, confusion matrices, images side by side. What they show is the caller's."""

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
from trainer.input.loaders import Stream

DRAWS = 7
"""How often the augmentation of an image is drawn."""
_TILE, _TALL = 160, 195
NUMBERED = 20
"""Up to how many classes a confusion matrix is written out."""


def batch_at(part: InMemory | Stream, positions: list[int]) -> tuple[Tensor, Tensor]:
    """Some images of a part, uint8 `(N, C, H, W)`, and their targets; those of a stream at the network's size."""
    if isinstance(part, InMemory):
        return part[positions]
    if not positions:
        return torch.empty(0, *part.shape, dtype=torch.uint8), torch.empty(0)
    batch = part[0, positions]
    if not isinstance(batch, tuple):
        raise batch
    return batch


def confusion_matrix(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """How often images of a class (row) are taken for a class (column): int64 `(classes, classes)`."""
    return torch.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def curves(log: Path, file: Path, metric: str, heading: str) -> None:
    """The losses and a metric by epoch, of a `metrics.csv`: the metric's name there, and what it is called."""
    with open(log, newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    figure, (left, right) = figure_of(9, 3.5, 2)
    for axes, name, label in (
        (left, "train_loss", "training"),
        (left, "val_loss", "validation"),
        (right, metric, "validation"),
    ):
        points = [(int(row["epoch"]) + 1, float(row[name])) for row in rows if row.get(name) and row.get("epoch")]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else None)
            axes.legend()
    left.set(title="loss", xlabel="epoch")
    right.set(title=heading, xlabel="epoch")
    figure.savefig(file, dpi=120)


def confusion(matrix: Tensor, names: Sequence[str], file: Path, what: str = "test images") -> None:
    """A confusion matrix, each row by its sum; large numbers are written as percent of it."""
    size = min(12.0, 3 + 0.4 * len(names))
    figure, (axes,) = figure_of(size + 1, size, 1)
    shares = matrix / matrix.sum(1, keepdim=True).clamp(min=1)
    shown = axes.imshow(shares.numpy(), vmin=0, vmax=1, cmap="Blues")
    in_percent = int(matrix.max()) > 9999
    axes.set(xlabel="taken for", ylabel="class", title=f"{what}{', in percent of the class' * in_percent}")
    if len(names) <= NUMBERED:
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        for row, column in matrix.nonzero().tolist():
            colour = "white" if shares[row, column] > 0.5 else "black"
            share = f"{100 * shares[row, column]:.0f}" if shares[row, column] >= 0.005 else ""
            text = share if in_percent else str(int(matrix[row, column]))
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
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


def grid(
    images: Tensor,
    titles: Sequence[str],
    file: Path,
    columns: int,
    title: str,
    legend: Sequence[tuple[str, str]] = (),
) -> None:
    """uint8 images `(N, C, H, W)` side by side, each below its title; colours and what they mean below them all."""
    rows = max(1, math.ceil(len(images) / columns))
    # one picture of all: a part of a figure for each would take matplotlib seconds
    whole = torch.full((_TALL * rows, _TILE * columns, 3), 255, dtype=torch.uint8)
    figure, (axes,) = figure_of(1.5 * columns, 1.5 * _TALL / _TILE * rows + 0.4, 1)
    tiles = functional.resize(images.cpu(), [_TILE - 8, _TILE - 8], InterpolationMode.NEAREST).permute(0, 2, 3, 1)
    for number, (tile, text) in enumerate(zip(tiles, titles, strict=True)):
        top, left = _TALL * (number // columns) + _TALL - _TILE, _TILE * (number % columns)
        whole[top : top + _TILE - 8, left + 4 : left + _TILE - 4] = tile
        axes.text(left + _TILE / 2, top - 4, text, ha="center", va="bottom", fontsize=6)
    axes.imshow(whole.numpy(), interpolation="nearest")
    if legend:
        from matplotlib.patches import Patch

        patches = [Patch(color=colour, label=name) for name, colour in legend]
        figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 2 * columns), fontsize=8)
    axes.set_title(title)
    axes.axis("off")
    figure.savefig(file, dpi=120)


def figure_of(width: float, height: float, count: int) -> tuple[Any, list[Any]]:
    """A figure of so many inches, and its parts side by side; without a window, or anything that all figures share."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, count, squeeze=False).flatten())
