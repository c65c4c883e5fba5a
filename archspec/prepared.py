"""What plans of one file share: those of many settings of its variables, and those of its variants."""

from __future__ import annotations

from collections.abc import Callable, Mapping as ABCMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archspec.foundation import source
from archspec.foundation.errors import Mark, Note, Text
from archspec.foundation.frozen import key_of
from archspec.foundation.report import Report
from archspec.foundation.source import Mapping
from archspec.language import document as documents
from archspec.language.document import Document
from archspec.language.parsed import Parsed, parse_data, parse_sections
from archspec.language.sections import Sections, compute_sections
from archspec.language.settings import Setting
from archspec.plan.elaborate import elaborate
from archspec.plan.memo import Memo
from archspec.plan.nodes import Node

MAX_MEMOS = 20
"""Values of what layers depend on wherever they stand, for which parts are kept."""

FROM_CALL = Mark(Text("vars", ()), 1, 1)
"""Where a value stands that a call of a function gives."""


@dataclass
class Prepared:
    """A sound file with a variant and settings of anything but the variables that are to vary."""

    document: Document
    root: Mapping
    parsed: Parsed
    notes: tuple[Note, ...]
    memos: dict[Any, Memo] = field(default_factory=dict)

    def elaborate(self, given: ABCMapping[str, Any], report: Report) -> tuple[Sections, Node] | None:
        """The sections and the network where variables have the values that are given, data of Python.

        `None`, or something in the report, where anything is out of the ordinary: a fresh elaboration says what.
        """
        section = self.root.get("vars")
        if not isinstance(section, Mapping) or not given.keys() <= section.entries.keys():
            return None
        entries = dict(section.entries)
        for name, data in given.items():
            if isinstance(data, dict):
                return None
            entries[name] = (FROM_CALL, source.from_python(data, FROM_CALL))
        mark = self.root.entries["vars"][0]
        root = Mapping(self.root.mark, {**self.root.entries, "vars": (mark, Mapping(section.mark, entries))})
        sections = compute_sections(self.parsed, root, report)
        if report.count:
            return None
        key = key_of(sections.vars[name] for name in self.parsed.layer_names)
        if key not in self.memos and len(self.memos) >= MAX_MEMOS:
            self.memos.clear()
        node = elaborate(sections, report, (), self.memos.setdefault(key, Memo()))
        return None if node is None else (sections, node)


@dataclass
class PreparedFile:
    """What a file has been prepared for, by variant and settings; `None` where it is not sound."""

    known: dict[Any, Prepared | None] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        return PreparedFile, ()  # what is kept is made anew in another process


def prepare(
    tree: source.Value, variant: str | None, settings_of: Callable[[Document], Sequence[Setting]], report: Report
) -> Prepared | None:
    """Parse a file with a variant and settings. `None`, or something in the report, where it is not sound.

    Raises `Fault` where there is no such variant, or a setting cannot be laid over the file.
    """
    document = documents.parse(tree, report)
    if document is None:
        return None
    root = document.resolve(variant, settings_of(document))
    for fault in documents.faults_of(root):
        report.add(fault)
    root = root.without("expect")  # which vouches for the network as it stands in the file
    return Prepared(document, root, parse_sections(root, report), report.notes)


_BESIDE = ("expect", "train")
"""The sections that no layer depends on."""


@dataclass
class Alike:
    """The variants of a file, whose equal sections are parsed once, and whose equal parts are elaborated once.

    Where there is anything to say, each variant has to be elaborated by itself: for its errors, and since what was
    made by a program that gave up does not say on what it depends.
    """

    parsed: dict[Any, tuple[Parsed, dict[Any, Memo]]] = field(default_factory=dict)
    roots: list[Mapping] = field(default_factory=list)
    """Those that were parsed, which last as long as their identity stands for them."""

    def elaborate(self, root: Mapping, report: Report) -> tuple[Sections, Node] | None:
        """The sections and network of a resolved file; `None`, or more in the report, where it is not sound."""
        before = report.count
        parsed, memos = self._parse(root.without(*_BESIDE), report)
        sections = compute_sections(parse_data(parsed, _BESIDE, root, report), root, report)
        if report.count > before:
            return None
        memo = memos.setdefault(key_of(sections.vars[name] for name in parsed.layer_names), Memo())
        node = elaborate(sections, report, (), memo)
        return None if node is None else (sections, node)

    def _parse(self, root: Mapping, report: Report) -> tuple[Parsed, dict[Any, Memo]]:
        variables = root.get("vars")
        names = tuple(variables.entries) if isinstance(variables, Mapping) else ()
        key = (names, *((name, id(value)) for name, (_, value) in root.without("vars").entries.items()))
        if key not in self.parsed:
            self.roots.append(root)
            self.parsed[key] = parse_sections(root, report), {}
        return self.parsed[key]
