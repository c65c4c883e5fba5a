"""The functions of formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from archspec.foundation.values import MAX_ITEMS, describe, fail, is_integer, require_number, spend


def _range(*bounds: int) -> list[int]:
    numbers = range(*bounds)
    if len(numbers) > MAX_ITEMS:
        raise fail(f"the result has more than {MAX_ITEMS} items")
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
    if is_integer(kernel) and is_integer(dilation):
        return dilation * (kernel // 2)
    return [step * (size // 2) for size, step in zip(_pair(kernel), _pair(dilation), strict=True)]


def _pair(value: Any) -> list[int]:
    """An integer for both axes, height and width, as a list of two; a list of two as it is."""
    axes = [value, value] if is_integer(value) else value
    if not isinstance(axes, list) or len(axes) != 2 or not all(map(is_integer, axes)):
        raise ValueError
    return axes


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


def call(name: str, arguments: list[Any]) -> Any:
    if name in ("len", "pair", "str", "same_padding"):
        numbers = []
    elif name in ("sum", "min", "max") and len(arguments) == 1 and isinstance(arguments[0], list):
        numbers = arguments[0]
    else:
        numbers = arguments
    spend(len(numbers))
    for number in numbers:
        require_number(number)
    try:
        return FUNCTIONS[name].compute(*arguments)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        shown = ", ".join(map(describe, arguments))
        raise fail(f"`{name}` cannot be computed of {shown or 'nothing'}") from None
