"""The canonical form of a spec: two spaces to a level, lists below their key, 120 columns; comments and order stay.

What a person chose stays where both are fine: flow or block style, quotes or none, values aligned in a column, single
blank lines. `docs/format.md` has the rules.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from archspec.foundation import reading, source
from archspec.foundation.errors import escape_line
from archspec.writing.scalars import is_foldable as _is_foldable, paragraph as _paragraph, quote, scalar_line
from archspec.writing.written import Comment, List, Mapping, Node, Scalar, Written, parse

WIDTH = 120
_CLOSING = re.compile("[ \t,]*#?")


def format_spec(content: bytes, name: str) -> str:
    """The canonical form of a file's content. `name` is how the file is shown in errors.

    What the file says, comments included, is the same afterwards; this is held to before anything is returned. Raises
    `Fault` where the content is no YAML that a spec may hold.
    """
    before = reading.read(content, name)
    text = content.decode("utf-8-sig")
    ending = "\r\n" if "\r\n" in text.split("\n", 1)[0] + "\n" else "\n"
    text = re.sub("\r\n?", "\n", text)
    written = parse(text)
    made = _Printer(written).text()
    after = reading.read(made.encode(), name)
    if _content(before) != _content(after) or _remarks(written) != _remarks(parse(made)):
        raise AssertionError(f"the canonical form of {escape_line(name)} would say something else")
    return made.replace("\n", ending)


def _content(value: source.Value) -> object:
    """What a tree says, for comparison: the order of keys and the type and text of each value with it."""
    if isinstance(value, source.Scalar):
        return type(value.value), value.value, value.text
    if isinstance(value, source.List):
        return [_content(item) for item in value.items]
    assert isinstance(value, source.Mapping)
    return [(key, _content(inner)) for key, (_, inner) in value.entries.items()]


def _remarks(written: Written) -> list[str]:
    return sorted(comment.text for comment in written.comments)


class Pending:
    """Comments that are still to be printed, in the order of the file."""

    def __init__(self, comments: list[Comment]) -> None:
        self.all = comments
        self.starts = [one.start for one in comments]
        self.done = [False] * len(comments)
        self.next = 0

    @property
    def first(self) -> Comment | None:
        while self.next < len(self.all) and self.done[self.next]:
            self.next += 1
        return self.all[self.next] if self.next < len(self.all) else None

    def between(self, start: int, end: int) -> list[Comment]:
        """Those that begin from one offset on and before another."""
        low = max(self.next, bisect_left(self.starts, start))
        return [self.all[at] for at in range(low, bisect_left(self.starts, end)) if not self.done[at]]

    def take(self, comments: list[Comment]) -> None:
        for one in comments:
            self.done[bisect_left(self.starts, one.start)] = True


class _Printer:
    """Prints nodes in order; each comment is printed with what it stands before, beside, or at the end of."""

    def __init__(self, written: Written) -> None:
        self.written = written
        self.comments = Pending(written.comments)
        self.lines: list[str] = []

    def text(self) -> str:
        written, root = self.written, self.written.root
        if written.explicit:
            dashes = re.search("^---", written.text, re.MULTILINE)
            self.before(dashes.start() if dashes else 0, 0, first=True)
            self.lines.append("---")
        self.before(_first(root), 0, first=True)
        line = self.one_line(root, "")
        if isinstance(root, Scalar) or root.anchor or line is not None:
            self.put(root, "", 0, -1)
        else:
            self.children(root, None, 0, -1)
        self.before(len(written.text), 0, first=False)
        return "\n".join(self.lines) + "\n"

    # --- comments and blank lines ---

    def before(self, offset: int, indent: int, *, first: bool) -> None:
        """Print the comments before an offset on lines of their own, and the blank line above what stands there."""
        while (comment := self.comments.first) and comment.start < offset:
            self.remark(comment, indent, first=first)
            first = False
        if offset < len(self.written.text):
            self.gap(offset, first=first)

    def gap(self, offset: int, *, first: bool) -> None:
        """Print one blank line where some stand above an offset, but not at the beginning of a block."""
        if not first and self.written.blank_above(offset) and self.lines[-1:] != [""]:
            self.lines.append("")

    def remark(self, comment: Comment, indent: int, *, first: bool) -> None:
        """Print a comment on a line of its own."""
        self.comments.take([comment])
        self.gap(comment.start, first=first or not comment.alone)
        self.lines.append(" " * indent + comment.text)

    def emit(self, line: str, end: int, inner: int) -> None:
        """Print a line with the comment that stands beside its end, or before the offset `inner`."""
        self.beside(line, [*self.comments.between(0, inner), *self.closing(max(end, inner))])

    def beside(self, line: str, comments: list[Comment]) -> None:
        """Print a line and one comment beside it; if there are more, these stand above."""
        indent = " " * (len(line) - len(line.lstrip()))
        self.lines += [indent + one.text for one in comments[:-1]]
        self.lines.append("  ".join([line.rstrip(), *(one.text for one in comments[-1:])]))
        self.comments.take(comments)

    def closing(self, end: int) -> list[Comment]:
        """The comment on the line on which something ends, with nothing between but a comma."""
        found = _CLOSING.match(self.written.text, end)
        return [one for one in self.comments.between(end, found.end() if found else end) if not one.alone]

    def tail(self, node: Node, indent: int, outer: int) -> None:
        """Print the comments at the end of a block, which stand in its column or further in, and not in the outer."""
        written = self.written
        following = written.start_after(_last(node))
        column = written.column(node.start)
        while (comment := self.comments.first) and comment.alone and comment.start < following:
            if not column <= comment.column > outer:
                return
            self.remark(comment, indent, first=False)

    # --- values ---

    def put(self, node: Node, lead: str, indent: int, outer: int) -> None:
        """Print a value after `lead` (`key:` or `-`). What it holds stands at `indent`, the lead in column `outer`."""
        start = f"{lead.rstrip()} {node.anchor}" if lead else node.anchor
        if (line := self.one_line(node, lead)) is not None:
            self.emit(line, node.end, node.end)
        elif isinstance(node, Scalar):
            self.paragraph(node, start, indent)
        elif isinstance(node, List) and not self.holds_comments(node) and _is_fillable(node):
            self.fill(node, start, indent)
        else:
            self.children(node, start.rstrip(), indent, outer)

    def one_line(self, node: Node, lead: str) -> str | None:
        """A value on the line of its lead, where it may stand there and has room."""
        text = _inline(node)
        if text is None or self.holds_comments(node):
            return None
        line = f"{lead} {text}" if text and lead else lead.rstrip() + text
        must = isinstance(node, Scalar) and not _is_foldable(node)
        return line if must or len(line) <= WIDTH else None

    def holds_comments(self, node: Node) -> bool:
        """Whether comments stand between the parts of a flow collection."""
        return bool(_held(node)) and bool(self.comments.between(node.start, node.end))

    def fill(self, node: List, lead: str, indent: int) -> None:
        """Print a flow list of scalars over as few lines as it needs."""
        line = f"{lead}["
        for position, item in enumerate(node.items):
            text = str(_inline(item)) + ("]" if item is node.items[-1] else ",")
            if position and len(line) + 1 + len(text) > WIDTH:
                self.lines.append(line)
                line = " " * indent + text
            else:
                line += f" {text}" if position else text
        self.emit(line, node.end, node.end)

    def paragraph(self, node: Scalar, lead: str, indent: int) -> None:
        """Print a scalar over several lines, in the style `|` or `>`."""
        mark, body = _paragraph(node, WIDTH - indent)
        self.beside(lead + mark, self.comments.between(0, node.end))
        self.lines += [(" " * indent + line) if line else "" for line in body]

    def children(self, node: Node, lead: str | None, indent: int, outer: int) -> None:
        """Print what a list or mapping holds, in block style; its first line goes on from a lead that is a dash."""
        held = _held(node)
        flow = isinstance(node, (List, Mapping)) and node.flow
        start = held[0][0].start if held[0][0] else _first(held[0][1])
        joined = lead is not None and lead.endswith("-") and not node.anchor
        if lead is not None:
            opening = [one for one in self.comments.between(0, start) if not one.alone]
            opening += self.closing(node.end) if flow else []
            if joined:
                self.lines += [" " * (len(lead) - len(lead.lstrip())) + one.text for one in opening]
                self.comments.take(opening)
            else:
                self.beside(lead, opening)
        widths = self.alignment(node, indent)
        column = self.written.column(node.start)
        for position, (key, value) in enumerate(held):
            margin = f"{lead} " if joined and not position else " " * indent
            if position or not joined:
                self.before(key.start if key else _first(value), indent, first=not position)
            name = f"{_key(key)}:".ljust(widths.get(position, 0) - indent) if key else "-"
            self.put(value, margin + name, indent + 2, column)
        if flow:
            while (comment := self.comments.first) and comment.start < node.end:
                self.remark(comment, indent, first=False)
        else:
            self.tail(node, indent, outer)

    def alignment(self, node: Node, indent: int) -> dict[int, int]:
        """Where values stand in one column below each other, as a person put them: the column after their keys."""
        if not isinstance(node, Mapping) or node.flow:
            return {}
        found: dict[int, int] = {}
        run: list[int] = []
        for position in range(len(node.entries) + 1):
            if run and not self.is_aligned(node.entries[run[-1]], node.entries[position : position + 1]):
                pairs = [node.entries[one] for one in run]
                width = max(indent + len(_key(key)) + 1 for key, _ in pairs)
                padded = any(self.written.text[key.end : value.start].endswith("  ") for key, value in pairs)
                if padded and all(self.one_line(value, " " * width) is not None for _, value in pairs):
                    found |= dict.fromkeys(run, width)
                run = []
            run.append(position)
        return found

    def is_aligned(self, upper: tuple[Scalar, Node], lower: list[tuple[Scalar, Node]]) -> bool:
        """Whether a value stands right below the one above, each whole on its key's line."""
        places = [
            (self.written.line(key.start), {self.written.line(value.start), self.written.line(value.end)}, value)
            for key, value in [upper, *lower]
        ]
        return (
            len(places) == 2
            and all(lines == {line} for line, lines, _ in places)
            and places[1][0] == places[0][0] + 1
            and self.written.column(places[0][2].start) == self.written.column(places[1][2].start)
        )


def _held(node: Node) -> list[tuple[Scalar | None, Node]]:
    """What a list or mapping holds: keys, if it has any, with values."""
    if isinstance(node, Mapping):
        return [*node.entries]
    return [(None, item) for item in node.items] if isinstance(node, List) else []


def _first(node: Node) -> int:
    """Where the first word of a value stands, its anchor or its bracket."""
    held = _held(node)
    if node.anchor:
        return node.begin
    if not held or (isinstance(node, (List, Mapping)) and node.flow):
        return node.start
    return held[0][0].start if held[0][0] else _first(held[0][1])


def _last(node: Node) -> int:
    """Where the last value in a value begins."""
    held = _held(node)
    return _last(held[-1][1]) if held else node.start


def _is_fillable(node: List) -> bool:
    return node.flow and len(node.items) > 1 and all(isinstance(item, Scalar) for item in node.items)


def _inline(node: Node) -> str | None:
    """A value on one line; `None` for one in block style."""
    if isinstance(node, Scalar):
        text = scalar_line(node)
        return None if text is None else (node.anchor + text).rstrip()
    if _held(node) and not (isinstance(node, (List, Mapping)) and node.flow):
        return None
    if isinstance(node, List):
        return f"{node.anchor}[{', '.join(str(_inline(item)) for item in node.items)}]"
    assert isinstance(node, Mapping)
    pairs = ", ".join(f"{_key(key)}: {_inline(value)}" for key, value in node.entries)
    return pairs if node.bare else f"{node.anchor}{{{pairs}}}"


def _key(key: Scalar) -> str:
    return scalar_line(key) or quote(key.value)
