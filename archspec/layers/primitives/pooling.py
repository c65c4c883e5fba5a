"""Pooling: windows of a feature map, each reduced to one value."""

from __future__ import annotations

from math import prod
from typing import ClassVar

from archspec.foundation.arguments import Argument, Schema, boolean, either, integer, pair
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, height_width, sees_padding_only, show, window_count
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, NOTHING, Kept
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import Reach, cells, windows

OPTIONAL_PAIR: Schema = either(pair(1), {"type": "null"})
KERNEL = Argument("kernel", pair(1), doc="window size")
STRIDE = Argument("stride", OPTIONAL_PAIR, None, "step of the window; none: its size")
PADDING = Argument("padding", pair(0), 0, "added around the input, at most half the kernel")
CEIL_MODE = Argument("ceil_mode", boolean(), False, "round the output size up, not down")


class _Pool(Called):
    torch_class: ClassVar[str]
    rule = "C×H×W → C×H′×W′, H′ = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1; `ceil_mode` rounds up"

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, *size = self.feature_map(shape)
        kernel, padding = height_width(arguments["kernel"]), height_width(arguments["padding"])
        stride, dilation = self.stride(arguments), height_width(arguments.get("dilation", 1))
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise Fault(
                "input-shape",
                f"`padding` ({show(padding)}) of `{self.name}` is more than half its kernel ({show(kernel)})",
            )
        ceil = arguments["ceil_mode"]
        axes = list(zip(size, kernel, stride, padding, dilation, strict=True))
        counts = [window_count(*axis, ceil=ceil) for axis in axes]
        if min(counts) < 1:
            padded = show([s + 2 * p for s, p in zip(size, padding, strict=True)])
            reach = show([d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)])
            raise Fault(
                "input-shape", f"the window of `{self.name}` ({reach}) is larger than its padded input ({padded})"
            )
        for count, (length, _, step, margin, spread) in zip(counts, axes, strict=True):
            if sees_padding_only(length, step, margin, spread, count):
                raise Fault(
                    "input-shape",
                    f"a window of `{self.name}` would see padding only: "
                    f"`dilation` ({show(dilation)}) leads past its input ({show(size)})",
                    help="leave `padding` out, or give it a smaller `dilation`",
                )
        return channels, *counts

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        dilation = arguments.get("dilation", 1)
        sizes = [height_width(arguments[name]) for name in ("kernel", "padding")]
        axes = zip(sizes[0], self.stride(arguments), sizes[1], height_width(dilation), strict=True)
        return Reach({i: windows(*axis) for i, axis in enumerate(axes, 1)})

    def stride(self, arguments: Arguments) -> tuple[int, int]:
        return height_width(arguments["kernel"] if arguments["stride"] is None else arguments["stride"])

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        kernel, stride = height_width(arguments["kernel"]), self.stride(arguments)
        named = {name: one for name, one in arguments.items() if name in ("ceil_mode", "count_include_pad")}
        named |= {name: height_width(arguments[name]) for name in ("padding", "dilation") if name in arguments}
        return call(self.torch_class, kernel_size=kernel, stride=None if stride == kernel else stride, **named)


class MaxPool(_Pool):
    name = "max_pool"
    torch_class = "nn.MaxPool2d"
    doc = "The largest value of each window."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html"
    arguments = (
        KERNEL,
        STRIDE,
        PADDING,
        Argument("dilation", pair(1), 1, "step between the window's taps"),
        CEIL_MODE,
    )
    examples = ("max_pool: 2", "max_pool: {kernel: 3, stride: 2, padding: 1}", "max_pool: {kernel: 3, ceil_mode: true}")

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, indices=prod(output))


class AvgPool(_Pool):
    name = "avg_pool"
    torch_class = "nn.AvgPool2d"
    doc = "The mean of each window."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html"
    arguments = (
        KERNEL,
        STRIDE,
        PADDING,
        CEIL_MODE,
        Argument("count_include_pad", boolean(), True, "count the padding's zeros in the mean"),
    )
    examples = ("avg_pool: 2", "avg_pool: {kernel: 3, stride: 1, padding: 1, count_include_pad: false}")

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return INPUT


class AdaptiveAvgPool(Called):
    name = "adaptive_avg_pool"
    doc = "The mean of each cell of a grid of a given size, whatever the input's size."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html"
    rule = "C×H×W → C×size"
    arguments = (Argument("size", pair(1), doc="height and width of the output"),)
    examples = ("adaptive_avg_pool: 7", "adaptive_avg_pool: [2, 3]")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        return self.feature_map(shape)[0], *height_width(arguments["size"])

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return Reach({i: cells(shape[i], output[i]) for i in (1, 2)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING if height_width(arguments["size"]) == (1, 1) else INPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.AdaptiveAvgPool2d", height_width(arguments["size"]))


class GlobalAvgPool(Called):
    name = "global_avg_pool"
    doc = "The mean of each channel over all positions; `flatten` then makes a vector of it."
    source = "https://arxiv.org/abs/1312.4400"
    rule = "C×H×W → C×1×1"
    examples = ("global_avg_pool",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        return self.feature_map(shape)[0], 1, 1

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.AdaptiveAvgPool2d", 1)


class AdaptiveMaxPool(Called):
    name = "adaptive_max_pool"
    doc = "The largest value of each cell of a grid of a given size, whatever the input's size."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html"
    rule = "C×H×W → C×size"
    arguments = (Argument("size", pair(1), doc="height and width of the output"),)
    examples = ("adaptive_max_pool: 7", "adaptive_max_pool: [2, 3]")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        return self.feature_map(shape)[0], *height_width(arguments["size"])

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return Reach({i: cells(shape[i], output[i]) for i in (1, 2)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, indices=prod(output))

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.AdaptiveMaxPool2d", height_width(arguments["size"]))


class GlobalMaxPool(Called):
    name = "global_max_pool"
    doc = "The largest value of each channel over all positions; `flatten` then makes a vector of it."
    source = "https://arxiv.org/abs/1807.06521"
    rule = "C×H×W → C×1×1"
    examples = ("global_max_pool",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        return self.feature_map(shape)[0], 1, 1

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, indices=prod(output))

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.AdaptiveMaxPool2d", 1)


ODD: Schema = {"type": "integer", "enum": [3, 5, 7]}


class BlurPool(Called):
    name = "blur_pool"
    doc = "Every stride-th position of a feature map blurred by fixed binomial weights; its edges are reflected."
    source = "https://arxiv.org/abs/1904.11486"
    rule = "C×H×W → C×⌈H / stride⌉×⌈W / stride⌉; H and W are more than `(kernel − 1) / 2`"
    arguments = (
        Argument("kernel", ODD, 3, "window size: 3 for the weights 1, 2, 1, and so on"),
        Argument("stride", integer(1), 2, "step between the positions that are kept"),
    )
    examples = ("blur_pool", "blur_pool: {kernel: 5, stride: 1}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, *size = self.feature_map(shape)
        reach = arguments["kernel"] // 2
        if min(size) <= reach:
            raise self.refuse(shape, f"a height and width of more than {reach}, whose edges it reflects")
        return channels, *(-(-axis // arguments["stride"]) for axis in size)

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        return prod(output) * int(arguments["kernel"]) ** 2

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        size, stride = arguments["kernel"], arguments["stride"]
        return Reach({i: windows(size, stride, size // 2) for i in (1, 2)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        around = arguments["kernel"] // 2 * 2
        return Kept(input=True, values=shape[0] * (shape[1] + around) * (shape[2] + around))

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("BlurPool", shape[0], arguments["kernel"], arguments["stride"])
