"""Layers that act in training only."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from archspec.foundation.arguments import Argument, choice, number
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import VIEW, Kept
from archspec.layers.primitive import Arguments, Called

if TYPE_CHECKING:
    from torch import nn

SHARE = "it is a share of the values: 0.2 for 20 %; at 1, nothing would pass in training"


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
