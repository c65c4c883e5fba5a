"""A resolved file with its formulas computed: what elaboration works from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping as ABCMapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from archspec.foundation.arguments import fault_in
from archspec.foundation.errors import Fault, Mark, join_words
from archspec.foundation.frozen import key_of
from archspec.foundation.report import Report
from archspec.foundation.source import Mapping, Scalar, Value, locate, values_within
from archspec.foundation.validate import faults
from archspec.foundation.values import MAX_VALUES, count_items, describe
from archspec.language.blocks import parse_formula
from archspec.language.document import section_schema
from archspec.language.inputs import Input, read_inputs
from archspec.language.names import ROLES, check_variable
from archspec.language.parsed import Parsed
from archspec.language.syntax import Call, Expression, SyntaxNode, faults_within, parse_expression
from archspec.language.vocabulary import Vocabulary
from archspec.layers.initializers import Init, resolve as resolve_init
from archspec.layers.primitive import Primitive

_T = TypeVar("_T")

MAX_KNOWN = 10_000
"""Results of sections that are kept, before all are let go."""


@dataclass(frozen=True, slots=True)
class Default:
    """A value that a file's `defaults` give to an argument, and where it stands."""

    mark: Mark
    value: Any


class _Invalid:
    """The value of a variable that could not be computed: what depends on it is left alone."""


INVALID: Any = _Invalid()


def depends_on_invalid(names: Iterable[str], scope: ABCMapping[str, Any]) -> bool:
    for name in names:  # noqa: SIM110 - a generator takes three times as long
        if scope.get(name) is INVALID:
            return True
    return False


InitialValues = dict[str, dict[str, tuple[Mark, Init]]]
"""Initialisers by primitive and parameter, each with where it stands."""


@dataclass(frozen=True)
class Sections:
    """A file's sections. No inputs, or `None` for a network, means that it is wrong, as reported."""

    root: Mapping
    vars: dict[str, Any]
    inputs: tuple[Input, ...]
    roles: dict[str, Call | None]
    defaults: dict[str, dict[str, Default]]
    vocabulary: Vocabulary
    bodies: dict[str, SyntaxNode]  # of the file's own blocks
    network: SyntaxNode | None
    init: InitialValues
    expect: dict[str, Any]
    train: dict[str, Any]
    """The recipe, as far as the file says."""
    unused: frozenset[str] = frozenset()
    """Variables on which nothing depends."""

    @cached_property
    def role_marks(self) -> dict[str, Mark]:
        """Where the file says what each role stands for."""
        section = self.root.get("defaults")
        return {name: section.entries[name][1].mark for name in self.roles} if isinstance(section, Mapping) else {}

    @cached_property
    def role_layers(self) -> dict[str, Primitive | None]:
        """The layer that each role stands for; `None` for no layer, or where only the tensor that arrives tells."""
        return {name: _role_layer(call, self.vocabulary, self.vars) for name, call in self.roles.items()}

    def initial_values(self, section: Value | None, data: Any, report: Report) -> InitialValues:
        """The initialisers of an `init` section or modifier, whose data fit their schema. Reports what is wrong.

        Those of a role are of the layer that it stands for, where they are not given by its own name.
        """
        made = read_initial_values(section, data, report)
        for role in ROLES:
            if role not in made:
                continue
            values, layer = made.pop(role), self.role_layers.get(role)
            assert section is not None
            if layer is None and self.roles.get(role, made) is not None:
                mark = locate(section, [role]).mark
                report.add(_no_layer(role, mark, known=role in self.roles))
            elif layer is not None and layer.weights:
                for name in [name for name in values if name not in layer.weights]:
                    mark, _ = values.pop(name)
                    message = f"`{layer.name}`, for which `{role}` stands, has no parameter `{name}`"
                    report.add(
                        Fault("key-unknown", message, mark, help=f"its parameters are {join_words(layer.weights)}")
                    )
                made[layer.name] = values | made.get(layer.name, {})
        return made

    def line(self, key: str) -> str:
        """A section that is a line for people; empty where there is none."""
        value = self.root.get(key)
        return str(value.value) if isinstance(value, Scalar) and value.value is not None else ""


def compute_sections(parsed: Parsed, root: Mapping, report: Report) -> Sections:
    """Compute the sections of a resolved file, of which all but the values of variables is parsed already.

    Reports what is wrong, and goes on without it.
    """
    depend: dict[str, frozenset[str]] = {}
    variables = _variables(root.get("vars"), report, depend)
    used = set(parsed.used)
    for name in reversed(variables):
        used |= depend.get(name, frozenset()) if name in used else frozenset()
    section = _SectionReader(parsed, root, variables, report)
    inputs = read_inputs(root.get("input"), section.data("input"), report)
    sections = Sections(
        root=root,
        vars=variables,
        inputs=inputs,
        roles=parsed.roles,
        defaults=section.of_layers("defaults", lambda: _defaults(parsed, variables, report)),
        vocabulary=parsed.vocabulary,
        bodies=parsed.bodies,
        network=parsed.network,
        init={},
        expect=section.data("expect") or {},
        train=section.data("train") or {},
        unused=frozenset(variables) - used,
    )

    def initial_values() -> InitialValues:
        return sections.initial_values(root.get("init"), section.data("init"), report)

    return replace(sections, init=section.of_layers("initial values", initial_values))


def _variables(section: Value | None, report: Report, depend: dict[str, frozenset[str]]) -> dict[str, Any]:
    """The file's variables; a later one may use those above it, which `depend` is told."""
    values: dict[str, Any] = {}
    total = 0
    for name, (mark, value) in section.entries.items() if isinstance(section, Mapping) else ():
        try:
            check_variable(name, mark)
            made = parse_formula(value, values)
            depend[name] = made.names
            values[name] = INVALID if depends_on_invalid(made.names, values) else made.evaluate(values)
            total += count_items(values[name], MAX_VALUES)
            if total > MAX_VALUES:
                raise Fault("too-large", f"the variables hold more than {MAX_VALUES:,} values", mark)
        except Fault as fault:
            values[name] = INVALID
            report.add(fault, value.mark)
    return values


def origins(names: Iterable[str], root: Mapping, values: ABCMapping[str, Any]) -> tuple[str, ...]:
    """Where the file's variables of these names got their values: a note on each, for a value that is wrong."""
    section = root.get("vars")
    marks = {name: value.mark for name, (_, value) in section.entries.items()} if isinstance(section, Mapping) else {}
    known = [name for name in sorted(names) if name in marks and values.get(name, INVALID) is not INVALID]
    return tuple(f"`{name}` is {describe(values[name])}, from {marks[name]}" for name in known)


def _names_at(value: Value, mark: Mark) -> frozenset[str]:
    """The variables of the formula that stands at a place."""
    if isinstance(value, Scalar):
        return parse_expression(value).names if value.mark == mark else frozenset()
    return frozenset().union(*(_names_at(one, mark) for one in values_within(value)))


class _SectionReader:
    """Computes the formulas of sections, and holds the results to their schemas.

    What is sound is kept with the parsed sections, and not computed again where the variables in it have the same
    values.
    """

    def __init__(self, parsed: Parsed, root: Mapping, variables: dict[str, Any], report: Report) -> None:
        self.parsed = parsed
        self.root = root
        self.variables = variables
        self.report = report

    def data(self, key: str) -> Any:
        """A section's data; `None` where it is absent or wrong."""
        expression = self.parsed.data[key]
        return expression and self.remembered(key, expression.names, lambda: self._compute(key, expression))

    def of_layers(self, what: str, make: Callable[[], _T]) -> _T:
        """What depends on the variables that layers depend on wherever they stand."""
        return self.remembered(what, self.parsed.layer_names, make)

    def remembered(self, what: str, names: Iterable[str], make: Callable[[], _T]) -> _T:
        """What follows from the variables of these names."""
        key = (what, key_of(self.variables[name] for name in names))
        known = self.parsed.known
        if key in known:
            made: _T = known[key]
            return made
        before = self.report.count
        made = make()
        if self.report.count == before:
            if len(known) >= MAX_KNOWN:
                known.clear()
            known[key] = made
        return made

    def _compute(self, key: str, expression: Expression) -> Any:
        value = expression.value
        try:
            if depends_on_invalid(expression.names, self.variables):
                return None
            data = expression.evaluate(self.variables)
        except Fault as fault:
            for one in list(faults_within(value, self.variables)) or [fault]:
                self.report.add(one, value.mark)
            return None
        wrong = list(faults(value, section_schema(key), key, data))
        for one in wrong:
            if one.mark is not None:
                one.notes += origins(_names_at(value, one.mark), self.root, self.variables)
            self.report.add(one)
        return None if wrong else data


def _role_layer(call: Call | None, vocabulary: Vocabulary, variables: ABCMapping[str, Any]) -> Primitive | None:
    if call is None:
        return None
    word: Any = call.callee
    if isinstance(word, Expression):
        if not word.names <= variables.keys() or depends_on_invalid(word.names, variables):
            return None
        try:
            word = word.evaluate(variables)
        except Fault:  # as is reported where the role is used
            return None
        word = next(iter(word), None) if isinstance(word, dict) else word
    found = vocabulary.find(word) if isinstance(word, str) else None
    return found if isinstance(found, Primitive) else None


def _no_layer(role: str, mark: Mark, *, known: bool) -> Fault:
    if known:
        message = f"`init` cannot tell what layer `{role}` stands for: it is a block, or a formula of the tensor"
        return Fault(
            "name-unknown", message, mark, help="name the layers themselves: `init: {batch_norm: {weight: 0}}`"
        )
    example = {"act": "relu", "norm": "batch_norm"}[role]
    help = f"add `defaults: {{{role}: {example}}}` to the file"
    return Fault("name-unknown", f"the file does not say what `{role}` stands for", mark, help=help)


def read_initial_values(section: Value | None, data: Any, report: Report) -> InitialValues:
    """The initialisers of an `init` section or modifier, whose data fit their schema. Reports what is wrong."""
    if section is None or data is None:
        return {}
    made: InitialValues = {}
    for primitive, weights in data.items():
        made[primitive] = {}
        for name, value in weights.items():
            mark = locate(section, [primitive, name]).mark  # of a formula that gives a mapping: its own
            try:
                made[primitive][name] = (mark, resolve_init(value))
            except Fault as fault:
                report.add(fault, mark)
    return made


def _defaults(parsed: Parsed, variables: dict[str, Any], report: Report) -> dict[str, dict[str, Default]]:
    made: dict[str, dict[str, Default]] = {}
    for name, given in parsed.defaults.items():
        found = parsed.vocabulary.find(name)
        assert found is not None
        made[name] = {}
        for key, one in given.items():
            made[name][key] = Default(one.mark, INVALID)
            if one.value is None or depends_on_invalid(one.value.names, variables):
                continue
            try:
                computed = one.value.evaluate(variables)
                argument = found.signature.by_name[key]
                fault = fault_in(computed, argument.schema, f"`{key}` of `{name}`")
                if fault:
                    fault.help = fault.help or argument.cure or None
                    fault.mark = one.mark
                    raise fault
                made[name][key] = Default(one.mark, computed)
            except Fault as fault:
                report.add(fault, one.at)
    return made
