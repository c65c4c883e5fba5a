"""Scalars in canonical form: on one line in quotes or without, or over several in the style `|` or `>`."""

from __future__ import annotations

import textwrap

from archspec.writing.written import Scalar

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def scalar_line(node: Scalar) -> str | None:
    """A scalar on one line, as it is written where that is on one line; `None` for one in the style `|` or `>`."""
    one_line = "\n" not in node.raw
    if node.style in ("|", ">"):
        return None if node.value.strip("\n") else quote(node.value)
    if node.style == "!" or (node.style and not one_line):
        return quote(node.value)
    if node.style == "'" and node.value.isprintable() and not set(node.value) & {'"', "\\"}:
        return f'"{node.value}"'
    if one_line:
        return node.raw
    return quote(node.value) if "\n" in node.value else node.value


def quote(value: str) -> str:
    """A text in double quotes."""
    return '"' + "".join(_ESCAPES.get(char) or (char if char.isprintable() else _code(char)) for char in value) + '"'


def _code(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def is_foldable(node: Scalar) -> bool:
    """Whether a scalar is running text, which may be broken between any two words; a formula is none."""
    if node.style not in ("", "'", '"') or node.value.startswith("="):
        return False
    return " " in node.value and _is_running(node.value)


def _is_running(text: str) -> bool:
    return text.isprintable() and " ".join(text.split()) == text


def paragraph(node: Scalar, width: int) -> tuple[str, list[str]]:
    """A scalar over several lines of at most `width` columns, if it allows: its header, and its lines."""
    value = node.value.rstrip("\n")
    if node.style not in ("|", ">") or (_is_running(value) and node.style == ">" and len(node.value) <= len(value) + 1):
        body = [line.strip() for line in node.raw.rstrip().split("\n")[1:]] if node.style == ">" else []
        if not body or max(map(len, body)) > width:
            body = textwrap.wrap(value, width, break_long_words=False, break_on_hyphens=False)
        return (">" if node.style == ">" and node.value.endswith("\n") else ">-"), body
    ends = len(node.value) - len(value)
    header = node.raw.split("\n")[0].partition("#")[0]
    if node.style == ">" and ends <= 1 and not any(char.isdigit() for char in header):
        lines = node.raw.rstrip().split("\n")[1:]
        indent = min(len(line) - len(line.lstrip(" ")) for line in lines if line.strip(" "))
        return (">" if ends else ">-"), [line[indent:] for line in lines]
    lines = [*value.split("\n"), *[""] * (ends - 1)]
    first = next(line for line in lines if line)
    digit = "2" if first.startswith(" ") else ""
    return f"|{digit}{('-', '', '+')[min(ends, 2)]}", lines
