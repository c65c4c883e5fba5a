"""What a network keeps from its forward pass for its backward pass: activations, masks, statistics.

Counted are the distinct tensors that torch's operations save, beside parameters and buffers: a tensor that two layers
keep counts once, and so does one that lies in the memory of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from archspec.foundation.shapes import Shape
from archspec.layers import merges
from archspec.layers.kept import NOTHING, VIEW, Kept
from archspec.layers.registry import primitives
from archspec.plan.graph import Graph, GraphGroup, GraphLayer, GraphNode, GraphWire
from archspec.plan.plan import Plan


@dataclass(frozen=True)
class KeptTensors:
    """What each node of a plan's graph keeps, by the numbers of nodes."""

    tensors: dict[int, tuple[int, ...]] = field(repr=False)
    """Of each node that keeps tensors, the nodes that made them."""
    extras: dict[int, Kept] = field(repr=False)
    """Of each node, what it keeps that no node gives."""
    owner: tuple[int, ...] = field(repr=False)
    """Of each node, the one in whose memory lies what it gives: itself, where it makes a tensor."""
    learns: frozenset[int] = field(repr=False)
    """The nodes whose gradient is needed: parameters lie before them, or in them."""
    regions: tuple[tuple[int, int], ...]
    """The parts that are computed again, each from its first node to before its last."""
    unknown: tuple[str, ...]
    """The primitives that do not say what they keep; their inputs and outputs are counted."""


def kept_tensors(plan: Plan, *, again: tuple[int, int] | None = None) -> KeptTensors:
    """What the nodes of a plan keep in a training step.

    Args:
        plan: The plan, with its auxiliary classifiers if they are trained.
        again: One part that is computed again, whose nodes are to be counted as if they were not.
    """
    graph = plan.graph
    regions = tuple(one for one in _regions(plan) if one != again)
    inside = {id for start, stop in regions for id in range(start, stop)}
    tensors: dict[int, tuple[int, ...]] = {}
    extras: dict[int, Kept] = {}
    learns: set[int] = set()
    unknown: dict[str, None] = {}
    owner = owners(graph)
    for node in graph.nodes:
        kept = kept_by(node, unknown)
        passes = not isinstance(node, GraphLayer) or primitives()[node.layer.primitive].reads_values
        if (passes and not learns.isdisjoint(node.sources)) or (isinstance(node, GraphLayer) and node.layer.params):
            learns.add(node.id)
        if node.id not in learns or node.id in inside:
            continue
        if node.kind in merges.MERGE_RULES:
            found, kept = _kept_by_merge(node, graph, learns)
            found = [owner[id] for id in found]
        else:
            found = [owner[id] for id in node.sources] * kept.input + [owner[node.id]] * kept.output
        tensors[node.id] = tuple(dict.fromkeys(found))
        extras[node.id] = kept
    for start, stop in regions:
        taken = [id for one in graph.nodes[start:stop] for id in one.sources if id < start]
        tensors[start] = tuple(dict.fromkeys(owner[id] for id in taken))
    return KeptTensors(tensors, extras, owner, frozenset(learns), regions, tuple(unknown))


def owners(graph: Graph, *, training: bool = True) -> tuple[int, ...]:
    """Of each node, the one in whose memory lies what it gives: itself, where it makes a tensor."""
    owner: list[int] = []
    for node in graph.nodes:
        idle = not training and isinstance(node, GraphLayer) and primitives()[node.layer.primitive].training_only
        owner.append(owner[node.sources[0]] if idle or kept_by(node, {}).view else node.id)
    return tuple(owner)


def kept_by(node: GraphNode, unknown: dict[str, None]) -> Kept:
    """What a node keeps, a merge's branches aside; primitives that do not say are added to `unknown`."""
    if isinstance(node, GraphLayer):
        layer = node.layer
        kept = primitives()[layer.primitive].kept(layer.arguments, layer.input, layer.output)
        if kept is None:
            unknown[layer.primitive] = None
        return kept or Kept(input=True, output=True)
    if isinstance(node, GraphWire):
        return VIEW
    # a sum or product of one branch is that branch
    return VIEW if len(node.sources) == 1 and node.kind not in ("concat", "mean") else NOTHING


def _kept_by_merge(node: GraphNode, graph: Graph, learns: set[int]) -> tuple[list[int], Kept]:
    """The sources that a merge keeps, and how many values of what it makes of the first ones."""
    if not merges.MERGE_RULES[node.kind].keeps or len(node.sources) < 2:
        return [], NOTHING
    if node.kind == "attend":
        return _kept_by_attention(node, graph)
    made: list[Shape] = []
    shape = graph.nodes[node.sources[0]].output
    for id in node.sources[1:-1]:
        joined = merges.output(node.kind, [shape, graph.nodes[id].output])
        assert joined is not None  # all of them fit
        shape = joined
        made.append(shape)
    found = list(node.sources)
    if len(found) == 2 and node.kind != "maximum":  # the derivative of a factor is the other one
        found = [one for one, other in zip(found, reversed(found), strict=True) if other in learns]
    return found, Kept(values=sum(map(prod, made)))


def _kept_by_attention(node: GraphNode, graph: Graph) -> tuple[list[int], Kept]:
    """As torch's kernel for CPUs; without it, for widths that differ or with a bias, the scores and what they join."""
    assert node.parent is not None
    attention = graph.groups[node.parent].node.attention
    heads = attention.heads
    (queries, width), (keys, _), (_, out) = (graph.nodes[id].output for id in node.sources[:3])
    if attention.dropout:  # written out: the scaled queries, and the weights before, after and as factors of it
        made = 3 * heads * queries * keys + queries * width
        copied = keys * (width + out)
        return ([], Kept(values=made + copied)) if heads > 1 else ([*node.sources[1:3]], Kept(values=made))
    if width == out and len(node.sources) == 3:
        return [*node.sources, node.id], Kept(values=heads * queries)
    scores = heads * queries * keys + (queries + keys) * width
    return ([], Kept(values=scores + keys * out)) if heads > 1 else ([node.sources[2]], Kept(values=scores))


def _regions(plan: Plan) -> Iterator[tuple[int, int]]:
    """The outermost parts that are computed again."""
    end = 0
    items: list[GraphGroup | GraphLayer] = [*plan.graph.groups, *plan.graph.layers]
    spans = sorted(_span(item) for item in items if item.recompute and item.parent is not None)
    for start, stop in spans:
        if start >= end and stop > start:
            yield start, stop
            end = stop


def _span(item: GraphGroup | GraphLayer) -> tuple[int, int]:
    return (item.start, item.stop) if isinstance(item, GraphGroup) else (item.id, item.id + 1)
