"""Where everything lies.

The tree is the layout. A sequence is a column whose parts stand on one axis, branches stand side by side, and what a
`save` leads to a `load` is an arc beside the column. Where such arcs nest, the column is bent to a U (`bend`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archspec.plan.graph import GraphGroup, GraphWire
from archspec.views.drawing.labels import Line
from archspec.views.drawing.measure import Extent, Measure, is_load
from archspec.views.drawing.outline import Outline
from archspec.views.drawing.part import Part
from archspec.views.drawing.scene import (
    BESIDE,
    BUS,
    CIRCLE,
    FRAME,
    GAP,
    HEADER,
    LANE,
    LATER,
    NOWHERE,
    TITLE_X,
    Box,
    Edge,
    Frame,
    Label,
    Point,
    Port,
    Scene,
)


class Placing(Measure):
    """Draws parts where they belong."""

    def __init__(self, outline: Outline, is_open: Callable[[Part], bool]) -> None:
        super().__init__(outline, is_open)
        self.scene = Scene()
        self.lanes: dict[tuple[int, int], float] = {}
        self.repeats: list[Part] = []
        self.upward = False

    def place_bent(self, parts: Sequence[Part], bend: tuple[int, int], x: float, y: float, port: Port) -> Port:
        """Draw a column as a U."""
        raise NotImplementedError

    def place_column(self, parts: Sequence[Part], x: float, y: float, port: Port) -> Port:
        """Draw a sequence from (x, y) downwards; gives where its tensor goes on."""
        parts = self.shown(parts)
        bend = self.bend(parts)
        if bend is not None:
            return self.place_bent(parts, bend, x, y, port)
        skips = self.across(parts)
        reach: dict[int, int] = {}  # over how many parts each saved tensor leads: the fewer, the nearer its lane is
        for start, end, save, _ in skips:
            reach[save] = max(reach.get(save, 0), end - start)
        edge = x + max((self.extent(part).right for part in parts), default=0)
        order = sorted(reach, key=lambda save: reach[save])
        for _, _, save, load in skips:
            self.lanes[save, load] = edge + LANE * (order.index(save) + 1)
        way = port  # what flows here, whatever is loaded before the next box
        for at, part in enumerate(parts):
            if part.kind == "load":
                port = self.loaded(part, way)
            else:
                port = self.place(part, x, y, port)
                way = port if part.kind in ("layer", "group", "merge") else way
            y += self.extent(part).height + (self.gap(parts, at) if at + 1 < len(parts) else 0)
        return port

    def place(self, part: Part, x: float, y: float, port: Port) -> Port:
        if part.kind == "save":
            return port
        if part.kind == "merge":
            return self.place_merge(part, x, y, port)
        if part.kind in ("output", "side", "given"):
            self.place_beside(part, x, y, port)
            return port
        if part.kind == "group" and self.is_open(part):
            return self.place_frame(part, x, y, port)
        return self.place_box(part, x, y, port)

    def loaded(self, part: Part, way: Port) -> Port:
        """A saved tensor where it is loaded: an arc, if it is not what flows there (`way`)."""
        wire = part.item
        assert isinstance(wire, GraphWire)
        assert wire.saved is not None
        if wire.id in self.outline.flowing:
            owner = self.owner(wire.sources[0])
            if way.source == (LATER if owner is None else owner.id):
                return way
        return self.arc(wire.saved, wire.id)

    def arc(self, save: int, load: int) -> Port:
        """A saved tensor, on its way to where it is loaded."""
        owner = self.owner(self.outline.graph.nodes[load].sources[0])
        return Port(NOWHERE if owner is None else owner.id, (), skip=True, lane=self.lanes.get((save, load)))

    def owner(self, node: int) -> Box | None:
        """The box that a node is shown in; `None` where only a part of the picture is laid out, to measure it."""
        for part in self.repeats:
            if node in part:
                node = part.start + (node - part.start) % ((part.stop - part.start) // part.count)
        inside = [
            box
            for box in self.scene.boxes
            if node in box.part and (box.part.kind != "merge" or node == box.part.stop - 1)
        ]
        return min(inside, key=lambda box: box.part.stop - box.part.start, default=None)

    def place_frame(self, part: Part, x: float, y: float, port: Port) -> Port:
        room = self.extent(part)
        if part.count > 1 and part.equal:
            self.repeats.append(part)
        self.add_frame(part, x, y, room)
        return self.place_column(part.children, x, y + (FRAME if self.upward else HEADER), port)

    def add_frame(self, part: Part, x: float, y: float, room: Extent) -> None:
        beside = self.title_width(part) > room.left
        place = (x - room.left, y, room.left + room.right, room.height)
        self.scene.frames.append(Frame(part, *place, TITLE_X + (room.left if beside else 0)))

    def place_box(self, part: Part, x: float, y: float, port: Port) -> Port:
        """Draw a layer or a closed group, and the lines of all tensors that it takes from outside."""
        room = self.box_extent(part)
        taken = port if self.takes(part, port) else Port(NOWHERE, ())
        out = self.finish(part, self.lines_of(part), (x - room.left, y, 2 * room.left, room.height), taken)
        for save, load in self.outline.skips:
            if load in part and save not in part:
                self.connect(self.arc(save, load), self.scene.boxes[out.source], self.scene.boxes[out.source].middle)
        group = part.item if isinstance(part.item, GraphGroup) else None
        if group and group.result not in part and part.kind == "group":  # it ends in a tensor that was saved before
            owner = self.owner(group.result)
            return Port(NOWHERE if owner is None else owner.id, (), skip=True)
        return out

    def takes(self, part: Part, port: Port) -> bool:
        """Whether a closed group uses the tensor that reaches it: one that begins with a `load` may not."""
        if part.make is None or port.source < 0:
            return True
        nodes = self.outline.graph.nodes
        sources = {id for node in nodes[part.start : part.stop] for id in node.sources if id not in part}
        return any((owner := self.owner(id)) is not None and owner.id == port.source for id in sources)

    def finish(self, part: Part, lines: tuple[Line, ...], place: tuple[float, float, float, float], port: Port) -> Port:
        """Draw a box, the line that leads to it and the shape below it."""
        box = Box(part, *place, len(self.scene.boxes), lines)
        self.scene.boxes.append(box)
        x = box.middle[0]
        end = (x, box.y)
        if port.sideways and port.points:
            port, end = port.via((port.points[-1][0], box.middle[1])), (box.x, box.middle[1])
        self.connect(port, box, end)
        if label := self.label_of(part):
            self.scene.labels.append(Label(label, x + 6, box.bottom + 9, box.id))
        return Port(box.id, ((x, box.bottom),))

    def connect(self, port: Port, box: Box, end: Point) -> None:
        if port.source == NOWHERE:
            return
        if port.skip:
            if all((edge.source, edge.target) != (port.source, box.id) for edge in self.scene.edges):
                self.scene.edges.append(Edge(port.source, box.id, [], True, port.lane))
        else:
            self.scene.edges.append(Edge(port.source, box.id, [*port.points, end]))

    def place_merge(self, merge: Part, x: float, y: float, port: Port) -> Port:
        """Draw branches side by side, and the sign where they join."""
        axes, room = self.spread(merge)
        branches = self.branches(merge)
        top = y + (BUS if room.height else 0)
        joint = top + room.height + (8 if room.height else 0)
        sign = y + self.extent(merge).height - CIRCLE
        ends: list[tuple[Port, float, bool]] = []
        nothing = Port(NOWHERE, ())
        for branch, axis in zip(branches, axes, strict=True):
            at, inner = x + axis, self.column(branch)
            loads = [part for part in branch if part.kind == "load"]
            if not inner.height:
                end = self.loaded(loads[-1], nothing) if is_load(branch) else port.via((x, y), (at, y))
                ends.append((end, at, True))
                continue
            begins = branch[0].kind == "input"
            start = nothing if begins else port.via((x, y), (at, y)) if axis else port
            ends.append((self.place_column(branch, at, top + (room.height - inner.height) / 2, start), at, False))
        text, width = self.sign(merge)
        out = self.finish(merge, (Line(text, small=True),), (x - width / 2, sign, width, CIRCLE), nothing)
        box = self.scene.boxes[out.source]
        for end, at, empty in ends:
            if empty and at != x:  # a shortcut enters the sign from its side
                side = box.right if at > x else box.x
                self.connect(end.via((at, box.middle[1])), box, (side, box.middle[1]))
            else:
                self.connect(end if at == x else end.via((at, joint), (x, joint)), box, (x, box.y))
        return out

    def place_beside(self, part: Part, x: float, y: float, port: Port) -> None:
        """Draw a named output, an auxiliary classifier, or what leads to outputs alone."""
        room = self.extent(part)
        left = x + BESIDE
        if part.kind == "given":
            width = 2 * self.box_extent(part).left
            self.finish(part, part.lines, (left, y, width, room.height), Port(NOWHERE, ()))
            return
        if part.kind == "output":
            place = (left, y, room.right - BESIDE, room.height)
            middle = y + room.height / 2
            box = Box(part, *place, len(self.scene.boxes), (Line(part.title, small=True),))
            self.scene.boxes.append(box)
            self.connect(port.via((x, middle)), box, (left, middle))
            return
        top = y + BUS
        if not self.is_open(part):
            inner = self.box_extent(part)
            self.place_box(part, left + inner.left, top + GAP, port.via((x, top), (left + inner.left, top)))
            return
        inner = self.column(part.children)
        if part.lines:
            inner = self.frame_extent(part, inner)
            self.add_frame(part, left + inner.left, top + GAP, inner)
        axis = left + inner.left
        down = top + GAP + ((FRAME if self.upward else HEADER) if part.lines else 0)
        self.place_column(part.children, axis, down, port.via((x, top), (axis, top)))
