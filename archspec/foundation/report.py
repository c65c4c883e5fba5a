"""What is found while a spec is read: its faults, each once, and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from archspec.foundation.errors import Diagnostic, Fault, Frame, Mark, Note, Text
from archspec.foundation.source import Value, paths_to

MAX_DIAGNOSTICS = 50


class TooManyDiagnostics(Exception):
    """Raised by a `Report` that is full: what else is wrong can wait until this is mended."""


class Report:
    """Collects what is wrong, and notes; the same thing at the same place counts once, however often it is found."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self._notes: dict[Note, None] = {}
        self.count = 0
        """How often something was added, repetitions included: whether it grows says whether a part is valid."""
        self.work = 0
        """The steps taken so far, for all variants together."""
        self.used: set[Mark] = set()
        """Where the blocks, defaults and initial values stand on which something depends."""
        self.given: dict[Mark, str] = {}
        """Where the initial values of single nodes stand, and how they are called."""
        self._seen: set[tuple[str, str, Mark | None]] = set()

    def add(self, fault: Fault, mark: Mark | None = None, frames: tuple[Frame, ...] = ()) -> None:
        self.count += 1
        diagnostic = fault.diagnostic(mark, frames)
        key = (diagnostic.code, diagnostic.message, diagnostic.mark)
        if key in self._seen:
            return
        self._seen.add(key)
        self.diagnostics.append(diagnostic)
        if len(self.diagnostics) >= MAX_DIAGNOSTICS:
            message = f"there are more errors than the {MAX_DIAGNOSTICS} that are shown"
            self.diagnostics.append(Diagnostic("too-large", message))
            raise TooManyDiagnostics

    def note(self, message: str, mark: Mark) -> None:
        """Add what is no error; of very many, the first."""
        if len(self._notes) < MAX_DIAGNOSTICS:
            self._notes[Note(message, mark)] = None

    @property
    def notes(self) -> tuple[Note, ...]:
        return tuple(self._notes)


def locate_diagnostics(diagnostics: Sequence[Diagnostic], tree: Value) -> list[Diagnostic]:
    """The diagnostics with the dotted path of each in a file's tree, in the order of the file."""
    paths = paths_to(tree, [one.mark for one in diagnostics if one.mark]) if diagnostics else {}
    located = [replace(one, path=paths.get(one.mark, "")) if one.mark else one for one in diagnostics]
    return sorted(located, key=lambda one: _position(one.mark, tree.mark.text))


def _position(mark: Mark | None, text: Text) -> tuple[float, int]:
    """The line and column of a place in a text; what stands elsewhere comes after it."""
    return (mark.line, mark.column) if mark is not None and mark.text is text else (inf, 0)
