"""Fully connected layers."""

from __future__ import annotations

from archspec.foundation.arguments import Argument, boolean, integer
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, Kept
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import LOCAL, Reach


class Linear(Called):
    name = "linear"
    doc = "A fully connected layer on the last axis of a vector or a token sequence."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html"
    rule = "F → out; T×F → T×out"
    arguments = (
        Argument("out", integer(1), doc="output features"),
        Argument("bias", boolean(), True, "add a learned constant to each output feature"),
    )
    weights = ("weight", "bias")
    examples = ("linear: 10", "linear: {out: 10, bias: false}")
    example_input = (64,)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        if len(shape) not in (1, 2):
            raise self.refuse(shape, "a vector or tokens", "put `- flatten` before it")
        return *shape[:-1], arguments["out"]

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        out = arguments["out"]
        return {"weight": (out, shape[-1])} | ({"bias": (out,)} if arguments["bias"] else {})

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        rows = shape[0] if len(shape) == 2 else 1
        return rows * shape[-1] * output[-1]

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return LOCAL if len(shape) > 1 else Reach(layout=((),))  # of a vector: all of it

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return INPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.Linear", shape[-1], arguments["out"], bias=arguments["bias"])
