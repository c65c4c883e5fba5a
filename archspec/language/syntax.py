"""What a sequence is made of, as parsed: nodes with the places they stand at and the formulas they hold.

None is ever changed. Their classes are not frozen, since each that is takes a third of a millisecond to define.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping as ABCMapping
from dataclasses import dataclass, field
from typing import Any

from archspec.foundation import formulas
from archspec.foundation.errors import Fault, Mark
from archspec.foundation.formulas import Formula
from archspec.foundation.source import List, Scalar, Value, values_within
from archspec.foundation.values import MAX_VALUES, BudgetExceeded, count_items, spend


@dataclass(slots=True, eq=False, repr=False)
class Expression:
    """A value that may hold formulas, anywhere in its lists and mappings."""

    value: Value
    data: Any  # the value as Python data, each formula a `Formula`
    names: frozenset[str]
    constant: bool
    """Whether no formula is in it."""
    name: str | None = None
    """Of a formula that is no more than a name: that name."""

    @property
    def mark(self) -> Mark:
        return self.value.mark

    @property
    def is_formula(self) -> bool:
        return isinstance(self.data, Formula)

    def evaluate(self, scope: ABCMapping[str, Any]) -> Any:
        """The value with every formula computed. Raises `Fault`, and `BudgetExceeded` where a budget is used up.

        Values may be shared: none may be changed.
        """
        if self.constant:
            return self.data
        data = self.data
        try:
            value = data.evaluate(scope) if isinstance(data, Formula) else _fill(data, scope)
            if isinstance(value, (list, dict)):
                count = count_items(value, MAX_VALUES)
                spend(count)
                if count > MAX_VALUES:
                    raise Fault("too-large", f"the value holds more than {MAX_VALUES:,} items, counted through")
            return value
        except (Fault, BudgetExceeded) as fault:
            if not isinstance(data, Formula) and isinstance(fault, Fault) and fault.mark is None:
                for found in faults_within(self.value, scope):
                    raise found from None
            fault.mark = fault.mark or self.mark
            raise


def faults_within(value: Value, scope: ABCMapping[str, Any]) -> Iterator[Fault]:
    """The faults of a value's formulas, each where its formula stands."""
    if isinstance(value, Scalar):
        if isinstance(value.value, str) and value.value.startswith("="):
            try:
                formulas.parse(value.value[1:]).evaluate(scope)
            except Fault as fault:
                fault.mark = value.mark
                yield fault
        return
    for one in values_within(value):
        yield from faults_within(one, scope)


def mark_of(value: Value, name: str) -> Mark:
    """Where the first formula stands that uses a name, in a value that may hold several."""
    if isinstance(value, Scalar):
        return value.mark
    return next((mark_of(one, name) for one in values_within(value) if name in parse_expression(one).names), value.mark)


def parse_expression(value: Value) -> Expression:
    """Parse a value that may hold formulas. Raises `Fault` (formula-syntax)."""
    names: set[str] = set()
    data = _parse(value, names)
    name = data.text if isinstance(data, Formula) and data.text in names else None
    return Expression(value, data, frozenset(names), not _holds_formula(data), name)


def _parse(value: Value, names: set[str]) -> Any:
    if isinstance(value, Scalar):
        if isinstance(value.value, str) and value.value.startswith("="):
            try:
                formula = formulas.parse(value.value[1:])
            except Fault as fault:
                fault.mark = value.mark
                raise
            names.update(formula.names)
            return formula
        return value.value
    if isinstance(value, List):
        return [_parse(item, names) for item in value.items]
    return {key: _parse(inner, names) for key, (_, inner) in value.entries.items()}  # type: ignore[attr-defined]


def _holds_formula(data: Any) -> bool:
    if isinstance(data, (list, dict)):
        return any(map(_holds_formula, data.values() if isinstance(data, dict) else data))
    return isinstance(data, Formula)


def _fill(data: Any, scope: ABCMapping[str, Any]) -> Any:
    if isinstance(data, Formula):
        return data.evaluate(scope)
    if isinstance(data, list):
        return [_fill(item, scope) for item in data]
    if isinstance(data, dict):
        return {key: _fill(value, scope) for key, value in data.items()}
    return data


@dataclass(slots=True, eq=False, repr=False)
class GivenArgument:
    """An argument as written at a call: where its name stands, and its value."""

    mark: Mark
    value: Expression


@dataclass(slots=True, eq=False, repr=False)
class Call:
    """A primitive, block or role, by name or computed by a formula, with the arguments written for it."""

    mark: Mark
    callee: str | Expression
    arguments: dict[str, GivenArgument]
    main: Expression | None = None  # a bare value, for whichever argument is the first
    loads: Expression | None = None
    """The names of the tensors that a block takes."""
    saves: Expression | None = None
    """The names under which those that a block gives are kept."""


@dataclass(slots=True, eq=False, repr=False)
class Sequence:
    """Nodes one after the other."""

    mark: Mark
    nodes: tuple[SyntaxNode, ...]


@dataclass(slots=True, eq=False, repr=False)
class Merge:
    """Parallel branches of one input, joined by `kind`: a word of `MERGE_RULES`."""

    mark: Mark
    kind: str
    branches: tuple[SyntaxNode, ...]
    looped: bool = False
    """Whether its one branch is a `for`, each of whose passes is a branch."""
    split: Expression | None = None
    """The sizes of the parts that its branches take, or `equal`."""
    axis: Expression | None = None
    """The axis that it joins or splits."""
    attention: ABCMapping[str, Expression] = field(default_factory=dict)
    """Of `attend`, what stands beside it."""


@dataclass(slots=True, eq=False, repr=False)
class Table:
    """Columns of a loop that are written row by row: each row is a list of values, or a mapping of the names."""

    names: tuple[str, ...]
    rows: Expression


@dataclass(slots=True, eq=False, repr=False)
class For:
    """One pass of the body for each row of the columns, those of a table among them."""

    mark: Mark
    columns: dict[str, Expression]
    body: SyntaxNode
    table: Table | None = None


@dataclass(slots=True, eq=False, repr=False)
class Let:
    """Values computed where they stand, for what follows in the same sequence, or for the body of a loop alone."""

    mark: Mark
    values: dict[str, Expression | None]
    """By name; `None` where the value is wrong, as reported."""
    body: SyntaxNode | None = None


@dataclass(slots=True, eq=False, repr=False)
class Wire:
    """`save`, `load` or `output` of the current tensor, by a name; a `load` that is a branch may have several."""

    mark: Mark
    kind: str
    name: Expression


@dataclass(slots=True, eq=False, repr=False)
class Aux:
    """An auxiliary classifier on the current tensor, whose loss counts by a weight in training."""

    mark: Mark
    name: Expression
    weight: Expression
    body: SyntaxNode


@dataclass(slots=True, eq=False, repr=False)
class Again:
    """The node that was shared before under the name that stands here, once more."""

    mark: Mark


@dataclass(slots=True, eq=False, repr=False)
class Invalid:
    """What stands in the place of a node that could not be parsed: nothing is known of its output."""

    mark: Mark
    tensors: frozenset[str | None] = frozenset()
    """The names of the tensors that it would have saved or loaded; `None` for one that is not known."""
    callee: str = ""
    """The layer, block, role or word of the language that is said wrongly, where there is no more than that."""


Body = Call | Sequence | Merge | For | Let | Wire | Aux | Again | Invalid


@dataclass(slots=True, eq=False, repr=False)
class SyntaxNode:
    """A body in its place in a sequence or merge: its key there, and the modifiers written beside it."""

    key: str
    mark: Mark
    body: Body
    when: Expression | None = None
    repeat: Expression | None = None
    init: Expression | None = None
    recompute: Expression | None = None
    share: Expression | None = None

    @property
    def modified(self) -> bool:
        """Whether modifiers stand beside it, which a layer that is given as an argument cannot have."""
        named = isinstance(self.body, Call) and (self.body.loads or self.body.saves)
        return any((self.when, self.repeat, self.init, self.recompute, self.share, named))


def iterate_bodies(node: SyntaxNode) -> Iterator[Body]:
    """All that stands in a node, itself included, less the bodies of auxiliary classifiers."""
    return (one.body for one in iterate_nodes(node))


def iterate_nodes(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """A node and all nodes in it, less those of auxiliary classifiers."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        body = one.body
        yield one
        if isinstance(body, (For, Let)):
            waiting += [body.body] if body.body else []
        elif isinstance(body, (Sequence, Merge)):
            waiting += reversed(body.nodes if isinstance(body, Sequence) else body.branches)


def iterate_expressions(node: SyntaxNode) -> Iterator[Expression]:
    """What stands in a node itself and may hold formulas: its modifiers, arguments, columns or name."""
    body = node.body
    found: list[Expression | None] = [node.when, node.repeat, node.init, node.recompute, node.share]
    if isinstance(body, Call):
        found += [given.value for given in body.arguments.values()]
        found += [body.main, body.callee if isinstance(body.callee, Expression) else None, body.loads, body.saves]
    elif isinstance(body, For):
        found += body.columns.values()
        found.append(body.table.rows if body.table else None)
    elif isinstance(body, Merge):
        found += [body.split, body.axis, *body.attention.values()]
    elif isinstance(body, Let):
        found += body.values.values()
    elif isinstance(body, Wire):
        found.append(body.name)
    elif isinstance(body, Aux):
        found += [body.name, body.weight]
    return (one for one in found if one is not None)
