"""What a file says to no effect: blocks that nothing calls, defaults that nothing takes, initial values of no layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archspec.foundation.errors import Fault, Mark
from archspec.foundation.report import Report
from archspec.foundation.source import Mapping, Value
from archspec.language.names import ROLES

SETTING = "--set"
"""How the name of a text begins that is given to `--set`."""


def report_idle(tree: Value, roots: Iterable[Mapping], report: Report, *, whole: bool) -> None:
    """Note what stands in the file `tree` without effect in any of its variants, which `roots` are.

    A setting without effect is an error: whoever gives it expects one. Where `roots` are not all variants (`whole`),
    nothing else can be said.
    """
    known = dict(report.given)
    variants = _entries(tree.get("variants") if isinstance(tree, Mapping) else None)
    in_variants = {mark for _, (_, one) in variants for mark, _ in _list_roles(one)}  # a file may name unused ones
    for root in roots:
        for mark, what in _list_named(root):
            known.setdefault(mark, what)
        for mark, role in _list_roles(root):
            if mark in in_variants or mark.text.name.startswith(SETTING):
                known.setdefault(mark, role)
    for mark, what in known.items():
        if mark in report.used:
            continue
        if mark.text.name.startswith(SETTING):
            help = "name what the network uses: `archspec summary` shows its layers"
            report.add(Fault("usage", f"{what} is set, but nothing depends on it", mark, help=help))
        elif whole and mark.text is tree.mark.text:
            report.note(f"nothing depends on {what}", mark)


def _list_named(root: Mapping) -> Iterator[tuple[Mark, str]]:
    """What a variant names that may be used or not: where it stands, and how it is called."""
    for name, (_, value) in _entries(root.get("defaults")):
        if isinstance(value, Mapping) and name not in ROLES:
            yield from ((inner.mark, f"`defaults.{name}.{key}`") for key, (_, inner) in value.entries.items())
        elif name not in ROLES:
            yield value.mark, f"`defaults.{name}`"
    for name, (_, value) in _entries(root.get("init")):
        yield from ((inner.mark, f"`init.{name}.{key}`") for key, (_, inner) in _entries(value))
    for name, (mark, _) in _entries(root.get("blocks")):
        yield mark, f"the block `{name}`"


def _list_roles(root: Value) -> Iterator[tuple[Mark, str]]:
    """Where a spec, or a variant, says what a role stands for."""
    defaults = root.get("defaults") if isinstance(root, Mapping) else None
    yield from ((value.mark, f"`defaults.{name}`") for name, (_, value) in _entries(defaults) if name in ROLES)


def _entries(value: Value | None) -> Iterable[tuple[str, tuple[Mark, Value]]]:
    return value.entries.items() if isinstance(value, Mapping) else ()
