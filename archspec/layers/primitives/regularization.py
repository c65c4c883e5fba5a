"""Layers that act in training only."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from archspec.foundation.arguments import Argument, choice, integer, number
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import NOTHING, VIEW, Kept
from archspec.layers.primitive import Arguments, Called

if TYPE_CHECKING:
    from torch import nn

SHARE = "it is a share of the values: 0.2 for 20 %; at 1, nothing would pass in training"
JOINED = "join them first: `concat: {one: […], other: […]}`, then `branch_mean: 2`"
MOST_COLUMNS = 64


class Dropout(Called):
    name = "dropout"
    doc = "Sets each value to zero with probability p in training, and scales the others up."
    source = "https://jmlr.org/papers/v15/srivastava14a.html"
    rule = "unchanged"
    pointwise = True
    training_only = True
    arguments = (Argument("p", number(0, below=1), 0.5, "probability of zero", SHARE),)
    examples = ("dropout", "dropout: 0.2")

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(values=prod(shape)) if arguments["p"] else VIEW  # the mask, as factors

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.Dropout", arguments["p"])


class StochasticDepth(Called):
    name = "stochastic_depth"
    doc = "Sets whole samples to zero with probability p in training, and scales the others up."
    source = "https://arxiv.org/abs/1603.09382"
    rule = "unchanged"
    pointwise = True
    training_only = True
    arguments = (
        Argument("p", number(0, below=1), doc="probability of zero", cure=SHARE),
        Argument("mode", choice("row", "batch"), "row", "drawn for each sample, or once for the batch"),
    )
    examples = ("stochastic_depth: 0.1", "stochastic_depth: {p: 0.2, mode: batch}")

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        if not arguments["p"]:
            return VIEW
        return Kept(values=1) if arguments["mode"] == "row" else Kept(once=1)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named = {} if arguments["mode"] == "row" else {"mode": arguments["mode"]}
        return call("StochasticDepth", arguments["p"], **named)

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torchvision.ops import StochasticDepth

        module: nn.Module = StochasticDepth(arguments["p"], arguments["mode"])
        return module


class BranchMean(Called):
    name, joined = "branch_mean", "branches"
    doc = "The mean of branches that `concat` joined; in training each is dropped with probability p, but one survives."
    source = "https://arxiv.org/abs/1605.07648"
    rule = "branches·C×… → C×…"
    pointwise = True
    arguments = (
        Argument("branches", integer(2), doc="how many branches of equal channels were joined", cure=JOINED),
        Argument("p", number(0, below=1), 0.0, "probability of dropping a branch of a sample", SHARE),
    )
    examples = ("branch_mean: 2", "branch_mean: {branches: 4, p: 0.15}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        branches = arguments["branches"]
        if len(shape) == 2:
            raise self.refuse(shape, "channels first", "`mean` joins branches of tokens")
        if shape[0] % branches:
            message = f"`branches` ({branches}) of `branch_mean` does not divide its {shape[0]} channels"
            raise Fault("input-shape", message)
        return shape[0] // branches, *shape[1:]

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(values=arguments["branches"]) if arguments["p"] else NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named = {"drop": arguments["p"]} if arguments["p"] else {}
        return call("BranchMean", arguments["branches"], len(shape), **named)


class DrawColumn(Called):
    name = "draw_column"
    doc = "Which columns each sample goes through, as ones: in training a single one with probability p, otherwise all."
    source = "https://arxiv.org/abs/1605.07648"
    rule = "any → columns"
    reads_values = False
    arguments = (
        Argument("columns", integer(2, MOST_COLUMNS), doc="how many columns there are"),
        Argument("p", number(0, 1), 0.5, "probability of drawing a single column, any of them as likely"),
        Argument("mode", choice("row", "batch"), "row", "drawn for each sample, or once for the batch"),
    )
    examples = ("draw_column: 4", "draw_column: {columns: 3, p: 1, mode: batch}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        return (arguments["columns"],)

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named = {} if arguments["mode"] == "row" else {"mode": arguments["mode"]}
        return call("DrawColumn", arguments["columns"], arguments["p"], **named)


class BranchFactors(Called):
    name = "branch_factors"
    doc = "By the columns that `draw_column` drew, a factor for each channel of joined branches: 0 of those dropped."
    source = "https://arxiv.org/abs/1605.07648"
    rule = "columns → branches·channels; factors of a sample have the mean 1, and in evaluation are 1"
    reads_values = False
    arguments = (
        Argument(
            "columns",
            {"type": "array", "items": integer(0, MOST_COLUMNS - 1), "minItems": 2, "maxItems": MOST_COLUMNS},
            doc="of each branch that was joined, its column, counted from 0",
        ),
        Argument("channels", integer(1), doc="channels of each branch"),
        Argument("p", number(0, below=1), 0.0, "probability of dropping a branch of a sample with all columns", SHARE),
    )
    examples = (
        "branch_factors: {columns: [2, 3], channels: 16, p: 0.15}",
        "branch_factors: {columns: [0, 1, 2, 3], channels: 8}",
    )
    example_input = (4,)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        columns = arguments["columns"]
        if len(shape) != 1 or shape[0] < 2:
            raise self.refuse(shape, "a value for each of two or more columns", "take what `draw_column` gives")
        if max(columns) >= shape[0]:
            message = (
                f"`columns` of `branch_factors` has column {max(columns)}, but those drawn are 0 to {shape[0] - 1}"
            )
            raise Fault("input-shape", message)
        twice = next((one for i, one in enumerate(columns) if one in columns[:i]), None)
        if twice is not None:
            message = f"`columns` of `branch_factors` has column {twice} twice: each branch is another one"
            raise Fault("input-shape", message)
        return (len(columns) * arguments["channels"],)

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named = {"drop": arguments["p"]} if arguments["p"] else {}
        return call("BranchFactors", tuple(arguments["columns"]), arguments["channels"], **named)
