"""Loads that change nothing: of the tensor that flows there anyway, as blocks of several tensors often begin with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archspec.plan.graph import Graph, GraphGroup, GraphItem, GraphLayer, GraphWire


def flowing(graph: Graph) -> Iterator[int]:
    """The numbers of `load`s whose tensor is the one that reaches them; not of those that are a whole branch."""
    pending: list[tuple[GraphItem, int]] = [(graph.root, 0)]
    while pending:
        item, tensor = pending.pop()
        if isinstance(item, GraphWire) and item.kind == "load" and item.sources[0] == tensor:
            yield item.id
        if not isinstance(item, GraphGroup):
            continue
        if item.node.is_merge:
            taken = [part.id for part in item.parts] or [tensor] * len(item.children)
            pending += [pair for pair in zip(item.children, taken, strict=True) if not _is_wire(graph, pair[0])]
            continue
        before, after = port_wires(graph, item)
        if before:  # the first of the tensors that it takes is loaded last, and flows into its body
            yield from _loads(before, tensor)
            tensor = before[-1].sources[0]
        for child in item.children:
            pending.append((child, tensor))
            tensor = _given(child, tensor)
        if item.gives:
            yield from _loads(after, tensor)


def port_wires(graph: Graph, block: GraphGroup) -> tuple[list[GraphWire], list[GraphWire]]:
    """The wires of what a block takes by name, before its body, and of what it gives, after it."""
    if not (block.takes or block.gives):
        return [], []
    nodes = graph.nodes[block.start : block.stop]
    own = [node for node in nodes if isinstance(node, GraphWire) and node.parent == block.id]
    body = max((port.inner for port in block.takes), default=-1)
    return [node for node in own if node.id <= body], [node for node in own if node.id > body]


def silent(graph: Graph, flows: frozenset[int]) -> tuple[frozenset[int], dict[int, int]]:
    """The wires that a picture with a box for each need not show, by their numbers, and where what is loaded was saved.

    That a block takes a tensor under another name says nothing; its body may as well load it from where it was saved.
    """
    hidden, origin = set(flows), dict[int, int]()
    for block in graph.groups:
        before, _ = port_wires(graph, block)
        hidden |= {wire.id for wire in before[:-2] if wire.kind == "load"}
        for port in block.takes:
            if port.outer is not None:
                hidden.add(port.inner)
                origin[port.inner] = origin.get(port.outer, port.outer)
    loads = [node for node in graph.nodes if isinstance(node, GraphWire) and node.saved is not None]
    shown = {origin.get(load.saved, load.saved) for load in loads if load.id not in hidden and load.saved is not None}
    hidden |= {load.saved for load in loads if load.saved is not None} - shown
    return frozenset(hidden), origin


def _loads(nodes: Iterable[GraphWire], tensor: int) -> Iterator[int]:
    return (node.id for node in nodes if node.kind == "load" and node.sources[0] == tensor)


def _given(item: GraphItem, tensor: int) -> int:
    """The node whose tensor goes on from an item that a tensor reaches."""
    if isinstance(item, GraphWire):
        return item.sources[0] if item.kind == "load" else tensor
    return item.id if isinstance(item, GraphLayer) else item.result if isinstance(item, GraphGroup) else tensor


def _is_wire(graph: Graph, item: GraphItem) -> bool:
    if isinstance(item, GraphGroup):
        return all(isinstance(node, GraphWire) for node in graph.nodes[item.start : item.stop])
    return isinstance(item, GraphWire)
