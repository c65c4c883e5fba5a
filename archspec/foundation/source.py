"""What is written in a file, as a tree in which every key and value knows its line and column."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from archspec.foundation.errors import Fault, Mark

MAX_DEPTH = 60
"""How deep values stand within one another at most."""
MAX_VALUES = 100_000
"""How many values a tree has at most."""


@dataclass(frozen=True, slots=True)
class Value:
    """Something written in a file, at a place."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class Scalar(Value):
    """A string, number, boolean or null. `text` is what stands in the file, without quotes."""

    value: str | int | float | bool | None
    text: str


@dataclass(frozen=True, slots=True)
class List(Value):
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Mapping(Value):
    """Keys in the order written; each with the place of the key and its value."""

    entries: dict[str, tuple[Mark, Value]]

    def get(self, key: str) -> Value | None:
        entry = self.entries.get(key)
        return entry[1] if entry else None

    def without(self, *keys: str) -> Mapping:
        """The mapping less some keys."""
        return Mapping(self.mark, {key: entry for key, entry in self.entries.items() if key not in keys})


def plain(value: Value) -> Any:
    """The value as ordinary Python data."""
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, List):
        return [plain(item) for item in value.items]
    return {key: plain(inner) for key, (_, inner) in cast(Mapping, value).entries.items()}


def locate(value: Value, path: list[str | int]) -> Value:
    """The value at a path of keys and indices, or the nearest one above it."""
    for step in path:
        if isinstance(value, Mapping) and step in value.entries:
            value = value.entries[step][1]
        elif isinstance(value, List) and isinstance(step, int):
            value = value.items[step]
    return value


def paths_to(root: Value, marks: Iterable[Mark]) -> dict[Mark, str]:
    """The dotted paths of the keys or values at some places: `network.0.conv.kernel`; nothing is said of others."""
    # by line and column first: whole marks are compared only where these agree
    wanted: dict[tuple[int, int], set[Mark]] = {}
    for mark in marks:
        wanted.setdefault((mark.line, mark.column), set()).add(mark)
    found: dict[Mark, str] = {}

    def meet(mark: Mark, path: tuple[str, ...]) -> None:
        if mark in wanted.get((mark.line, mark.column), ()):
            found.setdefault(mark, ".".join(path))

    def search(value: Value, path: tuple[str, ...]) -> None:
        if isinstance(value, Mapping):
            for key, (at, inner) in value.entries.items():
                meet(at, (*path, key))
                search(inner, (*path, key))
        elif isinstance(value, List):
            for i, inner in enumerate(value.items):
                search(inner, (*path, str(i)))
        meet(value.mark, path)

    search(root, ())
    return found


def values_within(value: Value) -> Sequence[Value]:
    """The values that stand right within another: a list's items, or those of a mapping's keys."""
    if isinstance(value, List):
        return value.items
    return [inner for _, inner in value.entries.values()] if isinstance(value, Mapping) else ()


def is_left_empty(value: Value) -> bool:
    """Whether nothing stands in a value's place, not even the word `null`."""
    return isinstance(value, Scalar) and value.value is None and not value.text


def join_hint(value: Scalar) -> str | None:
    """What to do about a number that stands right behind another one and a comma, as in `1,024`."""
    mark = value.mark
    before = mark.text.lines[mark.line - 1][: mark.column - 1][-20:] if mark.line <= len(mark.text.lines) else ""
    if not (found := re.search(r"(\d+),$", before)) or not value.text[:1].isdigit():
        return None
    thousands = f", or `{found[1]}{value.text}` for thousands" if re.fullmatch(r"\d{3}", value.text) else ""
    return f"a comma ends a number: write `{found[1]}.{value.text}`{thousands}"


def from_python(data: Any, mark: Mark) -> Value:
    """Python data as a tree whose every part stands at one place. Raises `Fault` for data that a file cannot hold."""
    return _FromPython(mark).value(data, 0)


class _FromPython:
    """Makes a tree of Python data, within the limits of a file's: what contains itself exceeds them."""

    def __init__(self, mark: Mark) -> None:
        self.mark = mark
        self.count = 0

    def value(self, data: Any, depth: int) -> Value:
        mark = self.mark
        self.count += 1
        if self.count > MAX_VALUES:
            raise Fault("too-large", f"the data hold more than {MAX_VALUES:,} values", mark)
        if depth > MAX_DEPTH:
            raise Fault("too-large", f"the data are nested more than {MAX_DEPTH} deep", mark)
        if data is None or isinstance(data, (str, bool)):
            return Scalar(mark, data, str(data))
        if isinstance(data, (int, float)):
            return self._number(data)
        if isinstance(data, (list, tuple)):
            return List(mark, tuple(self.value(item, depth + 1) for item in data))
        if isinstance(data, dict):
            for key in data:
                if not isinstance(key, str):
                    raise Fault("type-mismatch", f"the keys of a mapping are texts, but one is of {_named(key)}", mark)
            return Mapping(mark, {key: (mark, self.value(inner, depth + 1)) for key, inner in data.items()})
        try:
            return self._number(operator.index(data))  # numpy's integers, say
        except (TypeError, ValueError):
            help = "give what its `tolist()` returns" if hasattr(data, "tolist") else None
            raise Fault("type-mismatch", f"{_named(data)} is not a value of a spec", mark, help=help) from None

    def _number(self, number: int | float) -> Scalar:
        if isinstance(number, float) and not math.isfinite(number):
            raise Fault("out-of-range", f"`{number}` is not a finite number", self.mark)
        if not abs(number) < 2**63:
            raise Fault("out-of-range", "a number is too large: it is 2⁶³ or more", self.mark)
        return Scalar(self.mark, number, str(number))


def _named(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
