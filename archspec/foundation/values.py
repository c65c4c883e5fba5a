"""Values of formulas, each within bounds, and the work that a file's formulas do together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from archspec.foundation.errors import Fault, Mark

MAX_DEPTH = 40  # nested operations
MAX_ITEMS = 1_000  # of any list or string that a formula makes
MAX_INTEGER = 2**63 - 1
MAX_NESTING = 20  # lists and mappings within one another
MAX_VALUES = 100_000  # of anything that holds formulas, counted through
MAX_WORK = 1_000_000  # operations of all formulas together, and items that they handle: about a second


class BudgetExceeded(Exception):
    """Raised where the formulas of a file have done more work together than any network needs."""

    mark: Mark | None = None  # of the one that went too far


_work: ContextVar[list[int]] = ContextVar("work")
"""What was done so far, in a list of one number."""


@contextmanager
def budget() -> Iterator[None]:
    """Within it, all formulas together may do no more than `MAX_WORK`; beyond it they raise `BudgetExceeded`."""
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
    """Count operations, or items that are handled. Raises `BudgetExceeded` where a `budget` is used up."""
    done = _work.get(None)
    if done is not None:
        done[0] += work
        if done[0] > MAX_WORK:
            raise BudgetExceeded


def fail(message: str, help: str | None = None) -> Fault:
    return Fault("formula-value", message, help=help)


def bounded(value: Any) -> Any:
    """The value, if it is within bounds: finite, no larger than 2⁶³, no longer than `MAX_ITEMS`."""
    if isinstance(value, (list, str)):
        count = count_items(value)
        spend(count)
        if count > MAX_ITEMS:
            raise fail(f"the result has more than {MAX_ITEMS} items")
    if isinstance(value, (int, float)) and not abs(value) <= MAX_INTEGER:
        raise fail("the result is too large")
    return value


def count_items(value: Any, most: int = MAX_ITEMS, nesting: int = 0) -> int:
    """How many items a value holds in all; counting stops once it is past `most`. Raises `Fault` if too deep."""
    if nesting > MAX_NESTING:
        raise fail(f"lists are nested more than {MAX_NESTING} deep")
    if not isinstance(value, (list, dict)):
        return len(value) if isinstance(value, str) else 1
    count = len(value)
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (list, dict, str)):
            count += count_items(item, most, nesting + 1)
        if count > most:
            break
    return count


def require_number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise fail(f"a number is needed, not {describe(value)}")
    return value


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def kind_of(value: Any) -> str:
    return "a number" if is_number(value) else "a list" if isinstance(value, list) else describe(value)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
