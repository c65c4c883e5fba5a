"""The names of a file, where each is defined, and where it is used: blocks, variables, tensors, what is shared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from archspec.editor.document import Document, Path, Spot
from archspec.foundation.errors import Mark
from archspec.foundation.source import List, Mapping, Scalar, locate

IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_IN_FORMULA = re.compile(r"'[^']*'|\"[^\"]*\"|(?<![\w.])([A-Za-z_]\w*)(?!\w|\s*\()")
_OF_ITEMS = re.compile(r"\bfor\s+(\w+)\s+in\b")
"""The names that a formula gives to items of lists."""
_BODIES = ("network", "blocks", "variants", "defaults")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A name where it stands."""

    kind: str
    """`block`, `variable`, `tensor`, `input` (of the network or a block) or `share`."""
    name: str
    mark: Mark
    scope: Path
    """The keys that lead to the part of the file in which the name means this."""
    defines: bool


@dataclass(frozen=True, slots=True)
class _Definition:
    name: str
    mark: Mark
    scope: Path


@lru_cache(maxsize=8)
def occurrences(document: Document) -> tuple[Occurrence, ...]:
    """All occurrences of the file's own names, in the order in which they are written."""
    found = [*_blocks(document), *_variables(document), *_tensors(document), *_shared(document)]
    return tuple(sorted(found, key=lambda one: (one.mark.line, one.mark.column)))


def occurrence_at(document: Document, line: int, column: int) -> Occurrence | None:
    """The name at a place, counted from 1."""
    for one in occurrences(document):
        if one.mark.line == line and one.mark.column <= column <= one.mark.column + one.mark.length:
            return one
    return None


def same(document: Document, given: Occurrence) -> tuple[Occurrence, ...]:
    """Every occurrence of what a name means, the definition included."""
    wanted = (given.kind, given.name, given.scope)
    return tuple(one for one in occurrences(document) if (one.kind, one.name, one.scope) == wanted)


def _blocks(document: Document) -> Iterator[Occurrence]:
    section = document.section("blocks")
    if section is None:
        return
    for name, (mark, _) in section.entries.items():
        yield Occurrence("block", name, mark, (), defines=True)
    for spot in document.spots:
        if spot.word in section.entries and is_node(spot):
            yield Occurrence("block", str(spot.word), _within(spot, str(spot.word)), (), defines=False)


def is_node(spot: Spot) -> bool:
    """Whether a key or text may name a layer or block where it stands."""
    if not spot.path or spot.path[0] not in _BODIES or (spot.path[0] == "blocks" and len(spot.path) < 4):
        return False
    parent = spot.path[-2] if len(spot.path) > 1 else None
    if spot.is_key:
        return parent not in ("vars", "args", "let", "for", "expect", "train")
    if not isinstance(spot.value, Scalar) or not isinstance(spot.value.value, str):
        return False
    return spot.path[-1] not in ("save", "load", "output", "name", "share", "doc", "source", "example", "type")


def _within(spot: Spot, word: str) -> Mark:
    """The place of a word in a key or text, without quotes around it."""
    mark = spot.mark
    line = mark.text.lines[mark.line - 1] if mark.line <= len(mark.text.lines) else ""
    start = line.find(word, mark.column - 1)
    return Mark(mark.text, mark.line, (start if start >= 0 else mark.column - 1) + 1, len(word))


# --- variables --------------------------------------------------------------------------------------------------------


def _variables(document: Document) -> Iterator[Occurrence]:
    definitions = list(_definitions(document))
    for one in definitions:
        yield Occurrence("variable", one.name, one.mark, one.scope, defines=True)
    variants = document.section("variants")
    for name, (_, partial) in variants.entries.items() if variants else ():
        given = partial.get("vars") if isinstance(partial, Mapping) else None
        for variable, (mark, _) in given.entries.items() if isinstance(given, Mapping) else ():
            if variant_scope := _resolve(definitions, variable, ("variants", name)):
                yield Occurrence("variable", variable, mark, variant_scope.scope, defines=False)
    own = document.section("blocks")
    shared = {(spot.path[:2], spot.word) for spot in document.spots if _is_variable_of_block(spot)}
    for spot in document.spots:
        if _is_variable_of_block(spot) and (found := _resolve(definitions, str(spot.word), ())):
            yield Occurrence("variable", found.name, _within(spot, found.name), found.scope, defines=False)
        if spot.is_key and own and len(spot.path) > 2 and spot.path[-2] in own.entries and is_node(spot):
            block = ("blocks", spot.path[-2])  # an argument, given by its name at a call
            scope = () if (block, spot.path[-1]) in shared else block
            if any(one.scope == scope and one.name == spot.path[-1] for one in definitions):
                yield Occurrence("variable", str(spot.path[-1]), spot.mark, scope, defines=False)
        if spot.is_key or not isinstance(spot.value, Scalar) or not str(spot.value.value).startswith("="):
            continue
        for name, mark in names_in_formula(spot):
            path: Path = () if (spot.path[:2], name) in shared else spot.path
            if found := _resolve(definitions, name, spot.path) or _resolve(definitions, name, path):
                yield Occurrence("variable", name, mark, found.scope, defines=False)


def _is_variable_of_block(spot: Spot) -> bool:
    """Whether a name stands in the `vars` of a block, which sees the file's variable by it."""
    return spot.path[:1] == ("blocks",) and spot.path[2:3] == ("vars",) and len(spot.path) == 4


def _definitions(document: Document) -> Iterator[_Definition]:
    """Where variables come from: `vars`, a block's arguments and `let`, `let` among nodes, the columns of loops."""
    tree = document.tree
    if tree is None:
        return
    for spot in document.spots:
        if not spot.is_key or len(spot.path) < 2:
            continue
        *outer, parent, _ = spot.path
        name = str(spot.path[-1])
        if spot.path[:-1] == ("vars",):
            yield _Definition(name, spot.mark, ())
        elif parent in ("args", "let") and len(outer) == 2 and outer[0] == "blocks":
            yield _Definition(name, spot.mark, tuple(outer))
        elif parent == "let" and outer and outer[0] in ("network", "blocks"):
            beside_loop = isinstance(owner := locate(tree, outer), Mapping) and "for" in owner.entries
            yield _Definition(name, spot.mark, tuple(outer) if beside_loop else tuple(outer[:-1]))
        elif parent == "for" and name not in ("as", "rows"):
            yield _Definition(name, spot.mark, tuple(outer))
    for spot in document.spots:
        if spot.is_key and spot.path[-2:] == ("for", "as") and isinstance(spot.value, List):
            for item in spot.value.items:
                if isinstance(item, Scalar) and isinstance(item.value, str):
                    yield _Definition(item.value, item.mark, spot.path[:-2])


def _resolve(definitions: list[_Definition], name: str, path: Path) -> _Definition | None:
    """The innermost definition of a name around a path."""
    seen = [one for one in definitions if one.name == name and _sees(path, one.scope)]
    return max(seen, key=lambda one: len(one.scope), default=None)


def _sees(path: Path, scope: Path) -> bool:
    """Whether what has a scope is known at a path; a block's body does not see the file's variables."""
    own = path[:2] if path[:1] == ("blocks",) and len(path) > 2 else ()
    return path[: len(scope)] == scope and scope[: len(own)] == own


def variables_at(document: Document, keys: tuple[str, ...]) -> list[str]:
    """The variables of the file that a formula may use below certain keys, positions in lists left out."""
    scopes = [(one.name, tuple(key for key in one.scope if isinstance(key, str))) for one in _definitions(document)]
    shared = {spot.word for spot in document.spots if _is_variable_of_block(spot) and spot.path[:2] == keys[:2]}
    return sorted({name for name, scope in scopes if _sees(keys, scope)} | {name for name in shared if name})


def names_in_formula(spot: Spot) -> Iterator[tuple[str, Mark]]:
    """The variables of a formula, each where it stands; of a formula over several lines none."""
    mark = spot.mark
    assert isinstance(spot.value, Scalar)
    line = mark.text.lines[mark.line - 1] if mark.line <= len(mark.text.lines) else ""
    start = line.find(spot.value.text, mark.column - 1)
    if start < 0:
        return
    items = _OF_ITEMS.findall(spot.value.text)
    for match in _IN_FORMULA.finditer(spot.value.text):
        if match[1] and match[1] not in items:
            yield match[1], Mark(mark.text, mark.line, start + match.start(1) + 1, len(match[1]))


# --- tensors, and what is shared --------------------------------------------------------------------------------------


def _tensors(document: Document) -> Iterator[Occurrence]:
    inputs = dict(_inputs(document))
    yield from (Occurrence("input", name, mark, scope, defines=True) for (scope, name), mark in inputs.items())
    variants = document.section("variants")
    for _, partial in variants.entries.values() if variants else ():
        given = partial.get("input") if isinstance(partial, Mapping) else None
        for changed, (mark, _) in given.entries.items() if isinstance(given, Mapping) else ():
            yield Occurrence("input", changed, mark, ("network",), defines=False)
    for spot in document.spots:
        key, name, scope = _key_of(spot), spot.word, body_of(spot.path)
        if key is None or not scope or name is None or not IDENTIFIER.fullmatch(name):
            continue
        kind = "input" if (scope, name) in inputs else "tensor"
        if key in ("save", "load") or (key == "outputs" and spot.path[2:3] == ("outputs",)):
            yield Occurrence(kind, name, _within(spot, name), scope, defines=key == "save" and kind == "tensor")


def _inputs(document: Document) -> Iterator[tuple[tuple[Path, str], Mark]]:
    """The inputs that have names, of the network and of blocks, each with its body."""
    own = document.section("input")
    for name, (mark, _) in own.entries.items() if own else ():
        yield (("network",), name), mark
    for spot in document.spots:
        block = spot.path[:1] == ("blocks",) and spot.path[2:3] == ("inputs",) and len(spot.path) == 4
        if block and spot.word is not None:
            yield (spot.path[:2], spot.word), _within(spot, spot.word)


def _shared(document: Document) -> Iterator[Occurrence]:
    """Names of `share`: of the first use, which has the layer, and of the others."""
    known = set()
    for spot in document.spots:
        name, scope = spot.word, body_of(spot.path)
        if _key_of(spot) != "share" or not scope or name is None or not IDENTIFIER.fullmatch(name):
            continue
        if "aux" in spot.path:
            scope = spot.path[: spot.path.index("aux") + 1]  # it shares nothing with the network around it
        yield Occurrence("share", name, _within(spot, name), scope, defines=(scope, name) not in known)
        known.add((scope, name))


def _key_of(spot: Spot) -> str | None:
    """The key under which a plain value stands, or under which the list stands of which it is an item."""
    if spot.is_key or not spot.path or not isinstance(spot.value, Scalar):
        return None
    inner = spot.path[-2:] if isinstance(spot.path[-1], int) else spot.path[-1:]
    return inner[0] if isinstance(inner[0], str) else None


def body_of(path: Path) -> Path:
    """The body, of the network or of a block, that a path lies in; empty outside of bodies."""
    if path[:1] == ("blocks",):
        return path[:2]
    return ("network",) if path[:1] == ("network",) else ()
