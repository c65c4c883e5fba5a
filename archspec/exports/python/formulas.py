"""What can be computed from, and asked of, arguments with known rows of values."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import combinations
from typing import Any

from archspec.exports.python.template import ANY, Row

INPUTS = ("in_channels", "in_features")
_FACTORS = ("expansion", "groups", "scale")  # of which 1 changes nothing
Test = tuple[str, tuple[str, ...], Row]
"""An expression, the names in it, and its values."""


def derived(row: Row, function: Any) -> Row | None:
    values = tuple(ANY if one is ANY else function(one) for one in row)
    return None if any(one is None for one in values) else values


def expressions(known: list[tuple[str, Row]]) -> Iterator[Test]:
    """Sums, products and shares of sizes, the simplest first."""
    for name, row in known:
        for factor in (2, 3, 4, 5, 6, 8):
            yield f"{factor} * {name}", (name,), tuple(one if one is ANY else factor * one for one in row)
        for factor in (2, 4, 8, 16):
            value = derived(row, lambda one, factor=factor: one // factor)
            if value:
                yield f"{name} // {factor}", (name,), value
    for (name, row), (other, more) in combinations(known, 2):
        rows = list(zip(row, more, strict=True))
        yield f"{name} * {other}", (name, other), _each(rows, lambda a, b: a * b)
        for first, second, flip in ((name, other, False), (other, name, True)):
            both = [(b, a) for a, b in rows] if flip else rows
            if not flip:
                yield f"{first} + {second}", (first, second), _each(both, lambda a, b: a + b)
            yield f"{first} - {second}", (first, second), _each(both, lambda a, b: a - b)
            yield f"{first} // {second}", (first, second), _each(both, lambda a, b: a // b if b else None)
            for factor in (2, 3, 4):
                yield (
                    f"{first} + {factor} * {second}",
                    (first, second),
                    _each(both, lambda a, b, factor=factor: a + factor * b),
                )


def _each(rows: list[tuple[Any, Any]], function: Any) -> Row:
    values = tuple(ANY if a is ANY or b is ANY else function(a, b) for a, b in rows)
    return tuple(-1 if one is None else one for one in values)


def choice(rows: dict[str, Row], sizes: Collection[str], row: Row) -> Test | None:
    """One of two expressions in sizes, by a flag or a stride; each holds for three different values or more."""
    known = [(name, rows[name]) for name in sizes]
    simple: list[Test] = [*((name, (name,), one) for name, one in known), *expressions(known)]
    for test, names, truth in _plain_conditions(rows):
        yes, no = (_where(truth, side, row, simple) for side in (True, False))
        if yes and no:
            return f"{yes[0]} if {test} else {no[0]}", (*names, *yes[1], *no[1]), row
    return None


def _where(truth: Row, side: bool, row: Row, expressions: list[Test]) -> Test | None:
    """The first expression that gives a row where a condition is true, or where it is false."""
    places = [i for i, one in enumerate(truth) if one is side and row[i] is not ANY]
    wanted = [row[i] for i in places]
    fits = (one for one in expressions if len(set(wanted)) > 2 and [one[2][i] for i in places] == wanted)
    return next(fits, None)


def _plain_conditions(rows: dict[str, Row]) -> Iterator[Test]:
    """Flags, and whether a stride is 1."""
    for name, row in rows.items():
        if ANY not in row and len(set(row)) > 1:
            if all(isinstance(one, bool) for one in row):
                yield name, (name,), row
            elif "stride" in name:
                yield f"{name} == 1", (name,), tuple(one == 1 for one in row)


def conditions(rows: dict[str, Row], used: Collection[str], key: str) -> Iterator[Test]:
    """What may be asked of arguments, the simplest first; of sizes, those that are used (`used`)."""
    known = {name: row for name, row in rows.items() if ANY not in row}
    flags: list[Test] = [
        (name, (name,), row) for name, row in known.items() if all(isinstance(one, bool) for one in row)
    ]
    counts: list[Test] = [
        (f"{name} > 0", (name,), tuple(one > 0 for one in row))
        for name, row in known.items()
        if all(type(one) in (int, float) for one in row) and any(one == 0 for one in row)
    ]
    strides: list[Test] = [
        (f"{name} != 1", (name,), tuple(one != 1 for one in row))
        for name, row in known.items()
        if "stride" in name and len(set(row)) > 1
    ]
    sizes = [(name, row) for name, row in known.items() if name in used]
    inputs = [(name, row) for name, row in known.items() if name in INPUTS]
    changes: list[Test] = []
    for name, row in inputs:
        compared: list[Test] = [(other, (other,), more) for other, more in sizes if other != name]
        compared += [one for one in expressions([size for size in sizes if size[0] != name]) if len(one[1]) == 1]
        for text, names, more in compared:
            differ = tuple(a != b for a, b in zip(row, more, strict=True))
            if len(set(differ)) > 1:
                changes.append((f"{name} != {text}", (name, *names), differ))
    factors: list[Test] = [
        (f"{name} != 1", (name,), tuple(one != 1 for one in row))
        for name, row in known.items()
        if name in _FACTORS and all(type(one) in (int, float) for one in row) and len(set(row)) > 1
    ]
    simple = [*flags, *counts, *strides, *changes, *factors]
    if "shortcut" in key:
        yield from _of_both(strides, changes, counts)
        yield from flags
    yield from simple
    yield from [_negated(one) for one in simple]
    yield from _of_both(strides, changes, counts)


def _of_both(strides: list[Test], changes: list[Test], counts: list[Test]) -> Iterator[Test]:
    """Whether a shortcut has something to do, or a block has one."""
    for first in strides:
        for second in changes:
            both = (f"{first[0]} or {second[0]}", (*first[1], *second[1]), _or(first[2], second[2]))
            yield both
            negated = _negated(first), _negated(second)
            neither = tuple(not one for one in both[2])
            yield f"{negated[0][0]} and {negated[1][0]}", both[1], neither
            for third in counts:
                yield (
                    f"{negated[0][0]} and {negated[1][0]} and {third[0]}",
                    (*both[1], *third[1]),
                    tuple(a and b for a, b in zip(neither, third[2], strict=True)),
                )


def _or(row: Row, other: Row) -> Row:
    return tuple(a or b for a, b in zip(row, other, strict=True))


def _negated(one: Test) -> Test:
    text, names, row = one
    turned = (
        text.replace(" != ", " == ")
        if " != " in text
        else text.replace(" > ", " == ")
        if " > " in text
        else f"not {text}"
    )
    return turned, names, tuple(not value for value in row)
