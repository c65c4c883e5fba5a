"""Mixed precision on a CPU: which tensors have 32 bits a value, and what is copied to 16."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from archspec.layers.registry import primitives
from archspec.plan.graph import Graph, GraphLayer, GraphNode
from archspec.views.kept import KeptTensors


def wide_tensors(graph: Graph) -> frozenset[int]:
    """The nodes that give 32 bits a value: inputs, layers that `widens` says it of, and what follows from these.

    Convolutions and matrix products give 16, whatever they take.
    """
    wide = {one.id for one in graph.inputs}
    for node in graph.nodes[len(graph.inputs) :]:
        widens = isinstance(node, GraphLayer) and primitives()[node.layer.primitive].widens
        if widens or (not narrows(node) and not wide.isdisjoint(node.sources)):
            wide.add(node.id)
    return frozenset(wide)


def with_copies(kept: KeptTensors, graph: Graph, wide: frozenset[int]) -> KeptTensors:
    """What is kept, where what takes 16 bits keeps a copy of what has 32."""
    tensors, extras = dict(kept.tensors), dict(kept.extras)
    for id, owners in kept.tensors.items():
        node = graph.nodes[id]
        sources = {kept.owner[one]: one for one in node.sources if one in wide and kept.owner[one] in owners}
        if not narrows(node) or not sources or id not in extras:
            continue
        tensors[id] = tuple(one for one in owners if one not in sources)
        copied = sum(prod(graph.nodes[one].output) for one in sources.values())
        extras[id] = replace(extras[id], values=extras[id].values + copied)
    return replace(kept, tensors=tensors, extras=extras)


def copied_values(node: GraphNode, graph: Graph, wide: frozenset[int]) -> int:
    """The values of each sample that a node copies to 16 bits."""
    return sum(prod(graph.nodes[one].output) for one in node.sources if one in wide) if narrows(node) else 0


def narrows(node: GraphNode) -> bool:
    """Whether a node takes 16 bits a value, and copies what has more."""
    return node.kind in ("matmul", "attend") or (isinstance(node, GraphLayer) and node.macs > 0)
