"""A resolved file, parsed: its blocks, its network and its formulas, whatever values its variables have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from archspec.foundation.errors import Fault, Mark
from archspec.foundation.report import Report
from archspec.foundation.schemas import is_as_written
from archspec.foundation.source import Mapping, Value, is_left_empty, plain
from archspec.foundation.spelling import did_you_mean
from archspec.language.blocks import Block, parse_formula
from archspec.language.document import section_schema
from archspec.language.foreign import layer_hint
from archspec.language.grammar import Grammar
from archspec.language.names import ROLES
from archspec.language.syntax import Call, Expression, Invalid, SyntaxNode
from archspec.language.vocabulary import Vocabulary, define_blocks
from archspec.layers.primitive import Primitive

DATA = ("input", "init", "expect", "train")
"""The sections that are data, in which formulas may stand."""


@dataclass(frozen=True, slots=True)
class WrittenDefault:
    """A value that `defaults` give to an argument: where its name and it stand; `None` where it is wrong."""

    at: Mark
    mark: Mark
    value: Expression | None


@dataclass(frozen=True)
class Parsed:
    """What the sections of a resolved file hold before its variables have values."""

    vocabulary: Vocabulary
    bodies: dict[str, SyntaxNode]  # of the file's own blocks
    network: SyntaxNode | None
    roles: dict[str, Call | None]
    defaults: dict[str, dict[str, WrittenDefault]]
    data: dict[str, Expression | None]
    """The sections of `DATA`; `None` for one that is absent or wrong."""
    used: frozenset[str]
    """The variables that anything but other variables uses."""
    layer_names: tuple[str, ...]
    """Those that layers depend on wherever they stand: by `defaults`, roles and `init`."""
    known: dict[Any, Any] = field(default_factory=dict)
    """What was computed of sections, by the values of the variables in them."""


def parse_sections(root: Mapping, report: Report) -> Parsed:
    """Parse the sections of a resolved file. Reports what is wrong, and goes on without it."""
    section = root.get("vars")
    variables = list(section.entries) if isinstance(section, Mapping) else []
    own = define_blocks(root.get("blocks"), report)
    vocabulary = Vocabulary(own)
    bodies = {name: body for name, block in own.items() if (body := block.parse(vocabulary, report))}
    grammar = Grammar(vocabulary, variables, report)
    network = root.get("network")
    if network is not None and is_left_empty(network):
        help = "its nodes stand below it, indented: a list, or named parts"
        report.add(Fault("node-form", "`network` is left empty", root.entries["network"][0], help=help))
        network = None
    data = {key: _parse_data(key, root.get(key), variables, report) for key in DATA}
    roles = _parse_roles(root.get("defaults"), grammar, report)
    defaults = _parse_defaults(root.get("defaults"), vocabulary, variables, report)
    _add_variables_of_blocks(own.values(), defaults, variables, report)
    written = [one.value for given in defaults.values() for one in given.values()]
    of_defaults = _names(written)
    of_layers = grammar.used | of_defaults | _names([data["init"]])
    return Parsed(
        vocabulary=vocabulary,
        bodies=bodies,
        network=grammar.parse("", network.mark, network) if network else None,
        roles=roles,
        defaults=defaults,
        data=data,
        used=of_defaults.union(grammar.used) | _names(data.values()),
        layer_names=tuple(sorted(of_layers & set(variables))),
    )


def parse_data(parsed: Parsed, keys: Iterable[str], root: Mapping, report: Report) -> Parsed:
    """The same sections with some of those that are data, which were left out before. Reports what is wrong."""
    section = root.get("vars")
    variables = list(section.entries) if isinstance(section, Mapping) else []
    added = {key: _parse_data(key, root.get(key), variables, report) for key in keys}
    return replace(parsed, data=parsed.data | added, used=parsed.used | _names(added.values()), known={})


def _names(expressions: Iterable[Expression | None]) -> frozenset[str]:
    return frozenset().union(*(one.names for one in expressions if one is not None))


def _parse_data(key: str, value: Value | None, variables: list[str], report: Report) -> Expression | None:
    if value is None or (is_as_written(section_schema(key)) and not isinstance(value, Mapping)):  # as reported
        return None
    try:
        return parse_formula(value, variables)
    except Fault as fault:
        report.add(fault, value.mark)
        return None


def _parse_roles(section: Value | None, grammar: Grammar, report: Report) -> dict[str, Call | None]:
    """What the roles stand for: a call, or nothing where the file says `none`."""
    roles: dict[str, Call | None] = {}
    for name in ROLES:
        value = section.get(name) if isinstance(section, Mapping) else None
        if value is None:
            continue
        if is_left_empty(value):
            help = f"indent what `{name}` stands for, or write `{name}: none` for no layer"
            report.add(Fault("node-form", f"`{name}` is left empty", value.mark, help=help))
        if plain(value) in (None, "none"):
            roles[name] = None
            continue
        node = grammar.parse(name, value.mark, value)
        if not isinstance(node.body, Call) or node.modified or node.body.callee in ROLES:
            if not isinstance(node.body, Invalid):
                message = f"`{name}` must be a layer's name, or `{{name: arguments}}`"
                report.add(Fault("type-mismatch", message, value.mark))
            roles[name] = None
            continue
        roles[name] = node.body
    return roles


def _parse_defaults(
    section: Value | None, vocabulary: Vocabulary, variables: list[str], report: Report
) -> dict[str, dict[str, WrittenDefault]]:
    made: dict[str, dict[str, WrittenDefault]] = {}
    before: Primitive | Block | None = None
    for name, (mark, value) in section.entries.items() if isinstance(section, Mapping) else ():
        if name in ROLES:
            continue
        found = vocabulary.find(name)
        if found is None:
            hint = layer_hint(name) or did_you_mean(name, vocabulary.words())
            if before and name in before.signature.by_name:
                hint = f"indent the arguments of `{before.name}`: `{before.name}: {{{name}: …}}`"
            report.add(Fault("name-unknown", f"there is no primitive, block or role `{name}`", mark, help=hint))
            continue
        signature, before = found.signature, None
        if is_left_empty(value):
            before = found
            message, help = f"`{name}` is left empty", "its arguments stand below it, indented; or leave it out"
            report.add(Fault("node-form", message, value.mark, help=help))
            continue
        given: Iterable[tuple[str, Mark, Value]]
        if isinstance(value, Mapping):
            given = [(key, at, inner) for key, (at, inner) in value.entries.items()]
        elif signature.main:
            given = [(signature.main.name, mark, value)]
        else:
            report.add(Fault("argument-unknown", f"`{name}` takes no arguments", value.mark))
            continue
        unknown = signature.check_names([key for key, _, _ in given])
        made[name] = {}
        for key, at, inner in given:
            expression = None
            try:
                if key in unknown:
                    raise unknown[key]
                expression = parse_formula(inner, variables)
            except Fault as fault:
                report.add(fault, at)
            made[name][key] = WrittenDefault(at, inner.mark, expression)
    return made


def _add_variables_of_blocks(
    blocks: Iterable[Block], defaults: dict[str, dict[str, WrittenDefault]], variables: list[str], report: Report
) -> None:
    """Give blocks the variables that they name, as `defaults` would, where these give no others."""
    for block in blocks:
        for name, mark in block.variables.items():
            if name not in variables:
                help = did_you_mean(name, variables) or "its variables are those in its `vars`"
                report.add(Fault("variable-unknown", f"the file has no variable `{name}`", mark, help=help))
            formula = block.defaults[name] if name in variables else None
            defaults.setdefault(block.name, {}).setdefault(name, WrittenDefault(mark, mark, formula))
