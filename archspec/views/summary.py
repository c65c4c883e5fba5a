"""A network's tree as rows, each with its figures, equal ones folded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from archspec.foundation.shapes import Shape
from archspec.plan.graph import GraphGroup, GraphItem, GraphLayer, GraphNode
from archspec.plan.plan import Plan
from archspec.views.kept import KeptTensors, kept_tensors
from archspec.views.layers import own_macs, place
from archspec.views.liveness import Sizes
from archspec.views.receptive import ReceptiveField, receptive_fields


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """A part of a network. Figures are those of all `times` equal parts, for one sample; memory is in bytes of fp32."""

    path: str
    """Its path, dotted; of equal parts, that of the first."""
    kind: str
    """A layer's primitive, a block's name, a merge, `sequence`, or `aux`."""
    level: int
    """How deep it lies in the tree; 0 are the parts of the network itself."""
    file: str
    line: int
    """Where the spec asks for it."""
    output: Shape
    """Of equal parts, that of the last."""
    params: int
    macs: int
    kept: int
    """What it keeps for its backward pass. A tensor that several parts keep counts for the first."""
    receptive_field: str
    """The receptive field of what it gives."""
    stride: str
    """Positions of the input from one of its positions to the next."""
    aux: str | None
    """The auxiliary classifier that it belongs to."""
    is_leaf: bool
    """Whether nothing is shown below it, so that such rows sum to the totals."""
    depth: int = 0
    """How many of the last keys of its path are its own, not those of the part that it lies in."""
    times: int = 1
    """How many equal parts follow each other."""
    shared_with: str | None = None
    """The path of the part whose parameters it uses, where it has none of its own; they are counted there."""
    shape: tuple[Any, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        names = (
            "path",
            "kind",
            "level",
            "times",
            "file",
            "line",
            "params",
            "macs",
            "kept",
            "aux",
            "is_leaf",
            "shared_with",
        )
        figures = {name: getattr(self, name) for name in names}
        return figures | {"output": list(self.output), "receptive_field": self.receptive_field, "stride": self.stride}


BY = ("layer", "block", "stage")
"""How deep a summary goes: to each layer, to each call of a block, or to the parts of the network itself."""


def summary(plan: Plan, *, by: str = "block", depth: int | None = None, fields: bool = True) -> list[SummaryRow]:
    """The rows of a plan, each before those of its parts.

    Args:
        plan: The plan.
        by: One of `BY`.
        depth: The most levels that are shown; `None`: all.
        fields: Whether receptive fields and strides are computed, which takes longest; without, they are `-`.
    """
    return _Summary(plan, by, 1 if by == "stage" else depth, fields).rows()


class _Summary:
    def __init__(self, plan: Plan, by: str, depth: int | None, fields: bool) -> None:
        self.plan, self.graph = plan, plan.graph
        self.by, self.depth = by, depth
        self.fields: list[ReceptiveField | None]
        self.fields = receptive_fields(plan) if fields else [None] * len(self.graph.nodes)
        self.kept = _each(plan, kept_tensors(plan))

    def rows(self) -> list[SummaryRow]:
        items = self.parts(self.graph.root)
        if not items:  # the network is one layer
            return [self.row(self.graph.root, 0, "", leaf=True)]
        return _folded([row for item in items for row in self.under(item, 0)])

    def under(self, item: GraphItem, level: int, above: str = "") -> list[SummaryRow]:
        parts = self.parts(item)
        stop = self.depth is not None and level + 1 >= self.depth
        if not parts or stop or (self.by == "block" and _is_call(item)):
            return [self.row(item, level, above, leaf=True)]
        below = _folded([row for part in parts for row in self.under(part, level + 1, item.path)])
        return [self.row(item, level, above, leaf=False), *below]

    def parts(self, item: GraphItem) -> list[GraphItem]:
        """What a row's part is made of; blocks and single passes are no levels of their own."""
        while isinstance(item, GraphGroup) and item.kind in ("block", "aux"):
            (item,) = item.children
        if not isinstance(item, GraphGroup):
            return []
        last = self.graph.nodes[item.stop - 1]
        shown: list[GraphItem] = [
            one for one in item.children if not isinstance(one, GraphNode) or isinstance(one, GraphLayer)
        ]
        return [*shown, last] if item.node.is_merge and own_macs(self.plan, last) + self.kept[last.id] else shown

    def row(self, item: GraphItem, level: int, above: str, *, leaf: bool) -> SummaryRow:
        group = isinstance(item, GraphGroup)
        span = range(item.start, item.stop) if isinstance(item, GraphGroup) else range(item.id, item.id + 1)
        nodes = [self.graph.nodes[id] for id in span]
        layers = [node for node in nodes if isinstance(node, GraphLayer)]
        mark = place(self.plan, item.node.mark if isinstance(item, GraphGroup) else item.mark, item.calls)
        field = self.fields[item.result]
        shown, stride = (str(field), field.shown_stride) if field else ("-", "-")
        output = self.graph.nodes[item.result].output
        if isinstance(item, GraphGroup) and item.kind == "aux":
            output = item.node.children[0][1].output
        macs = sum(own_macs(self.plan, node) for node in nodes if node.aux is None)
        params, kept = sum(layer.params for layer in layers), sum(self.kept[id] for id in span)
        figures = (output, params, macs, kept, shown, stride, item.aux, leaf)
        shape = (params, macs, output, _kind(item), tuple((n.kind, n.output) for n in nodes) if group else ())
        own = len(item.path.split(".")) - (len(above.split(".")) if above else 0)
        shared = _shared_with(item.path, layers)
        row = SummaryRow(item.path, _kind(item), level, mark.text.name, mark.line, *figures, max(own, 0), shape=shape)
        return replace(row, shared_with=shared) if shared else row


def _shared_with(path: str, layers: list[GraphLayer]) -> str | None:
    """The path of the part that one with this path is another use of; `None` where it has parameters of its own."""
    first = next((layer for layer in layers if layer.layer.params), None)
    if first is None or first.module == first.path:
        return None
    other = first.module.removesuffix(first.path.removeprefix(path))
    return other if all(layer.module == other + layer.path.removeprefix(path) for layer in layers) else None


def _kind(item: GraphItem) -> str:
    if isinstance(item, GraphLayer):
        return item.layer.primitive
    if not isinstance(item, GraphGroup):
        return item.kind
    inner = item
    while inner.kind == "sequence" and len(inner.children) == 1 and isinstance(inner.children[0], GraphGroup):
        inner = inner.children[0]
    if inner.kind == "block":
        return inner.node.block
    return item.kind


def _is_call(item: GraphItem) -> bool:
    """Whether it is a call of a block, or a list that holds nothing else."""
    while isinstance(item, GraphGroup) and item.kind == "sequence" and len(item.children) == 1:
        (item,) = item.children
    return isinstance(item, GraphGroup) and item.kind == "block"


def _folded(rows: list[SummaryRow]) -> list[SummaryRow]:
    """Equal parts that follow each other as one row, the last one's output and field included."""
    if not rows:
        return []
    level = min(row.level for row in rows)
    parts: list[list[SummaryRow]] = []
    for row in rows:
        if row.level == level:
            parts.append([row])
        else:
            parts[-1].append(row)
    found: list[list[SummaryRow]] = []
    for part in parts:
        if found and len(found[-1]) == len(part) and _alike(found[-1], part):
            found[-1] = [_sum(one, other) for one, other in zip(found[-1], part, strict=True)]
        else:
            found.append(part)
    return [row for part in found for row in part]


def _alike(one: list[SummaryRow], other: list[SummaryRow]) -> bool:
    return all(
        a.shape == b.shape and a.times // one[0].times == b.times // other[0].times
        for a, b in zip(one, other, strict=True)
    )


def _sum(one: SummaryRow, other: SummaryRow) -> SummaryRow:
    return replace(
        one,
        times=one.times + other.times,
        params=one.params + other.params,
        macs=one.macs + other.macs,
        kept=one.kept + other.kept,
        receptive_field=other.receptive_field,
        stride=other.stride,
        output=other.output,
    )


def _each(plan: Plan, kept: KeptTensors) -> list[int]:
    """The bytes that each node keeps for a sample in fp32, a tensor counting for the first that keeps it.

    What does not grow with the batch is counted too, so that the sum is what a batch of one keeps.
    """
    sizes = Sizes(plan.graph, 1, 4)
    seen: set[int] = set()
    found = [0] * len(plan.graph.nodes)
    for id, tensors in kept.tensors.items():
        new = [one for one in tensors if one not in seen]
        seen.update(new)
        found[id] = sum(map(sizes.tensor, new)) + (sizes.extra(kept.extras[id]) if id in kept.extras else 0)
    return found
