"""What a line of a spec makes: shapes, parameters and MACs, for the ends of lines and for hovering."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.editor.document import Document
from archspec.foundation.figures import show_macs
from archspec.foundation.shapes import Shape, show
from archspec.plan.graph import GraphGroup, GraphItem, GraphLayer
from archspec.plan.plan import Plan
from archspec.views.layers import own_macs

PARTS = ("sequence", "for", "repeat")
"""Groups that have a line of their own where they have a name."""


@dataclass(frozen=True, slots=True)
class Hint:
    """All that one line of the file makes, wherever it is met: in a loop, or in a block that is called again."""

    line: int
    items: tuple[GraphItem, ...]
    """Layers, blocks, merges and parts, in the order of execution; none of them stands in another."""
    params: int
    macs: int

    @property
    def input(self) -> Shape:
        return _shapes(self.items[0])[0]

    @property
    def output(self) -> Shape:
        return _shapes(self.items[-1])[1]

    @property
    def label(self) -> str:
        """As it stands at the end of the line: `64×56×56 → 256×56×56 ×3 · 215,808 params · 680 MMACs`."""
        shapes = show(self.output) if self.input == self.output else f"{show(self.input)} → {show(self.output)}"
        times = f" ×{len(self.items)}" if len(self.items) > 1 else ""
        figures = [f"{self.params:,} params"] if self.params else []
        figures += [show_macs(self.macs)] if self.macs else []
        return " · ".join([shapes + times, *figures])


def hints(document: Document, plan: Plan) -> dict[int, Hint]:
    """The hints of a file's lines, by line, for one of its plans. A part's are those of the line of its name."""
    keys = {(one.value.mark.line, one.value.mark.column): one.mark.line for one in document.spots if one.is_key}
    found: dict[int, list[GraphItem]] = {}
    for line, item in _items(plan, keys):
        around = found.setdefault(line, [])
        if not any(isinstance(one, GraphGroup) and _start(item) in one for one in around):
            around.append(item)
    return {line: _hint(plan, line, tuple(items)) for line, items in found.items()}


def _items(plan: Plan, keys: dict[tuple[int, int], int]) -> list[tuple[int, GraphItem]]:
    """What is written in the file itself, each with its line; what holds others comes before them."""
    found: list[tuple[int, GraphItem]] = []
    for group in plan.graph.groups:
        mark = group.node.mark
        if mark.text.name != plan.file or group.stop == group.start:
            continue
        # the place of a part is that of what stands under its name
        line = keys.get((mark.line, mark.column)) if group.kind in PARTS else mark.line
        if line is not None:
            found.append((line, group))
    found += [(layer.line, layer) for layer in plan.graph.layers if layer.file == plan.file]
    return sorted(found, key=lambda one: (_start(one[1]), isinstance(one[1], GraphLayer)))


def _start(item: GraphItem) -> int:
    return item.start if isinstance(item, GraphGroup) else item.id


def _shapes(item: GraphItem) -> tuple[Shape, Shape]:
    if isinstance(item, GraphGroup):
        return item.node.input, item.node.output
    assert isinstance(item, GraphLayer)
    return item.input, item.output


def _hint(plan: Plan, line: int, items: tuple[GraphItem, ...]) -> Hint:
    params = macs = 0
    for item in items:
        inside = plan.graph.nodes[item.start : item.stop] if isinstance(item, GraphGroup) else (item,)
        params += sum(node.params for node in inside if isinstance(node, GraphLayer))
        macs += sum(own_macs(plan, node) for node in inside if not node.aux)
    return Hint(line, items, params, macs)
