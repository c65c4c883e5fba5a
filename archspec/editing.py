"""A spec while it is written: what is known of it although something is wrong, the text of an editor included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from archspec.foundation import source
from archspec.foundation.errors import Fault, Report, TooManyDiagnostics
from archspec.foundation.formulas import BudgetExceeded, budget
from archspec.language import document as documents
from archspec.language.extends import resolve_extends
from archspec.language.parsed import parse_sections
from archspec.language.sections import compute_sections
from archspec.plan.elaborate import elaborate
from archspec.plan.partial import Met, PartialPart, PartialPlan, Recorder, flatten
from archspec.spec import Checked, SpecFile, name_of

MAX_CUTS = 20  # of a text that is not YAML


def check_text(content: bytes, path: str, variants: Sequence[str | None] | None = None) -> Checked:
    """Check what an editor holds of a file, whether or not it is saved.

    Where it is not YAML, what stands before the fault is still elaborated.

    Args:
        content: The text, in UTF-8.
        path: Where the file lies, or will; what it extends is looked for there.
        variants: Those to elaborate; all of them by default, and the file without one.

    Raises:
        UsageError: A file that it extends cannot be read.
    """
    try:
        tree = resolve_extends(source.read(content, path), path, path)
    except Fault as fault:
        partial = _beginning(content, path, fault)
        return Checked((), (fault.diagnostic(),), (), partials=() if partial is None else (partial,))
    return SpecFile(path, name_of(path), tree).check(variants)


def partial_plan(file: SpecFile, variant: str | None) -> PartialPlan | None:
    """What is known of a variant of a file; `None` where it has no network that is worth the name."""
    recorder = Recorder()
    made = _record(file, variant, recorder)
    if made is None or recorder.root is None:
        return None
    return replace(made, parts=tuple(flatten(recorder.root)))


def _record(file: SpecFile, variant: str | None, recorder: Recorder) -> PartialPlan | None:
    """Elaborate a variant once more, node by node, whatever is wrong; a plan that has no parts yet."""
    report, name, input = Report(), file.name, None
    with suppress(Fault, TooManyDiagnostics, BudgetExceeded), budget():
        document = documents.parse(file.tree, report)
        if document is None:
            return None
        root = document.resolve(variant, file.settings_of(document))
        sections = compute_sections(parse_sections(root, report), root, report)
        name = sections.line("name") or file.name
        input = sections.inputs[0].shape if sections.inputs else None
        elaborate(sections, report, recorder=recorder)
    return PartialPlan(name, variant, file.file, input, ())


_LATER = re.compile(r"^(vars|defaults|blocks|input|init)\s*:", re.MULTILINE)


def _beginning(content: bytes, path: str, fault: Fault) -> PartialPlan | None:
    """What is known of the part of a text before a fault in its YAML."""
    lines = content.decode("utf-8", errors="replace").removeprefix("\ufeff").split("\n")
    at = fault.mark.line if fault.mark is not None and fault.mark.text.name == path else 0
    tree = None
    for _ in range(MAX_CUTS):
        if at <= 1 or _LATER.search("\n".join(lines[at - 1 :])):  # what stands there has a part in every layer
            return None
        try:
            tree = resolve_extends(source.read("\n".join(lines[: at - 1]).encode(), path), path, path)
            break
        except Fault as other:
            at = min(at - 1, other.mark.line if other.mark is not None and other.mark.text.name == path else at)
    if tree is None:
        return None
    recorder = Recorder(whole=True)
    plan = _record(SpecFile(path, name_of(path), tree), None, recorder)
    if plan is None or recorder.root is None:
        return None
    last = max((one.mark.line, one.mark.column) for one in _written(recorder.root, path))
    return replace(plan, parts=tuple(_until(recorder.root, last, "")))


def _written(met: Met, path: str) -> Iterator[Met]:
    """A node and all in it that stand in the file itself."""
    if met.mark.text.name == path:
        yield met
    for one in met.inner:
        yield from _written(one, path)


def _until(met: Met, last: tuple[int, int], path: str) -> Iterator[PartialPart]:
    """The sound parts before the node that was written last: whether that is complete cannot be known."""
    within = [one for one in _written(met, met.mark.text.name) if (one.mark.line, one.mark.column) == last]
    if not within:
        yield from flatten(met, path)
        return
    place = f"{path}.{met.key}" if path and met.key else path or met.key
    for one in met.inner:
        yield from _until(one, last, place)
        if any((inner.mark.line, inner.mark.column) == last for inner in _written(one, met.mark.text.name)):
            return
    yield PartialPart(place, None, met.mark, met.input, None, wrong=True)
