"""A spec as an editor holds it: its text, what is wrong with it, and what stands at a place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from archspec.editing import check_text
from archspec.foundation import reading
from archspec.foundation.errors import LIBRARY, ArchspecError, Diagnostic, Fault, Mark, Note, SpecError, describe_way
from archspec.foundation.source import List, Mapping, Scalar, Value
from archspec.language import vocabulary
from archspec.language.finder import folder
from archspec.plan.partial import PartialPlan
from archspec.plan.plan import Plan
from archspec.spec import Checked, Spec

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """A key or a value of a file, with the keys and positions that lead to it."""

    path: Path
    mark: Mark
    value: Value
    """The value; of a key, that which stands under it."""
    is_key: bool

    @property
    def word(self) -> str | None:
        """What is written there, where it is a key or a text."""
        if self.is_key:
            return str(self.path[-1])
        return self.value.text if isinstance(self.value, Scalar) else None

    def covers(self, line: int, column: int) -> bool:
        """Whether a place, counted from 1, lies in it or right behind it."""
        return self.mark.line == line and self.mark.column <= column <= self.mark.column + self.mark.length


class Document:
    """One version of a spec's text: parsed, checked and searched when it is asked for, each once."""

    def __init__(
        self, text: str, path: str = "spec.yaml", variants: Sequence[str | None] | None = None, uri: str | None = None
    ) -> None:
        self.text = text
        self.uri = uri
        """What an editor calls it, where one does."""
        self.variants = variants
        """Those that are elaborated; all of them by default, and the file without one."""
        self.path = os.path.abspath(path)
        self.name = os.path.basename(path)
        """How messages call it."""

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def of(self, variants: Sequence[str | None] | None) -> Document:
        """The same text with other variants elaborated: it is read once, and what it extends anew."""
        other = Document(self.text, self.path, variants)
        other._read = self._read
        return other

    @cached_property
    def _read(self) -> Value | Fault:
        try:
            return reading.read(self.text.encode("utf-8", errors="replace"), self.name)
        except Fault as fault:
            return fault

    @property
    def tree(self) -> Value | None:
        """What the text itself holds, without the file that it extends; `None` where it is not YAML."""
        return self._read if isinstance(self._read, Value) else None

    @cached_property
    def _checked(self) -> Checked:
        content = self.text.encode("utf-8", errors="replace")
        try:
            return check_text(content, self.path, self.variants, self.name, parsed=self._read)
        except SpecError as error:
            return Checked((), error.diagnostics, ())
        except ArchspecError as error:  # the file that it extends cannot be read
            return Checked((), (Diagnostic("usage", error.message, help=error.help),), ())

    @property
    def specs(self) -> tuple[Spec, ...]:
        """The file and its variants; those of which more is wrong than the figures that it vouches for are missing."""
        return self._checked.known or self._checked.specs

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is wrong, as `archspec check` says it."""
        return self._checked.diagnostics

    @property
    def notes(self) -> tuple[Note, ...]:
        return self._checked.notes

    @cached_property
    def plan(self) -> Plan | PartialPlan | None:
        """The file without a variant, or the first that is elaborated; or what is known although something is wrong."""
        if self.specs and self.specs[0].variant == (self.variants[0] if self.variants else None):
            return self.specs[0].plan
        return next(iter(self._checked.partial), None)

    @cached_property
    def spots(self) -> tuple[Spot, ...]:
        """Every key and value, each before what stands under it."""
        return tuple(_spots(self.tree, ())) if self.tree is not None else ()

    def at(self, line: int, column: int) -> Spot | None:
        """The innermost key or plain value at a place, counted from 1."""
        found = [
            one for one in self.spots if one.covers(line, column) and (one.is_key or isinstance(one.value, Scalar))
        ]
        return found[-1] if found else None

    def section(self, name: str) -> Mapping | None:
        """A section of the file itself, where it is a mapping."""
        value = self.tree.get(name) if isinstance(self.tree, Mapping) else None
        return value if isinstance(value, Mapping) else None

    def is_own(self, mark: Mark) -> bool:
        """Whether a place lies in this file."""
        return mark.text.name == self.name

    def explain(self, diagnostic: Diagnostic) -> list[str]:
        """What `archspec check` says of a mistake beside its message: lines, less those that show where it is."""
        own = diagnostic.mark is not None and self.is_own(diagnostic.mark)
        place = [] if diagnostic.mark is None or own else [f"at {diagnostic.mark}"]
        help = [f"help: {diagnostic.help}"] if diagnostic.help else []
        return [*diagnostic.notes, *place, *(f"in {step}" for step in describe_way(diagnostic.frames)), *help]

    def file_of(self, mark: Mark) -> str:
        """The path of the file in which a place lies: this one, one that it extends, or one of the library."""
        name = mark.text.name
        if name.startswith(LIBRARY):
            return os.path.join(vocabulary.FOLDER, name[len(LIBRARY) :])
        if name.startswith("specs/"):
            bundled = os.path.join(folder(), *name.split("/")[1:])
            if os.path.isfile(bundled):
                return bundled
        return os.path.join(os.path.dirname(self.path), *name.split("/"))


def _spots(value: Value, path: Path) -> Iterator[Spot]:
    yield Spot(path, value.mark, value, is_key=False)
    if isinstance(value, Mapping):
        for key, (mark, inner) in value.entries.items():
            yield Spot((*path, key), mark, inner, is_key=True)
            yield from _spots(inner, (*path, key))
    elif isinstance(value, List):
        for number, item in enumerate(value.items):
            yield from _spots(item, (*path, number))
