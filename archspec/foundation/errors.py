"""What can be wrong with a spec, and how it is said: diagnostics with a place, a way there and a cure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

LIBRARY = "archspec/layers/blocks/"
"""How the names of files begin that hold the library's blocks, which nobody who reads an error has written."""

# of what is quoted: more says no more
MAX_MESSAGE = 2_000  # characters
MAX_WORD = 100  # characters
MAX_LISTED = 100  # words
MAX_CALLS = 12  # lines about the calls that led to a place
INNERMOST = 8  # of these

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}
_CONTROLS |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}  # turn what is read
_BREAKS = {ord("\t"): "\\t", ord("\n"): "\\n"}


def escape(text: str) -> str:
    """A text whose control characters, which could command a terminal, are written as YAML writes them: `\\x1b`."""
    return text.translate(_CONTROLS)


def escape_line(text: str) -> str:
    """A text as `escape` gives it, in one line: its line breaks are written as `\\n`."""
    return escape(text).translate(_BREAKS)


def cut(text: str, most: int) -> str:
    """A text as it is, or its beginning where it is longer than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def join_words(words: Iterable[str]) -> str:
    """Words in backquotes, joined by commas: `` `a`, `b`, `c` ``; of very many, the first alone."""
    shown = list(islice(words, MAX_LISTED + 1))
    more = ", …" if len(shown) > MAX_LISTED else ""
    return ", ".join(f"`{cut(word, MAX_WORD)}`" for word in shown[:MAX_LISTED]) + more


@dataclass(frozen=True, slots=True)
class Text:
    """A text that things are written in: its name as shown to people, and its lines."""

    name: str
    lines: tuple[str, ...] = field(repr=False, hash=False)  # there may be a million


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something is written. Lines and columns count from 1."""

    text: Text = field(repr=False)
    line: int
    column: int
    length: int = 1

    def __str__(self) -> str:
        return f"{self.text.name}:{self.line}:{self.column}"

    @property
    def in_library(self) -> bool:
        """Whether it is in a block of the library."""
        return self.text.name.startswith(LIBRARY)


class Frame:
    """One step of the way to a place: a block that was called, or a pass of a loop, which has no place."""

    __slots__ = ("_label", "mark")

    def __init__(self, label: str | Callable[[], str], mark: Mark | None = None) -> None:
        self._label = label
        self.mark = mark

    @property
    def label(self) -> str:
        """What it is, in words, which are made when they are first asked for: of most frames nobody does."""
        if not isinstance(self._label, str):
            self._label = self._label()
        return self._label

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and (self.label, self.mark) == (other.label, other.mark)

    def __hash__(self) -> int:
        return hash((self.label, self.mark))

    def __repr__(self) -> str:
        return f"Frame({self.label!r}, {self.mark!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Frame, (self.label, self.mark)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong: a stable code, what and why, where, how it was reached, and the cure."""

    code: str
    """Which kind of mistake it is, as in `shape-mismatch`; codes do not change."""
    message: str
    """What is wrong, in a line."""
    mark: Mark | None = None
    """Where: `mark.text.name` is the file, `mark.line` and `mark.column` count from 1."""
    notes: tuple[str, ...] = ()
    """More lines of the message, such as the shapes of branches."""
    frames: tuple[Frame, ...] = ()
    """The blocks and loops that lead to the place, outermost first."""
    help: str | None = None
    """What to do about it."""
    path: str = ""
    """The keys that lead to the place in the file, joined by dots."""

    def render(self) -> str:
        """The diagnostic as people read it, over several lines."""
        place = f"{self.mark}: " if self.mark else ""
        lines = [escape_line(f"{place}error[{self.code}]: {self.message}")]
        lines += [escape_line(f"    {note}") for note in self.notes]
        lines += map(escape, self._excerpt())
        lines += [escape_line(f"  in {step}") for step in describe_way(self.frames)]
        if self.help:
            lines.append(escape_line(f"  help: {self.help}"))
        return "\n".join(lines)

    def _excerpt(self) -> list[str]:
        if self.mark is None or not 1 <= self.mark.line <= len(self.mark.text.lines):
            return []
        line = self.mark.text.lines[self.mark.line - 1]
        start = max(0, self.mark.column - 1)
        width = max(1, min(self.mark.length, len(line) - start))
        shift = max(0, start - 60) if len(line) > 120 else 0  # a very long line is shown around its caret
        shown = line[shift : shift + 120]
        number = f"{self.mark.line:5d}"
        # tabs are kept under tabs, so that the caret stands below what it points at
        indent = "".join("\t" if c == "\t" else " " for c in shown[: start - shift])
        caret = "^" * max(1, min(width, 120 - (start - shift)))
        return [f"{number} | {shown}", f"{'':5} | {indent}{caret}"]

    def to_dict(self) -> dict[str, Any]:
        """The diagnostic as data: code, message, file, line, column, path, help (JSON types)."""
        return {
            "code": self.code,
            "message": "\n".join((self.message, *self.notes)),
            "file": self.mark.text.name if self.mark else None,
            "line": self.mark.line if self.mark else None,
            "column": self.mark.column if self.mark else None,
            "path": self.path,
            "help": self.help,
        }


@dataclass(frozen=True, slots=True)
class Note:
    """A remark on a spec that is no error: that a word has been renamed, for example."""

    message: str
    mark: Mark

    def render(self) -> str:
        """The note as people read it, in one line."""
        return escape(f"{self.mark}: note: {self.message}")


def describe_way(frames: Sequence[Frame]) -> list[str]:
    """The frames as lines, innermost first; loops join the line of the block that they call."""
    lines: list[str] = []
    line = ""
    loops: list[str] = []

    def close() -> None:
        text = ", ".join(filter(None, [line, *reversed(loops)]))
        if text:
            lines.append(text)

    for frame in reversed(frames):
        if frame.mark is None:
            loops.append(frame.label)
            continue
        close()
        line, loops = f"{frame.label}, from {frame.mark}", []
    close()
    if len(lines) > MAX_CALLS:
        lines[INNERMOST : 1 - MAX_CALLS + INNERMOST] = [f"{len(lines) - MAX_CALLS + 1} more calls"]
    return lines


class ArchspecError(Exception):
    """The base of every error that a user can cause; its text says what is wrong, where, and what to do.

    Args:
        message: What is wrong.
        help: What to do about it.
    """

    exit_status = 2
    """The exit status with which the command line ends."""

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(message)
        self.help = help
        """What to do about it, or `None`."""

    @property
    def message(self) -> str:
        """What is wrong, without the help."""
        return super().__str__()

    def __str__(self) -> str:
        return escape(self.message + (f"\n  help: {self.help}" if self.help else ""))


class SpecError(ArchspecError):
    """A spec is wrong. It carries every independent mistake that was found.

    Args:
        diagnostics: What is wrong.

    Example:
        ```python
        try:
            archspec.load("net.yaml")
        except archspec.SpecError as error:
            for one in error.diagnostics:
                print(one.code, one.message, one.mark)
        ```
    """

    exit_status = 1

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        """What is wrong, each with its code, message and place."""
        super().__init__("\n".join(d.render() for d in self.diagnostics))

    def __reduce__(self) -> tuple[Any, ...]:
        return (SpecError, (self.diagnostics,))


class UsageError(ArchspecError):
    """A file, name or option cannot be used; the text of a spec is not at fault."""

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(cut(message, 10 * MAX_MESSAGE), help=help)  # which may list tensors


class Fault(Exception):
    """A mistake in a spec, raised while it is read; it becomes a `Diagnostic` once its place is known.

    A primitive raises it, most simply by `raise self.refuse(shape, "what it needs")`.

    Args:
        code: The kind of mistake, one of those that `docs/errors.md` lists.
        message: What is wrong, in a line.
        mark: Where, if known already.
        notes: More lines of the message.
        help: What to do about it.
    """

    def __init__(
        self,
        code: str,
        message: str,
        mark: Mark | None = None,
        *,
        notes: Sequence[str] = (),
        help: str | None = None,
    ) -> None:
        message = cut(message, MAX_MESSAGE)
        super().__init__(message)
        self.code = code
        self.message = message
        self.mark = mark
        self.notes = tuple(notes)
        self.help = help and cut(help, MAX_MESSAGE)

    def diagnostic(self, mark: Mark | None = None, frames: tuple[Frame, ...] = ()) -> Diagnostic:
        """The same with its place.

        Args:
            mark: Where, if the fault does not know.
            frames: The blocks and loops that lead there, outermost first.
        """
        at, notes = self.mark or mark, self.notes
        if at is not None and at.in_library:  # what a person can change comes first
            calls = [mark, *(frame.mark for frame in reversed(frames))]
            own = next((call for call in calls if call is not None and not call.in_library), None)
            if own is not None:
                at, notes = own, (*notes, f"at {at}, in the library")
        return Diagnostic(self.code, self.message, at, notes, frames, _explain_unseen(self.code, at) or self.help)


_OF_WORDS = frozenset(
    """
    argument-unknown formula-syntax key-unknown name-reserved name-unknown node-form out-of-range tensor-unknown
    type-mismatch variable-unknown yaml-syntax
    """.split()  # noqa: SIM905 - a list of words reads better so
)
"""The codes of what a character may cause that only looks like another one."""


def _explain_unseen(code: str, mark: Mark | None) -> str | None:
    """What to do where such a character stands at a place, or anywhere in a line that is not YAML."""
    if mark is None or code not in _OF_WORDS or not 1 <= mark.line <= len(mark.text.lines):
        return None
    line = mark.text.lines[mark.line - 1]
    begin = mark.column - 1
    written = line[begin : begin + min(mark.length, MAX_WORD)]
    if code == "yaml-syntax":
        written = line.strip()[:MAX_WORD]
    if written.isascii():
        return None
    from archspec.foundation.lookalikes import explain_lookalike  # hardly ever needed

    return explain_lookalike(written, code)
