"""Branches joined by learned weights."""

from __future__ import annotations

from archspec.foundation.arguments import Argument, choice, integer, number
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import Kept
from archspec.layers.primitive import Arguments, Called

JOINED = "join them first: `concat: {one: […], other: […]}`, then `weighted_mean: 2`"


class WeightedMean(Called):
    name, joined = "weighted_mean", "branches"
    widens = True
    doc = "The mean of branches that `concat` joined, each with a learned weight (BiFPN)."
    source = "https://arxiv.org/abs/1911.09070"
    rule = "branches·C×… → C×…; Σ wᵢ·xᵢ / (Σ wᵢ + eps) with w = max(weight, 0), or by softmax of the weights"
    pointwise = True
    arguments = (
        Argument("branches", integer(2), doc="how many branches of equal channels were joined", cure=JOINED),
        Argument("by", choice("relu", "softmax"), "relu", "how weights are made positive, of sum 1"),
        Argument("eps", number(above=0), 1e-4, "added to the sum; not with `softmax`"),
    )
    weights = ("weight",)
    examples = ("weighted_mean: 2", "weighted_mean: {branches: 4, by: softmax}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        branches = arguments["branches"]
        if len(shape) == 2:
            raise self.refuse(shape, "channels first", "`mean` joins branches of tokens")
        if shape[0] % branches:
            message = f"`branches` ({branches}) of `weighted_mean` does not divide its {shape[0]} channels"
            raise Fault("input-shape", message)
        return shape[0] // branches, *shape[1:]

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        return {"weight": (arguments["branches"],)}

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        branches: int = arguments["branches"]
        return Kept(input=True, once=branches if arguments["by"] == "softmax" else 2 * branches + 1)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        more = {"by": "softmax"} if arguments["by"] == "softmax" else {}
        more |= {"eps": arguments["eps"]} if arguments["by"] == "relu" and arguments["eps"] != 1e-4 else {}
        return call("WeightedMean", arguments["branches"], len(shape), **more)
