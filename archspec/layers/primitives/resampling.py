"""Sizes changed without learning: interpolation of feature maps, sequences with channels first and volumes; and space
laid out as channels, or channels as space.
"""

from __future__ import annotations

from typing import ClassVar

from archspec.foundation.arguments import Argument, boolean, choice, either, integer
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import NOTHING, Kept
from archspec.layers.on_axes import EXAMPLE_INPUTS, TORCH, OnAxes, sizes_for
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import Reach, interpolated, repeated, windows

_SIZES = {1: "length", 2: "height and width", 3: "depth, height and width"}


def _arguments(axes: int, *smooth: str) -> tuple[Argument, ...]:
    size = either(sizes_for(axes, 1), {"type": "null"})
    return (
        Argument("scale", sizes_for(axes, 1), 2, "how many times as large"),
        Argument("size", size, None, f"{_SIZES[axes]} of the output, in place of `scale`"),
        Argument("mode", choice("nearest", *smooth), "nearest", "how values are interpolated"),
        Argument("align_corners", boolean(), False, "keep the values of the corners; not with `nearest`"),
    )


class _Upsample(OnAxes):
    source = f"{TORCH}Upsample.html"
    smooth: ClassVar[str]
    """The mode to say instead of `nearest`."""

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        size = self.sizes(shape)
        if arguments["align_corners"] and arguments["mode"] == "nearest":
            help = f"add `mode: {self.smooth}`, or leave `align_corners` out"
            raise Fault("input-shape", f"`{self.name}` has no corners to align in mode `nearest`", help=help)
        if arguments["size"] is not None:
            return shape[0], *self.each(arguments["size"])
        return shape[0], *(n * factor for n, factor in zip(size, self.each(arguments["scale"]), strict=True))

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        taps = {"nearest": 1, self.smooth: 2, "bicubic": 4}[arguments["mode"]]
        corners = arguments["align_corners"]
        return Reach({i: interpolated(shape[i], output[i], taps, corners=corners) for i in range(1, len(shape))})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        size = arguments["size"]
        factor = tuple(map(float, self.each(arguments["scale"]))) if size is None else None
        return call(
            "nn.Upsample",
            size=None if size is None else self.each(size),
            scale_factor=factor,
            mode=arguments["mode"],
            align_corners=None if arguments["mode"] == "nearest" else arguments["align_corners"],
        )


class Upsample(_Upsample):
    name, axes, smooth = "upsample", 2, "bilinear"
    doc = "A feature map enlarged by interpolation."
    rule = "C×H×W → C×scale·H×scale·W, or C×size"
    arguments = _arguments(2, "bilinear", "bicubic")
    examples = ("upsample", "upsample: {size: [20, 24], mode: bilinear}")


class Upsample1d(_Upsample):
    name, axes, smooth = "upsample_1d", 1, "linear"
    doc = "A sequence with channels first enlarged by interpolation."
    rule = "C×L → C×scale·L, or C×size"
    arguments = _arguments(1, "linear")
    examples = ("upsample_1d", "upsample_1d: {size: 50, mode: linear, align_corners: true}")
    example_input = EXAMPLE_INPUTS[1]


class Upsample3d(_Upsample):
    name, axes, smooth = "upsample_3d", 3, "trilinear"
    doc = "A volume enlarged by interpolation."
    rule = "C×D×H×W → C×scale·D×scale·H×scale·W, or C×size"
    arguments = _arguments(3, "trilinear")
    examples = ("upsample_3d", "upsample_3d: {scale: [1, 2, 2], mode: trilinear}")
    example_input = EXAMPLE_INPUTS[3]


class PixelShuffle(Called):
    name = "pixel_shuffle"
    doc = "Channels laid out as a finer grid of positions."
    source = "https://arxiv.org/abs/1609.05158"
    rule = "C×H×W → C/factor²×factor·H×factor·W"
    arguments = (Argument("factor", integer(1), doc="how many times as large; its square divides the channels"),)
    examples = ("pixel_shuffle: 2",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, height, width = self.feature_map(shape)
        factor = arguments["factor"]
        if channels % factor**2:
            message = f"`pixel_shuffle` by {factor} needs a multiple of {factor**2} channels, not {channels}"
            raise Fault("input-shape", message)
        return channels // factor**2, factor * height, factor * width

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        factor = arguments["factor"]
        return Reach({1: repeated(factor), 2: repeated(factor)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.PixelShuffle", arguments["factor"])


class PatchMerging(Called):
    name = "patch_merging"
    doc = "The four positions of each 2×2 patch, joined on their channels; an odd size is filled up with zeros (Swin)."
    source = "https://arxiv.org/abs/2103.14030"
    rule = "C×H×W → 4·C×⌈H / 2⌉×⌈W / 2⌉"
    fixed_size = True
    examples = ("patch_merging",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, height, width = self.feature_map(shape)
        return 4 * channels, -(-height // 2), -(-width // 2)

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return Reach({1: windows(2, 2), 2: windows(2, 2)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("PatchMerging", shape[1], shape[2])
