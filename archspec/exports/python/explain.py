"""Rows of values as expressions in the arguments of a class, which gets new ones where nothing explains a row."""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from archspec.exports.python import series
from archspec.exports.python.tree import Classes
from archspec.exports.python.unify import ANY, Function, Mismatch, Row

NAMES = {
    "out": "out_channels",
    "kernel": "kernel_size",
    "num_features": "in_channels",
    "normalized_shape": "in_channels",
    "p": "drop",
}
"""What arguments of blocks and layers are called in the file, where their own name is not the field's."""
_EXACT = (
    "kernel",
    "stride",
    "padding",
    "dilation",
    "bias",
    "ceil",
    "include",
    "momentum",
    "eps",
    "size",
    "drop",
    "mode",
    "by",
)
_SIZES = ("in_features", "out_channels", "width", "growth", "channels", "features")
_INPUTS = ("in_channels", "in_features")
_RESERVED = {"self", "x", "i", "nn", "torch", "F", "Tensor", "math"}


_Test = tuple[str, tuple[str, ...], Row]


class Scope:
    """The names that expressions may use, each with its row; those used are the arguments."""

    def __init__(self, count: int, *, is_root: bool = False, table: bool = False) -> None:
        self.count = count
        self.is_root = is_root
        self.is_table = table
        self.known: dict[str, Row] = {}
        self.used: dict[str, None] = {}
        self.outer: set[str] = set()
        self.added: set[str] = set()
        """Names that are no argument of the block."""

    def offer(self, name: str, row: Row) -> None:
        """A name that may be used."""
        self.known.setdefault(safe(name), row)

    def use(self, name: str) -> str:
        self.used[name] = None
        return name

    def add(self, name: str, row: Row) -> str:
        """A new name, like this one."""
        name = safe(NAMES.get(name, name))
        given, number = name, 2
        while given in self.known or given in self.outer:
            if given in self.known and given not in self.used and matches(row, self.known[given]):
                break
            given, number = f"{name}{number}", number + 1
        self.known[given] = row
        self.added.add(given)
        return self.use(given)

    def value(self, slot: str, row: Row) -> str:
        """The expression of a row that stands in a slot of this name."""
        given = [one for one in row if one is not ANY]
        if not given:
            raise Mismatch
        first = given[0]
        if any(isinstance(one, (series.Linear, series.Share, series.Cycle)) for one in given):
            return self.of_series(slot, row, given)
        is_constant = all(type(one) is type(first) and one == first for one in given)
        if isinstance(first, Classes) and not self.is_root:
            is_constant = False
        if is_constant:
            return self.constant(slot, first)
        if all(isinstance(one, tuple) for one in given) and len({len(one) for one in given}) == 1:
            found = self.exact(slot, row)
            if found:
                return found
            columns = [tuple(ANY if one is ANY else one[i] for one in row) for i in range(len(first))]
            return f"({', '.join(self.value(slot, column) for column in columns)})"
        return self.explained(slot, row) or self.add(slot, row)

    def constant(self, slot: str, value: Any) -> str:
        if isinstance(value, Classes):
            return "num_classes"
        if isinstance(value, tuple) and any(isinstance(one, (series.Linear, series.Cycle)) for one in value):
            return f"({', '.join(self.value(slot, (one,) * self.count) for one in value)})"
        wanted = safe(NAMES.get(slot, slot))
        for name in (wanted, *self.known):
            row = self.known.get(name)
            # a size that the block was given stands for itself
            is_kept = name in self.kept and related(slot, name) and not (name in _INPUTS and "out" in slot)
            if row and is_kept and all(one == value and type(one) is type(value) for one in row):
                return self.use(name)
        is_size = type(value) is int and ("channels" in slot or "features" in slot)
        return (self.multiple(slot, value) if is_size else None) or literal(value)

    kept: frozenset[str] = frozenset()
    """Names that are used even where they never differ."""

    def multiple(self, slot: str, value: int) -> str | None:
        """A size as a small multiple of one that the block was given."""
        for name in self.kept:
            row = self.known[name]
            if ANY not in row and self.is_size(name) and len(set(row)) == 1 and name in _SIZES:
                for factor in (2, 3, 4):
                    if factor * row[0] == value:
                        return f"{factor} * {self.use(name)}"
        return None

    def explained(self, slot: str, row: Row) -> str | None:
        """The simplest expression in known names that gives a row."""
        found = self.padding(row) if slot == "padding" else None
        found = found or self.exact(slot, row)
        if found or not all(type(one) in (int, Classes) for one in row if one is not ANY):
            return found
        halves = [name for name in self.known if self.is_size(name)]
        if any(word in slot for word in _EXACT):
            return None
        for text, names, value in expressions([(name, self.known[name]) for name in halves]):
            if matches(row, value) and not (self.is_table and len(names) > 1):
                for name in names:
                    self.use(name)
                return text
        return None

    def padding(self, row: Row) -> str | None:
        """Half the window, if it is that."""
        for name in [one for one in self.known if one.startswith("kernel")]:
            if matches(row, derived(self.known[name], lambda one: one // 2 if isinstance(one, int) else None)):
                return f"{self.use(name)} // 2"
        return None

    def is_size(self, name: str) -> bool:
        """Whether arithmetic with it makes sense: a number of channels or the like."""
        row = self.known[name]
        return not any(word in name for word in _EXACT) and all(
            type(one) in (int, Classes) for one in row if one is not ANY
        )

    def exact(self, slot: str, row: Row) -> str | None:
        wanted = safe(NAMES.get(slot, slot))
        others = [name for name in self.known if name != wanted]
        names = ([wanted] if wanted in self.known else []) + [one for one in others if related(slot, one)]
        for name in names:
            if matches(row, self.known[name]):
                return self.use(name)
        for name in names:
            if name in self.added and (both := merged(row, self.known[name])):
                self.known[name] = both
                return self.use(name)
        return None

    def of_series(self, slot: str, row: Row, given: list[Any]) -> str:
        first = next(one for one in given if not isinstance(one, (int, float)))
        if isinstance(first, series.Cycle):
            second = self.value(slot, tuple(one if one is ANY else one.second for one in row))
            return f"{second} * (i % 2)"
        if isinstance(first, series.Linear):
            start = self.value(slot, tuple(one if one is ANY else one.start for one in row))
            step = self.value("step", tuple(one if one is ANY else one.step for one in row))
            return f"{start} + {step} * i" if step != "1" else f"{start} + i"
        if len({(one.whole, one.count) for one in given}) > 1:
            raise Mismatch
        start = self.value("first", tuple(one if one is ANY else one.first for one in row))
        turn = "i" if start == "0" else f"({start} + i)"
        return f"{literal(first.whole)} * {turn} / {first.count}"

    def test(self, key: str, present: Row, options: frozenset[str] = frozenset()) -> str:
        """A condition that is true where a part is there."""
        if key in options or self.is_table:
            return self.add("extended" if key.isdigit() else key, present)
        for text, names, value in conditions(self, key):
            if all(bool(one) == wanted for one, wanted in zip(value, present, strict=True)):
                for name in names:
                    self.use(name)
                return text
        return self.add(key if not key.isdigit() else "extended", present)


def safe(name: str) -> str:
    """A name that Python takes, and that hides nothing that the file needs."""
    return f"{name}_" if keyword.iskeyword(name) or name in _RESERVED else name


def related(slot: str, name: str) -> bool:
    """Whether a slot may take the value of a name: a stride is never a number of channels."""
    slot = NAMES.get(slot, slot)
    kind = next((word for word in _EXACT if word in slot), None)
    other = next((word for word in _EXACT if word in name), None)
    return kind == other


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


def derived(row: Row, function: Any) -> Row | None:
    values = tuple(ANY if one is ANY else function(one) for one in row)
    return None if any(one is None for one in values) else values


def literal(value: Any) -> str:
    """A value as it is written."""
    if isinstance(value, Function):
        return value.name
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float):
        return repr(value).replace("e-0", "e-").replace("e+0", "e+")
    if isinstance(value, tuple):
        inner = ", ".join(map(literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(int(value)) if type(value) is Classes else repr(value)


def expressions(known: list[tuple[str, Row]]) -> Iterator[tuple[str, tuple[str, ...], Row]]:
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


def conditions(scope: Scope, key: str) -> Iterator[tuple[str, tuple[str, ...], Row]]:
    """What may be asked of arguments, the simplest first."""
    known = {name: row for name, row in scope.known.items() if ANY not in row}
    flags: list[_Test] = [
        (name, (name,), row) for name, row in known.items() if all(isinstance(one, bool) for one in row)
    ]
    counts: list[_Test] = [
        (f"{name} > 0", (name,), tuple(one > 0 for one in row))
        for name, row in known.items()
        if all(type(one) in (int, float) for one in row) and any(one == 0 for one in row)
    ]
    strides: list[_Test] = [
        (f"{name} != 1", (name,), tuple(one != 1 for one in row))
        for name, row in known.items()
        if "stride" in name and len(set(row)) > 1
    ]
    sizes = [(name, row) for name, row in known.items() if name in scope.used and scope.is_size(name)]
    inputs = [(name, row) for name, row in known.items() if name in _INPUTS]
    changes: list[_Test] = []
    for name, row in inputs:
        compared: list[_Test] = [(other, (other,), more) for other, more in sizes if other != name]
        compared += [one for one in expressions([size for size in sizes if size[0] != name]) if len(one[1]) == 1]
        for text, names, more in compared:
            differ = tuple(a != b for a, b in zip(row, more, strict=True))
            if len(set(differ)) > 1:
                changes.append((f"{name} != {text}", (name, *names), differ))
    simple = [*flags, *counts, *strides, *changes]
    if "shortcut" in key:
        yield from _of_both(strides, changes, counts)
    yield from simple
    yield from [_negated(one) for one in simple]
    yield from _of_both(strides, changes, counts)


def _of_both(strides: list[_Test], changes: list[_Test], counts: list[_Test]) -> Iterator[_Test]:
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


def _negated(one: tuple[str, tuple[str, ...], Row]) -> tuple[str, tuple[str, ...], Row]:
    text, names, row = one
    turned = (
        text.replace(" != ", " == ")
        if " != " in text
        else text.replace(" > ", " == ")
        if " > " in text
        else f"not {text}"
    )
    return turned, names, tuple(not value for value in row)
