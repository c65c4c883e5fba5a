"""The walk over a plan's tree that makes its graph: every node gets its number, its place and its sources."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from archspec.foundation.errors import Frame
from archspec.language.inputs import Input
from archspec.plan.frames import frames_into
from archspec.plan.graph import (
    Graph,
    GraphGroup,
    GraphInput,
    GraphItem,
    GraphLayer,
    GraphNode,
    GraphPart,
    GraphPort,
    GraphWire,
    join_path,
)
from archspec.plan.nodes import Group, Layer, NamedOutput, Node, Wire


def make_graph(root: Node, inputs: tuple[Input, ...]) -> Graph:
    """The graph of a network that takes some inputs."""
    return _Walk(root, inputs).graph


@dataclass(frozen=True, slots=True)
class _Position:
    """Where the walk is: groups, calls and auxiliary classifier around it; what is saved and shared there, by name."""

    path: str
    module: str
    parent: int | None
    calls: tuple[Frame, ...]
    aux: str | None
    saved: dict[str, int]
    shared: dict[str, GraphLayer | GraphGroup]


class _Walk:
    """Takes in the tree's nodes in the order of execution; `graph` is what it made of them."""

    def __init__(self, root: Node, inputs: tuple[Input, ...]) -> None:
        self.nodes: list[GraphNode] = [
            GraphInput(id, "input", "", (), one.shape, None, (), None, one.mark, one.name)
            for id, one in enumerate(inputs)
        ]
        saved = {one.name: id for id, one in enumerate(inputs) if one.name}
        self.groups: list[Any] = []  # `None` until the walk leaves them
        self.named_outputs: list[tuple[NamedOutput, int]] = []
        self.shared: list[tuple[GraphLayer | GraphGroup, GraphLayer | GraphGroup]] = []
        item = self.add(root, _Position("", "", None, (), None, saved, {}), 0)
        self.graph = Graph(tuple(self.nodes), tuple(self.groups), item, tuple(self.named_outputs), tuple(self.shared))

    def add(self, node: Node, position: _Position, source: int) -> GraphItem:
        """A part of the plan in its place, `source` being the node whose tensor reaches it."""
        if not node.share:
            return self.place(node, position, source)
        owner = position.shared.get(node.share)
        own = position.path == position.module
        if owner is not None:
            position = replace(position, module=owner.module)
        item = self.place(node, position, source)
        assert isinstance(item, (GraphLayer, GraphGroup))
        position.shared.setdefault(node.share, item)
        if owner is not None and own:  # within what is such a use itself, all is
            self.shared.append((item, owner))
        return item

    def place(self, node: Node, position: _Position, source: int) -> GraphItem:
        if isinstance(node, Layer):
            common = (node.output, position.parent, position.calls, position.aux, node.mark)
            layer = GraphLayer(len(self.nodes), "layer", position.path, (source,), *common, node, position.module)
            self.nodes.append(layer)
            return layer
        return self.wire(node, position, source) if isinstance(node, Wire) else self.group(node, position, source)

    def wire(self, wire: Wire, position: _Position, source: int) -> GraphWire:
        id, saved = len(self.nodes), None
        if wire.kind == "save":
            position.saved[wire.name] = id
        elif wire.kind == "load":
            saved = position.saved[wire.name]
            source = self.nodes[saved].result
        else:
            self.named_outputs += [(one, source) for one in wire.named_outputs]
        common = (wire.output, position.parent, position.calls, position.aux, wire.mark)
        item = GraphWire(id, wire.kind, position.path, (source,), *common, wire.name, saved)
        self.nodes.append(item)
        return item

    def group(self, group: Group, position: _Position, source: int) -> GraphGroup:
        id, start = len(self.groups), len(self.nodes)
        self.groups.append(None)
        aux = group.name if group.kind == "aux" else position.aux
        # what a block or an auxiliary classifier saves is its own; the latter sees what is saved around it too
        saved = {} if group.kind == "block" else dict(position.saved) if group.kind == "aux" else position.saved
        shared = {} if group.kind in ("block", "aux") else position.shared
        ends = replace(position, parent=id)
        takes = self.take(group, ends, source, saved)
        source = self.nodes[takes[0].inner].result if takes else source
        children = []
        parts: list[GraphPart] = []
        starts = list(accumulate(group.split, initial=0))
        last = source
        for index, (key, child) in enumerate(group.children):
            path, module = (join_path(one, key) for one in (position.path, position.module))
            inner = _Position(path, module, id, (*position.calls, *frames_into(group, index)), aux, saved, shared)
            taken = source if group.is_merge else last
            if group.split:
                parts.append(self.part(group, starts[index : index + 2], inner, source))
                taken = parts[-1].id
            children.append(self.add(child, inner, taken))
            last = children[-1].result
        if group.is_merge:
            last = len(self.nodes)
            sources = tuple(child.result for child in children)
            common = (group.output, id, position.calls, aux, group.mark)
            self.nodes.append(GraphNode(last, group.kind, position.path, sources, *common))
        elif group.kind == "aux":
            self.named_outputs += [(one, last) for one in group.named_outputs]
            last = source
        gives = self.give(group, ends, last, saved)
        last = self.nodes[gives[0].inner].result if gives else last
        span = (start, len(self.nodes), tuple(children), source, last)
        own = (position.calls, aux, position.module)
        self.groups[id] = GraphGroup(id, group, position.path, position.parent, *span, *own, tuple(parts), takes, gives)
        item: GraphGroup = self.groups[id]
        return item

    def take(self, group: Group, position: _Position, source: int, saved: dict[str, int]) -> tuple[GraphPort, ...]:
        """Load what a block takes by name, and save it in the block; the first at last: its body begins with it."""
        inside, ports = replace(position, saved=saved), []
        for port in reversed(group.takes):
            load = self.wire(port.wire, position, source) if port.wire else None
            shape = load.output if load else group.input
            tensor = load.sources[0] if load else source
            save = self.wire(Wire("save", port.name, shape, shape, group.mark), inside, tensor)
            ports.append(GraphPort(save.id, load.saved if load else None))
        return tuple(reversed(ports))

    def give(self, group: Group, position: _Position, source: int, saved: dict[str, int]) -> tuple[GraphPort, ...]:
        """Load what a block gives by name, and save it for its caller; the first at last, since it goes on."""
        inside, ports = replace(position, saved=saved), []
        for port in reversed(group.gives):
            shape = self.nodes[saved[port.name]].output
            load = self.wire(Wire("load", port.name, shape, shape, group.mark), inside, source)
            save = self.wire(port.wire, position, load.sources[0]) if port.wire else None
            assert load.saved is not None
            ports.append(GraphPort(load.saved, save.id if save else None))
        return tuple(reversed(ports))

    def part(self, group: Group, span: list[int], position: _Position, source: int) -> GraphPart:
        """What a branch takes of a merge's input, from the first of two positions to before the second."""
        start, stop = span
        output = (*group.input[: group.axis], stop - start, *group.input[group.axis + 1 :])
        common = (output, position.parent, position.calls, position.aux, group.mark)
        part = GraphPart(len(self.nodes), "split", position.path, (source,), *common, group.axis, start, stop)
        self.nodes.append(part)
        return part
