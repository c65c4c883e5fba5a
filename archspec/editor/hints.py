"""What stands at the ends of lines: what each makes, and the totals of parts and loops at their names."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from archspec.editor.document import Document
from archspec.foundation.figures import show_macs
from archspec.foundation.shapes import show
from archspec.foundation.source import List, Mapping, Value
from archspec.plan.graph import GraphLayer
from archspec.plan.nodes import Group, Node
from archspec.plan.plan import Plan
from archspec.views import hints as views

PARTS = ("sequence", "for", "repeat")
"""Groups whose totals stand at their name."""


def hints(document: Document, lines: Container[int] | None = None) -> dict[int, str]:
    """The hints of a file by line: those of the file without a variant, and of its sound parts if it has errors.

    Args:
        document: The file.
        lines: The lines to make them for, from 1; `None`: all.
    """
    plan = document.plan
    if plan is None:
        return {}
    found = {line: str(hint) for line, hint in views.hints(plan, lines).items()}
    return found | (_parts(document, plan, lines) if isinstance(plan, Plan) else {})


def _parts(document: Document, plan: Plan, lines: Container[int] | None) -> dict[int, str]:
    """The totals of the network and its parts, by the line of the name; of a repeated part, the first."""
    names = dict(_names(document.tree, lines))
    found: dict[int, str] = {}
    for group in _groups(plan.root, set()):
        mark = group.mark  # that of what stands under the name
        line = names.get((mark.line, mark.column)) if group.kind in PARTS and document.is_own(mark) else None
        if line is not None and line not in found and _makes_something(group):
            found[line] = _total(group)
    return found


def _names(value: Value | None, lines: Container[int] | None) -> Iterator[tuple[tuple[int, int], int]]:
    """Where the values of keys begin, each with the line of its key; of `body` there may be passes."""
    if isinstance(value, Mapping):
        for key, (mark, inner) in value.entries.items():
            if key != "body" and (lines is None or mark.line in lines):
                yield (inner.mark.line, inner.mark.column), mark.line
            yield from _names(inner, lines)
    elif isinstance(value, List):
        for item in value.items:
            yield from _names(item, lines)


def _groups(node: Node, seen: set[int]) -> Iterator[Group]:
    """The groups in a part of the network, each before those in it, and those that are the same object once."""
    if isinstance(node, Group) and id(node) not in seen:
        seen.add(id(node))
        yield node
        for _, child in node.children:
            yield from _groups(child, seen)


def _makes_something(group: Group) -> bool:
    own = group.is_merge or bool(group.takes or group.gives)
    return own or any(not isinstance(one, Group) or _makes_something(one) for _, one in group.children)


def _total(node: Group) -> str:
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
