"""Blocks: primitives made in the language itself; how their definitions are read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from archspec.foundation.arguments import (
    LARGEST,
    REQUIRED,
    Argument,
    Schema,
    Signature,
    either,
    fault_in,
    pair,
    titled,
)
from archspec.foundation.errors import Fault, Mark, join_words
from archspec.foundation.report import Report
from archspec.foundation.schemas import as_written
from archspec.foundation.source import List, Mapping, Scalar, Value, plain
from archspec.foundation.validate import faults
from archspec.language.calls import Signatures
from archspec.language.grammar import Grammar
from archspec.language.inputs import check_input
from archspec.language.keywords import ARGUMENT_KEYS, ARGUMENT_TYPES, BLOCK_KEYS
from archspec.language.names import INCOMING, check_variable
from archspec.language.syntax import Expression, SyntaxNode, mark_of, parse_expression
from archspec.layers.registry import primitives

ARGUMENT_SCHEMA = titled(
    "a default, or `{type: …}`",
    {"type": ["string", "number", "boolean", "array"]},
    {
        "type": "object",
        "properties": {key: keyword.schema for key, keyword in ARGUMENT_KEYS.items()},
        "additionalProperties": False,
    },
)
"""The JSON Schema of one argument's definition."""

BLOCK_SCHEMA: Schema = as_written(
    {
        "type": "object",
        "properties": {key: keyword.schema for key, keyword in BLOCK_KEYS.items()},
        "required": [key for key, keyword in BLOCK_KEYS.items() if keyword.needed],
        "additionalProperties": False,
    }
)
"""The JSON Schema of one block's definition; `ARGUMENT_SCHEMA` is that of `args`; the grammar checks `body`."""


@dataclass(frozen=True)
class Block:
    """A block as defined: its arguments, what it computes from them, and its body."""

    name: str
    mark: Mark
    signature: Signature
    doc: str = ""
    source: str = ""
    example: str = ""
    defaults: dict[str, Expression] = field(default_factory=dict)  # of arguments whose default is a formula
    let: dict[str, Expression] = field(default_factory=dict)
    invalid: frozenset[str] = frozenset()  # names whose definition is wrong, as reported
    inputs: tuple[tuple[str, Mark], ...] = ()
    """The tensors that it takes by name."""
    outputs: tuple[tuple[str, Mark], ...] = ()
    """The tensors that it gives by name."""
    variables: dict[str, Mark] = field(default_factory=dict)
    """Its arguments that take the values of the file's variables."""
    names: dict[str, Mark] = field(default_factory=dict, repr=False)
    """Where its arguments and the values of its `let` stand."""
    body_value: Value | None = field(default=None, repr=False)

    def parse(self, vocabulary: Signatures, report: Report) -> SyntaxNode | None:
        """The body as nodes. Reports what is wrong with it."""
        if self.body_value is None:
            return None
        grammar = Grammar(vocabulary, [*self.signature.by_name, *self.let, *self.invalid], report, self.name)
        body = grammar.parse("", self.body_value.mark, self.body_value)
        computed = [one for name, one in (self.defaults | self.let).items() if name not in self.variables]
        read = grammar.used.union(*(one.names for one in computed))
        for name, mark in self.names.items():
            if name not in read:
                kind = "value" if name in self.let else "variable" if name in self.variables else "argument"
                report.note(f"nothing depends on the {kind} `{name}` of the block `{self.name}`", mark)
        return body


PYTHONS = {"int": "integer", "float": "number", "bool": "boolean", "str": "string", "list": "list"}
"""Types as Python calls them, which would be texts as defaults."""


def _list_hint(name: str, block: Value, message: str) -> str | None:
    """What to write where a block has a list of arguments, or a mapping of variables."""
    if not isinstance(block, Mapping):
        return None
    if isinstance(args := block.get("args"), List) and message.startswith(f"`blocks.{name}.args`"):
        first = args.items[0].value if args.items and isinstance(args.items[0], Scalar) else "width"
        return f"each has a default, or a type: `args: {{{first}: {{type: integer}}}}`"
    if isinstance(block.get("vars"), Mapping) and message.startswith(f"`blocks.{name}.vars`"):
        return "`vars` of a block lists names of the file's variables; values of its own stand under `let`"
    return None


def define_block(name: str, mark: Mark, value: Value, report: Report) -> Block:
    """A block from its definition. Reports what is wrong with it, and leaves that out."""
    problems = list(faults(value, BLOCK_SCHEMA, f"blocks.{name}"))
    for fault in problems:
        fault.help = fault.help or _list_hint(name, value, fault.message)
        report.add(fault)
    if not isinstance(value, Mapping):
        return Block(name, mark, Signature(name, ()))
    arguments: list[Argument] = []
    defaults: dict[str, Expression] = {}
    let: dict[str, Expression] = {}
    invalid: set[str] = set()
    seen: set[str] = set(INCOMING)
    args = value.get("args")
    for key, (at, inner) in args.entries.items() if isinstance(args, Mapping) else ():
        problems = list(faults(inner, ARGUMENT_SCHEMA, f"blocks.{name}.args.{key}", plain(inner)))
        try:
            check_variable(key, at)
            if isinstance(inner, Scalar) and inner.value in PYTHONS:
                help = f"a type is written `{key}: {{type: {PYTHONS[inner.value]}}}`"
                raise Fault(
                    "type-mismatch", f"the default of `{key}` is the text '{inner.value}'", inner.mark, help=help
                )
            if not problems:
                arguments.append(_argument(name, key, inner, defaults, seen))
        except Fault as fault:
            problems.append(fault)
        for problem in problems:
            report.add(problem, at)
        if problems:
            invalid.add(key)
            arguments.append(Argument(key, {}, None))  # so that calls which give it are not at fault
        seen.add(key)
    variables = _variables(name, value.get("vars"), seen, report)
    arguments += [Argument(key, {}, f"={key}", "the file's variable") for key in variables]
    defaults |= {key: _expression_of(key, at) for key, at in variables.items()}
    seen |= variables.keys()
    section = value.get("let")
    for key, (at, inner) in section.entries.items() if isinstance(section, Mapping) else ():
        try:
            check_variable(key, at)
            if key in seen:
                raise Fault("duplicate-name", f"`{key}` is an argument of `{name}` already", at)
            let[key] = parse_formula(inner, seen)
        except Fault as fault:
            report.add(fault, at)
            invalid.add(key)
        seen.add(key)
    takes, gives = (_tensor_names(name, key, value.get(key), report) for key in ("inputs", "outputs"))
    texts = {key: plain(v) for key in ("doc", "source", "example") if isinstance(v := value.get(key), Value)}
    return Block(
        name,
        mark,
        Signature(name, tuple(arguments), *(tuple(one for one, _ in given) for given in (takes, gives))),
        inputs=takes,
        outputs=gives,
        **{key: text for key, text in texts.items() if isinstance(text, str)},
        defaults=defaults,
        let=let,
        invalid=frozenset(invalid),
        variables=variables,
        names=variables
        | {key: at for one in (args, section) if isinstance(one, Mapping) for key, (at, _) in one.entries.items()},
        body_value=value.get("body"),
    )


def _variables(block: str, value: Value | None, seen: Collection[str], report: Report) -> dict[str, Mark]:
    """The file's variables that a block names. Reports those that are named twice, or are its arguments."""
    found: dict[str, Mark] = {}
    for item in value.items if isinstance(value, List) else ():
        name = item.value if isinstance(item, Scalar) else None
        if not isinstance(name, str):  # as the schema says
            continue
        if name in found or name in seen:
            message = f"`{name}` is an argument of the block `{block}` already"
            if name in found:
                message = f"`{name}` stands twice in `vars` of the block `{block}`"
            report.add(Fault("duplicate-name", message, item.mark))
            continue
        found[name] = item.mark
    return found


def _expression_of(name: str, mark: Mark) -> Expression:
    """The formula that a name alone is."""
    return parse_expression(Scalar(mark, f"={name}", f"={name}"))


def _tensor_names(block: str, key: str, value: Value | None, report: Report) -> tuple[tuple[str, Mark], ...]:
    """The names of the tensors that a block takes or gives. Reports what is wrong with them."""
    found: dict[str, Mark] = {}
    for item in value.items if isinstance(value, List) else ():
        name = item.value if isinstance(item, Scalar) else None
        if not isinstance(name, str):  # as the schema says
            continue
        try:
            check_input(name, item.mark)
            if name in found:
                raise Fault("duplicate-name", f"`{name}` stands twice in `{key}` of the block `{block}`", item.mark)
            found[name] = item.mark
        except Fault as fault:
            report.add(fault)
    return tuple(found.items())


def parse_formula(value: Value, visible: Collection[str]) -> Expression:
    """A value whose formulas use known variables alone. Raises `Fault`."""
    made = parse_expression(value)
    for name in sorted(name for name in made.names if name not in visible):
        hint = "the incoming tensor is known to nodes alone" if name in INCOMING else _seen_hint(visible)
        if name in primitives():
            hint = f"a layer's name is a text, in quotes: `'{name}'`"
        raise Fault("variable-unknown", f"there is no variable `{name}` here", mark_of(value, name), help=hint)
    return made


def _seen_hint(visible: Iterable[str]) -> str:
    names = sorted(set(visible) - set(INCOMING))
    return f"values see only those above them: {join_words(names) or 'none'}"


def _argument(block: str, name: str, value: Value, defaults: dict[str, Expression], seen: set[str]) -> Argument:
    """One argument: `{type: …, default: …}`, or a bare default that gives the type. Raises `Fault`."""
    written = plain(value)
    given: dict[str, Any] = written if isinstance(written, dict) else {"default": written}
    default = given.get("default", REQUIRED)
    if isinstance(value, Mapping) and (entry := value.get("default")):
        value = entry
    if default is not REQUIRED and not (made := parse_formula(value, seen)).constant:
        defaults[name] = made
    schema = _schema(block, name, given, default, name in defaults, value.mark)
    if default is not REQUIRED and name not in defaults:
        fault = fault_in(default, schema, f"the default of `{name}`")
        if fault:
            fault.mark = value.mark
            raise fault
    return Argument(name, schema, default, str(given.get("doc", "")))


def _schema(block: str, name: str, given: dict[str, Any], default: Any, computed: bool, mark: Mark) -> Schema:
    kind = given.get("type")
    if kind is None:
        if default is None or default is REQUIRED or computed or isinstance(default, dict):
            raise Fault(
                "key-missing",
                f"the argument `{name}` of block `{block}` needs a type",
                mark,
                help=f"write `{name}: {{type: integer}}`; the types are {', '.join(ARGUMENT_TYPES)}",
            )
        kind = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list"}[type(default)]
    schema = dict(ARGUMENT_TYPES[kind].schema) if kind in ARGUMENT_TYPES else {}
    bounds: dict[str, Any] = {key: given[key] for key in ("minimum", "maximum") if key in given}
    if kind == "pair" and bounds:
        schema = pair(bounds.get("minimum", 0), bounds.get("maximum", LARGEST))
    else:
        schema |= bounds
    if "enum" in given:
        schema = {"enum": given["enum"]}
    return either(schema, {"type": "null"}) if default is None and kind != "node" else schema
