"""Draws numbers against their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from trainer.drawing import LONGEST_NAME
from trainer.figures import BLUE, GREY, engineer, figure_of, fonts_for, save, short
from trainer.tasks._numbers import number_scores

MOST = 3
"""How many numbers are drawn at most, the first ones."""

TICKS = 3
"""How many numbers stand along an axis, less or more one: more would touch, such as `150 M`."""


def scatter(targets: Tensor, output: Tensor, names: Sequence[str], file: Path) -> None:
    """Numbers `(N, K)` against their predictions, each with the line on which they would be equal."""
    from matplotlib.ticker import MaxNLocator

    scores = number_scores(output, targets)
    count = min(len(names), MOST)
    with fonts_for(names):
        figure, parts = figure_of(2.6 * count, 2.7, count)
        for number, axes in enumerate(parts):
            meant, found = targets[:, number], output[:, number]
            ends = [float(min(meant.min(), found.min())), float(max(meant.max(), found.max()))]
            axes.plot(ends, ends, color=GREY, linewidth=1, linestyle="--")
            axes.plot(meant.tolist(), found.tolist(), ".", color=BLUE, markersize=4, alpha=0.6, markeredgewidth=0)
            title = f"{short(names[number], LONGEST_NAME)}: R² {scores['R2'][number]:.3f}"
            axes.set(xlabel="target", ylabel="prediction", aspect="equal")
            axes.set_title(title, fontsize=9)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(TICKS))
                engineer(axis, ends)
            axes.spines[["top", "right"]].set_visible(False)
        save(figure, file)
