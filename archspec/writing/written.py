"""A file as it is written: values with their style, anchor and place, and the comments between them.

`foundation.source` reads what a file says. This keeps how it says it: quotes, flow or block style, anchors, comments.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PROPERTIES = re.compile(r"(?:[&!][^\s,\[\]{}]*|#[^\n]*|\s+)*")  # anchor, tag `!` and what may stand between them


@dataclass(eq=False)
class Node:
    """A value, at offsets into the text: `begin` with its anchor, `start` without."""

    begin: int
    start: int
    end: int
    anchor: str


@dataclass(eq=False)
class Scalar(Node):
    """`style`: `""` plain, a quote, `|`, `>`, `*` an alias, `!` a plain text; `raw`: what stands in the file."""

    value: str
    style: str
    raw: str


@dataclass(eq=False)
class List(Node):
    flow: bool
    items: list[Node] = field(default_factory=list)


@dataclass(eq=False)
class Mapping(Node):
    """`bare` is a pair in a flow list that has no braces: `[load: a, conv: 3]`."""

    flow: bool
    bare: bool = False
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)


@dataclass(eq=False)
class Comment:
    """`text` begins with `#`; `alone` says that nothing stands before it on its line."""

    start: int
    text: str
    column: int
    alone: bool


@dataclass
class Written:
    """A document: its text, root, comments in order, and whether it begins with `---`."""

    text: str
    root: Node
    comments: list[Comment]
    explicit: bool
    lines: list[int]
    """The offsets at which lines begin."""
    starts: list[int]
    """The offsets at which keys and values begin."""

    def line(self, offset: int) -> int:
        """The number of the line that holds an offset, from 0."""
        return bisect_left(self.lines, offset + 1) - 1

    def column(self, offset: int) -> int:
        return offset - self.lines[self.line(offset)]

    def start_after(self, offset: int) -> int:
        """Where the first key or value after an offset begins; the end of the text where there is none."""
        at = bisect_right(self.starts, offset)
        return self.starts[at] if at < len(self.starts) else len(self.text)

    def blank_above(self, offset: int) -> bool:
        """Whether the line above that of an offset is empty."""
        line = self.line(offset)
        return line > 0 and not self.text[self.lines[line - 1] : self.lines[line]].strip()


def parse(text: str) -> Written:
    """A text that `foundation.reading.read` accepts, its lines ended by line feeds alone."""
    reader = _Reader(text)
    root = reader.document()
    lines = [0, *(found.end() for found in re.finditer("\n", text))]
    written = Written(text, root, [], reader.explicit, lines, sorted(reader.starts))
    written.comments = list(_comments(written, sorted(reader.spans)))
    return written


class _Reader:
    """Builds the tree from the parser's events."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans: list[tuple[int, int]] = []  # of scalars: whatever `#` stands outside begins a comment
        self.starts: list[int] = []
        self.explicit = False
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))

    def document(self) -> Node:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.explicit = bool(event.explicit)
                return self.node(next(self.events))
        raise AssertionError("the file is empty")

    def node(self, event: Any) -> Node:
        begin, end = event.start_mark.index, _end(event)
        start = begin
        anchor = f"&{event.anchor} " if event.anchor and not isinstance(event, yaml.AliasEvent) else ""
        if isinstance(event, yaml.AliasEvent):
            self.starts.append(start)
            return self.scalar(begin, start, end, "", "", "*")
        if anchor or event.tag:
            match = _PROPERTIES.match(self.text, start, end if isinstance(event, yaml.ScalarEvent) else len(self.text))
            start = match.end() if match else start
        self.starts.append(start)
        if isinstance(event, yaml.ScalarEvent):
            style = event.style or ""
            return self.scalar(begin, start, end, anchor, event.value, style or ("!" if event.tag else ""))
        flow = bool(event.flow_style)
        if isinstance(event, yaml.SequenceStartEvent):
            listing = List(begin, start, end, anchor, flow)
            while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
                listing.items.append(self.node(event))
            listing.end = _end(event)
            return listing
        mapping = Mapping(begin, start, end, anchor, flow, flow and not self.text.startswith("{", start))
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.node(event)
            assert isinstance(key, Scalar)
            mapping.entries.append((key, self.node(next(self.events))))
        mapping.end = _end(event)
        return mapping

    def scalar(self, begin: int, start: int, end: int, anchor: str, value: str, style: str) -> Scalar:
        raw = self.text[start:end]
        if style in ("|", ">"):  # its first line may end in a comment, and blank lines may follow it
            self.spans += [(start, start + 1), (start + len(raw.split("\n")[0]), end)]
            return Scalar(begin, start, start + len(raw.rstrip()), anchor, value, style, raw)
        self.spans.append((start, end))
        return Scalar(begin, start, end, anchor, value, style, raw)


def _end(event: Any) -> int:
    return int(event.end_mark.index)


def _comments(written: Written, spans: list[tuple[int, int]]) -> Iterator[Comment]:
    text, at = written.text, 0
    for start, end in [*spans, (len(text), len(text))]:
        for found in re.finditer("#[^\n]*", text[at:start]):
            offset = at + found.start()
            column = written.column(offset)
            alone = not text[offset - column : offset].strip()
            yield Comment(offset, found[0].rstrip(), column, alone)
        at = max(at, end)
