"""Convolutions of sequences with channels first (channels×length) and of volumes (channels×depth×height×width)."""

from __future__ import annotations

from math import prod
from typing import Any

from archspec.foundation.arguments import Argument, boolean, choice, either, integer
from archspec.foundation.shapes import Shape
from archspec.layers import same
from archspec.layers.calls import Call, call
from archspec.layers.kept import Kept
from archspec.layers.on_axes import TORCH, WINDOWS, OnAxes, sizes_for
from archspec.layers.primitive import Arguments
from archspec.layers.primitives.convolution import check_groups
from archspec.layers.reach import Reach, windows

_CONV_RULE = ", L′ = ⌊(L + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1; `same`: ⌈L / stride⌉"


def _conv_arguments(axes: int) -> tuple[Argument, ...]:
    padding = either(sizes_for(axes, 0), choice("same"))
    return (
        Argument("out", integer(1), doc="output channels"),
        Argument("kernel", sizes_for(axes, 1), doc="window size"),
        Argument("stride", sizes_for(axes, 1), 1, "step of the window"),
        Argument("padding", padding, 0, "zeros around the input; `same` keeps its size, or divides it by the stride"),
        Argument("dilation", sizes_for(axes, 1), 1, "step between the window's taps"),
        Argument("groups", integer(1), 1, "independent groups of channels"),
        Argument("bias", boolean(), True, "add a learned constant to each output channel"),
    )


class _Conv(OnAxes):
    torch_class = "Conv"
    weights = ("weight", "bias")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        size, out = self.sizes(shape), arguments["out"]
        check_groups(self.name, arguments["groups"], shape[0], out)
        if arguments["padding"] == "same":
            return out, *same.counts(size, self.each(arguments["stride"]))
        return out, *self.windows(arguments, size)

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        out = arguments["out"]
        weight = (out, shape[0] // arguments["groups"], *self.each(arguments["kernel"]))
        return {"weight": weight} | ({"bias": (out,)} if arguments["bias"] else {})

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        return prod(output) * prod(self.parameters(arguments, shape)["weight"][1:])

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        kernel, dilation = self.each(arguments["kernel"]), self.each(arguments["dilation"])
        stride = self.each(arguments["stride"])
        if arguments["padding"] == "same":
            return same.reach(shape[1:], kernel, stride, dilation)
        padding = self.each(arguments["padding"])
        axes = zip(kernel, stride, padding, dilation, strict=True)
        return Reach({i: windows(*axis) for i, axis in enumerate(axes, 1)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return same.kept(arguments, shape, self.each)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named: dict[str, Any] = {name: self.each(arguments[name]) for name in ("kernel", "stride", "dilation")}
        padding, pads = arguments["padding"], same.pads(arguments, self.each)
        named["padding"] = 0 if pads else padding if isinstance(padding, str) else self.each(padding)
        kernel, groups = named.pop("kernel"), arguments["groups"]
        kind = f"SameConv{self.axes}d" if pads else self.kind()
        return call(kind, shape[0], arguments["out"], kernel, **named, groups=groups, bias=arguments["bias"])


class Conv1d(_Conv):
    name, axes = "conv_1d", 1
    doc = "A 1-d convolution of a sequence with channels first."
    source = f"{TORCH}Conv1d.html"
    rule = WINDOWS[1].format("out") + _CONV_RULE
    arguments = _conv_arguments(1)
    examples = (
        "conv_1d: {out: 16, kernel: 7, stride: 2, padding: 3}",
        "conv_1d: {out: 8, kernel: 3, padding: same}",
        "conv_1d: {out: 8, kernel: 4, stride: 3, padding: same}",
    )
    example_input = (8, 32)


class Conv3d(_Conv):
    name, axes = "conv_3d", 3
    doc = "A 3-d convolution of a volume or of frames in time."
    source = f"{TORCH}Conv3d.html"
    rule = WINDOWS[3].format("out") + _CONV_RULE.replace("L", "D")
    arguments = _conv_arguments(3)
    examples = (
        "conv_3d: {out: 16, kernel: 3, padding: 1}",
        "conv_3d: {out: 8, kernel: [1, 7, 7], stride: [1, 2, 2], padding: [0, 3, 3], bias: false}",
    )
    example_input = (4, 8, 8, 8)
