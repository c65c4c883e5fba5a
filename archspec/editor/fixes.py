"""Quick fixes: the word that was meant, a list where a mapping stands, quotes, a space."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from archspec.editor.document import Document
from archspec.foundation.errors import Diagnostic, Mark
from archspec.foundation.source import Mapping, Value

_MEANT = re.compile(r"did you mean [`'\"]([^`'\"]+)[`'\"]\?")
_REWRITE = re.compile(r"^write `([\w.]+)`(?: for no layer)?$")
_UNMET = re.compile(r"^`(?:params|gmacs)` is ([\d,.]+(?:e-\d+)?), but")
_TEXT = re.compile(r"in quotes: `('(\w+)')`$")


@dataclass(frozen=True, slots=True)
class Edit:
    """A part of a line that is replaced; columns count from 1, the last one is left as it is."""

    line: int
    start: int
    stop: int
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A cure, in words and as edits of the file."""

    title: str
    edits: tuple[Edit, ...]


def fixes(document: Document, diagnostic: Diagnostic) -> list[Fix]:
    """The fixes that can be applied for one diagnostic."""
    mark = diagnostic.mark
    if mark is None or not document.is_own(mark):
        return []
    return list(_fixes(document, diagnostic, mark))


def _fixes(document: Document, diagnostic: Diagnostic, mark: Mark) -> Iterator[Fix]:
    help, line = diagnostic.help or "", document.lines[mark.line - 1] if mark.line <= len(document.lines) else ""
    written = line[mark.column - 1 : mark.column - 1 + mark.length]
    if meant := _MEANT.search(help):
        yield from _replace_word(line, mark, written, meant[1])
    elif rewrite := _REWRITE.search(help):
        yield Fix(f"write `{rewrite[1]}`", (Edit(mark.line, mark.column, mark.column + mark.length, rewrite[1]),))
    elif (text := _TEXT.search(help)) and (found := re.search(rf"(?<!['\w]){text[2]}(?!['\w])", written)):
        start = mark.column + found.start()
        yield Fix(f"write `{text[1]}`", (Edit(mark.line, start, start + len(text[2]), text[1]),))
    if diagnostic.code == "expect-unmet":
        yield from _update_figures(document, diagnostic)
    if diagnostic.code == "mapping-for-list" and (section := _mapping_at(document, mark)) is not None:
        yield from _make_list(document, section)
    if diagnostic.code in ("formula-syntax", "yaml-syntax") and "quotes" in help:
        yield from _quote(line, mark)
    if "put a space after the colon" in help and (found := re.search(r"\w:(?=[{\[\w])", line)):
        yield Fix("put a space after the colon", (Edit(mark.line, found.end() + 1, found.end() + 1, " "),))
    if "indent with spaces" in help:
        tabs = len(line) - len(line.lstrip("\t "))
        yield Fix("indent with spaces", (Edit(mark.line, 1, tabs + 1, line[:tabs].replace("\t", "  ")),))


def _replace_word(line: str, mark: Mark, written: str, meant: str) -> Iterator[Fix]:
    """The mark's word, or the one in its formula that is nearest to what was meant, is replaced."""
    if re.fullmatch(r"[\"']?[\w.-]+[\"']?", written):
        yield Fix(f"write `{meant}`", (Edit(mark.line, mark.column, mark.column + mark.length, meant),))
        return
    import difflib

    words = [one for one in re.finditer(r"[A-Za-z_]\w*", written) if one[0] != meant]
    near = difflib.get_close_matches(meant, [one[0] for one in words], n=1, cutoff=0.5)
    edits = tuple(
        Edit(mark.line, mark.column + one.start(), mark.column + one.end(), meant) for one in words if one[0] in near
    )
    if edits:
        yield Fix(f"write `{meant}`", edits)


def _update_figures(document: Document, diagnostic: Diagnostic) -> Iterator[Fix]:
    """The figure that is, in place of that which was expected; and all of them."""
    edits = {}
    for one in document.diagnostics:
        found = _UNMET.search(one.message) if one.code == "expect-unmet" else None
        for spot in document.spots if found and one.mark and document.is_own(one.mark) else ():
            if found and spot.is_key and spot.mark == one.mark:
                value = spot.value.mark
                edits[one] = Edit(value.line, value.column, value.column + value.length, found[1].replace(",", ""))
    if diagnostic in edits:
        yield Fix(f"write `{edits[diagnostic].text}`", (edits[diagnostic],))
        if len(edits) > 1:
            yield Fix("write all figures as they are", tuple(edits.values()))


def _quote(line: str, mark: Mark) -> Iterator[Fix]:
    """Quotes around a formula within braces, up to where its brackets are closed."""
    start = line.rfind("=", 0, mark.column) if line[mark.column - 1 : mark.column] != "=" else mark.column - 1
    if start < 0 or '"' in line[start:]:
        return
    depth = 0
    for stop in range(start, len(line)):
        character = line[stop]
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        if depth < 0 or (depth == 0 and character in ",}"):
            break
    else:
        stop = len(line)
    edits = (Edit(mark.line, start + 1, start + 1, '"'), Edit(mark.line, stop + 1, stop + 1, '"'))
    yield Fix("put the formula in quotes", edits)


def _mapping_at(document: Document, mark: Mark) -> Mapping | None:
    """The mapping under a key at a place, or at the place itself, where it is written over lines of its own."""
    found: Value | None = None
    for spot in document.spots:
        if spot.mark.line == mark.line and spot.mark.column == mark.column and isinstance(spot.value, Mapping):
            found = spot.value
    return found if isinstance(found, Mapping) and _in_lines(document, found) else None


def _in_lines(document: Document, section: Mapping) -> bool:
    marks = [mark for mark, _ in section.entries.values()]
    begins = all(not document.lines[mark.line - 1][: mark.column - 1].strip() for mark in marks)
    return begins and len({mark.line for mark in marks}) == len(marks)


def _make_list(document: Document, section: Mapping) -> Iterator[Fix]:
    from archspec.editor.outline import last_line

    edits = []
    for mark, _ in section.entries.values():
        edits.append(Edit(mark.line, mark.column, mark.column, "- "))
        for line in range(mark.line + 1, last_line(document, mark) + 1):
            edits.append(Edit(line, 1, 1, "  "))
    yield Fix("make it a list", tuple(edits))
