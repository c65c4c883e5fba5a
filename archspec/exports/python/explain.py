"""Rows of values as expressions in the arguments of a class, which gets new ones where nothing explains a row."""

from __future__ import annotations

import keyword
from typing import Any

from archspec.exports.python import series
from archspec.exports.python.formulas import INPUTS, choice, conditions, derived, expressions
from archspec.exports.python.rows import literal, matches, merged, with_classes
from archspec.exports.python.template import ANY, Mismatch, Row
from archspec.exports.python.tree import Classes

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
_RESERVED = {"self", "x", "i", "nn", "torch", "F", "Tensor", "math"}


class Scope:
    """The names that expressions may use, each with its row; those used are the arguments."""

    def __init__(self, count: int, *, is_root: bool = False, table: bool = False) -> None:
        self.count = count
        self.is_root = is_root
        self.is_table = table
        self.known: dict[str, Row] = {}
        self.used: dict[str, None] = {}
        self.outer: set[str] = set()
        self.listed: dict[series.Listed, str] = {}
        """What loops go through."""
        self.passes: tuple[str, Row] | None = None
        """How many passes the loop has whose values are explained."""
        self.sums: dict[str, Row] = {}
        """What sizes that grow from pass to pass are after the last."""
        self.locals: dict[str, str] = {}
        """Names of `__init__` that are computed from its arguments."""
        self.path: tuple[str, ...] = ()
        """The keys of the part whose values are explained, and of those around it."""
        self.added: set[str] = set()
        """Names that are no argument of the block."""

    def offer(self, name: str, row: Row) -> None:
        """A name that may be used."""
        self.known.setdefault(safe(name), row)

    def use(self, name: str) -> str:
        if name not in self.locals:
            self.used[name] = None
        return name

    def add(self, name: str, row: Row) -> str:
        """A new name, like this one."""
        name = safe(NAMES.get(name, name))
        given, number = name, 2
        if name == "height" and name not in self.used:  # of the input, which nothing asks for
            self.known.pop(name, None)
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
        if any(isinstance(one, (series.Linear, series.Share, series.Cycle, series.Fraction)) for one in given):
            return self.of_series(slot, row, given)
        if isinstance(first, series.Listed):
            return self.listed_name(slot, first)
        is_constant = all(type(one) is type(first) and one == first for one in given)
        if isinstance(first, Classes) and not self.is_root:
            return self.classes(slot, row)
        if is_constant:
            return self.own(slot, row) or self.constant(slot, first)
        if all(isinstance(one, tuple) for one in given) and len({len(one) for one in given}) == 1:
            found = self.exact(slot, row)
            if found:
                return found
            columns = [tuple(ANY if one is ANY else one[i] for one in row) for i in range(len(first))]
            return f"({', '.join(self.value(slot, column) for column in columns)})"
        return self.explained(slot, row) or self.chosen(slot, row) or self.add(slot, row)

    def listed_name(self, slot: str, values: series.Listed) -> str:
        """What a value is called that a loop goes through."""
        if any(isinstance(one, Classes) for one in values.values):
            raise Mismatch
        if values not in self.listed:
            given, number = safe(NAMES.get(slot, slot)), 2
            while given in self.known or given in self.outer:
                given, number = f"{given}{number}", number + 1
            self.outer.add(given)
            self.listed[values] = given
        return self.listed[values]

    def classes(self, slot: str, row: Row) -> str:
        """The argument of a block that says how many classes there are."""
        for name in sorted(self.known, key=lambda name: "class" not in name):
            if name not in INPUTS and matches(row, self.known[name]):
                self.known[name] = with_classes(self.known[name], row)
                return self.use(name)
        return self.add(slot, row)

    def own(self, slot: str, row: Row) -> str | None:
        """The argument of a slot's own name, of a part that some calls lack."""
        name = safe(NAMES.get(slot, slot))
        return self.use(name) if ANY in row and matches(row, self.known.get(name)) else None

    def constant(self, slot: str, value: Any) -> str:
        if isinstance(value, Classes):
            return "num_classes"
        if slot == "drop" and isinstance(value, float) and (share := series.share_of_whole(value)):
            return f"{literal(share.whole)} * {share.first} / {share.count}"
        if isinstance(value, tuple) and any(isinstance(one, (series.Linear, series.Cycle)) for one in value):
            return f"({', '.join(self.value(slot, (one,) * self.count) for one in value)})"
        wanted = safe(NAMES.get(slot, slot))
        for name in (wanted, *self.known):
            row = self.known.get(name)
            # a size that the block was given stands for itself
            is_kept = name in self.kept and related(slot, name) and not (name in INPUTS and "out" in slot)
            is_kept = is_kept and (name not in self.parts or name in self.path)
            if row and is_kept and all(one == value and type(one) is type(value) for one in row):
                return self.use(name)
        is_size = type(value) is int and ("channels" in slot or "features" in slot)
        return (self.multiple(slot, value) or self.as_input(value) if is_size else None) or literal(value)

    parts: frozenset[str] = frozenset()
    """The keys of all parts: an argument of the same name is the size of that part, not of another by chance."""
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

    def as_input(self, value: int) -> str | None:
        """The size of the input, in a block that is given no size."""
        if self.kept <= set(INPUTS):
            for name in self.kept:
                if all(one == value for one in self.known[name]):
                    return self.use(name)
        return None

    def explained(self, slot: str, row: Row) -> str | None:
        """The simplest expression in known names that gives a row."""
        for text, values in self.sums.items() if "channels" in slot or "features" in slot else ():
            if matches(row, values):
                return text
        found = self.padding(row) if slot == "padding" else None
        found = found or self.exact(slot, row)
        if found or not all(type(one) in (int, Classes) for one in row if one is not ANY):
            return found
        halves = [name for name in self.known if self.is_size(name)]
        if any(word in slot for word in _EXACT):
            return None
        for text, names, value in expressions([(name, self.known[name]) for name in halves]):
            if len(names) > 1 and self.is_table and not ("+" in text and len(set(row)) > 3):
                continue  # too few rows for it to be more than chance
            if matches(row, value):
                for name in names:
                    self.use(name)
                return text
        return None

    def chosen(self, slot: str, row: Row) -> str | None:
        """A local variable for a size that is one expression or another, by a flag or a stride."""
        is_size = not any(word in slot for word in _EXACT) and all(type(one) is int for one in row if one is not ANY)
        if self.is_table or self.is_root or not is_size:
            return None
        known = {name: one for name, one in self.known.items() if name not in self.added and name not in self.locals}
        found = choice(known, [name for name in known if self.is_size(name)], row)
        if found is None:
            return None
        text, names, _ = found
        for name in names:
            self.use(name)
        given = safe(NAMES.get(slot, slot))
        given = given if given not in known else f"inner_{given.removeprefix('in_')}"
        self.known[given] = row
        self.locals[given] = text
        return given

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
        others = sorted((name for name in self.known if name != wanted), key=lambda name: name not in self.path)
        names = ([wanted] if wanted in self.known else []) + [one for one in others if related(slot, one)]
        for name in names:
            if matches(row, self.known[name]):
                if any(isinstance(one, Classes) for one in row):
                    self.known[name] = with_classes(self.known[name], row)
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
            if self.passes:
                count, counts = self.passes
                pairs = zip(row, counts, strict=True)
                after = tuple(ANY if ANY in (a, b) else a.start + a.step * b for a, b in pairs)
                self.sums[f"{start} + {step} * {count}" if step != "1" else f"{start} + {count}"] = after
            return f"{start} + {step} * i" if step != "1" else f"{start} + i"
        if len({(one.whole, one.count) for one in given}) > 1:
            raise Mismatch
        if isinstance(first, series.Fraction):
            part = self.value("first", tuple(one if one is ANY else one.part for one in row))
            return f"{literal(first.whole)} * {part} / {first.count}"
        start = self.value("first", tuple(one if one is ANY else one.first for one in row))
        turn = "i" if start == "0" else f"({start} + i)"
        return f"{literal(first.whole)} * {turn} / {first.count}"

    def test(
        self,
        key: str,
        present: Row,
        options: frozenset[str] = frozenset(),
        within: frozenset[str] = frozenset(),
        shortcut: str | None = None,
    ) -> str:
        """A condition that is true where a part is there, of the stride or the names in it (`within`) if they say it.

        Otherwise it is that of a `shortcut` that is there in the same trees.
        """
        if key in options or self.is_table:
            return self.add("extended" if key.isdigit() else key, present)
        known = {name: row for name, row in self.known.items() if name not in self.locals}
        ways = list(conditions(known, [name for name in self.used if self.is_size(name)], key))

        def says(names: tuple[str, ...]) -> bool:
            return names == ("stride",) or not within.isdisjoint(names)

        if "shortcut" not in key:
            ways.sort(key=lambda one: not says(one[1]))
        for text, names, value in ways:
            if shortcut and not says(names):
                return shortcut
            if all(bool(one) == wanted for one, wanted in zip(value, present, strict=True)):
                for name in names:
                    self.use(name)
                return text
        return shortcut or self.add(key if not key.isdigit() else "extended", present)


def safe(name: str) -> str:
    """A name that Python takes, and that hides nothing that the file needs."""
    return f"{name}_" if keyword.iskeyword(name) or name in _RESERVED else name


def related(slot: str, name: str) -> bool:
    """Whether a slot may take the value of a name: a stride is never a number of channels."""
    slot = NAMES.get(slot, slot)
    kind = next((word for word in _EXACT if word in slot), None)
    other = next((word for word in _EXACT if word in name), None)
    return kind == other
