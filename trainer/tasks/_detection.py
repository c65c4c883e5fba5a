"""Detectors by their outputs, which no task trains: by names, and by shapes as of YOLO, SSD, RetinaNet or DETR."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations, permutations

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.shapes import Shape, show
from archspec.plan.plan import Plan

ANCHORS = range(1, 16)
"""How many boxes a position of a map may predict."""
BOX = 4
OBJECTNESS = 1


def refuse_named(plan: Plan, tasks: list[str]) -> None:
    """Raises `UsageError` for a network whose outputs have names of a detector's: they would not be trained."""
    heads = [
        name for name in (*plan.outputs, *plan.aux) if re.search("box|bbox|anchor|objectness|detect", name.lower())
    ]
    if heads:
        raise _refusal(f"{plan.title} has the output{'s' * (len(heads) > 1)} {join_words(heads)} of a detector", tasks)


def refuse_shaped(plan: Plan, tasks: list[str], *, certain: bool) -> None:
    """Raises `UsageError` for a network whose outputs have the shapes of a detector's.

    Where `certain`, only if nothing else has such: maps of several sizes that are all of boxes. Otherwise a single map
    or pair is enough, of a network that is known to fit no task.
    """
    classes = dict(plan.vars).get("num_classes")
    shapes = [*plan.outputs.values(), plan.output]
    if not isinstance(classes, int):
        return
    maps = [shape for shape in shapes if len(shape) == 3]
    sizes = {shape[1:] for shape in maps}
    dense = [shape for shape in maps if any(shape[0] == n * (BOX + OBJECTNESS + classes) for n in ANCHORS)]
    paired = {size for size in sizes if any(_are_paired(*pair, classes) for pair in _pairs(maps, size))}
    rows = [pair for pair in combinations([one for one in shapes if len(one) == 2], 2) if _are_rows(*pair, classes)]
    several = len(sizes) > 1 or not certain
    if several and dense and len(dense) == len(maps):
        count = dense[0][0] // (BOX + OBJECTNESS + classes)
        what = "box" if count == 1 else "boxes"
        said = f"{count} {what} for each position, of 4 coordinates, a score and {classes} classes"
        raise _refusal(f"{plan.title} gives {_listed(dense)}, as a detector does: {said}", tasks)
    if several and paired and paired == sizes:
        raise _refusal(f"{plan.title} gives {_listed(maps)}, as a detector does: maps of boxes and of classes", tasks)
    if rows:
        said = f"4 coordinates and the classes of {rows[0][0][0]} boxes"
        raise _refusal(f"{plan.title} gives {_listed(rows[0])}, as a detector does: {said}", tasks)


def _pairs(maps: Sequence[Shape], size: Shape) -> list[tuple[Shape, Shape]]:
    return [(a, b) for a, b in permutations(maps, 2) if a[1:] == b[1:] == size]


def _are_paired(boxes: Shape, scores: Shape, classes: int) -> bool:
    """Whether a map has the coordinates of boxes and another one the classes, with or without the background."""
    count = boxes[0] // BOX
    return count in ANCHORS and boxes[0] == BOX * count and scores[0] in (count * classes, count * (classes + 1))


def _are_rows(one: Shape, other: Shape, classes: int) -> bool:
    """Whether two lists are the boxes and their classes, with or without the background."""
    return one[0] == other[0] > 1 and sorted((one[1], other[1])) in (
        sorted((BOX, classes)),
        sorted((BOX, classes + 1)),
    )


def _listed(shapes: Sequence[Shape]) -> str:
    return ", ".join(map(show, shapes))


def _refusal(what: str, tasks: list[str]) -> UsageError:
    return UsageError(
        f"{what}, and detection is out of archspec's scope: no task trains it",
        help=f"build the network and train it elsewhere, or leave these outputs out; the tasks are {join_words(tasks)}",
    )
