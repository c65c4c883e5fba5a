"""Convolutions over feature maps."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any, ClassVar

from archspec.foundation.arguments import Argument, boolean, choice, either, integer, number, pair
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, height_width, show, window_count
from archspec.layers import same
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, Kept
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import Reach, transposed_windows, windows


class Conv(Called):
    name = "conv"
    doc = "A 2-d convolution."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html"
    rule = "C×H×W → out×H′×W′, H′ = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1; `same`: ⌈H / stride⌉"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("out", integer(1), doc="output channels"),
        Argument("kernel", pair(1), doc="window size"),
        Argument("stride", pair(1), 1, "step of the window"),
        Argument(
            "padding",
            either(pair(0), choice("same")),
            0,
            "zeros around the input; `same` keeps its size, or divides it by the stride",
        ),
        Argument("dilation", pair(1), 1, "step between the window's taps"),
        Argument("groups", integer(1), 1, "independent groups of channels"),
        Argument("bias", boolean(), True, "add a learned constant to each output channel"),
    )
    weights: ClassVar[tuple[str, ...]] = ("weight", "bias")
    examples: ClassVar[tuple[str, ...]] = (
        "conv: {out: 64, kernel: 3, padding: 1}",
        "conv: {out: 16, kernel: [1, 7], padding: same, bias: false}",
        "conv: {out: 8, kernel: 3, stride: 2, padding: 1, groups: 8}",
        "conv: {out: 8, kernel: [3, 4], stride: 2, padding: same}",
    )

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, height, width = self.feature_map(shape)
        out = arguments["out"]
        check_groups(self.name, arguments["groups"], channels, out)
        if arguments["padding"] == "same":
            return out, *same.counts((height, width), height_width(arguments["stride"]))
        return out, *self._windows(arguments, (height, width))

    def _windows(self, arguments: Arguments, size: tuple[int, int]) -> tuple[int, int]:
        kernel, stride = height_width(arguments["kernel"]), height_width(arguments["stride"])
        padding, dilation = height_width(arguments["padding"]), height_width(arguments["dilation"])
        counts = tuple(map(window_count, size, kernel, stride, padding, dilation))
        if min(counts) < 1:
            padded = show([s + 2 * p for s, p in zip(size, padding, strict=True)])
            reach = show([d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)])
            raise Fault(
                "input-shape", f"the window of `{self.name}` ({reach}) is larger than its padded input ({padded})"
            )
        return counts[0], counts[1]

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        out = arguments["out"]
        weight = (out, shape[0] // arguments["groups"], *height_width(arguments["kernel"]))
        return {"weight": weight, "bias": (out,)} if arguments["bias"] else {"weight": weight}

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        into: int = shape[0] // arguments["groups"]
        return prod(output) * into * prod(height_width(arguments["kernel"]))

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        kernel, dilation = height_width(arguments["kernel"]), height_width(arguments["dilation"])
        stride = height_width(arguments["stride"])
        if arguments["padding"] == "same":
            return same.reach(shape[1:], kernel, stride, dilation)
        padding = height_width(arguments["padding"])
        axes = zip(kernel, stride, padding, dilation, strict=True)
        return Reach({i: windows(*axis) for i, axis in enumerate(axes, 1)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return same.kept(arguments, shape, height_width)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        kind = "SameConv2d" if same.pads(arguments, height_width) else "nn.Conv2d"
        return call(kind, shape[0], arguments["out"], **_windows_named(arguments))


class WsConv(Conv):
    name = "ws_conv"
    doc = "A 2-d convolution whose weights are standardised for each output channel, then scaled by a learned gain."
    source = "https://arxiv.org/abs/2101.08692"
    rule = f"{Conv.rule}; W = gain·(fan-in)^−½·(w − mean) / √(variance + eps)"
    arguments = (
        *Conv.arguments,
        Argument("gain", boolean(), True, "scale by the gain and by the fan-in; if false, standardise alone"),
        Argument("eps", number(above=0), 1e-6, "added to the variance"),
    )
    weights = ("weight", "bias", "gain")
    examples = ("ws_conv: {out: 64, kernel: 3, padding: 1}", "ws_conv: {out: 16, kernel: 1, gain: false, eps: 1e-8}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        result = super().output(arguments, shape)
        if self._fan_in(arguments, shape) == 1:
            raise Fault("input-shape", "`ws_conv` would standardise single values: each output channel has one weight")
        return result

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        gain = {"gain": (arguments["out"], 1, 1, 1)} if arguments["gain"] else {}
        return super().parameters(arguments, shape) | gain

    def _fan_in(self, arguments: Arguments, shape: Shape) -> int:
        return prod(super().parameters(arguments, shape)["weight"][1:])

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        out, fan_in = arguments["out"], self._fan_in(arguments, shape)
        gained = out * (1 + fan_in) if arguments["gain"] else 0
        return replace(super().kept(arguments, shape, output), once=out * (1 + 2 * fan_in) + gained)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named = _windows_named(arguments) | {"gain": arguments["gain"], "eps": arguments["eps"]}
        kind = "SameWsConv" if same.pads(arguments, height_width) else "WsConv"
        return call(kind, shape[0], arguments["out"], **named)


class ConvTranspose(Called):
    name = "conv_transpose"
    doc = "A 2-d transposed convolution, which enlarges by its stride."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html"
    rule = "C×H×W → out×H′×W′, H′ = (H − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1"
    arguments = (
        Argument("out", integer(1), doc="output channels"),
        Argument("kernel", pair(1), doc="window size"),
        Argument("stride", pair(1), 1, "step of the window over the output"),
        Argument("padding", pair(0), 0, "rows and columns left off at each side of the output"),
        Argument(
            "output_padding", pair(0), 0, "rows and columns added at the end of the output, fewer than the stride"
        ),
        Argument("dilation", pair(1), 1, "step between the window's taps"),
        Argument("groups", integer(1), 1, "independent groups of channels"),
        Argument("bias", boolean(), True, "add a learned constant to each output channel"),
    )
    weights = ("weight", "bias")
    examples = (
        "conv_transpose: {out: 8, kernel: 2, stride: 2}",
        "conv_transpose: {out: 8, kernel: 3, stride: 2, padding: 1, output_padding: 1}",
    )

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, *size = self.feature_map(shape)
        check_groups(self.name, arguments["groups"], channels, arguments["out"])
        names = ("kernel", "stride", "padding", "output_padding", "dilation")
        sizes = []
        for axis, (kernel, stride, padding, extra, dilation) in zip(
            size, zip(*(height_width(arguments[name]) for name in names), strict=True), strict=True
        ):
            if extra >= max(stride, dilation):
                message = f"`output_padding` ({extra}) of `conv_transpose` must be below its stride or dilation"
                raise Fault("input-shape", f"{message} ({max(stride, dilation)})")
            sizes.append((axis - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1)
        if min(sizes) < 1:
            raise Fault(
                "input-shape", f"`conv_transpose` would give {show(sizes)}: its `padding` takes away everything"
            )
        return arguments["out"], *sizes

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        out = arguments["out"]
        weight = (shape[0], out // arguments["groups"], *height_width(arguments["kernel"]))
        return {"weight": weight} | ({"bias": (out,)} if arguments["bias"] else {})

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        return prod(shape) * prod(self.parameters(arguments, shape)["weight"][1:])

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        names = ("kernel", "stride", "padding", "dilation")
        axes = zip(*(height_width(arguments[name]) for name in names), strict=True)
        return Reach({i: transposed_windows(*axis) for i, axis in enumerate(axes, 1)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return INPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named = _windows_named(arguments) | {"output_padding": height_width(arguments["output_padding"])}
        return call("nn.ConvTranspose2d", shape[0], arguments["out"], **named)


def _windows_named(arguments: Arguments) -> dict[str, Any]:
    """What torch's convolutions take by name."""
    padding = arguments["padding"]
    return {
        "kernel_size": height_width(arguments["kernel"]),
        "stride": height_width(arguments["stride"]),
        "padding": 0 if same.pads(arguments, height_width) else _padding(padding),
        "dilation": height_width(arguments["dilation"]),
        "groups": arguments["groups"],
        "bias": arguments["bias"],
    }


def _padding(padding: Any) -> str | tuple[int, int]:
    return padding if isinstance(padding, str) else height_width(padding)


def check_groups(name: str, groups: int, channels: int, out: int) -> None:
    """Raises `Fault` where groups do not divide the channels."""
    if groups == 1:
        return
    for what, count in (("input channels", channels), ("output channels", out)):
        if count % groups:
            raise Fault("input-shape", f"`groups` ({groups}) of `{name}` does not divide its {count} {what}")
