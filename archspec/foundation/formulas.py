"""Formulas: strings that begin with `=`, in a small and bounded part of Python's expression language.

Nothing here can run code. A formula is parsed by `ast`, every node of the tree is held against a whitelist, and it is
computed by functions of ours, on numbers, strings, booleans, `none` and lists alone, each within fixed bounds.
"""

from __future__ import annotations

import ast
import warnings
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from archspec.foundation.errors import Fault, join_words
from archspec.foundation.functions import FUNCTIONS, call
from archspec.foundation.operators import (
    ARITHMETIC,
    COMPARISONS,
    OF_TEXTS,
    compare,
    compute_binary,
    item_of,
    slice_of,
    truth,
)
from archspec.foundation.spelling import did_you_mean
from archspec.foundation.values import MAX_DEPTH, MAX_INTEGER, bounded, describe, fail, require_number, spend

MAX_LENGTH = 1_000  # characters
CONSTANTS: dict[str, Any] = {"true": True, "false": False, "none": None}


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that was parsed and found valid. `names` are the variables that it uses, `size` its operations."""

    text: str
    names: frozenset[str]
    compute: Compute
    size: int

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """The formula's value where `scope` holds its variables. Raises `Fault` where it has none."""
        spend(self.size)
        try:
            return self.compute(scope)
        except Fault as fault:
            raise Fault(fault.code, f"{_shown(self.text)}: {fault.message}", help=fault.help) from None


@lru_cache(maxsize=4096)
def parse(text: str) -> Formula:
    """Parse a formula, given without its `=`. Raises `Fault` (formula-syntax) on anything that is not one."""
    if len(text) > MAX_LENGTH:
        raise Fault("formula-syntax", f"a formula may have at most {MAX_LENGTH} characters; this one has {len(text)}")
    try:
        with warnings.catch_warnings():  # of `1if x else 2`, say, which is for whoever writes Python
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip().replace("\n", " "), mode="eval").body
    except SyntaxError as error:
        raise Fault("formula-syntax", f"{_shown(text)} is not a formula: {error.msg}", help=_quote_hint(text)) from None
    except (ValueError, RecursionError, MemoryError):
        raise Fault("formula-syntax", f"{_shown(text)} is not a formula") from None
    if not text.isascii():
        from archspec.foundation.lookalikes import find_name  # hardly ever needed

        if found := find_name(tree, text.strip().replace("\n", " ")):
            raise Fault("formula-syntax", f"{_shown(text)} names `{found[0]}`, which is not `{found[1]}`")
    names: set[str] = set()
    size = _check(tree, text, names, 0)
    return Formula(text.strip(), frozenset(names), _compile(tree), size)


def _shown(text: str) -> str:
    """A formula as messages quote it, cut where it is long."""
    return f"`={text}`" if len(text) <= 80 else f"`={text[:77]}…`"


def _quote_hint(text: str) -> str | None:
    for sign, cure in _SIGNS.items():
        if sign in text:
            return cure
    if any(text.count(a) > text.count(b) for a, b in ("()", "[]")):
        return "inside `{…}` and `[…]`, a formula with a comma or bracket needs quotes"
    return None


_CHOICE = "a choice is `a if condition else b`"
_SIGNS = {"&&": "write `and`", "||": "write `or`", "!": "write `not`, or `!=`", "?": _CHOICE, " then ": _CHOICE}
"""What other languages write, and what is written here."""
_CURES: dict[type[ast.AST], str] = {
    ast.Tuple: "write a list, `[…]`",
    ast.JoinedStr: OF_TEXTS,
    ast.Is: "write `==`",
    ast.IsNot: "write `!=`",
    ast.BitXor: "a power is `x ** 2`",
    ast.BitAnd: "write `and`",
    ast.BitOr: "write `or`",
    ast.GeneratorExp: "put it in brackets: `sum([2 * x for x in widths])`",
    ast.ListComp: "the form is `[2 * x for x in widths if x > 8]`: one `for`, one name, at most one `if`",
}


def _check(node: ast.AST, text: str, names: set[str], depth: int) -> int:
    """How many operations a node takes, itself included. Raises `Fault` where one is not of the language."""
    if depth > MAX_DEPTH:
        raise Fault("formula-syntax", f"{_shown(text)} is nested more than {MAX_DEPTH} deep")
    match node:
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name not in FUNCTIONS:
                hint = "a root is `x ** 0.5`" if name == "sqrt" else did_you_mean(name, FUNCTIONS)
                hint = hint or f"the functions are {join_words(FUNCTIONS)}"
                raise Fault(
                    "formula-syntax", f"{_shown(text)} calls `{name}`, which is no function of formulas", help=hint
                )
            children: list[ast.AST] = list(arguments)
        case ast.Name(id=name):
            if name not in CONSTANTS:
                names.add(name)
            children = []
        case ast.Constant(value=bool() | int() | float() | str() | None):
            children = []
        case (
            ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.FloorDiv() | ast.Mod() | ast.Pow())
            | ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not())
            | ast.BoolOp()
            | ast.IfExp()
            | ast.List()
            | ast.Subscript()
            | ast.Slice()
        ):
            children = [
                c
                for c in ast.iter_child_nodes(node)
                if not isinstance(c, (ast.operator, ast.unaryop, ast.boolop, ast.expr_context))
            ]
        case ast.ListComp(
            elt=element, generators=[ast.comprehension(target=ast.Name(id=bound), iter=whole, ifs=tests)]
        ) if _is_simple(node):
            inner: set[str] = set()
            size = 1 + sum(_check(one, text, inner, depth + 1) for one in (element, *tests))
            if bound in CONSTANTS or bound in FUNCTIONS:
                kind = "constant" if bound in CONSTANTS else "function"
                raise Fault(
                    "formula-syntax", f"{_shown(text)}: `{bound}` is a {kind} of formulas, and no name of items"
                )
            names |= inner - {bound}
            return size + _check(whole, text, names, depth + 1)
        case ast.Compare(ops=operators) if all(type(op) in COMPARISONS for op in operators):
            children = [node.left, *node.comparators]
        case ast.Call():
            help = f"the functions are {join_words(FUNCTIONS)}"
            if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant):
                help = OF_TEXTS
            elif isinstance(node.func, ast.Attribute) and node.func.attr in FUNCTIONS:
                help = f"write `{node.func.attr}` without what stands before it"
            raise Fault("formula-syntax", f"{_shown(text)} calls something that is no function of formulas", help=help)
        case _:
            kinds = [node, *getattr(node, "ops", ()), getattr(node, "op", None)]
            cure = next((_CURES[type(one)] for one in kinds if type(one) in _CURES), None)
            raise Fault("formula-syntax", f"{_shown(text)} holds {_kind(node)}, which formulas do not have", help=cure)
    return 1 + sum(_check(child, text, names, depth + 1) for child in children)


def _is_simple(node: ast.ListComp) -> bool:
    """Whether it goes through one list, once."""
    (first,) = node.generators
    parts = [one for part in (node.elt, *first.ifs) for one in ast.walk(part)]
    return len(first.ifs) <= 1 and not first.is_async and not any(isinstance(one, ast.ListComp) for one in parts)


def _kind(node: ast.AST) -> str:
    known = {
        ast.Attribute: "an attribute (`.`)",
        ast.Lambda: "a function definition",
        ast.ListComp: "a comprehension of another form",
        ast.GeneratorExp: "a comprehension without brackets",
        ast.Dict: "a mapping",
        ast.Set: "a set",
        ast.Tuple: "a tuple",
        ast.JoinedStr: "a formatted string",
        ast.NamedExpr: "an assignment",
        ast.Starred: "an unpacking (`*`)",
    }
    return known.get(type(node), "an operator or form")


_MISSING: Any = object()
Compute = Callable[[Mapping[str, Any]], Any]
"""What computes a part of a formula where a scope holds its variables."""


def _compile(node: ast.AST) -> Compute:
    """What computes a node that `_check` has found valid."""
    match node:
        case ast.Constant(value=value):
            if value is None or (isinstance(value, (int, float)) and abs(value) <= MAX_INTEGER):
                return lambda scope: value
            return lambda scope: bounded(value)
        case ast.Name(id=name):
            return _compile_name(name)
        case ast.BinOp(left=left, op=op, right=right):
            return _compile_arithmetic(type(op), _compile(left), _compile(right))
        case ast.UnaryOp(op=op, operand=operand):
            inner = _compile(operand)
            if isinstance(op, ast.Not):
                return lambda scope: not truth(inner(scope))
            if isinstance(op, ast.USub):
                return lambda scope: -require_number(inner(scope))
            return lambda scope: require_number(inner(scope))
        case ast.BoolOp(op=op, values=values):
            return _compile_logic(isinstance(op, ast.Or), [_compile(one) for one in values])
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            steps = [(type(one), _compile(right)) for one, right in zip(ops, comparators, strict=True)]
            return _compile_comparison(_compile(left), steps)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _compile_choice(_compile(test), _compile(body), _compile(orelse))
        case ast.List(elts=elements):
            items = [_compile(element) for element in elements]
            return lambda scope: bounded([item(scope) for item in items])
        case ast.ListComp(elt=element, generators=[ast.comprehension(target=ast.Name(id=name), iter=items, ifs=ifs)]):
            size = sum(1 for part in (element, *ifs) for _ in ast.walk(part))
            tests = [_compile(one) for one in ifs]
            return _compile_comprehension(name, _compile(items), _compile(element), tests, size)
        case ast.Subscript(value=value, slice=ast.Slice() as cut):
            whole = _compile(value)
            places = [_compile_place(one) if one else None for one in (cut.lower, cut.upper)]
            bounds = [*places, _compile(cut.step) if cut.step else None]
            return lambda scope: slice_of(whole(scope), [one and one(scope) for one in bounds])
        case ast.Subscript(value=value, slice=index):
            whole, place = _compile(value), _compile_place(index)
            return lambda scope: item_of(whole(scope), place(scope))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            given = [_compile(argument) for argument in arguments]
            return lambda scope: bounded(call(name, [argument(scope) for argument in given]))
    raise AssertionError(node)


def _compile_place(node: ast.AST) -> Compute:
    """What computes a position in a list; one that a subtraction makes negative is refused, unless it begins so."""
    place = _compile(node)
    parts = {type(one) for one in ast.walk(node)}
    if ast.Sub not in parts or ast.USub in parts:
        return place

    def compute(scope: Mapping[str, Any]) -> Any:
        value = place(scope)
        if isinstance(value, int) and value < 0:
            message = f"`{ast.unparse(node)}` is {value}, which would count from the end"
            raise fail(
                message, "leave this case out, as in `list[i - 1] if i > 0 else 0`, or write `list[-1]` for the last"
            )
        return value

    return compute


def _compile_name(name: str) -> Compute:
    def compute(scope: Mapping[str, Any]) -> Any:
        value = scope.get(name, _MISSING)
        if value is not _MISSING:
            return value
        if name in CONSTANTS:
            return CONSTANTS[name]
        raise Fault("variable-unknown", f"there is no variable `{name}` here", help=did_you_mean(name, scope))

    return compute


def _compile_arithmetic(op: type[ast.operator], first: Compute, second: Compute) -> Compute:
    quick = ARITHMETIC[op] if op in (ast.Add, ast.Sub, ast.Mult) else None

    def compute(scope: Mapping[str, Any]) -> Any:
        left, right = first(scope), second(scope)
        if quick and type(left) is int and type(right) is int and abs(value := quick(left, right)) <= MAX_INTEGER:
            return value  # as most are
        return bounded(compute_binary(op, left, right))

    return compute


def _compile_logic(is_or: bool, parts: list[Compute]) -> Compute:
    def compute(scope: Mapping[str, Any]) -> Any:
        value = parts[0](scope)
        for other in parts[1:]:
            if truth(value) is is_or:
                return value
            value = other(scope)
        return value

    return compute


def _compile_comparison(first: Compute, steps: list[tuple[type[ast.cmpop], Compute]]) -> Compute:
    if len(steps) == 1:
        ((only, second),) = steps
        return lambda scope: compare(only, first(scope), second(scope))

    def compute(scope: Mapping[str, Any]) -> bool:
        value = first(scope)
        for comparison, right in steps:
            other = right(scope)
            if not compare(comparison, value, other):
                return False
            value = other
        return True

    return compute


def _compile_choice(test: Compute, body: Compute, orelse: Compute) -> Compute:
    return lambda scope: body(scope) if truth(test(scope)) else orelse(scope)


def _compile_comprehension(name: str, whole: Compute, element: Compute, tests: list[Compute], size: int) -> Compute:
    def compute(scope: Mapping[str, Any]) -> Any:
        if name in scope:
            raise fail(f"`{name}` is a variable already", "give the items another name: nothing is hidden")
        items = whole(scope)
        if not isinstance(items, list):
            raise fail(f"a list is needed behind `in`, not {describe(items)}")
        found = []
        for item in items:
            spend(size)
            inner = ChainMap({name: item}, scope)  # type: ignore[arg-type]  # the first alone is ever written to
            if all(truth(test(inner)) for test in tests):
                found.append(element(inner))
        return bounded(found)

    return compute
