"""Binding: formulas to values, and the arguments of a call to a complete set that fits its types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping as ABCMapping
from dataclasses import dataclass
from typing import Any

from archspec.foundation.arguments import REQUIRED, Argument
from archspec.foundation.errors import Fault, Frame, Mark, join_words
from archspec.foundation.shapes import Shape, show
from archspec.foundation.values import describe, spend
from archspec.language.blocks import Block
from archspec.language.names import INCOMING, ROLES
from archspec.language.sections import INVALID, InitialValues, Sections, depends_on_invalid
from archspec.language.syntax import Call, Expression
from archspec.layers.primitive import Primitive
from archspec.plan.tensors import Tensors

Scope = ABCMapping[str, Any]


class Chain(ABCMapping[str, Any]):
    """Names that hide those of an outer scope, which is shared and not copied."""

    __slots__ = ("outer", "own")

    def __init__(self, own: Scope, outer: Scope) -> None:
        self.own = own
        self.outer = outer

    def get(self, name: str, default: Any = None) -> Any:
        scope: Scope = self
        while isinstance(scope, Chain):
            if name in scope.own:
                return scope.own[name]
            scope = scope.outer
        return scope.get(name, default)

    def __getitem__(self, name: str) -> Any:
        value = self.get(name, _MISSING)
        if value is _MISSING:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from (name for name in self.outer if name not in self.own)

    def __len__(self) -> int:
        return sum(1 for _ in self)


_MISSING: Any = object()


class Row(ABCMapping[str, Any]):
    """A row of a loop's columns; one that is no list has the same value in each."""

    __slots__ = ("columns", "index")

    def __init__(self, columns: Scope, index: int) -> None:
        self.columns = columns
        self.index = index

    def __getitem__(self, name: str) -> Any:
        column = self.columns[name]
        return column[self.index] if isinstance(column, list) else column

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


@dataclass(frozen=True)
class Initializers:
    """The initial values in force, by primitive and parameter, and a key in which they differ from others."""

    values: InitialValues
    key: tuple[Any, ...] = ()

    def overridden(self, inner: InitialValues) -> Initializers:
        values = {name: self.values.get(name, {}) | inner.get(name, {}) for name in [*self.values, *inner]}
        key = tuple((name, weight, one) for name, own in inner.items() for weight, (_, one) in own.items())
        return Initializers(values, (*self.key, key))


class InvalidValue(Exception):
    """Raised where a value depends on something that is wrong already, so that no second error is made of it."""


@dataclass(slots=True)  # not frozen, which would take twice the time; none is ever changed
class Context:
    """Where elaboration stands: what formulas see, the tensor that arrives, and the way here."""

    scope: Scope
    shape: Shape | None
    frames: tuple[Frame, ...]
    init: Initializers
    tensors: Tensors

    def at(self, shape: Shape | None) -> Context:
        return Context(self.scope, shape, self.frames, self.init, self.tensors)

    def seeing(self, scope: Scope) -> Context:
        return Context(Chain(scope, self.scope), self.shape, self.frames, self.init, self.tensors)

    def outside(self, scope: Scope) -> Context:
        return Context(scope, self.shape, self.frames, self.init, self.tensors)

    def within(self, scope: Scope, frame: Frame) -> Context:
        return Context(Chain(scope, self.scope), self.shape, (*self.frames, frame), self.init, self.tensors)


@dataclass(frozen=True, slots=True)
class Site:
    """A call as it is written, of which all is done that is the same wherever it is elaborated."""

    found: Primitive | Block
    fixed: dict[str, Any]
    """The values of all arguments, in order; `None` for those that are computed."""
    computed: tuple[tuple[Argument, Expression, bool], ...]
    """The arguments that formulas give; `True` for a formula of the block's own, which sees its arguments."""
    used: tuple[Mark, ...] = ()
    """Where the defaults stand that it takes."""


class Binder:
    """Computes formulas and binds arguments, within a file's sections."""

    def __init__(self, sections: Sections, sites: dict[Any, Site | None], used: set[Mark]) -> None:
        self.sections = sections
        self.sites = sites
        self.used = used
        """Where the defaults stand that something takes."""

    def meant_by(self, role: str) -> Call | None:
        """What a role stands for, which the file says; `None` for no layer."""
        self.used.add(self.sections.role_marks[role])
        return self.sections.roles[role]

    def is_variable(self, name: str, scope: Scope) -> bool:
        """Whether a name means the file's own variable where formulas see `scope`."""
        while isinstance(scope, Chain):
            if name in scope.own:
                return False
            scope = scope.outer
        return scope is self.sections.vars

    def value(self, expression: Expression, context: Context) -> Any:
        """A template's value. Raises `Fault`, or `InvalidValue` where it depends on an unknown shape."""
        if expression.constant:
            return expression.data
        if expression.name is not None:  # most formulas are
            value = context.scope.get(expression.name)
            if type(value) is int or type(value) is bool:
                spend(1)
                return value
        if depends_on_invalid(expression.names, context.scope):
            raise InvalidValue
        if expression.names.isdisjoint(INCOMING):
            return expression.evaluate(context.scope)
        used = expression.names.intersection(INCOMING)
        shape = context.shape
        if shape is None:
            raise InvalidValue
        incoming: dict[str, Any] = {"shape_in": list(shape), "c_in": shape[0]}
        if len(shape) == 3:
            incoming |= {"h_in": shape[1], "w_in": shape[2]}
        elif wrong := sorted(used & {"h_in", "w_in"}):
            raise Fault(
                "formula-value", f"`{wrong[0]}` is of feature maps, but the input is {show(shape)}", expression.mark
            )
        return expression.evaluate(Chain(incoming, context.scope))

    def typed(self, expression: Expression, kind: type, what: str, context: Context) -> Any:
        value = self.value(expression, context)
        if type(value) is not kind:
            needed = {bool: "true or false", int: "an integer", str: "a text"}[kind]
            raise Fault("formula-type", f"{what} must be {needed}, not {describe(value)}", expression.mark)
        return value

    # --- arguments -----------------------------------------------------------------------------------------------

    def bind_site(self, call: Call, callee: str, context: Context) -> tuple[Primitive | Block, dict[str, Any]] | None:
        """What a call names, with the arguments that `bind` gives; `None` where that has something to refuse."""
        site = self.site(call, callee)
        if site is None:
            return None
        self.used.update(site.used)
        values = site.fixed.copy()
        try:
            for argument, expression, own in site.computed:
                value = self.value(expression, context.outside(values) if own else context)
                if argument.is_node:
                    value = self.node_value(value, argument.name, callee, call.mark)
                if not argument.fits(value):
                    return None
                values[argument.name] = value
        except (Fault, InvalidValue):
            return None
        return site.found, values

    def site(self, call: Call, callee: str) -> Site | None:
        """A call as it is written; `None` where something is wrong with it."""
        key = (call, callee)
        if key not in self.sites:
            self.sites[key] = self._site(call, callee)
        return self.sites[key]

    def _site(self, call: Call, callee: str) -> Site | None:
        found = self.sections.vocabulary.find(callee)
        if found is None or (call.main is not None and found.signature.main is None):
            return None
        defaults = self.sections.defaults.get(callee, {})
        own = found.defaults if isinstance(found, Block) else {}
        given = {name: one.value for name, one in call.arguments.items()}
        if call.main is not None and found.signature.main is not None:
            given[found.signature.main.name] = call.main
        fixed: dict[str, Any] = {}
        computed: list[tuple[Argument, Expression, bool]] = []
        used: list[Mark] = []
        for argument in found.signature.arguments:
            name = argument.name
            expression, value = given.pop(name, None), argument.default
            fixed[name] = None
            if expression is not None:
                value = expression.data
            elif name in defaults:
                value = defaults[name].value
                used.append(defaults[name].mark)
            else:
                expression = own.get(name)
            if expression is not None and not expression.constant:
                computed.append((argument, expression, name in own and expression is own[name]))
                continue
            try:
                fixed[name] = self.node_value(value, name, callee, call.mark) if argument.is_node else value
            except Fault:
                return None
            if value is REQUIRED or not argument.fits(fixed[name]):
                return None
        return None if given else Site(found, fixed, tuple(computed), tuple(used))

    def bind(
        self, found: Primitive | Block, given: dict[str, tuple[Mark, Any, bool]], mark: Mark, context: Context
    ) -> dict[str, Any]:
        """The complete arguments of a call, checked against their types. Raises `Fault` or `InvalidValue`."""
        signature = found.signature
        if not given.keys() <= signature.by_name.keys():
            for name, fault in signature.check_names(list(given)).items():
                raise Fault(fault.code, fault.message, given[name][0], help=fault.help)
        defaults = self.sections.defaults.get(found.name, {})
        missing = [name for name in signature.required if name not in given and name not in defaults]
        if missing:
            hint = "; ".join(f"`{name}`: {doc}" for name in missing if (doc := signature.by_name[name].doc))
            raise Fault("argument-missing", f"`{found.name}` needs {join_words(missing)}", mark, help=hint or None)
        values: dict[str, Any] = {}
        for argument in signature.arguments:
            name = argument.name
            if name in given:
                values[name] = given[name][1]
            elif name in defaults:
                values[name] = defaults[name].value
                self.used.add(defaults[name].mark)
            elif isinstance(found, Block) and name in found.defaults:
                values[name] = self.value(found.defaults[name], context.outside(values))
            else:
                values[name] = argument.default
            if values[name] is INVALID:
                raise InvalidValue
            if argument.is_node:
                values[name] = self.node_value(
                    values[name], name, found.name, given[name][0] if name in given else mark
                )
        if problem := signature.problem(values):
            name, fault = problem
            at, _, computed = given.get(name, (mark, None, False))
            code = "formula-type" if computed and fault.code == "type-mismatch" else fault.code
            value = values[name]
            if computed and isinstance(value, float) and value.is_integer() and not fault.help:
                fault.help = "`//` divides integers, and `int(…)` makes an integer of a number"
            raise Fault(code, fault.message, at, help=fault.help)
        return values

    def node_value(self, value: Any, name: str, owner: str, mark: Mark) -> Any:
        """A layer given as an argument; a role that stands for nothing is `none`. Raises `Fault`."""
        if value == "none" or (value in ROLES and value in self.sections.roles and self.meant_by(value) is None):
            return None
        word = next(iter(value)) if isinstance(value, dict) and value else value
        if isinstance(word, str) and word not in ROLES and self.sections.vocabulary.find(word) is None:
            raise Fault("name-unknown", f"`{name}` of `{owner}`: there is no primitive or block `{word}`", mark)
        return value
