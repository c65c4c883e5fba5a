"""What several trees have in common: a template, with what differs as rows of values, one for each tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from archspec.exports.python.tree import NO_PORTS, Ports

MERGES = ("concat", "add", "subtract", "multiply", "mean", "maximum", "matmul", "attend")


class Mismatch(Exception):
    """The trees are too different for one template."""


class _Any:
    """What a value is in a tree that lacks its part."""

    def __repr__(self) -> str:
        return "ANY"


ANY = _Any()
Row = tuple[Any, ...]
"""A value for each tree."""


@dataclass(frozen=True)
class Function:
    """The name of a class, as a value."""

    name: str


@dataclass
class Template:
    """A part that trees have in common; `kind` is that of a tree, or `range` or `table`, a loop.

    A `range` has one child, whose values may be series, and its count in `slots`; a `table` has one child, whose rows
    have a value for each pass.
    """

    kind: str
    name: str
    present: tuple[bool, ...]
    slots: list[tuple[str, Row]] = field(default_factory=list)
    children: list[tuple[str, Template]] = field(default_factory=list)
    recompute: bool = False
    ports: Ports = NO_PORTS
    functions: Row | None = None
    """The class, where it differs."""
    is_identity: bool = False
    """Whether it does nothing where it is absent, but has its place."""
    table: Template | None = None
    """Of a loop whose passes are called one by one: what they have in common."""

    @property
    def is_plain(self) -> bool:
        """Whether it is a module that takes one tensor and gives one, made of such modules alone."""
        if self.kind in ("save", "load", "output", "aux", "shared") or (self.kind in MERGES and self.slots):
            return False
        if self.ports != NO_PORTS:
            return False
        return not any(child.recompute or not child.is_plain for _, child in self.children)

    @cached_property
    def modules(self) -> list[tuple[str, Template]]:
        """Its parts that are, or hold, modules of their own; asked for when the template is complete."""
        return [(key, child) for key, child in self.children if child.has_modules]

    @cached_property
    def has_modules(self) -> bool:
        """Whether it is, or holds, modules of its own."""
        if self.kind in ("save", "load", "output", "shared"):
            return False
        return self.kind in ("call", "range", "table") or bool(self.modules)

    @cached_property
    def is_counted(self) -> bool:
        """Whether its modules are a list: their keys are their places."""
        return all(key == str(place) for place, (key, _) in enumerate(self.modules))

    @cached_property
    def is_named(self) -> bool:
        """Whether its modules may be attributes."""
        return all(key.isidentifier() for key, _ in self.modules)

    @property
    def is_optional(self) -> bool:
        return not all(self.present)

    @property
    def is_numbered(self) -> bool:
        return all(key.isdigit() or not key for key, _ in self.children)


def walk(template: Template) -> Iterator[Template]:
    """It and all in it."""
    yield template
    for _, child in template.children:
        yield from walk(child)
