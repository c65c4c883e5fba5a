"""The outline of a file: its sections, parts, blocks, variables and variants, and the totals above them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archspec.editor.document import Document, Path, Spot
from archspec.editor.hints import hints
from archspec.foundation.errors import Mark
from archspec.foundation.figures import show_macs
from archspec.foundation.shapes import show
from archspec.foundation.source import List, Mapping
from archspec.language import keywords
from archspec.language.inputs import show_inputs
from archspec.plan.plan import Plan

DEPTHS = {"vars": 2, "blocks": 2, "variants": 2, "network": 4}
"""How many keys deep the outline shows a section; of others it shows the name."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A key of the outline, with those below it."""

    name: str
    kind: str
    """`section`, `part`, `block`, `variable`, `variant` or `key`."""
    detail: str
    mark: Mark
    last_line: int
    """The last line of what stands under it."""
    children: tuple[Symbol, ...]


@dataclass(frozen=True, slots=True)
class Lens:
    """A total that stands above a line."""

    line: int
    text: str


def symbols(document: Document) -> tuple[Symbol, ...]:
    """The outline of a file; empty where it is no YAML."""
    tree = document.tree
    if not isinstance(tree, Mapping):
        return ()
    network = Mapping(tree.mark, {key: entry for key, entry in tree.entries.items() if key == "network"})
    return tuple(_symbols(document, tree, (), hints(document, set(_lines(network, DEPTHS["network"])))))


def _lines(section: Mapping, depth: int) -> Iterator[int]:
    """The lines of the keys in a mapping, so many deep."""
    for mark, value in section.entries.values():
        yield mark.line
        if depth > 1 and isinstance(value, Mapping):
            yield from _lines(value, depth - 1)


def _symbols(document: Document, section: Mapping, path: Path, details: dict[int, str]) -> Iterator[Symbol]:
    for key, (mark, value) in section.entries.items():
        inner = (*path, key)
        if inner[0] == "network" and (key in keywords.NODE_KEYWORDS or key in keywords.COMPANIONS):
            return  # a node, not named parts
        below = inner[0] in DEPTHS and len(inner) < DEPTHS[str(inner[0])]
        children = tuple(_symbols(document, value, inner, details)) if below and isinstance(value, Mapping) else ()
        detail = details.get(mark.line, "") if inner[0] == "network" else ""
        yield Symbol(key, _kind(inner), detail, mark, last_line(document, mark), children)


def _kind(path: Path) -> str:
    if len(path) == 1:
        return "section"
    kinds = {"vars": "variable", "blocks": "block", "variants": "variant", "network": "part"}
    return kinds.get(str(path[0]), "key") if len(path) == 2 or path[0] == "network" else "key"


def last_line(document: Document, mark: Mark) -> int:
    """The last line of what stands under a key: of those that are indented further, or are items of its list."""
    last = mark.line
    for number in range(mark.line + 1, len(document.lines) + 1):
        line = document.lines[number - 1]
        indent = len(line) - len(line.lstrip())
        if line.strip() and not line.lstrip().startswith("#"):
            if indent < mark.column - 1 or (indent == mark.column - 1 and not line.lstrip().startswith("- ")):
                break
            last = number
    return last


def foldings(document: Document) -> list[tuple[int, int]]:
    """The first and last lines of what can be folded: keys with more than a line under them."""
    found = {}
    for spot in document.spots:
        if spot.is_key and isinstance(spot.value, (Mapping, List)) and _spans(document, spot):
            found[spot.mark.line] = last_line(document, spot.mark)
    return sorted(found.items())


def _spans(document: Document, spot: Spot) -> bool:
    return last_line(document, spot.mark) > spot.mark.line


def lenses(document: Document) -> list[Lens]:
    """Totals: of the network above `network`, and of each variant above its name."""
    lines = {spot.path: spot.mark.line for spot in document.spots if spot.is_key and len(spot.path) < 3}
    found = []
    for spec in document.specs:
        path: Path = ("network",) if spec.variant is None else ("variants", spec.variant)
        if path in lines:
            found.append(Lens(lines[path], totals(spec.plan)))
    return found


def totals(plan: Plan) -> str:
    """A network in a line, as `archspec check` has it."""
    return f"{show_inputs(plan.takes)} → {show(plan.output)} · {plan.params:,} parameters · {show_macs(plan.macs)}"
