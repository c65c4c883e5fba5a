"""Statements of `forward`, and the variables in them."""

from __future__ import annotations

import keyword

from archspec.exports.python.classes import Maker
from archspec.exports.python.layout import INDENT, Expression, statement

_TWO = INDENT * 2
_IMPORTED = ("torch", "checkpoint", "F", "nn", "Tensor", "math", "super")


class Statements:
    """The lines of a method; tensors are kept in variables of different names."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker
        self.lines: list[str] = []
        self.flags: list[str] = []
        """Lines of `__init__`: attributes that the method reads."""
        self.variables: dict[str, str] = {}
        """Of each tensor that has a name in the spec, the variable."""
        self.taken = {"self", "x"}
        self.main = "x"
        """The variable for what has no other name."""

    def bare(self, result: Expression) -> str:
        """A tensor as a name."""
        if isinstance(result, str) and result.isidentifier():
            return result
        self.emit(result, f"{self.main} = ")
        return self.main

    def variable(self, name: str) -> str:
        """A name for a tensor that no other has."""
        name = name.rpartition(":")[2]
        name = f"{name}_" if keyword.iskeyword(name) or name in _IMPORTED else name
        given, number = name, 2
        while given in self.taken:
            given, number = f"{name}{number}", number + 1
        self.taken.add(given)
        return given

    def emit(self, expression: Expression, before: str = "") -> None:
        self.lines += statement(expression, _TWO, before)

    def own(self, name: str, text: str) -> str:
        """A value that `forward` needs: a number, or an attribute where it is an argument of the class."""
        if not any(one.isalpha() for one in text):
            return text
        name = self.variable(name)
        self.flags.append(f"{_TWO}self.{name} = {text}")
        return f"self.{name}"
