"""What stands at the ends of lines: what each makes, and the totals of parts and loops at their names."""

from __future__ import annotations

from typing import Any

from archspec.editor.document import Document
from archspec.foundation.figures import show_macs
from archspec.foundation.shapes import show
from archspec.plan.graph import GraphGroup, GraphLayer
from archspec.plan.plan import Plan
from archspec.views import hints as views

PARTS = ("sequence", "for", "repeat")
"""Groups whose totals stand at their name."""


def hints(document: Document) -> dict[int, str]:
    """The hints of a file by line: those of the file without a variant, and of its sound parts if it has errors."""
    plan = document.plan
    if plan is None:
        return {}
    found = {line: str(hint) for line, hint in views.hints(plan).items()}
    return found | (_parts(document, plan) if isinstance(plan, Plan) else {})


def _parts(document: Document, plan: Plan) -> dict[int, str]:
    """The totals of the network and its parts, by the line of the name; of a repeated part, the first."""
    keys = [one for one in document.spots if one.is_key and one.path[-1] != "body"]  # of which there may be passes
    names = {(one.value.mark.line, one.value.mark.column): one.mark.line for one in keys}
    found: dict[int, str] = {}
    for group in plan.graph.groups:
        mark = group.node.mark  # that of what stands under the name
        line = names.get((mark.line, mark.column)) if group.kind in PARTS and document.is_own(mark) else None
        if line is not None and group.stop > group.start:
            found.setdefault(line, _total(group))
    return found


def _total(group: GraphGroup) -> str:
    node = group.node
    figures = [f"{show(node.input)} → {show(node.output)}"]
    figures += [f"{node.params:,} parameters"] if node.params else []
    figures += [show_macs(node.macs)] if node.macs else []
    return ", ".join(figures)


def calls(document: Document, line: int) -> list[dict[str, Any]]:
    """The arguments of the layers or blocks that a line of the file makes, in the order of execution."""
    plan = document.plan
    if not isinstance(plan, Plan):
        return []
    graph = plan.graph
    found = [group for group in graph.groups if group.kind == "block" and group.node.mark.line == line]
    blocks = [group.node.arguments for group in found if document.is_own(group.node.mark)]
    layers = [one for one in graph.layers if one.line == line and document.is_own(one.layer.mark)]
    return blocks or [one.layer.arguments for one in layers if isinstance(one, GraphLayer)]
