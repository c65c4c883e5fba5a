"""Formulas: strings that begin with `=`, in a small and bounded part of Python's expression language.

Nothing here can run code. A formula is parsed by `ast`, every node of the tree is held against a whitelist, and it is
computed by the functions below, on numbers, strings, booleans, `none` and lists alone, each within fixed bounds.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from archspec.foundation.errors import Fault, Mark, did_you_mean, join_words

MAX_LENGTH = 1_000  # characters
MAX_DEPTH = 40  # nested operations
MAX_ITEMS = 1_000  # of any list or string that a formula makes
MAX_INTEGER = 2**63 - 1
MAX_NESTING = 20  # lists and mappings within one another
MAX_VALUES = 100_000  # of anything that holds formulas, counted through
MAX_WORK = 1_000_000  # operations of all formulas together, and items that they handle: about a second
CONSTANTS: dict[str, Any] = {"true": True, "false": False, "none": None}


class BudgetExceeded(Exception):
    """Raised where the formulas of a file have done more work together than any network needs."""

    mark: Mark | None = None  # of the one that went too far


_work: ContextVar[list[int]] = ContextVar("work")
"""What was done so far, in a list of one number."""


@contextmanager
def budget() -> Iterator[None]:
    """Within it, all formulas together may do no more than `MAX_WORK`; beyond it they raise `Exhausted`."""
    token = _work.set([0])
    try:
        yield
    finally:
        _work.reset(token)


def spent() -> int:
    """The work that a `budget` has counted so far."""
    done = _work.get(None)
    return done[0] if done is not None else 0


def spend(work: int) -> None:
    """Count operations, or items that are handled. Raises `Exhausted` where a `budget` is used up."""
    done = _work.get(None)
    if done is not None:
        done[0] += work
        if done[0] > MAX_WORK:
            raise BudgetExceeded


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


_OF_TEXTS = "a name is made of texts: `'block' + str(index)`"
_CHOICE = "a choice is `a if condition else b`"
_SIGNS = {"&&": "write `and`", "||": "write `or`", "!": "write `not`, or `!=`", "?": _CHOICE, " then ": _CHOICE}
"""What other languages write, and what is written here."""
_CURES: dict[type[ast.AST], str] = {
    ast.Tuple: "write a list, `[…]`",
    ast.JoinedStr: _OF_TEXTS,
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
                help = _OF_TEXTS
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


def _fail(message: str, help: str | None = None) -> Fault:
    return Fault("formula-value", message, help=help)


_MISSING: Any = object()


Compute = Callable[[Mapping[str, Any]], Any]
"""What computes a part of a formula where a scope holds its variables."""


def _compile(node: ast.AST) -> Compute:
    """What computes a node that `_check` has found valid."""
    match node:
        case ast.Constant(value=value):
            if value is None or (isinstance(value, (int, float)) and abs(value) <= MAX_INTEGER):
                return lambda scope: value
            return lambda scope: _bounded(value)
        case ast.Name(id=name):
            return _compile_name(name)
        case ast.BinOp(left=left, op=op, right=right):
            return _compile_arithmetic(type(op), _compile(left), _compile(right))
        case ast.UnaryOp(op=op, operand=operand):
            inner = _compile(operand)
            if isinstance(op, ast.Not):
                return lambda scope: not _truth(inner(scope))
            if isinstance(op, ast.USub):
                return lambda scope: -_number(inner(scope))
            return lambda scope: _number(inner(scope))
        case ast.BoolOp(op=op, values=values):
            return _compile_logic(isinstance(op, ast.Or), [_compile(one) for one in values])
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            steps = [(type(one), _compile(right)) for one, right in zip(ops, comparators, strict=True)]
            return _compile_comparison(_compile(left), steps)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _compile_choice(_compile(test), _compile(body), _compile(orelse))
        case ast.List(elts=elements):
            items = [_compile(element) for element in elements]
            return lambda scope: _bounded([item(scope) for item in items])
        case ast.ListComp(elt=element, generators=[ast.comprehension(target=ast.Name(id=name), iter=items, ifs=ifs)]):
            size = sum(1 for part in (element, *ifs) for _ in ast.walk(part))
            tests = [_compile(one) for one in ifs]
            return _compile_comprehension(name, _compile(items), _compile(element), tests, size)
        case ast.Subscript(value=value, slice=ast.Slice() as cut):
            whole = _compile(value)
            bounds = [_compile(one) if one else None for one in (cut.lower, cut.upper, cut.step)]
            return lambda scope: _slice(whole(scope), [one and one(scope) for one in bounds])
        case ast.Subscript(value=value, slice=index):
            whole, place = _compile(value), _compile(index)
            return lambda scope: _item(whole(scope), place(scope))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            given = [_compile(argument) for argument in arguments]
            return lambda scope: _bounded(_call(name, [argument(scope) for argument in given]))
    raise AssertionError(node)


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
        return _bounded(_binary(op, left, right))

    return compute


def _compile_logic(is_or: bool, parts: list[Compute]) -> Compute:
    def compute(scope: Mapping[str, Any]) -> Any:
        value = parts[0](scope)
        for other in parts[1:]:
            if _truth(value) is is_or:
                return value
            value = other(scope)
        return value

    return compute


def _compile_comparison(first: Compute, steps: list[tuple[type[ast.cmpop], Compute]]) -> Compute:
    if len(steps) == 1:
        ((only, second),) = steps
        return lambda scope: _compare(only, first(scope), second(scope))

    def compute(scope: Mapping[str, Any]) -> bool:
        value = first(scope)
        for comparison, right in steps:
            other = right(scope)
            if not _compare(comparison, value, other):
                return False
            value = other
        return True

    return compute


def _compile_choice(test: Compute, body: Compute, orelse: Compute) -> Compute:
    return lambda scope: body(scope) if _truth(test(scope)) else orelse(scope)


def _compile_comprehension(name: str, whole: Compute, element: Compute, tests: list[Compute], size: int) -> Compute:
    def compute(scope: Mapping[str, Any]) -> Any:
        if name in scope:
            raise _fail(f"`{name}` is a variable already", "give the items another name: nothing is hidden")
        items = whole(scope)
        if not isinstance(items, list):
            raise _fail(f"a list is needed behind `in`, not {describe(items)}")
        found = []
        for item in items:
            spend(size)
            inner = ChainMap({name: item}, scope)  # type: ignore[arg-type]  # the first alone is ever written to
            if all(_truth(test(inner)) for test in tests):
                found.append(element(inner))
        return _bounded(found)

    return compute


def _truth(value: Any) -> bool:
    """Whether a condition holds. Raises `Fault` for a text that reads as something else than the true that it is."""
    if isinstance(value, str):
        for words, help in ((_NOTHING, _FOR_NOTHING), (_BOOLEANS, _FOR_BOOLEAN)):
            if value.lower() in words:
                raise _fail(f"the text {value!r} is a condition, and counts as true", help)
    return bool(value)


_NOTHING = ("none", "null", "~")
_BOOLEANS = ("true", "false", "yes", "no", "on", "off")
_FOR_NOTHING = "for no value, YAML has `null` and formulas have `none`; the text is `'none'` in a formula"
_FOR_BOOLEAN = "a boolean is `true` or `false`, without quotes; `yes`, `no`, `on` and `off` are texts"


def _bounded(value: Any) -> Any:
    """The value, if it is within bounds: finite, no larger than 2⁶³, no longer than `MAX_ITEMS`."""
    if isinstance(value, (list, str)):
        count = count_items(value)
        spend(count)
        if count > MAX_ITEMS:
            raise _fail(f"the result has more than {MAX_ITEMS} items")
    if isinstance(value, (int, float)) and not abs(value) <= MAX_INTEGER:
        raise _fail("the result is too large")
    return value


def count_items(value: Any, most: int = MAX_ITEMS, nesting: int = 0) -> int:
    """How many items a value holds in all; counting stops once it is past `most`. Raises `Fault` if too deep."""
    if nesting > MAX_NESTING:
        raise _fail(f"lists are nested more than {MAX_NESTING} deep")
    if not isinstance(value, (list, dict)):
        return len(value) if isinstance(value, str) else 1
    count = len(value)
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (list, dict, str)):
            count += count_items(item, most, nesting + 1)
        if count > most:
            break
    return count


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _fail(f"a number is needed, not {describe(value)}")
    return value


def _binary(op: type[ast.operator], left: Any, right: Any) -> Any:
    if op is ast.Add and isinstance(left, str) and isinstance(right, str):
        return left + right
    if op is ast.Add and isinstance(left, list) and isinstance(right, list):
        return left + right
    if op is ast.Mult and isinstance(left, int) and isinstance(right, list):
        left, right = right, left
    if op is ast.Mult and isinstance(left, list) and isinstance(right, int) and not isinstance(right, bool):
        if count_items(left) * right > MAX_ITEMS:
            raise _fail(f"the result has more than {MAX_ITEMS} items")
        return left * right
    if op is ast.Add and any(isinstance(one, str) for one in (left, right)):
        wrong = right if isinstance(left, str) else left
        help = _OF_TEXTS if _is_integer(wrong) else None
        raise _fail(f"a text and {_kind_of(wrong)} cannot be added", help)
    if isinstance(left, str):
        raise _fail(f"a number is needed, not {describe(left)}", _OF_TEXTS if op in (ast.Mod, ast.Mult) else None)
    left, right = _number(left), _number(right)
    try:
        if op is ast.Pow:
            if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > 256:
                raise _fail("the result is too large")
            result = left**right
            if isinstance(result, complex):
                raise _fail("a negative number has no such root")
            return result
        return ARITHMETIC[op](left, right)
    except ZeroDivisionError:
        raise _fail("division by zero") from None
    except OverflowError:
        raise _fail("the result is too large") from None


ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


def _compare(op: type[ast.cmpop], left: Any, right: Any) -> bool:
    if type(left) is int and type(right) is int and op not in (ast.In, ast.NotIn):
        return COMPARISONS[op](left, right)
    if type(left) is str and type(right) is str:
        spend(len(left) + len(right))
        return COMPARISONS[op](left, right)
    for one in (left, right):
        if isinstance(one, (list, str)):
            spend(count_items(one))
    if op in (ast.In, ast.NotIn):
        for one in right if isinstance(right, list) else []:
            _refuse_unequal(left, one)
    elif op in (ast.Eq, ast.NotEq):
        _refuse_unequal(left, right)
    try:
        return COMPARISONS[op](left, right)
    except TypeError:
        raise _fail(f"{describe(left)} and {describe(right)} cannot be compared so") from None


def _refuse_unequal(left: Any, right: Any) -> None:
    """Refuse to compare a text with what it reads as, without quotes, but never equals. Raises `Fault`."""
    text, other = (left, right) if isinstance(left, str) else (right, left)
    if not isinstance(text, str) or isinstance(other, (str, list, dict)):
        return
    word = text.lower()
    if other is None:
        wrong, help = word in _NOTHING, _FOR_NOTHING
    elif isinstance(other, bool):
        wrong, help = word in _BOOLEANS, _FOR_BOOLEAN
    else:
        wrong = _is_number(word)
        help = f"without quotes, {text} is a number"
    if wrong:
        named = "`none`" if other is None else describe(other)
        raise _fail(f"the text {text!r} is compared with {named}, which it never equals", help)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def _slice(value: Any, bounds: list[Any]) -> Any:
    _refuse_no_sequence(value)
    for bound in bounds:
        if bound is not None and not _is_integer(bound):
            raise _fail(f"a slice needs integers, not {describe(bound)}")
    if bounds[2] == 0:
        raise _fail("the step of a slice cannot be 0")
    return _bounded(value[slice(*bounds)])


def _item(value: Any, position: Any) -> Any:
    _refuse_no_sequence(value)
    if not _is_integer(position):
        raise _fail(f"an index is an integer, not {describe(position)}")
    if not -len(value) <= position < len(value):
        raise _fail(f"there is no item {position}: the length is {len(value)}")
    return value[position]


def _refuse_no_sequence(value: Any) -> None:
    if not isinstance(value, (list, str)):
        raise _fail(f"only lists and strings have items, not {describe(value)}")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _range(*bounds: int) -> list[int]:
    numbers = range(*bounds)
    if len(numbers) > MAX_ITEMS:
        raise _fail(f"the result has more than {MAX_ITEMS} items")
    return list(numbers)


def _round(value: float, digits: int = 0) -> float:
    """Python's `round`, to at most 20 digits; to none, it gives an integer."""
    return round(value, max(-20, min(20, digits))) if digits else round(value)


def divisible(value: float, divisor: int = 8) -> int:
    """`value` to the nearest multiple of `divisor`, at least one `divisor`, and never more than 10 % below `value`.

    Source: https://github.com/tensorflow/models, slim/nets/mobilenet (`_make_divisible`).
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def same_padding(kernel: Any, dilation: Any = 1) -> Any:
    """The padding at each side by which a window of an odd size, at stride 1, keeps its input's height and width."""
    if _is_integer(kernel) and _is_integer(dilation):
        return dilation * (kernel // 2)
    return [step * (size // 2) for size, step in zip(_pair(kernel), _pair(dilation), strict=True)]


def _pair(value: Any) -> list[int]:
    """An integer for both axes, height and width, as a list of two; a list of two as it is."""
    axes = [value, value] if _is_integer(value) else value
    if not isinstance(axes, list) or len(axes) != 2 or not all(map(_is_integer, axes)):
        raise ValueError
    return axes


def _kind_of(value: Any) -> str:
    return "a number" if _number_like(value) else "a list" if isinstance(value, list) else describe(value)


def _number_like(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _str(value: Any) -> str:
    if isinstance(value, (bool, list, dict)) or value is None:
        raise ValueError
    return str(value)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of formulas."""

    compute: Callable[..., Any]
    calls: str
    """How it is called, for people."""
    doc: str
    """What it gives, in a line."""


_LARGE_OR_SMALL = "of several numbers, or of one list of numbers."
FUNCTIONS: dict[str, Function] = {
    "min": Function(min, "min(x, y, …), min(list)", f"The smallest {_LARGE_OR_SMALL}"),
    "max": Function(max, "max(x, y, …), max(list)", f"The largest {_LARGE_OR_SMALL}"),
    "abs": Function(abs, "abs(x)", "The absolute value."),
    "round": Function(
        _round, "round(x), round(x, digits)", "The nearest integer (halves go to the even one); with digits, a float."
    ),
    "int": Function(int, "int(x)", "The integer part."),
    "float": Function(float, "float(x)", "The number as a float."),
    "len": Function(len, "len(list)", "The length of a list or text."),
    "sum": Function(sum, "sum(list)", "The sum of one list of numbers."),
    "range": Function(_range, "range(stop), range(start, stop), range(start, stop, step)", "A list of integers."),
    "ceil": Function(math.ceil, "ceil(x)", "The next integer above."),
    "floor": Function(math.floor, "floor(x)", "The next integer below."),
    "divisible": Function(
        divisible,
        "divisible(x), divisible(x, divisor)",
        "The nearest multiple of `divisor` (8 if not given), at least one `divisor`, never more than 10 % below x.",
    ),
    "same_padding": Function(
        same_padding,
        "same_padding(kernel), same_padding(kernel, dilation)",
        "The padding that keeps height and width at stride 1, for an odd kernel; of integers or lists of two.",
    ),
    "pair": Function(_pair, "pair(x)", "An integer for height and width as a list of two; a list of two as it is."),
    "str": Function(_str, "str(x)", "The number as a text, to make a name: `'stage' + str(index)`."),
}


def _call(name: str, arguments: list[Any]) -> Any:
    if name in ("len", "pair", "str", "same_padding"):
        numbers = []
    elif name in ("sum", "min", "max") and len(arguments) == 1 and isinstance(arguments[0], list):
        numbers = arguments[0]
    else:
        numbers = arguments
    spend(len(numbers))
    for number in numbers:
        _number(number)
    try:
        return FUNCTIONS[name].compute(*arguments)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        shown = ", ".join(map(describe, arguments))
        raise _fail(f"`{name}` cannot be computed of {shown or 'nothing'}") from None


def describe(value: Any) -> str:
    """A value as error messages name it: its kind, and the value itself where it is short."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 60 else f"a text of {len(value)} characters"
    if isinstance(value, dict):
        return "a mapping"
    if len(value) > 60 or count_items(value, 60, -MAX_DEPTH) > 60:
        return f"a list of {len(value)} items"
    shown = str(list(value)).replace("'", "")
    return f"the list {shown}" if len(shown) <= 60 else f"a list of {len(value)} items"
