"""Statements of `forward`, the variables in them, its arguments and results."""

from __future__ import annotations

import keyword
import re

from archspec.exports.python.classes import Maker
from archspec.exports.python.layout import INDENT, Bracket, Expression, Named, layout, statement
from archspec.exports.python.tree import Ports

_TWO = INDENT * 2
_IMPORTED = ("torch", "checkpoint", "F", "nn", "Tensor", "math", "super")


class Statements:
    """The lines of a method; tensors are kept in variables of different names."""

    def __init__(self, maker: Maker, ports: Ports) -> None:
        self.maker = maker
        self.ports = ports
        self.lines: list[str] = []
        self.flags: list[str] = []
        """Lines of `__init__`: attributes that the method reads."""
        self.variables: dict[str, str] = {}
        """Of each tensor that has a name in the spec, the variable."""
        self.outputs: dict[str, str] = {}
        """Of each output, the variable."""
        self.aux: list[str] = []
        """The outputs that are there in training alone."""
        self.fixed: dict[str, str] = {}
        """In a loop, the variables of tensors that it saves; each pass gives them other values."""
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

    def take(self) -> list[str]:
        """Name the arguments of `forward`: by their own names where tensors have them."""
        if not self.ports.takes:
            return [self.main]
        if "x" in self.ports.takes:
            self.taken.remove("x")
        for name in self.ports.takes:
            self.variables[name] = self.variable(name)
        if "x" in self.ports.takes:
            self.main = self.variable("y")
        return list(self.variables.values())

    def renamed(self, kept: str, target: str) -> bool:
        """Whether what a pass keeps in a list is its result alone, and now has the variable of that."""
        text = "\n".join(self.lines)
        if kept in self.fixed.values() or len(re.findall(rf"\b{kept}\b", text)) != 2 or f".append({kept})" not in text:
            return False
        self.lines = re.sub(rf"\b{kept}\b", target, text).split("\n")
        return True

    def finish(self, result: Expression) -> None:
        """The end of `forward`: the tensor, and those beside it by name; of a block, in their order."""
        if self.ports.gives or self.ports.outputs:
            given = [self.variables[name] for name in self.ports.gives] or [self.bare(result)]
            given += [self.outputs[name] for name in self.ports.outputs]
            self.emit(", ".join(given), "return ")
            return
        if not self.outputs:
            self.emit(result, "return ")
            return
        named = [(name, one) for name, one in self.outputs.items() if name not in self.aux]
        result = self.bare(result)
        if self.aux and not named:
            pairs = tuple(f'"{name}": {self.outputs[name]}' for name in self.aux)
            self.lines.append(f"{_TWO}if self.training:")
            self.lines += layout(Named(f"return {result}, ", Bracket("", pairs, "{}")), _TWO + INDENT)
            self.lines.append(f"{_TWO}return {result}")
            return
        pairs = tuple(f'"{name}": {one}' for name, one in self.outputs.items())
        if self.aux:
            self.emit(Bracket("", pairs, "{}"), "outputs = ")
            self.lines.append(f"{_TWO}return {result}, {{k: v for k, v in outputs.items() if v is not None}}")
            return
        self.emit(Named(f"{result}, ", Bracket("", pairs, "{}")), "return ")
