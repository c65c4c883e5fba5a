"""What a picture is made of: boxes, frames, lines and shapes, with their places in pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from archspec.views.drawing.labels import Line, text_width
from archspec.views.drawing.part import Part

TITLE, SMALL, SHAPE = 12.0, 9.5, 9.0  # sizes of text
LINE = {False: 16.0, True: 13.0}  # heights of a box's lines, by whether they are small
PAD_X, PAD_Y = 12.0, 6.0  # between a box's border and its text
GAP, SHAPE_GAP = 18.0, 26.0  # between one box and the next; with a shape beside the line
BESIDE = 22.0  # between branches
FRAME, HEADER = 12.0, 20.0  # between a frame's border and what it holds; above it, for its title
UNDER = 14.0  # from a box to what lies below the shape that stands there
BUS = 12.0  # from a fork to the branches, and from these to where they join
LANE = 16.0  # between lines that run side by side
TITLE_X = 8.0  # between a frame's border, or the line that enters it, and its title
CIRCLE = 18.0  # the diameter of a merge's sign
GUTTER = 40.0  # between columns
ACROSS = 76.0  # between the two arms of a U
STEP = 15.0  # how much wider a box is for each doubling of the resolution
NARROWEST = 64.0
SIGNS = {"add": "+", "multiply": "×", "subtract": "−"}

Point = tuple[float, float]


@dataclass(eq=False)
class Rectangle:
    """A part in its place."""

    part: Part
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass(eq=False)
class Box(Rectangle):
    """A rectangle with text in it, or a merge's sign."""

    id: int
    lines: tuple[Line, ...]

    @property
    def middle(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(eq=False)
class Frame(Rectangle):
    """A rectangle around what an open group holds, its title at the top."""

    indent: float
    """How far right of its border its title begins."""


@dataclass(eq=False)
class Label:
    """A shape beside a line; `y` is its middle."""

    text: str
    x: float
    y: float
    source: int
    """The box whose tensor has it."""

    @property
    def width(self) -> float:
        return text_width(self.text, SHAPE)


@dataclass(eq=False)
class Edge:
    """A line from one box to another, with its corners. That of a saved tensor is an arc, whose way is found last."""

    source: int
    target: int
    points: list[Point]
    skip: bool = False
    lane: float | None = None
    """Where an arc runs beside the column."""


@dataclass
class Scene:
    """All that is drawn."""

    boxes: list[Box] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    width: float = 0
    height: float = 0

    @property
    def rectangles(self) -> list[Rectangle]:
        return [*self.boxes, *self.frames]

    def drawn(self, begun: Mark, end: Mark) -> list[Rectangle]:
        """Boxes and frames that were drawn between two times."""
        return [*self.boxes[begun.boxes : end.boxes], *self.frames[begun.frames : end.frames]]

    def mark(self) -> Mark:
        """How much is drawn by now."""
        return Mark(len(self.boxes), len(self.frames), len(self.edges), len(self.labels))

    def shape_at(self, id: int) -> str:
        """The shape that stands beside the line that leaves a box, if any does."""
        return next((label.text for label in self.labels if label.source == id), "")


@dataclass(frozen=True)
class Port:
    """A tensor under way: the box that it comes from, and the corners of its line so far."""

    source: int
    points: tuple[Point, ...]
    skip: bool = False
    lane: float | None = None
    sideways: bool = False
    """Whether it enters the next box from its left."""

    def moved(self, to: Callable[[float], float]) -> Port:
        """The same tensor, its line at other heights."""
        return replace(self, points=tuple((x, to(y)) for x, y in self.points))

    def via(self, *points: Point) -> Port:
        return self if self.skip else replace(self, points=(*self.points, *points))


@dataclass(frozen=True)
class Mark:
    """How much was drawn at some time: what comes later can be moved."""

    boxes: int
    frames: int
    edges: int
    labels: int


NOWHERE = -1
"""The source of what comes from no box."""
LATER = -2
"""The source of lines that is not drawn yet."""


def move(scene: Scene, begun: Mark, end: Mark, to: Callable[[float], float]) -> None:
    """Give what was drawn between two times other heights: `to` says where each goes."""
    for one in scene.drawn(begun, end):
        top, bottom = sorted((to(one.y), to(one.bottom)))
        one.y, one.height = top, bottom - top
    for edge in scene.edges[begun.edges : end.edges]:
        edge.points = [(x, to(y)) for x, y in edge.points]
    for label in scene.labels[begun.labels : end.labels]:
        label.y = to(label.y)


def bounds(scene: Scene) -> tuple[float, float, float, float]:
    """The room that everything takes: left, top, right and bottom."""
    rectangles = [(one.x, one.y, one.right, one.bottom) for one in scene.rectangles]
    rectangles += [(one.x, one.y - 6, one.x + one.width, one.y + 6) for one in scene.labels]
    rectangles += [(x, y, x, y) for edge in scene.edges for x, y in edge.points]
    lefts, tops, rights, bottoms = zip(*rectangles, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
