"""Two columns of a table that are the same multiple of two others, as one: by how much a block expands its channels."""

from __future__ import annotations

import re

from archspec.exports.python.explain import Scope
from archspec.exports.python.rows import merged
from archspec.exports.python.template import ANY, Row

Texts = dict[tuple[int, str], str]
"""The text of each value, by its template and slot."""


def join_multiples(scope: Scope, texts: Texts) -> None:
    """Write `width` and `width2` of a table as multiples of other sizes in it, by one new column, if they are that."""
    for second in [name for name in scope.used if name.endswith("2") and name[:-1] in scope.used]:
        first = second[:-1]
        uses = [text for text in texts.values() if re.search(rf"\b{first}2?\b", text)]
        if not all(text in (first, second) for text in uses) or not scope.added.issuperset((first, second)):
            continue
        found = _ratio(scope, first, second)
        if found is None:
            continue
        row, one, other = found
        for name in (first, second):
            del scope.used[name], scope.known[name]
        ratio = scope.add("expansion", row)
        replaced = {first: f"{ratio} * {one}", second: f"{ratio} * {other}"}
        texts.update({key: replaced[text] for key, text in texts.items() if text in replaced})


def _ratio(scope: Scope, first: str, second: str) -> tuple[Row, str, str] | None:
    """By what number two sizes in a table, named here, are multiplied to give two others; and those sizes."""
    sizes = [name for name in scope.used if name not in (first, second) and scope.is_size(name) and "channels" in name]
    for one in sizes:
        ratios = _divided(scope.known[first], scope.known[one])
        for other in sizes if ratios else ():
            more = _divided(scope.known[second], scope.known[other])
            row = merged(more, ratios) if more and ratios else None
            if row and ANY not in row and one != other:
                return row, one, other
    return None


def _divided(row: Row, by: Row) -> Row | None:
    """Whole small ratios of two rows."""
    pairs = list(zip(row, by, strict=True))
    if any(b is ANY or (a is not ANY and (a % b or a // b > 16)) for a, b in pairs):
        return None
    return tuple(ANY if a is ANY else a // b for a, b in pairs)
