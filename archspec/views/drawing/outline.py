"""A plan's tree as a picture shows it: equal parts folded, small ones in one box, what is empty left out.

A part is opened when it is asked for its children, so a picture costs what it shows and no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial

from archspec.foundation.shapes import Shape
from archspec.plan.graph import Graph, GraphGroup, GraphItem, GraphLayer, GraphNode, GraphPart, GraphWire
from archspec.plan.nodes import Group, Layer, Node
from archspec.plan.plan import Plan
from archspec.views.drawing.flow import flowing, port_wires
from archspec.views.drawing.labels import HEAVY, Line, block_lines, cell_lines, cut, family
from archspec.views.drawing.part import Part, sides

MAX_CELL = 5
"""Layers that may share a box."""
MAX_COLUMN = 200
"""Parts of a column; of more of them, some at a time share a box that can be opened."""
STRETCHES = 32
"""The boxes of such a column."""


class Outline:
    """The parts of a plan, outermost first."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.graph: Graph = plan.graph
        self._signatures: dict[tuple[int, bool], tuple[Node, int]] = {}
        self._numbers: dict[tuple[object, ...], int] = {}

    @cached_property
    def root(self) -> Part:
        """The whole network, its input and output included."""
        plan, graph = self.plan, self.graph
        body = self._parts(graph.root, "")
        whole = body[0] if len(body) == 1 and body[0].kind == "group" and not body[0].block else None
        whole = whole if whole and whole.count == 1 else None
        inner = (lambda: whole.children) if whole else (lambda: body)
        return Part(
            "group", (Line(cut(plan.name)),), "block", "", len(plan.takes), len(graph.nodes), plan.input, plan.output,
            plan.params, plan.macs, plan.root.layers, make=inner,
        )  # fmt: skip

    @cached_property
    def skips(self) -> tuple[tuple[int, int], ...]:
        """Every `load` with its `save`: the numbers of their nodes, in the order of the loads."""
        wires = (node for node in self.graph.nodes if isinstance(node, GraphWire))
        return tuple((wire.saved, wire.id) for wire in wires if wire.saved is not None)

    @cached_property
    def flowing(self) -> frozenset[int]:
        """The `load`s of tensors that reach them anyway: the numbers of their nodes."""
        return frozenset(flowing(self.graph))

    def _parts(self, item: GraphItem, key: str) -> list[Part]:
        """The parts that an item is shown as; a sequence without a name of its own is no part."""
        if isinstance(item, GraphLayer):
            return [self._layer(item)]
        if isinstance(item, GraphWire):
            return [self._wire(item)]
        assert isinstance(item, GraphGroup)
        if item.start == item.stop:
            return []
        if item.node.is_merge:
            return [self._merge(item)]
        if item.kind == "aux":
            body = self._children(item)
            whole = body[0].make if len(body) == 1 and body[0].count == 1 else None
            side = self._group(item, "side", (Line(cut(item.node.name)),))
            return [replace(side, make=whole or side.make)]
        if all(isinstance(node, GraphWire) for node in self._nodes(item)):
            return self._children(item)
        if item.kind == "block" and item.result == item.source:
            return [self._group(item, "side", block_lines(item.node))]
        if item.kind == "block":
            return [self._group(item, "group", block_lines(item.node))]
        if not key or key.isdecimal():
            return self._children(item)
        if item.result == item.source:  # it leads to outputs alone
            return [self._group(item, "side", (Line(cut(key)),))]
        return [self._group(item, "group", (Line(cut(key)),))]

    def _nodes(self, item: GraphGroup) -> Sequence[GraphNode]:
        return self.graph.nodes[item.start : item.stop]

    def _children(self, group: GraphGroup) -> list[Part]:
        """The parts of a group's children, runs of equal ones folded."""
        if group.kind in ("for", "repeat"):
            return self._passes(group)
        pairs = zip(group.node.children, group.children, strict=True)
        parts = [part for (key, _), child in pairs for part in self._parts(child, key)]
        inner = sides(list(self._folded(parts, similar=False)))
        before, after = ([self._wire(one) for one in wires] for wires in port_wires(self.graph, group))
        return [*before, *self.in_stretches(inner), *after]

    def _passes(self, loop: GraphGroup) -> list[Part]:
        """The passes of a loop: one part each, folded where they are alike; loose where a single layer is all."""
        pairs = zip(loop.node.children, loop.children, strict=True)
        passes = [(child, self._parts(child, key)) for (key, _), child in pairs]
        whole = any(len(inner) > 1 or (inner and inner[0].kind == "merge") for _, inner in passes)
        parts: list[Part] = []
        for child, inner in passes:
            if whole and inner and isinstance(child, GraphGroup):
                parts.append(replace(self._group(child, "group", (Line(cut(child.path)),)), make=partial(list, inner)))
            else:
                parts += inner
        return self.in_stretches(sides(list(self._folded(parts, similar=loop.kind == "repeat"))))

    def _folded(self, parts: list[Part], *, similar: bool) -> Iterator[Part]:
        """Parts with each run of equal ones as one; `similar` where equal but for their shapes is enough."""
        at = 0
        while at < len(parts):
            first, end = parts[at], at + 1
            if first.kind in ("layer", "group") and not self._wired(first):
                while end < len(parts) and self._alike(first, parts[end], similar):
                    end += 1
            run = parts[at:end]
            at = end
            yield first if len(run) == 1 else self._run(run)

    def _alike(self, first: Part, other: Part, similar: bool) -> bool:
        if other.kind != first.kind or first.item is None or other.item is None or self._wired(other):
            return False
        same = first.lines == other.lines or (first.is_pass and other.is_pass)
        if first.output[1:] != other.output[1:] or not same:
            return False
        one, two = _node(first.item), _node(other.item)
        if not similar and getattr(one, "frozen_arguments", ()) != getattr(two, "frozen_arguments", ()):
            return False
        exact = not similar and not (first.block or first.kind == "layer")
        return self.signature(one, exact) == self.signature(two, exact)

    def _wired(self, part: Part) -> bool:
        """Whether saved tensors lead into a part or out of it."""
        if not isinstance(part.item, GraphGroup):
            return False
        wires = self.graph.group_wires[part.item.id]
        return bool(wires.takes or wires.gives) or any(
            isinstance(node, GraphWire) and node.kind == "output" for node in self._nodes(part.item)
        )

    def _run(self, run: list[Part]) -> Part:
        first, last = run[0], run[-1]
        items = [_node(one.item) for one in run if one.item is not None]
        equal = len({self.signature(item, True) for item in items}) == 1
        equal = equal and all(one.equal or one.count == 1 for one in run)
        count = sum(one.count for one in run)
        return Part(
            first.kind, first.lines, first.family, first.path, first.start, last.stop, first.input, last.output,
            sum(one.params for one in run), sum(one.macs for one in run), sum(one.layers for one in run), count,
            equal, first.cell, first.block, first.mark, first.item,
            first.make if equal else partial(self.in_stretches, run),
        )  # fmt: skip

    def signature(self, node: Node, exact: bool) -> int:
        """A number that equal nodes share; without `exact`, those of the same make, whatever shapes and dropout are."""
        known = self._signatures.get((id(node), exact))
        if known is None:
            value: tuple[object, ...]
            if isinstance(node, Group):
                children = [child for _, child in node.children if exact or not _is_noise(child)]
                inner = tuple(self.signature(child, exact) for child in children)
                value = (
                    node.kind,
                    node.block,
                    inner,
                    node.share,
                    *((node.split, node.axis, node.attention) if exact else (bool(node.split), node.axis)),
                    *((node.input, node.output, node.frozen_arguments) if exact else ()),
                )
            elif isinstance(node, Layer):
                value = (node.primitive, node.share, *((node.frozen_arguments, node.input) if exact else ()))
            else:
                value = (node.kind, node.name)
            known = (node, self._numbers.setdefault(value, len(self._numbers)))  # the node is kept, and so is its id
            self._signatures[id(node), exact] = known
        return known[1]

    def _layer(self, item: GraphLayer) -> Part:
        layer = item.layer
        return Part(
            "layer", cell_lines([layer]) + _shared(layer), family(layer), item.path, item.id, item.id + 1, layer.input,
            layer.output, item.params, layer.macs, 1, mark=layer.mark, item=item,
        )  # fmt: skip

    def _wire(self, wire: GraphWire) -> Part:
        place = (wire.path, wire.id, wire.id + 1, wire.output, wire.output)
        return Part(wire.kind, (Line(cut(wire.name)),), "wire", *place, mark=wire.mark, item=wire)

    def _merge(self, item: GraphGroup) -> Part:
        node = item.node
        pairs = zip(node.children, item.children, strict=True)
        inner = [sides(list(self._folded(self._parts(child, ""), similar=False))) for _, child in pairs]
        taken = [[self._taken(part, node.input)] for part in item.parts] or [[] for _ in inner]
        branches = tuple([*part, *branch] for part, branch in zip(taken, inner, strict=True))
        own = node.macs - sum(child.macs for _, child in node.children)
        return Part(
            "merge", (Line(node.kind),), "merge", item.path, item.start, item.stop, node.input, node.output,
            0, own, 0, mark=node.mark, item=item, branches=branches,
        )  # fmt: skip

    def _taken(self, part: GraphPart, whole: Shape) -> Part:
        """The part of a tensor that a branch takes."""
        axis = f", axis {part.axis}" if part.axis else ""
        place = (part.path, part.id, part.id + 1, whole, part.output)
        return Part("part", (Line(f"{part.start}–{part.stop - 1}{axis}", small=True),), "wire", *place, mark=part.mark)

    def _group(self, item: GraphGroup, kind: str, lines: tuple[Line, ...]) -> Part:
        node = item.node
        nodes = [one for one in self._nodes(item) if isinstance(one, GraphLayer)]
        layers = [one.layer for one in nodes]
        params = sum(one.params for one in nodes)  # those of a shared layer are counted where it is first used
        heavy = sum(family(one) in HEAVY for one in layers[: MAX_CELL + 1])
        cell = kind == "group" and heavy <= 1 and len(layers) == item.stop - item.start <= MAX_CELL
        cell = cell and not any(family(one) in ("pooling", "resampling") and one.output[1:] != (1, 1) for one in layers)
        lines = cell_lines(layers) if cell else lines
        return Part(
            kind, lines + _shared(node), family(_main(layers)) if cell else "block", item.path,
            item.start, item.stop, node.input, node.output, params, node.macs, node.layers, cell=cell,
            block=item.kind == "block", mark=node.mark, item=item, make=lambda: self._children(item),
        )  # fmt: skip

    def in_stretches(self, parts: list[Part]) -> list[Part]:
        """The parts of a column; of very many of them, stretches of some at a time, made when they are opened."""
        if len(parts) <= MAX_COLUMN:
            return parts
        units: list[list[Part]] = []
        for part in parts:  # a stretch passes on what its last box gives
            if units and (part.kind in ("save", "output", "side") or units[-1][-1].kind == "load"):
                units[-1].append(part)
            else:
                units.append([part])
        if len(units) == 1:  # a stretch of all would hold itself
            return parts
        size = -(-len(units) // STRETCHES)
        found: list[Part] = []
        for at in range(0, len(units), size):
            stretch = [part for unit in units[at : at + size] for part in unit]
            found += stretch if len(stretch) == 1 or stretch[-1].kind == "load" else [self._stretch(stretch)]
        return found

    def _stretch(self, parts: list[Part]) -> Part:
        first, last = parts[0], parts[-1]
        through = [part for part in parts if part.kind not in ("output", "side")] or parts
        layers = [one for one in self.graph.nodes[first.start : last.stop] if isinstance(one, GraphLayer)]
        groups = [one.item.node.macs if isinstance(one.item, GraphGroup) else one.macs for one in parts]
        lines = (Line(cut(f"{first.path} … {last.path}")), Line(f"{len(layers):,} layers", small=True))
        return Part(
            "group", lines, "block", first.path, first.start, last.stop, first.input, through[-1].output,
            sum(one.params for one in layers), sum(groups), len(layers), mark=first.mark,
            make=partial(self.in_stretches, parts),
        )  # fmt: skip


def _shared(node: Node) -> tuple[Line, ...]:
    """The line that says which nodes are one module."""
    return (Line(f"shared: {cut(node.share)}"),) if node.share else ()


def _is_noise(node: Node) -> bool:
    """Whether a node is dropout, which deeper passes of a loop often have more of."""
    return isinstance(node, Layer) and node.primitive in ("dropout", "stochastic_depth")


def _main(layers: Sequence[Layer]) -> Layer:
    return next((one for one in layers if family(one) in HEAVY), layers[0])


def _node(item: GraphItem) -> Node:
    if isinstance(item, GraphGroup):
        return item.node
    assert isinstance(item, GraphLayer)
    return item.layer
