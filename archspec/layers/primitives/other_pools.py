"""Pooling of sequences with channels first (channels×length) and of volumes (channels×depth×height×width)."""

from __future__ import annotations

from math import prod

from archspec.foundation.arguments import Argument, boolean, either
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, show
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, NOTHING, Kept
from archspec.layers.on_axes import TORCH, WINDOWS, OnAxes, sizes_for
from archspec.layers.primitive import Arguments
from archspec.layers.reach import Reach, cells, windows

_POOL_RULE = ", L′ = ⌊(L + 2·padding − kernel) / stride⌋ + 1; `ceil_mode` rounds up"


def _pool_arguments(axes: int) -> tuple[Argument, ...]:
    return (
        Argument("kernel", sizes_for(axes, 1), doc="window size"),
        Argument("stride", either(sizes_for(axes, 1), {"type": "null"}), None, "step of the window; none: its size"),
        Argument("padding", sizes_for(axes, 0), 0, "added around the input, at most half the kernel"),
        Argument("ceil_mode", boolean(), False, "round the output size up, not down"),
    )


class _Pool(OnAxes):
    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        size = self.sizes(shape)
        kernel, padding = self.each(arguments["kernel"]), self.each(arguments["padding"])
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            message = f"`padding` ({show(padding)}) of `{self.name}` is more than half its kernel ({show(kernel)})"
            raise Fault("input-shape", message)
        return shape[0], *self.windows(arguments, size)

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        kernel, padding = self.each(arguments["kernel"]), self.each(arguments["padding"])
        stride = kernel if arguments["stride"] is None else self.each(arguments["stride"])
        return Reach({i: windows(*axis) for i, axis in enumerate(zip(kernel, stride, padding, strict=True), 1)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, indices=prod(output)) if self.torch_class == "MaxPool" else INPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        kernel, stride = self.each(arguments["kernel"]), arguments["stride"]
        stride = None if stride is None or self.each(stride) == kernel else self.each(stride)
        padding, ceil_mode = self.each(arguments["padding"]), arguments["ceil_mode"]
        return call(self.kind(), kernel, stride=stride, padding=padding, ceil_mode=ceil_mode)


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


class MaxPool1d(_Pool):
    name, axes, torch_class = "max_pool_1d", 1, "MaxPool"
    doc = "The largest value of each window of a sequence with channels first."
    source = f"{TORCH}MaxPool1d.html"
    rule = WINDOWS[1].format("C") + _POOL_RULE
    arguments = _pool_arguments(1)
    examples = ("max_pool_1d: 2", "max_pool_1d: {kernel: 3, stride: 2, padding: 1}")
    example_input = (8, 32)


class MaxPool3d(_Pool):
    name, axes, torch_class = "max_pool_3d", 3, "MaxPool"
    doc = "The largest value of each window of a volume."
    source = f"{TORCH}MaxPool3d.html"
    rule = WINDOWS[3].format("C") + _POOL_RULE.replace("L", "D")
    arguments = _pool_arguments(3)
    examples = ("max_pool_3d: 2", "max_pool_3d: {kernel: [1, 3, 3], stride: [1, 2, 2], padding: [0, 1, 1]}")
    example_input = (4, 8, 8, 8)


class AvgPool1d(_Pool):
    name, axes, torch_class = "avg_pool_1d", 1, "AvgPool"
    doc = "The mean of each window of a sequence with channels first."
    source = f"{TORCH}AvgPool1d.html"
    rule = WINDOWS[1].format("C") + _POOL_RULE
    arguments = _pool_arguments(1)
    examples = ("avg_pool_1d: 2",)
    example_input = (8, 32)


class AvgPool3d(_Pool):
    name, axes, torch_class = "avg_pool_3d", 3, "AvgPool"
    doc = "The mean of each window of a volume."
    source = f"{TORCH}AvgPool3d.html"
    rule = WINDOWS[3].format("C") + _POOL_RULE.replace("L", "D")
    arguments = _pool_arguments(3)
    examples = ("avg_pool_3d: 2", "avg_pool_3d: [1, 2, 2]")
    example_input = (4, 8, 8, 8)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        result = super().output(arguments, shape)
        kernel = self.each(arguments["kernel"])
        if any(size < window for size, window in zip(shape[1:], kernel, strict=True)):  # torch's rule of this one layer
            raise self.refuse(shape, f"at least the size of its kernel ({show(kernel)}), without the padding")
        return result


class GlobalAvgPool1d(_GlobalPool):
    name, axes = "global_avg_pool_1d", 1
    doc = "The mean of each channel of a sequence; `flatten` then makes a vector of it."
    rule = "C×L → C×1"
    examples = ("global_avg_pool_1d",)
    example_input = (8, 32)


class GlobalAvgPool3d(_GlobalPool):
    name, axes = "global_avg_pool_3d", 3
    doc = "The mean of each channel of a volume; `flatten` then makes a vector of it."
    rule = "C×D×H×W → C×1×1×1"
    examples = ("global_avg_pool_3d",)
    example_input = (4, 8, 8, 8)


class GlobalMaxPool1d(_GlobalPool):
    name, axes, torch_class = "global_max_pool_1d", 1, "AdaptiveMaxPool"
    doc = "The largest value of each channel of a sequence; `flatten` then makes a vector of it."
    rule = "C×L → C×1"
    examples = ("global_max_pool_1d",)
    example_input = (8, 32)


class GlobalMaxPool3d(_GlobalPool):
    name, axes, torch_class = "global_max_pool_3d", 3, "AdaptiveMaxPool"
    doc = "The largest value of each channel of a volume; `flatten` then makes a vector of it."
    rule = "C×D×H×W → C×1×1×1"
    examples = ("global_max_pool_3d",)
    example_input = (4, 8, 8, 8)


class AdaptiveAvgPool1d(_AdaptivePool):
    name, axes, torch_class = "adaptive_avg_pool_1d", 1, "AdaptiveAvgPool"
    doc = "The mean of each stretch of a sequence, in a row of a given size, whatever the input's size."
    source = f"{TORCH}AdaptiveAvgPool1d.html"
    rule = "C×L → C×size"
    arguments = (Argument("size", sizes_for(1, 1), doc="length of the output"),)
    examples = ("adaptive_avg_pool_1d: 5",)
    example_input = (8, 32)


class AdaptiveAvgPool3d(_AdaptivePool):
    name, axes, torch_class = "adaptive_avg_pool_3d", 3, "AdaptiveAvgPool"
    doc = "The mean of each cell of a grid of a given size, whatever the input's size."
    source = f"{TORCH}AdaptiveAvgPool3d.html"
    rule = "C×D×H×W → C×size"
    arguments = (Argument("size", sizes_for(3, 1), doc="depth, height and width of the output"),)
    examples = ("adaptive_avg_pool_3d: 3", "adaptive_avg_pool_3d: [1, 2, 3]")
    example_input = (4, 8, 8, 8)


class AdaptiveMaxPool1d(_AdaptivePool):
    name, axes, torch_class = "adaptive_max_pool_1d", 1, "AdaptiveMaxPool"
    doc = "The largest value of each stretch of a sequence, in a row of a given size, whatever the input's size."
    source = f"{TORCH}AdaptiveMaxPool1d.html"
    rule = "C×L → C×size"
    arguments = (Argument("size", sizes_for(1, 1), doc="length of the output"),)
    examples = ("adaptive_max_pool_1d: 5",)
    example_input = (8, 32)


class AdaptiveMaxPool3d(_AdaptivePool):
    name, axes, torch_class = "adaptive_max_pool_3d", 3, "AdaptiveMaxPool"
    doc = "The largest value of each cell of a grid of a given size, whatever the input's size."
    source = f"{TORCH}AdaptiveMaxPool3d.html"
    rule = "C×D×H×W → C×size"
    arguments = (Argument("size", sizes_for(3, 1), doc="depth, height and width of the output"),)
    examples = ("adaptive_max_pool_3d: 3", "adaptive_max_pool_3d: [1, 2, 3]")
    example_input = (4, 8, 8, 8)
