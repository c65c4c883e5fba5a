"""Which keys lead to a place in a text that is still being written, and may be no YAML yet."""

from __future__ import annotations

import re
from dataclasses import dataclass

_KEY = re.compile(r"""\s*((?:-\s+)*)(["']?)([\w.-]+)\2\s*:(?:\s|$)""")
_LAST_KEY = re.compile(r"""(?:^|[\s,{\[])(["']?)([\w.-]+)\1\s*:\s*$""")
_QUOTED_FORMULA = re.compile(r"""(?:^|[\s,{\[])(["'])=(?:(?!\1).)*$""")
_FORMULA = re.compile(r"(?:^\s*|:\s+|-\s+)=.*$")
_WORD = re.compile(r"[\w.]*$")


@dataclass(frozen=True, slots=True)
class Context:
    """What leads to a place, and what is written there so far."""

    path: tuple[str, ...]
    """The keys around the place, outermost first; positions in lists are left out."""
    key: str | None
    """The key whose value is being written; `None` where a key, or an item of a list, is."""
    word: str
    """What is written of the word."""
    formula: bool
    """Whether the place lies in a formula."""
    item: bool
    """Whether what is written is an item of a list."""


def context_at(lines: list[str], line: int, column: int) -> Context:
    """The context of a place, counted from 1."""
    text = lines[line - 1][: column - 1] if line <= len(lines) else ""
    outer = _around(lines, line, _indent(text))
    own, rest, item = _inside(text)
    word = _WORD.search(rest)
    typed = word[0] if word else ""
    before = rest[: len(rest) - len(typed)]
    last = _LAST_KEY.search(before)
    formula = bool(_QUOTED_FORMULA.search(text) or _FORMULA.search(rest))
    return Context((*outer, *own), last[2] if last else None, typed, formula, item)


def _indent(text: str) -> int:
    """The column at which what a line holds begins, behind the marks of list items."""
    return len(text) - len(re.sub(r"^\s*(?:-\s+)*", "", text))


def _around(lines: list[str], line: int, indent: int) -> list[str]:
    """The keys of the lines above that a line is indented under, outermost first."""
    found: list[str] = []
    for above in reversed(lines[: line - 1]):
        if not above.strip() or above.lstrip().startswith("#"):
            continue
        match = _KEY.match(above)
        begins = match.start(2) if match else _indent(above)
        if begins < indent and match:
            found.append(match[3])
        if begins < indent:
            indent = len(above) - len(above.lstrip()) + (1 if match and match[1] else 0)
            indent = min(indent, begins)
        if indent == 0:
            break
    return found[::-1]


def _inside(text: str) -> tuple[list[str], str, bool]:
    """The keys of the braces that a line leaves open, what stands in the innermost, and whether that is an item."""
    stack: list[tuple[str | None, int, bool]] = []
    quote = ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "{[":
            key = _LAST_KEY.search(text[:at])
            stack.append((key[2] if key else None, at + 1, character == "["))
        elif character in "}]" and stack:
            stack.pop()
    keys = [key for key, _, _ in stack if key]
    if not stack:
        rest = text.lstrip()
        return keys, rest, rest.startswith("- ") or rest == "-"
    _, start, listed = stack[-1]
    return keys, text[start:].rsplit(",", 1)[-1], listed
