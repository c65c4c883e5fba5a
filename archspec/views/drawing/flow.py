"""Loads that change nothing: of the tensor that flows there anyway, as blocks of several tensors often begin with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archspec.plan.graph import Graph, GraphGroup, GraphItem, GraphLayer, GraphNode, GraphWire


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
        own = [node for node in graph.nodes[item.start : item.stop] if node.parent == item.id]
        body = max((port.inner for port in item.takes), default=-1)
        before = [node for node in own if node.id <= body]
        if before:  # the first of the tensors that it takes is loaded last, and flows into its body
            yield from _loads(before, tensor)
            tensor = before[-1].sources[0]
        for child in item.children:
            pending.append((child, tensor))
            tensor = _given(child, tensor)
        if item.gives:
            yield from _loads([node for node in own if node.id > body], tensor)


def _loads(nodes: Iterable[GraphNode], tensor: int) -> Iterator[int]:
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
