"""Layers that move or keep values and learn nothing."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from archspec.arguments import Argument, integer, pair
from archspec.errors import Fault
from archspec.primitive import Arguments, Primitive
from archspec.shapes import Shape, pair as both

if TYPE_CHECKING:
    from torch import nn


class Identity(Primitive):
    name = "identity"
    doc = "The input, unchanged."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Identity.html"
    rule = "unchanged"
    examples = ("identity",)

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import nn

        return nn.Identity()


class Flatten(Primitive):
    name = "flatten"
    doc = "All values of a sample as one vector."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html"
    rule = "C×H×W → C·H·W"
    examples = ("flatten",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        return (prod(shape),)

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import nn

        return nn.Flatten()


class Subsample(Primitive):
    name = "subsample"
    doc = "Every stride-th row and column; new channels, after the old ones, hold zeros (ResNet's shortcut A)."
    source = "https://arxiv.org/abs/1512.03385"
    rule = "C×H×W → out×⌈H / stride⌉×⌈W / stride⌉"
    arguments = (
        Argument("out", integer(1), doc="output channels, at least as many as the input has"),
        Argument("stride", pair(1), 2, "step between the rows and columns that are kept"),
    )
    examples = ("subsample: {out: 16}", "subsample: {out: 8, stride: [2, 1]}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, height, width = self.feature_map(shape)
        out, (vertical, horizontal) = arguments["out"], both(arguments["stride"])
        if out < channels:
            raise Fault("input-shape", f"`subsample` cannot make {out} channels of {channels}: it only adds channels")
        return out, -(-height // vertical), -(-width // horizontal)

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import nn

        # a window of one pixel takes every stride-th value as it is; the third axis of ZeroPad3d is the channels
        pick = nn.MaxPool2d(kernel_size=1, stride=both(arguments["stride"]))
        return nn.Sequential(pick, nn.ZeroPad3d((0, 0, 0, 0, 0, arguments["out"] - shape[0])))
