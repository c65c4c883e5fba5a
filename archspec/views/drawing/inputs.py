"""The inputs of a network: boxes at its beginning, or at that of the one branch that takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archspec.plan.graph import GraphWire
from archspec.views.drawing.labels import Line, cut
from archspec.views.drawing.outline import Outline
from archspec.views.drawing.part import Part


def with_inputs(outline: Outline, parts: Sequence[Part]) -> list[Part]:
    """Parts of a whole network with its inputs: those that a single branch of a first merge takes stand above it."""
    names = [one.name for one in outline.plan.takes]
    inputs = [
        Part("given" if id else "input", (Line(cut(name or "input")),), "end", "", id, id + 1, node.output, node.output)
        for id, (name, node) in enumerate(zip(names, outline.graph.inputs, strict=True))
    ]
    if len(inputs) == 1 or not parts or parts[0].kind != "merge":
        return [*inputs, *parts]
    merge = parts[0]
    takes = [_taken(branch) for branch in merge.branches]
    loads = [node.sources[0] for node in outline.graph.nodes if isinstance(node, GraphWire) and node.kind == "load"]
    moved = {
        id for id in takes if id is not None and takes.count(id) == 1 and loads.count(id) == (id in _loaded(merge))
    }
    branches = [
        [replace(inputs[id], kind="input"), *branch[1 if branch and branch[0].kind == "load" else 0 :]]
        if id in moved and id is not None
        else list(branch)
        for id, branch in zip(takes, merge.branches, strict=True)
    ]
    return [*(one for one in inputs if one.start not in moved), replace(merge, branches=tuple(branches)), *parts[1:]]


def _taken(branch: Sequence[Part]) -> int | None:
    """The input that a branch of a network's first merge begins with; `None` where it takes a part of one."""
    if not branch or branch[0].kind != "load":
        return None if branch and branch[0].kind == "part" else 0
    wire = branch[0].item
    return wire.saved if isinstance(wire, GraphWire) else None


def _loaded(merge: Part) -> set[int | None]:
    """The inputs that branches load at their beginning."""
    return {_taken(branch) for branch in merge.branches if branch and branch[0].kind == "load"}
