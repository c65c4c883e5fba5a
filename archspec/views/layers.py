"""A network's layers, one after the other, each with its place in the spec and its figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archspec.foundation.errors import Frame, Mark
from archspec.foundation.shapes import Shape
from archspec.layers import merges
from archspec.plan.graph import GraphLayer, GraphNode
from archspec.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Row:
    """A layer, or a merge that computes. Shapes and MACs are those of one sample."""

    path: str
    """Its path, dotted: a layer's is its path in the module, unless it shares another's."""
    kind: str
    """The primitive's name, or the merge's."""
    file: str
    line: int
    """Where the spec asks for it; of a layer within a block of the library, where the block is called."""
    output: Shape
    params: int
    macs: int
    """Those that the network's total counts: none of an auxiliary classifier."""
    aux: str | None
    """The auxiliary classifier that it belongs to."""
    module: str
    """Its path in the module: an earlier layer's where they are shared, and its parameters are not counted again."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        fields = {name: getattr(self, name) for name in ("path", "module", "kind", "file", "line")}
        figures = {"output": list(self.output), "params": self.params, "macs": self.macs, "aux": self.aux}
        return fields | figures


def rows(plan: Plan) -> list[Row]:
    """A plan's layers in the order of execution, whose parameters and MACs sum to the plan's."""
    found = []
    for node in plan.graph.nodes:
        macs = own_macs(plan, node)
        if not isinstance(node, GraphLayer) and not macs:
            continue
        mark = place(plan, node.mark, node.calls)
        kind, params = (node.layer.primitive, node.params) if isinstance(node, GraphLayer) else (node.kind, 0)
        counted = 0 if node.aux else macs
        module = node.module if isinstance(node, GraphLayer) else node.path
        found.append(Row(node.path, kind, mark.text.name, mark.line, node.output, params, counted, node.aux, module))
    return found


def own_macs(plan: Plan, node: GraphNode) -> int:
    """The MACs of a layer, or of a merge beside those of its branches."""
    if isinstance(node, GraphLayer):
        return node.macs
    if node.kind not in merges.MERGE_RULES:
        return 0
    return merges.macs(node.kind, [plan.graph.nodes[id].output for id in node.sources])


def place(plan: Plan, mark: Mark | None, calls: tuple[Frame, ...]) -> Mark:
    """Where a person's file asks for what stands at a mark, which may lie within a block of the library."""
    marks = [mark, *(frame.mark for frame in reversed(calls))]
    theirs = [one for one in marks if one is not None]
    return next((one for one in theirs if not one.in_library), theirs[0])
