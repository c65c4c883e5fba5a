"""The ways of arcs: the lines of saved tensors, which run beside a column, or from one arm of a U to the other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product

from archspec.views.drawing.scene import LANE, Box, Edge, Point, Scene

BESIDE_BOX = 6.0
"""From a box to a line that passes above or below it."""
CORNER = 10.0
"""From a box's side to a line that enters it from above where another one does so in its middle."""
NEAR = 3.0
"""Lines that are closer than this are taken for one."""
TEXT = 5.0
"""From the middle of a shape to above or below it."""
TRIES = 64


class Router:
    """Finds ways that run behind no box, through no shape, and on no line of another tensor, if there are such."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.lines: list[tuple[int, Point, Point]] = [
            (edge.source, *ends) for edge in scene.edges if not edge.skip for ends in pairwise(edge.points)
        ]
        """What is drawn already: straight lines, each with the box that its tensor comes from."""

    def route(self) -> None:
        for edge in self.scene.edges:
            if edge.skip:
                edge.points = self.beside(edge, edge.lane) if edge.lane is not None else self.between(edge)
                self.lines += [(edge.source, *ends) for ends in pairwise(edge.points)]

    def between(self, edge: Edge) -> list[Point]:
        """From one arm of a U to the other, or from one branch to another."""
        source, target = self.scene.boxes[edge.source], self.scene.boxes[edge.target]
        start, end = (source.right, source.middle[1]), (target.x, target.middle[1])
        middle = (start[0] + end[0]) / 2
        straight = abs(start[1] - end[1]) < 0.5
        direct = [start, end] if straight else [start, (middle, start[1]), (middle, end[1]), end]
        ways = [direct, *self.around(source, target)]
        for test in (self.is_free, self.is_clear):
            for way in ways:
                if all(test(edge, *ends) for ends in pairwise(way)):
                    return way
        return direct

    def around(self, source: Box, target: Box) -> Iterator[list[Point]]:
        """Out of a side of a box, past others, and into another one from above or below."""
        x, y = target.middle[0], source.middle[1]
        for number in range(1, TRIES):
            for border, at in (
                (target.y, target.y - BESIDE_BOX * number),
                (target.bottom, target.bottom + BESIDE_BOX * number),
            ):
                for out in (BESIDE_BOX, 2 * BESIDE_BOX, 3 * BESIDE_BOX):
                    for side, beside in ((source.right, source.right + out), (source.x, source.x - out)):
                        yield [(side, y), (beside, y), (beside, at), (x, at), (x, border)]

    def beside(self, edge: Edge, lane: float) -> list[Point]:
        """Out to a lane beside the column, along it and back."""
        source, target = self.scene.boxes[edge.source], self.scene.boxes[edge.target]
        leave = self.leave(edge, source, lane, 1)
        enter = self.leave(edge, target, lane, -1)
        for number in range(TRIES):
            at = lane + LANE * number
            if self.is_free(edge, (at, leave[-1][1]), (at, enter[-1][1])):
                lane = at
                break
        return [*leave, (lane, leave[-1][1]), (lane, enter[-1][1]), *reversed(enter)]

    def leave(self, edge: Edge, box: Box, lane: float, way: int) -> list[Point]:
        """From a box towards a lane: from its side, or else from below (`way` 1) or above it (-1), or the other way."""
        x, y = box.middle
        if self.is_free(edge, (box.right, y), (lane, y)):
            return [(box.right, y)]
        places = (x, box.right - CORNER) if box.width > 4 * CORNER else (x,)
        for number, down in product(range(1, TRIES), (way, -way)):
            border = box.bottom if down > 0 else box.y
            y = border + down * BESIDE_BOX * number
            for at in places:
                if self.is_free(edge, (at, y), (lane, y)) and self.is_free(edge, (at, border), (at, y)):
                    return [(at, border), (at, y)]
        return [(box.right, box.middle[1])]

    def is_free(self, edge: Edge, one: Point, two: Point) -> bool:
        """Whether a straight line runs behind no box, through no shape, and on no line of another tensor."""
        left, right = sorted((one[0], two[0]))
        top, bottom = sorted((one[1], two[1]))
        if not self.is_clear(edge, one, two) or any(
            left < label.x + label.width and label.x < right and top < label.y + TEXT and label.y - TEXT < bottom
            for label in self.scene.labels
        ):
            return False
        across = 0 if left == right else 1  # the axis on which two lines that meet are apart
        for source, begin, end in self.lines:
            if source == edge.source or (begin[0] == end[0]) is bool(across) or begin == end:
                continue
            if abs(begin[across] - one[across]) >= NEAR:
                continue
            low, high = sorted((begin[1 - across], end[1 - across]))
            mine = (top, bottom) if across == 0 else (left, right)
            if low < mine[1] and mine[0] < high:
                return False
        return True

    def is_clear(self, edge: Edge, one: Point, two: Point) -> bool:
        """Whether a straight line runs behind no box."""
        left, right = sorted((one[0], two[0]))
        top, bottom = sorted((one[1], two[1]))
        return all(
            right <= box.x or box.right <= left or bottom <= box.y or box.bottom <= top
            for box in self.scene.boxes
            if box.id not in (edge.source, edge.target)
        )
