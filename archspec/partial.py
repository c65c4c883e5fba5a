"""What is known of a spec that has errors, even where its text is not YAML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from archspec.foundation import reading, source
from archspec.foundation.errors import Fault
from archspec.foundation.report import Report, TooManyDiagnostics
from archspec.foundation.values import BudgetExceeded, budget
from archspec.language import document as documents
from archspec.language.document import Document
from archspec.language.extends import resolve_extends
from archspec.language.parsed import parse_sections
from archspec.language.sections import compute_sections
from archspec.language.settings import Setting
from archspec.plan.elaborate import elaborate
from archspec.plan.partial import PartialPart, PartialPlan, Recorder, Visited, flatten

SettingsOf = Callable[[Document], Sequence[Setting]]
"""What gives the settings that are laid over a file."""

MAX_CUTS = 20  # of a text that is not YAML


def partial_plan(
    tree: source.Value, name: str, file: str, variant: str | None = None, settings_of: SettingsOf | None = None
) -> PartialPlan | None:
    """What is known of a variant of a file; `None` where it has no network.

    Args:
        tree: Its content.
        name: Its name, where it gives none.
        file: The file, as errors show it.
        variant: The variant.
        settings_of: What is laid over it.
    """
    recorder = Recorder()
    plan = _record(tree, name, file, variant, settings_of, recorder)
    if plan is None or recorder.root is None:
        return None
    return replace(plan, parts=tuple(flatten(recorder.root)))


def _record(
    tree: source.Value, name: str, file: str, variant: str | None, settings_of: SettingsOf | None, recorder: Recorder
) -> PartialPlan | None:
    """Elaborate a variant node by node, whatever is wrong; a plan that has no parts yet."""
    report, input = Report(), None
    with suppress(Fault, TooManyDiagnostics, BudgetExceeded), budget():
        document = documents.parse(tree, report)
        if document is None:
            return None
        root = document.resolve(variant, settings_of(document) if settings_of else [])
        sections = compute_sections(parse_sections(root, report), root, report)
        name = sections.line("name") or name
        input = sections.inputs[0].shape if sections.inputs else None
        elaborate(sections, report, recorder=recorder)
    return PartialPlan(name, variant, file, input, ())


_LATER = re.compile(r"^(vars|defaults|blocks|input|init)\s*:", re.MULTILINE)


def beginning(content: bytes, path: str, shown: str, name: str, fault: Fault) -> PartialPlan | None:
    """What is known of a text, called `shown` in messages, before a fault in its YAML; `None` where that is nothing."""
    lines = content.decode("utf-8", errors="replace").removeprefix("\ufeff").split("\n")
    at = fault.mark.line if fault.mark is not None and fault.mark.text.name == shown else 0
    tree = None
    for _ in range(MAX_CUTS):
        if at <= 1 or _LATER.search("\n".join(lines[at - 1 :])):  # what stands there has a part in every layer
            return None
        try:
            tree = resolve_extends(reading.read("\n".join(lines[: at - 1]).encode(), shown), path, shown)
            break
        except Fault as other:
            at = min(at - 1, other.mark.line if other.mark is not None and other.mark.text.name == shown else at)
    if tree is None:
        return None
    recorder = Recorder(whole=True)
    plan = _record(tree, name, shown, None, None, recorder)
    if plan is None or recorder.root is None:
        return None
    written = [(one.mark.line, one.mark.column) for one in _written(recorder.root, shown)]
    if not written:  # the network stands in the file that this one extends
        return None
    last = max(written)
    return replace(plan, parts=tuple(_until(recorder.root, last, "")))


def _written(visited: Visited, path: str) -> Iterator[Visited]:
    """A node and all in it that stand in the file itself."""
    if visited.mark.text.name == path:
        yield visited
    for one in visited.inner:
        yield from _written(one, path)


def _until(visited: Visited, last: tuple[int, int], path: str) -> Iterator[PartialPart]:
    """The sound parts before the node that was written last: whether that is complete cannot be known."""
    within = [one for one in _written(visited, visited.mark.text.name) if (one.mark.line, one.mark.column) == last]
    if not within:
        yield from flatten(visited, path)
        return
    place = f"{path}.{visited.key}" if path and visited.key else path or visited.key
    for one in visited.inner:
        yield from _until(one, last, place)
        if any((inner.mark.line, inner.mark.column) == last for inner in _written(one, visited.mark.text.name)):
            return
    yield PartialPart(place, None, visited.mark, visited.input, None, wrong=True)
