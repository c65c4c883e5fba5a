"""Expressions laid out in lines, as `ruff format` leaves them."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH = 88
"""The most characters of a line: what ruff and black take where nothing else is said."""
INDENT = " " * 4


@dataclass(frozen=True)
class Bracket:
    """A call, list, tuple or dictionary: what stands before it, its brackets, its items."""

    head: str
    items: tuple[Expression, ...]
    brackets: str = "()"

    def __str__(self) -> str:
        inner = ", ".join(map(str, self.items))
        if self.brackets == "()" and not self.head and len(self.items) == 1:
            inner += ","  # a tuple of one
        return f"{self.head}{self.brackets[0]}{inner}{self.brackets[1]}"


@dataclass(frozen=True)
class Named:
    """A value after what says which it is: `stride=2`, `"main": …`, `*[…]`."""

    head: str
    value: Expression

    def __str__(self) -> str:
        return f"{self.head}{self.value}"


@dataclass(frozen=True)
class Chain:
    """Parts with an operator or keyword before each but the first, which may each have a line."""

    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        return " ".join(map(str, self.parts))


@dataclass(frozen=True)
class Loop:
    """The inside of a comprehension: an element, the names of a pass, and what is gone through."""

    element: Expression
    names: str
    over: Expression

    def __str__(self) -> str:
        return f"{self.element} for {self.names} in {self.over}"


Expression = str | Bracket | Named | Chain | Loop


def statement(expression: Expression, indent: str, before: str = "") -> list[str]:
    """The lines of a statement; a chain that is too long for one line is put in parentheses."""
    if isinstance(expression, Chain) and len(f"{indent}{before}{expression}") > WIDTH:
        inner = [line for part in expression.parts for line in layout(part, indent + INDENT)]
        return [f"{indent}{before}(", *inner, f"{indent})"]
    return layout(expression, indent, before)


def layout(expression: Expression, indent: str, before: str = "", after: str = "") -> list[str]:
    """The lines of an expression, with what stands before it in its first and after it in its last."""
    line = f"{indent}{before}{expression}{after}"
    if len(line) <= WIDTH or isinstance(expression, str):
        return [line]
    if isinstance(expression, Named):
        return layout(expression.value, indent, before + expression.head, after)
    if isinstance(expression, Chain):
        first, middle, last = expression.parts[0], expression.parts[1:-1], expression.parts[-1]
        lines = layout(first, indent, before)
        for part in middle:
            lines += layout(part, indent)
        return lines + layout(last, indent, after=after)
    if isinstance(expression, Loop):
        over = layout(expression.over, indent, f"for {expression.names} in ", after)
        return [*layout(expression.element, indent, before), *over]
    opening, closing = expression.brackets[0], expression.brackets[1]
    items = _items(expression, indent + INDENT)
    return [f"{indent}{before}{expression.head}{opening}", *items, f"{indent}{closing}{after}"]


def _items(bracket: Bracket, indent: str) -> list[str]:
    is_call = bracket.brackets == "()" and bracket.head
    one_line = indent + ", ".join(map(str, bracket.items))
    if is_call and len(one_line) <= WIDTH:
        return [one_line]
    if len(bracket.items) == 1 and (is_call or isinstance(bracket.items[0], Loop)):
        return layout(bracket.items[0], indent)
    return [line for item in bracket.items for line in layout(item, indent, after=",")]
