"""The operators of formulas: arithmetic, comparisons, conditions, and the items of lists and texts."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from archspec.foundation.values import (
    MAX_ITEMS,
    bounded,
    count_items,
    describe,
    fail,
    is_integer,
    kind_of,
    require_number,
    spend,
)

OF_TEXTS = "a name is made of texts: `'block' + str(index)`"


def truth(value: Any) -> bool:
    """Whether a condition holds. Raises `Fault` for a text that reads as something else than the true that it is."""
    if isinstance(value, str):
        for words, help in ((_NOTHING, _FOR_NOTHING), (_BOOLEANS, _FOR_BOOLEAN)):
            if value.lower() in words:
                raise fail(f"the text {value!r} is a condition, and counts as true", help)
    return bool(value)


_NOTHING = ("none", "null", "~")
_BOOLEANS = ("true", "false", "yes", "no", "on", "off")
_FOR_NOTHING = "for no value, YAML has `null` and formulas have `none`; the text is `'none'` in a formula"
_FOR_BOOLEAN = "a boolean is `true` or `false`, without quotes; `yes`, `no`, `on` and `off` are texts"


def compute_binary(op: type[ast.operator], left: Any, right: Any) -> Any:
    if op is ast.Add and isinstance(left, str) and isinstance(right, str):
        return left + right
    if op is ast.Add and isinstance(left, list) and isinstance(right, list):
        return left + right
    if op is ast.Mult and isinstance(left, int) and isinstance(right, list):
        left, right = right, left
    if op is ast.Mult and isinstance(left, list) and isinstance(right, int) and not isinstance(right, bool):
        if count_items(left) * right > MAX_ITEMS:
            raise fail(f"the result has more than {MAX_ITEMS} items")
        return left * right
    if op is ast.Add and any(isinstance(one, str) for one in (left, right)):
        wrong = right if isinstance(left, str) else left
        help = OF_TEXTS if is_integer(wrong) else None
        raise fail(f"a text and {kind_of(wrong)} cannot be added", help)
    if isinstance(left, str):
        raise fail(f"a number is needed, not {describe(left)}", OF_TEXTS if op in (ast.Mod, ast.Mult) else None)
    left, right = require_number(left), require_number(right)
    try:
        if op is ast.Pow:
            if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > 256:
                raise fail("the result is too large")
            result = left**right
            if isinstance(result, complex):
                raise fail("a negative number has no such root")
            return result
        return ARITHMETIC[op](left, right)
    except ZeroDivisionError:
        raise fail("division by zero") from None
    except OverflowError:
        raise fail("the result is too large") from None


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


def compare(op: type[ast.cmpop], left: Any, right: Any) -> bool:
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
        raise fail(f"{describe(left)} and {describe(right)} cannot be compared so") from None


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
        wrong = _reads_as_number(word)
        help = f"without quotes, {text} is a number"
    if wrong:
        named = "`none`" if other is None else describe(other)
        raise fail(f"the text {text!r} is compared with {named}, which it never equals", help)


def _reads_as_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def slice_of(value: Any, bounds: list[Any]) -> Any:
    _refuse_no_sequence(value)
    for bound in bounds:
        if bound is not None and not is_integer(bound):
            raise fail(f"a slice needs integers, not {describe(bound)}")
    if bounds[2] == 0:
        raise fail("the step of a slice cannot be 0")
    return bounded(value[slice(*bounds)])


def item_of(value: Any, position: Any) -> Any:
    _refuse_no_sequence(value)
    if not is_integer(position):
        help = "`//` divides integers, `int(…)` makes one" if isinstance(position, float) else None
        raise fail(f"an index is an integer, not {describe(position)}", help)
    if not -len(value) <= position < len(value):
        raise fail(f"there is no item {position}: the length is {len(value)}")
    return value[position]


def _refuse_no_sequence(value: Any) -> None:
    if not isinstance(value, (list, str)):
        raise fail(f"only lists and strings have items, not {describe(value)}")
