"""Rows of values compared and merged, and values as they are written."""

from __future__ import annotations

from typing import Any

from archspec.exports.python.template import ANY, Function, Row
from archspec.exports.python.tree import Classes


def matches(row: Row, known: Row | None) -> bool:
    """Whether two rows are the same, where both have a value."""
    if known is None:
        return False
    return all(
        one is ANY or (other is not ANY and one == other and isinstance(one, bool) is isinstance(other, bool))
        for one, other in zip(row, known, strict=True)
    )


def merged(row: Row, known: Row) -> Row | None:
    """One row of two, each of which has values where the other has none; `None` where they differ, or never meet."""
    pairs = list(zip(row, known, strict=True))
    both = [(a, b) for a, b in pairs if a is not ANY and b is not ANY]
    if not both or any(type(a) is not type(b) or a != b for a, b in both):
        return None
    return tuple(b if a is ANY else a for a, b in pairs)


def with_classes(known: Row, row: Row) -> Row:
    """Values of an argument, some of which a row says are numbers of classes."""
    return tuple(one if isinstance(one, Classes) else other for one, other in zip(row, known, strict=True))


def literal(value: Any) -> str:
    """A value as it is written."""
    if isinstance(value, Function):
        return value.name
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float):
        return root(value) or rest(value) or repr(value).replace("e-0", "e-").replace("e+0", "e+")
    if isinstance(value, tuple):
        inner = ", ".join(map(literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(int(value)) if type(value) is Classes else repr(value)


def root(value: float) -> str | None:
    """A number of many digits as one over the square root of a whole number, if it is that."""
    if len(repr(value)) < 12:
        return None
    whole = round(value**-2)
    if whole < 2 or whole**-0.5 != abs(value):
        return None
    return f"{whole}**-0.5" if value > 0 else f"-({whole}**-0.5)"


def rest(value: float) -> str | None:
    """A number of many digits as one less a number of few, if it is that."""
    if len(repr(value)) < 12:
        return None
    part = round(1 - value, 6)
    return f"1 - {part!r}" if 1 - part == value else None
