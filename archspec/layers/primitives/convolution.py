"""Convolutions of feature maps, sequences with channels first and volumes."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any, ClassVar

from archspec.foundation.arguments import Argument, boolean, integer, number, padding
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, Kept
from archspec.layers.on_axes import AXIS, EXAMPLE_INPUTS, TORCH, WINDOWS, Windowed, differ, flat, sizes_for
from archspec.layers.primitive import Arguments

BIAS = Argument("bias", boolean(), True, "add a learned constant to each output channel")
GROUPS = Argument("groups", integer(1), 1, "independent groups of channels")


def _arguments(axes: int) -> tuple[Argument, ...]:
    sides = "before and after" if axes == 1 else "two numbers for an axis: before and after"
    return (
        Argument("out", integer(1), doc="output channels"),
        Argument("kernel", sizes_for(axes, 1), doc="window size"),
        Argument("stride", sizes_for(axes, 1), 1, "step of the window"),
        Argument(
            "padding",
            padding(axes),
            0,
            f"zeros around the input ({sides}); `same` keeps its size, or divides it by the stride",
        ),
        Argument("dilation", sizes_for(axes, 1), 1, "step between the window's taps"),
        GROUPS,
        BIAS,
    )


def _rule(axes: int) -> str:
    a = AXIS[axes]
    count = f"{a}′ = ⌊({a} + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1; `same`: ⌈{a} / stride⌉"
    return f"{WINDOWS[axes].format('out')}, {count}"


class _Conv(Windowed):
    torch_class = "Conv"
    weights: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        size, out = self.sizes(shape), arguments["out"]
        check_groups(self.name, arguments["groups"], shape[0], out)
        return out, *self.windows(arguments, size)

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        out = arguments["out"]
        weight = (out, shape[0] // arguments["groups"], *self.each(arguments["kernel"]))
        return {"weight": weight} | ({"bias": (out,)} if arguments["bias"] else {})

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        into: int = shape[0] // arguments["groups"]
        return prod(output) * into * prod(self.each(arguments["kernel"]))

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(values=self.padded_values(arguments, shape)) if self._pads(arguments) else INPUT

    def _pads(self, arguments: Arguments) -> bool:
        """Whether it pads as torch's convolutions do not: by the size of its input, or each side by itself.

        Those pad by an odd number of positions too, but warn of it.
        """
        kernel, stride, dilation = self.steps(arguments)
        if arguments["padding"] == "same":
            odd = any(spread * (taps - 1) % 2 for taps, spread in zip(kernel, dilation, strict=True))
            return odd or max(stride) > 1
        return differ(self.sides(arguments["padding"]))

    def kind(self) -> str:
        return f"{self.torch_class}{self.axes}d"

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        names = ("kernel_size", "stride", "dilation")
        named: dict[str, Any] = dict(zip(names, self.steps(arguments), strict=True))
        named |= {name: arguments[name] for name in ("groups", "bias", "gain", "eps") if name in arguments}
        given, torch = arguments["padding"], "nn." if self.torch_class == "Conv" else ""
        if not self._pads(arguments):
            named["padding"] = given if given == "same" else tuple(one for one, _ in self.sides(given))
            return call(f"{torch}{self.kind()}", shape[0], arguments["out"], **named)
        if given == "same":
            return call(f"Same{self.kind()}", shape[0], arguments["out"], **named)
        named["sides"] = flat(self.sides(given))
        return call(f"Padded{self.kind()}", shape[0], arguments["out"], **named)


class Conv(_Conv):
    name, axes = "conv", 2
    doc = "A 2-d convolution."
    source = f"{TORCH}Conv2d.html"
    rule = _rule(2)
    arguments: ClassVar[tuple[Argument, ...]] = _arguments(2)
    examples: ClassVar[tuple[str, ...]] = (
        "conv: {out: 64, kernel: 3, padding: 1}",
        "conv: {out: 16, kernel: [1, 7], padding: same, bias: false}",
        "conv: {out: 8, kernel: 3, stride: 2, padding: 1, groups: 8}",
        "conv: {out: 8, kernel: [3, 4], stride: 2, padding: same}",
        "conv: {out: 8, kernel: 3, stride: 2, padding: [[0, 1], [0, 1]]}",
    )


class WsConv(Conv):
    name, torch_class = "ws_conv", "WsConv"
    doc = "A 2-d convolution whose weights are standardised for each output channel, then scaled by a learned gain."
    source = "https://arxiv.org/abs/2101.08692"
    rule = f"{Conv.rule}; W = gain·(fan-in)^−½·(w − mean) / √(variance + eps)"
    arguments = (
        *Conv.arguments,
        Argument("gain", boolean(), True, "scale by the gain and by the fan-in; if false, standardise alone"),
        Argument("eps", number(above=0), 1e-6, "added to the variance"),
    )
    weights = ("weight", "bias", "gain")
    examples = (
        "ws_conv: {out: 64, kernel: 3, padding: 1}",
        "ws_conv: {out: 16, kernel: 1, gain: false, eps: 1e-8}",
        "ws_conv: {out: 8, kernel: 3, padding: [[2, 0], 1]}",
    )

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

    def kind(self) -> str:
        return "WsConv"


class Conv1d(_Conv):
    name, axes = "conv_1d", 1
    doc = "A 1-d convolution of a sequence with channels first."
    source = f"{TORCH}Conv1d.html"
    rule = _rule(1)
    arguments = _arguments(1)
    examples = (
        "conv_1d: {out: 16, kernel: 7, stride: 2, padding: 3}",
        "conv_1d: {out: 8, kernel: 3, padding: same}",
        "conv_1d: {out: 8, kernel: 4, stride: 3, padding: same}",
        "conv_1d: {out: 8, kernel: 3, dilation: 2, padding: [4, 0]}",
    )
    example_input = EXAMPLE_INPUTS[1]


class Conv3d(_Conv):
    name, axes = "conv_3d", 3
    doc = "A 3-d convolution of a volume or of frames in time."
    source = f"{TORCH}Conv3d.html"
    rule = _rule(3)
    arguments = _arguments(3)
    examples = (
        "conv_3d: {out: 16, kernel: 3, padding: 1}",
        "conv_3d: {out: 8, kernel: [1, 7, 7], stride: [1, 2, 2], padding: [0, 3, 3], bias: false}",
        "conv_3d: {out: 8, kernel: 3, padding: [[2, 0], 1, 1]}",
    )
    example_input = EXAMPLE_INPUTS[3]


def check_groups(name: str, groups: int, channels: int, out: int) -> None:
    """Raises `Fault` where groups do not divide the channels."""
    if groups == 1:
        return
    for what, count in (("input channels", channels), ("output channels", out)):
        if count % groups:
            raise Fault("input-shape", f"`groups` ({groups}) of `{name}` does not divide its {count} {what}")
