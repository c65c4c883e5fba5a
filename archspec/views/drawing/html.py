"""A plan as a page of its own: what is folded opens by a click, what is pointed at is explained. It loads nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from archspec.foundation.frozen import as_json
from archspec.foundation.shapes import show
from archspec.language.inputs import show_inputs
from archspec.plan.graph import GraphGroup, GraphLayer, GraphWire
from archspec.plan.plan import Plan
from archspec.views.drawing.flow import silent
from archspec.views.drawing.inputs import with_inputs
from archspec.views.drawing.labels import count
from archspec.views.drawing.measure import Measure
from archspec.views.drawing.opening import open_to
from archspec.views.drawing.outline import Outline
from archspec.views.drawing.part import Part
from archspec.views.drawing.scene import SIGNS
from archspec.views.drawing.style import COLOURS

PAGE = Path(__file__).parent / "page.html"


def html(plan: Plan, depth: int | None = None) -> str:
    """A plan as a self-contained HTML page.

    Args:
        plan: The network.
        depth: How many levels of groups are open at first; without it, as many as make some thirty boxes.
    """
    outline = Outline(plan)
    pages = _Page(Measure(outline, open_to(outline, depth)))
    own = outline.root.children
    parts = [
        *pages.column(with_inputs(outline, own)),
        {"kind": "end", "lines": [["output", 0], [show(plan.output), 1]], "out": ""},
    ]
    bend = pages.bend(own)
    before = len(parts) - 1 - len(pages.visible(own))
    data = {"parts": parts, "bend": [at + before for at in bend] if bend else None}
    figures = (
        f"{show_inputs(plan.takes)} → {show(plan.output)} · {plan.params:,} parameters · {count(plan.macs, 'MACs')}"
    )
    values = {
        "TITLE": escape(plan.title),
        "FIGURES": escape(figures),
        "ABOUT": escape(plan.description),
        "SOURCE": f'<a href="{escape(plan.source)}">source</a>' if plan.source.startswith("https://") else "",
        "COLOURS": "\n".join(
            f".{name} {{ --fill: {fill}; --line: {line} }}" for name, (fill, line) in COLOURS.items() if name != "wire"
        ),
        "DATA": json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
    }
    head, *rest = PAGE.read_text(encoding="utf-8").split("@@")
    return head + "".join(values.get(text, text) for text in rest)


class _Page:
    """Parts as the page's script takes them."""

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        self.hidden, self.origin = silent(measure.outline.graph, measure.outline.flowing)

    def column(self, parts: Sequence[Part]) -> list[dict[str, Any]]:
        return [self.part(inner) for part in self.visible(parts) for inner in self.plain(part)]

    def visible(self, parts: Sequence[Part]) -> list[Part]:
        return [part for part in parts if part.kind not in ("save", "load") or part.start not in self.hidden]

    def bend(self, parts: Sequence[Part]) -> list[int] | None:
        """Where a column is bent to a U, of the parts that are visible."""
        bend = self.measure.bend(parts)
        return [len(self.visible(parts[:at])) for at in bend] if bend else None

    def plain(self, part: Part) -> list[Part]:
        """A part, or the only thing that it holds where that says as much."""
        alone = part.kind == "group" and part.count == 1 and not part.is_pass and len(part.children) == 1
        if alone and part.children[0].kind != "merge":
            return self.plain(part.children[0])
        return [part]

    def part(self, part: Part) -> dict[str, Any]:
        """What is known of a part, keys without a value left out."""
        if part.kind in ("input", "given"):
            shape, own = show(part.output), {"kind": "end", "lines": [[part.title, 0]], "id": part.start}
            return (
                own | {"out": shape}
                if part.kind == "input"
                else own | {"lines": [[part.title, 0], [shape, 1]], "beside": 1}
            )
        found: dict[str, Any] = {
            "kind": part.kind,
            "lines": [[line.text, int(line.small)] for line in part.lines],
            "family": part.family,
            "path": part.path,
            "in": show(part.input),
            "out": show(part.output),
            "count": part.count if part.count > 1 else 0,
            "params": part.params,
            "macs": part.macs,
            "layers": part.layers,
            "args": _arguments(part),
            "word": _word(part),
            "line": f"{part.mark.text.name}:{part.mark.line}" if part.mark else "",
        }
        if isinstance(part.item, GraphWire):
            saved = part.item.id if part.item.saved is None else part.item.saved
            found["id"] = self.origin.get(saved, saved)
        if part.kind == "merge":
            found["branches"] = [self.column(branch) for branch in part.branches]
            found["lines"] = [[SIGNS.get(part.title, part.title), 1]]
        elif part.make is not None:
            found["parts"] = self.column(part.children)
            found["bend"] = self.bend(part.children)
            found |= {"open": int(self.measure.is_open(part)), "small": int(part.small)}
        return {key: value for key, value in found.items() if key == "id" or value not in ("", 0, None)}


def _word(part: Part) -> str:
    """The primitive, block or merge that a part is, as specs call it."""
    if isinstance(part.item, GraphLayer):
        return part.item.layer.primitive
    return part.item.node.block or part.item.kind if isinstance(part.item, GraphGroup) else ""


def _arguments(part: Part) -> str:
    if isinstance(part.item, GraphLayer):
        given = part.item.layer.arguments
    elif isinstance(part.item, GraphGroup):
        given = part.item.node.arguments
    else:
        return ""
    return ", ".join(f"{name}: {json.dumps(value)}" for name, value in as_json(given).items())
