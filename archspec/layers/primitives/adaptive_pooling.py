"""Pooling to a given size: of feature maps, sequences with channels first and volumes."""

from __future__ import annotations

from math import prod

from archspec.foundation.arguments import Argument
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, NOTHING, Kept
from archspec.layers.on_axes import EXAMPLE_INPUTS, TORCH, OnAxes, sizes_for
from archspec.layers.primitive import Arguments
from archspec.layers.reach import Reach, cells


class _GlobalPool(OnAxes):
    torch_class = "AdaptiveAvgPool"
    source = "https://arxiv.org/abs/1312.4400"

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        return shape[0], *(1 for _ in self.sizes(shape))

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, indices=prod(output)) if self.torch_class == "AdaptiveMaxPool" else NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call(self.kind(), 1)


class _AdaptivePool(OnAxes):
    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        self.sizes(shape)
        return shape[0], *self.each(arguments["size"])

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return Reach({i: cells(shape[i], output[i]) for i in range(1, len(shape))})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        if self.torch_class == "AdaptiveMaxPool":
            return Kept(input=True, indices=prod(output))
        return NOTHING if set(output[1:]) == {1} else INPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        size = self.each(arguments["size"])
        return call(self.kind(), size[0] if self.axes == 1 else size)


class GlobalAvgPool(_GlobalPool):
    name, axes = "global_avg_pool", 2
    doc = "The mean of each channel over all positions; `flatten` then makes a vector of it."
    rule = "C×H×W → C×1×1"
    examples = ("global_avg_pool",)


class GlobalMaxPool(_GlobalPool):
    name, axes, torch_class = "global_max_pool", 2, "AdaptiveMaxPool"
    doc = "The largest value of each channel over all positions; `flatten` then makes a vector of it."
    source = "https://arxiv.org/abs/1807.06521"
    rule = "C×H×W → C×1×1"
    examples = ("global_max_pool",)


class AdaptiveAvgPool(_AdaptivePool):
    name, axes, torch_class = "adaptive_avg_pool", 2, "AdaptiveAvgPool"
    doc = "The mean of each cell of a grid of a given size, whatever the input's size."
    source = f"{TORCH}AdaptiveAvgPool2d.html"
    rule = "C×H×W → C×size"
    arguments = (Argument("size", sizes_for(2, 1), doc="height and width of the output"),)
    examples = ("adaptive_avg_pool: 7", "adaptive_avg_pool: [2, 3]")


class AdaptiveMaxPool(_AdaptivePool):
    name, axes, torch_class = "adaptive_max_pool", 2, "AdaptiveMaxPool"
    doc = "The largest value of each cell of a grid of a given size, whatever the input's size."
    source = f"{TORCH}AdaptiveMaxPool2d.html"
    rule = "C×H×W → C×size"
    arguments = (Argument("size", sizes_for(2, 1), doc="height and width of the output"),)
    examples = ("adaptive_max_pool: 7", "adaptive_max_pool: [2, 3]")


class GlobalAvgPool1d(_GlobalPool):
    name, axes = "global_avg_pool_1d", 1
    doc = "The mean of each channel of a sequence; `flatten` then makes a vector of it."
    rule = "C×L → C×1"
    examples = ("global_avg_pool_1d",)
    example_input = EXAMPLE_INPUTS[1]


class GlobalAvgPool3d(_GlobalPool):
    name, axes = "global_avg_pool_3d", 3
    widens = True
    doc = "The mean of each channel of a volume; `flatten` then makes a vector of it."
    rule = "C×D×H×W → C×1×1×1"
    examples = ("global_avg_pool_3d",)
    example_input = EXAMPLE_INPUTS[3]


class GlobalMaxPool1d(_GlobalPool):
    name, axes, torch_class = "global_max_pool_1d", 1, "AdaptiveMaxPool"
    doc = "The largest value of each channel of a sequence; `flatten` then makes a vector of it."
    rule = "C×L → C×1"
    examples = ("global_max_pool_1d",)
    example_input = EXAMPLE_INPUTS[1]


class GlobalMaxPool3d(_GlobalPool):
    name, axes, torch_class = "global_max_pool_3d", 3, "AdaptiveMaxPool"
    widens = True
    doc = "The largest value of each channel of a volume; `flatten` then makes a vector of it."
    rule = "C×D×H×W → C×1×1×1"
    examples = ("global_max_pool_3d",)
    example_input = EXAMPLE_INPUTS[3]


class AdaptiveAvgPool1d(_AdaptivePool):
    name, axes, torch_class = "adaptive_avg_pool_1d", 1, "AdaptiveAvgPool"
    doc = "The mean of each stretch of a sequence, in a row of a given size, whatever the input's size."
    source = f"{TORCH}AdaptiveAvgPool1d.html"
    rule = "C×L → C×size"
    arguments = (Argument("size", sizes_for(1, 1), doc="length of the output"),)
    examples = ("adaptive_avg_pool_1d: 5",)
    example_input = EXAMPLE_INPUTS[1]


class AdaptiveAvgPool3d(_AdaptivePool):
    name, axes, torch_class = "adaptive_avg_pool_3d", 3, "AdaptiveAvgPool"
    widens = True
    doc = "The mean of each cell of a grid of a given size, whatever the input's size."
    source = f"{TORCH}AdaptiveAvgPool3d.html"
    rule = "C×D×H×W → C×size"
    arguments = (Argument("size", sizes_for(3, 1), doc="depth, height and width of the output"),)
    examples = ("adaptive_avg_pool_3d: 3", "adaptive_avg_pool_3d: [1, 2, 3]")
    example_input = EXAMPLE_INPUTS[3]


class AdaptiveMaxPool1d(_AdaptivePool):
    name, axes, torch_class = "adaptive_max_pool_1d", 1, "AdaptiveMaxPool"
    doc = "The largest value of each stretch of a sequence, in a row of a given size, whatever the input's size."
    source = f"{TORCH}AdaptiveMaxPool1d.html"
    rule = "C×L → C×size"
    arguments = (Argument("size", sizes_for(1, 1), doc="length of the output"),)
    examples = ("adaptive_max_pool_1d: 5",)
    example_input = EXAMPLE_INPUTS[1]


class AdaptiveMaxPool3d(_AdaptivePool):
    name, axes, torch_class = "adaptive_max_pool_3d", 3, "AdaptiveMaxPool"
    widens = True
    doc = "The largest value of each cell of a grid of a given size, whatever the input's size."
    source = f"{TORCH}AdaptiveMaxPool3d.html"
    rule = "C×D×H×W → C×size"
    arguments = (Argument("size", sizes_for(3, 1), doc="depth, height and width of the output"),)
    examples = ("adaptive_max_pool_3d: 3", "adaptive_max_pool_3d: [1, 2, 3]")
    example_input = EXAMPLE_INPUTS[3]
