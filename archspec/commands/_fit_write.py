"""`archspec fit --write`: what was found, as a variant in the spec's own file."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from archspec.foundation.errors import Mark, SpecError, Text, UsageError, escape_line

if TYPE_CHECKING:
    from archspec.plan.plan import Plan
    from archspec.spec import SpecFile

_NAME = re.compile(r"[A-Za-z][\w.-]{0,99}")


def check_target(spec: str, file: SpecFile, name: str) -> None:
    """Raises `UsageError` where no variant of this name can be written, before anything is searched."""
    from archspec.foundation.report import Report
    from archspec.language.document import parse
    from archspec.language.finder import STANDARD_INPUT, find, folder

    if spec == STANDARD_INPUT:
        raise UsageError("standard input is no file that a variant could be written to", help="give the file's path")
    found = find(spec)
    if os.path.realpath(found.path).startswith(os.path.realpath(folder()) + os.sep):
        message = f"`{escape_line(spec)}` comes with archspec, whose files are not changed"
        raise UsageError(
            message, help=f"`archspec new mine --from {escape_line(spec)}` copies it to a file of your own; fit that"
        )
    if not _NAME.fullmatch(name):
        message = f"`{escape_line(name)}` is no name of a variant"
        raise UsageError(message, help="begin it with a letter; letters, digits, `_`, `.` and `-` may follow")
    document = parse(file.tree, Report())
    if document is not None and name in document.variants:
        line = document.variants[name].line
        raise UsageError(
            f"{escape_line(file.file)} has a variant `{name}` already, in line {line}", help="give another name"
        )


def write_variant(
    spec: str, file: SpecFile, variant: str | None, settings: tuple[str, ...], name: str, plan: Plan
) -> None:
    """Add a variant: what the chosen one says, the settings laid over it, and what the network then has.

    Raises:
        UsageError: The file cannot be written, or was changed meanwhile.
    """
    from archspec.foundation.errors import Fault
    from archspec.foundation.reading import read
    from archspec.foundation.report import Report
    from archspec.foundation.source import Mapping, Value, from_python
    from archspec.language.document import parse
    from archspec.language.extends import resolve_extends
    from archspec.language.finder import find
    from archspec.language.overlay import merge
    from archspec.language.settings import parse_setting
    from archspec.spec import SpecFile
    from archspec.writing.files import replace
    from archspec.writing.variants import add_variant

    document = parse(file.tree, Report())
    assert document is not None
    section = document.root.get("variants")
    chosen: Value | None = section.get(variant) if variant and isinstance(section, Mapping) else None
    mark = Mark(Text("--write", ()), 1, 1)
    partial = chosen.without("expect") if isinstance(chosen, Mapping) else Mapping(mark, {})
    for assignment in (*file.set, *settings):
        partial = merge(partial, parse_setting(document.root, assignment).partial)
    billions = plan.macs / 1e9
    # three digits that count, where three decimals would leave fewer
    expect = {"params": plan.params, "gmacs": round(billions, 3) if billions >= 1 else float(f"{billions:.3g}")}
    partial = merge(partial, Mapping(mark, {"expect": (mark, from_python(expect, mark))}))
    path = find(spec).path
    content = find(spec).read()
    made = add_variant(content, file.file, name, partial)
    try:
        tree = resolve_extends(read(made, file.file), path, file.file)
        written = SpecFile(file.file, file.name, tree).spec(name).plan
    except (Fault, SpecError) as error:
        raise UsageError(f"{escape_line(file.file)} cannot have the variant: {error}") from None
    if (written.params, written.macs) != (plan.params, plan.macs):
        raise UsageError(f"{escape_line(file.file)} was changed meanwhile", help="run the command again")
    replace(path, made)
