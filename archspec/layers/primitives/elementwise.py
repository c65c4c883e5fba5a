"""Arithmetic on each value of a tensor, by constants or by one learned factor."""

from __future__ import annotations

from archspec.foundation.arguments import Argument, number
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, OUTPUT, Kept
from archspec.layers.primitive import Arguments, Called


class Power(Called):
    name = "power"
    doc = "Each value to a constant power; not a number where it is negative and the power is no integer."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.pow.html"
    rule = "unchanged"
    pointwise = True
    arguments = (Argument("exponent", number(), doc="the power"),)
    examples = ("power: 2", "power: -1")

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        return None if arguments["exponent"] else "`power: 0` gives 1, whatever comes in"

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return INPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("Power", arguments["exponent"])


class Sqrt(Called):
    name = "sqrt"
    doc = "The square root of each value; not a number where it is negative."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.sqrt.html"
    rule = "unchanged"
    pointwise = True
    examples = ("sqrt",)

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return OUTPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("Sqrt")


class LearnedFactor(Called):
    name = "learned_factor"
    doc = "Multiplies by one learned number (ReZero, SkipInit)."
    source = "https://arxiv.org/abs/2003.04887"
    rule = "unchanged"
    pointwise = True
    arguments = (Argument("value", number(), 0.0, "the factor to begin with"),)
    weights = ("weight",)
    examples = ("learned_factor", "learned_factor: 1")

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        return {"weight": ()}

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return INPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("LearnedFactor", arguments["value"])
