"""Two figures of several networks against each other, and which networks no other one beats."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from archspec.writing.files import write

Point = tuple[float, float, str]
"""Two figures of a network, and its name."""


def best(points: Sequence[Point], *, larger: tuple[bool, bool] = (False, False)) -> list[Point]:
    """Those that none beats in both figures (the Pareto front), by the first one.

    Args:
        points: The networks.
        larger: Of each of the two figures, whether more is better.
    """
    first, second = (-1 if more else 1 for more in larger)
    front: list[Point] = []
    for point in sorted(points, key=lambda one: (first * one[0], second * one[1])):
        if not front or second * point[1] < second * front[-1][1]:
            front.append(point)
    return front


def draw(points: Sequence[Point], line: Sequence[Point], file: Path, axes: tuple[str, str]) -> None:
    """Draw them into a file, whose suffix says how, with a line through the best."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import EngFormatter

    with pyplot.rc_context({"svg.fonttype": "none", "svg.hashsalt": "archspec"}):
        figure, plot = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
        plot.plot([x for x, *_ in line], [y for _, y, _ in line], color="tab:blue", linewidth=1, alpha=0.6)
        kept = set(line)
        for x, y, name in points:
            plot.scatter([x], [y], s=25, color="tab:blue" if (x, y, name) in kept else "tab:gray")
            plot.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
        for axis, heading in zip((plot.xaxis, plot.yaxis), axes, strict=True):
            axis.set_label_text(heading)
            axis.set_major_formatter(EngFormatter())
        plot.grid(alpha=0.3)
        plot.margins(0.12)
        ending, made = file.suffix.lower()[1:], io.BytesIO()
        figure.savefig(made, format=ending, metadata={"Date": None} if ending == "svg" else None)
        pyplot.close(figure)
    write(str(file), made.getvalue())
