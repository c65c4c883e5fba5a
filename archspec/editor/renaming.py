"""A new name for what a file names, wherever it stands."""

from __future__ import annotations

import re

from archspec.editor.document import Document
from archspec.editor.fixes import Edit, Fix
from archspec.editor.hover import vocabulary_of
from archspec.editor.names import Occurrence, occurrences, same
from archspec.foundation.errors import Fault
from archspec.language.names import check_block, check_variable


def rename(document: Document, found: Occurrence, name: str) -> Fix:
    """The edits that give what is found another name.

    Raises:
        Fault: The name is none, or means something here already; or a sound file would have errors, since a formula
            forms the old name.
    """
    _check_name(document, found, name)
    marks = [one.mark for one in same(document, found)]
    edits = [Edit(mark.line, mark.column, mark.column + mark.length, name) for mark in marks]
    if not document.diagnostics:
        after = Document(_edited(document, edits), document.path, document.variants)
        if after.diagnostics:
            why = after.diagnostics[0]
            raise Fault(
                "name-reserved",
                f"`{found.name}` cannot be renamed here, since the file would have errors: {why.message} (line "
                f"{why.mark.line if why.mark else 1}); formulas and lists that form the name are not changed",
            )
    return Fix(f"rename `{found.name}` to `{name}`", tuple(edits))


def _edited(document: Document, edits: list[Edit]) -> str:
    lines = list(document.lines)
    for one in sorted(edits, key=lambda edit: (edit.line, edit.start), reverse=True):
        line = lines[one.line - 1]
        lines[one.line - 1] = line[: one.start - 1] + one.text + line[one.stop - 1 :]
    return "\n".join(lines) + "\n"


def _check_name(document: Document, found: Occurrence, name: str) -> None:
    """Refuse a new name that is no word, that the language takes, or that means something here already."""
    kinds = ("tensor", "input") if found.kind in ("tensor", "input") else (found.kind,)
    taken = {one.name for one in occurrences(document) if one.kind in kinds and one.scope == found.scope}
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise Fault("name-reserved", f"a name is a word of letters, digits and `_`, not `{name}`")
    if found.kind == "variable":
        check_variable(name, found.mark)
    elif found.kind == "block":
        check_block(name, found.mark, "a layer or block" if vocabulary_of(document).find(name) else None)
    if name in taken and name != found.name:
        raise Fault("name-reserved", f"there is a {found.kind} `{name}` already")
