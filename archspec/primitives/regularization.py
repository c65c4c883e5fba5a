"""Layers that act in training only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archspec.arguments import Argument, number
from archspec.primitive import Arguments, Primitive
from archspec.shapes import Shape

if TYPE_CHECKING:
    from torch import nn


class Dropout(Primitive):
    name = "dropout"
    doc = "Sets each value to zero with probability p in training, and scales the others up."
    source = "https://jmlr.org/papers/v15/srivastava14a.html"
    rule = "unchanged"
    arguments = (Argument("p", number(0, 1), 0.5, "probability of zero"),)
    examples = ("dropout", "dropout: 0.2")

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import nn

        return nn.Dropout(arguments["p"])
