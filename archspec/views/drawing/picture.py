"""The whole picture: a column, several side by side, or a U."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace

from archspec.plan.plan import Plan
from archspec.views.drawing.inputs import with_inputs
from archspec.views.drawing.layout import Placing
from archspec.views.drawing.measure import Extent
from archspec.views.drawing.opening import open_to
from archspec.views.drawing.outline import Outline
from archspec.views.drawing.part import Part
from archspec.views.drawing.routes import Router
from archspec.views.drawing.scene import (
    ACROSS,
    GAP,
    GUTTER,
    LATER,
    NOWHERE,
    SHAPE_GAP,
    Box,
    Edge,
    Mark,
    Point,
    Port,
    Scene,
    bounds,
    move,
)

TALLEST = 1.3
"""How much taller than wide a picture is before it is drawn in more columns."""
LOW = 420.0
"""The height up to which it is drawn in one column, however narrow."""
WORTH = 0.8
"""How low it becomes by more columns, as a share, if these are to be drawn."""
MOST_COLUMNS = 6


class Layout(Placing):
    """The layout of a network, of which some parts are open."""

    def __init__(self, outline: Outline, is_open: Callable[[Part], bool], columns: int | None = None) -> None:
        super().__init__(outline, is_open)
        plan = outline.plan
        end = Part("end", (), "end", "", -1, -1, plan.output, plan.output)
        root = outline.root
        closed = not is_open(root) and outline.graph.output in root  # else it passes its input on
        parts = [*with_inputs(outline, self.shown([root] if closed else root.children)), end]
        self.whole = bool(self.across(parts))
        """Whether saved tensors keep it from being drawn in columns."""
        if self.whole:
            self.place_column(parts, 0, 0, Port(NOWHERE, ()))
        else:
            self.place_columns(parts, columns)
        Router(self.scene).route()
        left, top, right, bottom = bounds(self.scene)
        self.shift(-left, -top)
        self.scene.width, self.scene.height = right - left, bottom - top

    # columns -------------------------------------------------------------------------------------------------------

    def place_columns(self, parts: Sequence[Part], wanted: int | None) -> None:
        """Draw a sequence in columns side by side: as many as are wanted, or as make it not much taller than wide."""
        chunks, lowest = [list(parts)], float("inf")
        for number in range(1, MOST_COLUMNS + 1) if wanted is None else [wanted]:
            split = self.split(parts, number)
            rooms = [self.column(chunk) for chunk in split]
            width = sum(room.left + room.right for room in rooms) + GUTTER * (len(split) - 1)
            height = max(room.height for room in rooms)
            if height <= WORTH * lowest:
                chunks, lowest = split, height
            if height <= max(TALLEST * width, LOW):
                break
        port, edge, floor = Port(NOWHERE, ()), 0.0, 0.0
        for number, chunk in enumerate(chunks):
            room = self.column(chunk)
            axis = edge + room.left
            if number:
                gutter = edge - GUTTER / 2
                begun = port.points[-1][0]
                port = port.via((begun, floor), (gutter, floor), (gutter, -GAP), (axis, -GAP))
            port = self.place_column(chunk, axis, 0, port)
            edge, floor = axis + room.right + GUTTER, room.height + GAP

    def split(self, parts: Sequence[Part], number: int) -> list[list[Part]]:
        """Parts in columns, at most so many, of which the tallest is as low as can be."""
        units: list[list[Part]] = []
        for part in parts:
            # input and output never stand in a column alone
            if units and (part.kind in ("save", "load", "output", "side", "given", "end") or units == [[parts[0]]]):
                units[-1].append(part)
            else:
                units.append([part])
        heights = [self.column(unit).height + SHAPE_GAP for unit in units]
        low, high = max(heights), sum(heights)
        while high - low > 1:
            limit = (low + high) / 2
            low, high = (low, limit) if len(filled(units, heights, limit)) <= number else (limit, high)
        return filled(units, heights, high)

    # the U --------------------------------------------------------------------------------------------------------

    def bent(self, parts: Sequence[Part], bend: tuple[int, int]) -> Extent:
        """The room of a U; its axis is that of the left arm. It is found by laying it out."""
        before, lanes, repeats = self.scene, dict(self.lanes), list(self.repeats)
        self.scene = Scene()
        self.place_bent(parts, bend, 0, 0, Port(NOWHERE, ()))
        left, top, right, bottom = bounds(self.scene)
        self.scene, self.lanes, self.repeats = before, lanes, repeats
        return Extent(-left, right, bottom - min(top, 0))

    def place_bent(self, parts: Sequence[Part], bend: tuple[int, int], x: float, y: float, port: Port) -> Port:
        """Draw a column as a U: down on the left, across at the bottom, up on the right."""
        left, bottom, right = parts[: bend[0]], parts[bend[0] : bend[1]], parts[bend[1] :]
        begun = self.scene.mark()
        out = self.place_column(left, x, y, port)
        drawn = self.scene.mark()
        up, under = self.column(right), self.column(bottom)
        axis = x + max(self.column(left).right + ACROSS + up.left, under.left + under.right + 2 * GAP)
        self.upward = not self.upward
        last = self.place_column(right, axis, y, Port(LATER, ()))
        self.upward = not self.upward

        def turned(at: float) -> float:
            return 2 * y + up.height - at

        move(self.scene, drawn, self.scene.mark(), turned)
        out, last = self.align(begun, drawn, out, last.moved(turned))
        floor = max(one.bottom for one in self.scene.drawn(begun, self.scene.mark()))
        self.cross(bottom, (x, axis), floor, out, drawn)
        return last

    def cross(self, bottom: Sequence[Part], axes: Point, floor: float, out: Port, drawn: Mark) -> None:
        """Draw the bottom of a U, from where its left arm ends to where its right arm begins."""
        left, right = axes
        inner = self.column(bottom)
        if inner.height:
            centre = (left + right + inner.left - inner.right) / 2
            above = floor + GAP / 2
            into = replace(out, sideways=True) if self.begins(bottom) else out.via((left, above), (centre, above))
            out = self.place_column(bottom, centre, floor + GAP, into)
            box = self.scene.boxes[out.source]
            start: tuple[Point, ...] = ((box.right, box.middle[1]), (right, box.middle[1]))
        else:
            start = (*out.points, (left, floor + GAP), (right, floor + GAP))
        for edge in self.scene.edges[drawn.edges :]:
            if edge.source == LATER:
                edge.source = out.source
                edge.points[:0] = start

    def begins(self, parts: Sequence[Part]) -> bool:
        """Whether a column begins with a single box, which a line may enter from its side."""
        first = next(part for part in self.shown(parts) if part.kind not in ("save", "load"))
        return self.begins(first.children) if first.kind == "group" and self.is_open(first) else first.kind != "merge"

    def align(self, begun: Mark, drawn: Mark, out: Port, last: Port) -> tuple[Port, Port]:
        """Draw the arms of a U apart until each saved tensor leads straight across; gives the ends of both arms."""
        end = self.scene.mark()
        first: dict[int, Edge] = {}  # of the arcs that come from one box on the left
        for edge in self.scene.edges[drawn.edges :]:
            if edge.skip and 0 <= edge.source < drawn.boxes:
                edge.lane = None
                first.setdefault(edge.source, edge)
        arcs = list(first.values())
        arcs.sort(key=lambda edge: self.scene.boxes[edge.source].y)
        done = (float("-inf"), float("-inf"))
        for edge in arcs:
            source, target = self.scene.boxes[edge.source], self.scene.boxes[edge.target]
            by = source.middle[1] - target.middle[1]
            if by > 0:
                down = pulled(self.top(target, drawn, end, done[1]), by)
                move(self.scene, drawn, end, down)
                last = last.moved(down)
            elif by < 0:
                down = pulled(self.top(source, begun, drawn, done[0]), -by)
                move(self.scene, begun, drawn, down)
                out = out.moved(down)
            done = (source.bottom, target.bottom)
        return out, last

    def top(self, box: Box, begun: Mark, end: Mark, below: float) -> float:
        """Just above a box, or the outermost frame around it that lies below some height."""
        frames = self.scene.frames[begun.frames : end.frames]
        around = [one.y for one in frames if one.y <= box.y and box.bottom <= one.bottom and one.y > below]
        return min([box.y, *around]) - 1

    def shift(self, x: float, y: float) -> None:
        for one in self.scene.rectangles:
            one.x, one.y = one.x + x, one.y + y
        for label in self.scene.labels:
            label.x, label.y = label.x + x, label.y + y
        for edge in self.scene.edges:
            edge.points = [(at + x, down + y) for at, down in edge.points]


def filled(units: Sequence[Sequence[Part]], heights: Sequence[float], limit: float) -> list[list[Part]]:
    """Units in columns of a limited height."""
    columns: list[list[Part]] = []
    room = 0.0
    for unit, height in zip(units, heights, strict=True):
        if height > room:
            columns.append([])
            room = limit
        columns[-1] += unit
        room -= height
    return columns


def pulled(top: float, by: float) -> Callable[[float], float]:
    """Moves what lies below some height down."""
    return lambda y: y + by if y >= top else y


def lay_out(
    plan: Plan, depth: int | None = None, columns: int | None = None, toggled: Container[str] = frozenset()
) -> Layout:
    """A plan's picture.

    Args:
        plan: The network.
        depth: How many levels of groups are open; without it, as many as make a picture of some thirty boxes.
        columns: In how many columns a long network is drawn; without it, as many as suit.
        toggled: The keys of groups that are open where they would be closed, and the other way round.
    """
    outline = Outline(plan)
    by_default = open_to(outline, depth)

    def is_open(part: Part) -> bool:
        return by_default(part) != (part.make is not None and bool(part.lines) and part.key in toggled)

    return Layout(outline, is_open if toggled else by_default, columns)
