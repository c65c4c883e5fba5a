"""Pictures, as PNG and SVG files: curves, confusion matrices, images side by side. What they show is the caller's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from trainer.figures import BLUE, GREY, VERMILLION, engineer, figure_of, fonts_for, save, short, without_glyphs
from trainer.input.augment_batch import Augmentation
from trainer.input.datasets import InMemory
from trainer.input.loaders import Stream

DRAWS = 7
"""How often the augmentation of an image is drawn."""
_TILE, _TALL = 160, 212
_INCHES = 1.15
"""The width of one of several images: six of them, in letters of 6 points, fill a page."""
NUMBERED = 20
"""Up to how many classes a confusion matrix is written out."""
NAMED = 100
"""Up to how many classes each is named; of more, so many."""
LONGEST_NAME, LONGEST_LINE = 24, 21
"""How many characters of a class's name, and of a line above an image, are shown."""


def batch_at(part: InMemory | Stream, positions: list[int]) -> tuple[Tensor, Tensor]:
    """Some images of a part, uint8 `(N, C, H, W)`, and their targets; those of a stream at the network's size."""
    if isinstance(part, InMemory):
        return part.images[positions], part.labels[positions]
    if not positions:
        return torch.empty(0, *part.shape, dtype=torch.uint8), torch.empty(0)
    batch = part[0, positions]
    if not isinstance(batch, tuple):
        raise batch
    return batch[0], batch[1]


def files_at(part: InMemory | Stream, positions: list[int]) -> list[str]:
    """What some images of a part are called: the paths of their files, or their numbers, as in `predictions.csv`.

    Paths that no installed font can write are left out for the numbers.
    """
    names = part.names if isinstance(part, InMemory) else part.files.paths
    missing = set(without_glyphs(names[position] for position in positions)) if names else set()
    return [
        names[position] if names and not set(names[position]) & missing else f"image {position}"
        for position in positions
    ]


def unit_of(part: InMemory | Stream) -> str:
    """What a part holds, in a word."""
    return "images" if not isinstance(part, InMemory) or part.are_images else "samples"


def curves(
    rows: Sequence[dict[str, float]],
    file: Path,
    metric: str,
    heading: str,
    *,
    best: int | None = None,
    percent: bool = False,
) -> None:
    """The losses and a metric by epoch, from the rows of a `metrics.csv`: the metric's name there and its heading.

    `best` is the epoch whose weights were chosen, counted from 1; `percent`, whether the metric is a share.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure, (left, right) = figure_of(7.2, 2.8, 2)
    for axes, name, label, colour, style in (
        (left, "train_loss", "training", BLUE, "-"),
        (left, "val_loss", "validation", VERMILLION, "--"),
        (right, metric, "validation", VERMILLION, "--"),
    ):
        points = [(row["epoch"] + 1, row[name]) for row in rows if name in row]
        if points:
            mark = "o" if len(points) < 30 else None
            axes.plot(*zip(*points, strict=True), style, color=colour, label=label, marker=mark, markersize=3)
    for axes, label in ((left, "loss"), (right, heading)):
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.grid(alpha=0.25, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        if best is not None and axes.lines:
            axes.axvline(best, color=GREY, linestyle=":", linewidth=1, label=f"best: epoch {best}")
        if axes.lines:
            axes.legend(frameon=False, fontsize=8)
    if percent:
        low, high = right.get_ylim()
        right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0 if high - low > 0.03 else 1))
    else:
        engineer(right.yaxis, [row[metric] for row in rows if metric in row])
    save(figure, file)


def confusion(matrix: Tensor, names: Sequence[str], file: Path, what: str = "images") -> None:
    """A confusion matrix, each row by its sum; of very many classes, `NAMED` are named.

    Where numbers are large, they are written as percent of the row. `what` is what was counted.
    """
    count, shown = len(names), [short(name, LONGEST_NAME) for name in names]
    cell = 0.34 if count <= NUMBERED else 0.13
    margin = 0.9 + 0.06 * max(map(len, shown))
    size = max(2.2, min(cell * count, 0.13 * NAMED))
    with fonts_for(shown):
        figure, (axes,) = figure_of(size + margin + 0.7, size + margin, 1)
        shares = matrix / matrix.sum(1, keepdim=True).clamp(min=1)
        image = axes.imshow(shares.numpy(), vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
        in_percent = int(matrix.max()) > 9999
        axes.set(xlabel=f"taken for{' (%)' * in_percent}", ylabel="class")
        every = range(0, count, math.ceil(count / NAMED))
        letters = 8 if count <= NUMBERED else 6
        axes.set_xticks(
            every, [shown[i] for i in every], rotation=90 if max(map(len, shown)) > 2 else 0, fontsize=letters
        )
        axes.set_yticks(every, [shown[i] for i in every], fontsize=letters)
        for row, column in matrix.nonzero().tolist() if count <= NUMBERED else ():
            colour = "white" if shares[row, column] > 0.5 else "black"
            share = f"{100 * shares[row, column]:.0f}" if shares[row, column] >= 0.005 else ""
            text = share if in_percent else str(int(matrix[row, column]))
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
        bar = figure.colorbar(image, ax=axes, fraction=0.046, label=f"share of the class's test {what}")
        bar.ax.tick_params(labelsize=7)
        save(figure, file)


def samples(augmentation: Augmentation, images: Tensor, file: Path) -> None:
    """Training images `(N, C, H, W)` of the network's size, each followed by what augmentation makes of it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        labels = torch.zeros(len(images), dtype=torch.int64)
        show_draws(images, [augmentation(images.clone(), labels)[0] for _ in range(DRAWS)], file)


def show_draws(images: Tensor, draws: Sequence[Tensor], file: Path) -> None:
    """Training images `(N, C, H, W)`, each followed by its `DRAWS` draws of the augmentation, of the same shape."""
    drawn = torch.stack([images, *draws], 1)
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
    """uint8 images `(N, C, H, W)`, one at least, side by side, each below its title of three lines at most.

    Samples that are no images are not drawn.

    There are up to `columns` in a row, and rows are about equally long. A `legend` says what colours stand for.
    """
    if images.dtype != torch.uint8:
        return
    rows = math.ceil(len(images) / columns)
    columns = math.ceil(len(images) / rows)
    lines = max(len(text.splitlines()) for text in titles)
    tall = _TILE + (_TALL - _TILE) * lines // 3
    titles = ["\n".join(short(line, LONGEST_LINE) for line in text.splitlines()) for text in titles]
    # one picture of all: a part of a figure for each would take matplotlib seconds
    whole = torch.full((tall * rows, _TILE * columns, 3), 255, dtype=torch.uint8)
    names = [(short(name, LONGEST_NAME), colour) for name, colour in legend]
    with fonts_for([*titles, *(name for name, _ in names)]):
        entry = 0.45 + 0.075 * max((len(name) for name, _ in names), default=0)  # inches
        beside = min(len(names), max(1, int(_INCHES * columns / entry)))
        below = 0.16 * math.ceil(len(names) / beside) + 0.15 if names else 0.0
        figure, (axes,) = figure_of(_INCHES * columns, _INCHES * tall / _TILE * rows + 0.3 + below, 1)
        tiles = functional.resize(images.cpu(), [_TILE - 8, _TILE - 8], InterpolationMode.NEAREST).permute(0, 2, 3, 1)
        for number, (tile, text) in enumerate(zip(tiles, titles, strict=True)):
            top, left = tall * (number // columns) + tall - _TILE, _TILE * (number % columns)
            whole[top : top + _TILE - 8, left + 4 : left + _TILE - 4] = tile
            axes.text(left + _TILE / 2, top - 4, text, ha="center", va="bottom", fontsize=6)
        axes.imshow(whole.numpy(), interpolation="nearest")
        if legend:
            from matplotlib.patches import Patch

            patches = [Patch(color=colour, label=name) for name, colour in names]
            figure.legend(handles=patches, fontsize=7, loc="outside lower center", ncols=beside, frameon=False)
        axes.set_title(title, fontsize=9)
        axes.axis("off")
        save(figure, file)
