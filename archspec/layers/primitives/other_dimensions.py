"""Layers on sequences with channels first (channels×length) and on volumes (channels×depth×height×width).

Their names say how many axes they slide over: channels×length and tokens×features are both of two axes, so the shape
alone could not tell which is meant.
"""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from archspec.foundation.arguments import LARGEST, Argument, Schema, boolean, choice, either, integer, number
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, show, window_count
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, NOTHING, Kept
from archspec.layers.primitive import Arguments, Called
from archspec.layers.primitives.convolution import check_groups
from archspec.layers.reach import Reach, same_windows, windows

_AXES = {1: "a sequence (channels×length)", 3: "a volume (channels×depth×height×width)"}
_WINDOWS = {1: "C×L → {0}×L′", 3: "C×D×H×W → {0}×D′×H′×W′"}


def _sizes(axes: int, minimum: int) -> Schema:
    """The type of an integer for all axes, or of a list with one for each."""
    one = integer(minimum, LARGEST)
    return one if axes == 1 else either(one, {"type": "array", "items": one, "minItems": axes, "maxItems": axes})


class _OnAxes(Called):
    axes: ClassVar[int]
    torch_class: ClassVar[str]
    """Its class in `torch.nn`, less the number of its axes."""

    def sizes(self, shape: Shape) -> Shape:
        """The input's sizes without the channels. Raises `Fault` where it has another number of axes."""
        if len(shape) != self.axes + 1:
            raise self.refuse(shape, _AXES[self.axes])
        return shape[1:]

    def each(self, value: Any) -> tuple[int, ...]:
        """An integer for all axes, or a list, as one integer for each axis."""
        return (value,) * self.axes if isinstance(value, int) else tuple(value)

    def kind(self) -> str:
        return f"nn.{self.torch_class}{self.axes}d"

    def windows(self, arguments: Arguments, size: Shape) -> Shape:
        """How many windows fit along each axis. Raises `Fault` where none does."""
        kernel, padding = self.each(arguments["kernel"]), self.each(arguments["padding"])
        stride = kernel if arguments["stride"] is None else self.each(arguments["stride"])
        dilation = self.each(arguments.get("dilation", 1))
        ceil = arguments.get("ceil_mode", False)
        counts = tuple(
            window_count(*axis, ceil=ceil) for axis in zip(size, kernel, stride, padding, dilation, strict=True)
        )
        if min(counts) < 1:
            padded = show([s + 2 * p for s, p in zip(size, padding, strict=True)])
            reach = show([d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)])
            message = f"the window of `{self.name}` ({reach}) is larger than its padded input ({padded})"
            raise Fault("input-shape", message)
        return counts


def _conv_arguments(axes: int) -> tuple[Argument, ...]:
    padding = either(_sizes(axes, 0), choice("same"))
    return (
        Argument("out", integer(1), doc="output channels"),
        Argument("kernel", _sizes(axes, 1), doc="window size"),
        Argument("stride", _sizes(axes, 1), 1, "step of the window"),
        Argument("padding", padding, 0, "zeros around the input; `same` keeps its size"),
        Argument("dilation", _sizes(axes, 1), 1, "step between the window's taps"),
        Argument("groups", integer(1), 1, "independent groups of channels"),
        Argument("bias", boolean(), True, "add a learned constant to each output channel"),
    )


class _Conv(_OnAxes):
    torch_class = "Conv"
    weights = ("weight", "bias")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        size, out = self.sizes(shape), arguments["out"]
        check_groups(self.name, arguments["groups"], shape[0], out)
        if arguments["padding"] == "same":
            if set(self.each(arguments["stride"])) != {1}:
                raise Fault("input-shape", f"`padding: same` of `{self.name}` needs stride 1")
            return out, *size
        return out, *self.windows(arguments, size)

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        out = arguments["out"]
        weight = (out, shape[0] // arguments["groups"], *self.each(arguments["kernel"]))
        return {"weight": weight} | ({"bias": (out,)} if arguments["bias"] else {})

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        return prod(output) * prod(self.parameters(arguments, shape)["weight"][1:])

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        kernel, dilation = self.each(arguments["kernel"]), self.each(arguments["dilation"])
        if arguments["padding"] == "same":
            return Reach({i: same_windows(*axis) for i, axis in enumerate(zip(kernel, dilation, strict=True), 1)})
        stride, padding = self.each(arguments["stride"]), self.each(arguments["padding"])
        axes = zip(kernel, stride, padding, dilation, strict=True)
        return Reach({i: windows(*axis) for i, axis in enumerate(axes, 1)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return INPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named: dict[str, Any] = {name: self.each(arguments[name]) for name in ("kernel", "stride", "dilation")}
        padding = arguments["padding"]
        named["padding"] = padding if isinstance(padding, str) else self.each(padding)
        kernel, groups = named.pop("kernel"), arguments["groups"]
        return call(self.kind(), shape[0], arguments["out"], kernel, **named, groups=groups, bias=arguments["bias"])


def _pool_arguments(axes: int) -> tuple[Argument, ...]:
    return (
        Argument("kernel", _sizes(axes, 1), doc="window size"),
        Argument("stride", either(_sizes(axes, 1), {"type": "null"}), None, "step of the window; none: its size"),
        Argument("padding", _sizes(axes, 0), 0, "added around the input, at most half the kernel"),
        Argument("ceil_mode", boolean(), False, "round the output size up, not down"),
    )


class _Pool(_OnAxes):
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


class _GlobalAvgPool(_OnAxes):
    torch_class = "AdaptiveAvgPool"
    source = "https://arxiv.org/abs/1312.4400"

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        return shape[0], *(1 for _ in self.sizes(shape))

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call(self.kind(), 1)


class _BatchNorm(_OnAxes):
    pointwise = True
    torch_class = "BatchNorm"
    source = "https://arxiv.org/abs/1502.03167"
    weights = ("weight", "bias")
    arguments = (
        Argument("eps", number(above=0), 1e-5, "added to the variance"),
        Argument("momentum", number(0, 1), 0.1, "weight of the newest batch in the running statistics"),
        Argument("affine", boolean(), True, "scale and shift the result by learned values"),
    )

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        self.sizes(shape)
        return shape

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        return {"weight": (shape[0],), "bias": (shape[0],)} if arguments["affine"] else {}

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, once=2 * shape[0])

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call(self.kind(), shape[0], **arguments)


_CONV_RULE = ", L′ = ⌊(L + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1; `same` keeps the size"
_POOL_RULE = ", L′ = ⌊(L + 2·padding − kernel) / stride⌋ + 1; `ceil_mode` rounds up"
_TORCH = "https://docs.pytorch.org/docs/stable/generated/torch.nn."


class Conv1d(_Conv):
    name, axes = "conv_1d", 1
    doc = "A 1-d convolution of a sequence with channels first."
    source = f"{_TORCH}Conv1d.html"
    rule = _WINDOWS[1].format("out") + _CONV_RULE
    arguments = _conv_arguments(1)
    examples = ("conv_1d: {out: 16, kernel: 7, stride: 2, padding: 3}", "conv_1d: {out: 8, kernel: 3, padding: same}")
    example_input = (8, 32)


class Conv3d(_Conv):
    name, axes = "conv_3d", 3
    doc = "A 3-d convolution of a volume or of frames in time."
    source = f"{_TORCH}Conv3d.html"
    rule = _WINDOWS[3].format("out") + _CONV_RULE.replace("L", "D")
    arguments = _conv_arguments(3)
    examples = (
        "conv_3d: {out: 16, kernel: 3, padding: 1}",
        "conv_3d: {out: 8, kernel: [1, 7, 7], stride: [1, 2, 2], padding: [0, 3, 3], bias: false}",
    )
    example_input = (4, 8, 8, 8)


class MaxPool1d(_Pool):
    name, axes, torch_class = "max_pool_1d", 1, "MaxPool"
    doc = "The largest value of each window of a sequence with channels first."
    source = f"{_TORCH}MaxPool1d.html"
    rule = _WINDOWS[1].format("C") + _POOL_RULE
    arguments = _pool_arguments(1)
    examples = ("max_pool_1d: 2", "max_pool_1d: {kernel: 3, stride: 2, padding: 1}")
    example_input = (8, 32)


class MaxPool3d(_Pool):
    name, axes, torch_class = "max_pool_3d", 3, "MaxPool"
    doc = "The largest value of each window of a volume."
    source = f"{_TORCH}MaxPool3d.html"
    rule = _WINDOWS[3].format("C") + _POOL_RULE.replace("L", "D")
    arguments = _pool_arguments(3)
    examples = ("max_pool_3d: 2", "max_pool_3d: {kernel: [1, 3, 3], stride: [1, 2, 2], padding: [0, 1, 1]}")
    example_input = (4, 8, 8, 8)


class AvgPool1d(_Pool):
    name, axes, torch_class = "avg_pool_1d", 1, "AvgPool"
    doc = "The mean of each window of a sequence with channels first."
    source = f"{_TORCH}AvgPool1d.html"
    rule = _WINDOWS[1].format("C") + _POOL_RULE
    arguments = _pool_arguments(1)
    examples = ("avg_pool_1d: 2",)
    example_input = (8, 32)


class AvgPool3d(_Pool):
    name, axes, torch_class = "avg_pool_3d", 3, "AvgPool"
    doc = "The mean of each window of a volume."
    source = f"{_TORCH}AvgPool3d.html"
    rule = _WINDOWS[3].format("C") + _POOL_RULE.replace("L", "D")
    arguments = _pool_arguments(3)
    examples = ("avg_pool_3d: 2", "avg_pool_3d: [1, 2, 2]")
    example_input = (4, 8, 8, 8)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        result = super().output(arguments, shape)
        kernel = self.each(arguments["kernel"])
        if any(size < window for size, window in zip(shape[1:], kernel, strict=True)):  # torch's rule of this one layer
            raise self.refuse(shape, f"at least the size of its kernel ({show(kernel)}), without the padding")
        return result


class GlobalAvgPool1d(_GlobalAvgPool):
    name, axes = "global_avg_pool_1d", 1
    doc = "The mean of each channel of a sequence; `flatten` then makes a vector of it."
    rule = "C×L → C×1"
    examples = ("global_avg_pool_1d",)
    example_input = (8, 32)


class GlobalAvgPool3d(_GlobalAvgPool):
    name, axes = "global_avg_pool_3d", 3
    doc = "The mean of each channel of a volume; `flatten` then makes a vector of it."
    rule = "C×D×H×W → C×1×1×1"
    examples = ("global_avg_pool_3d",)
    example_input = (4, 8, 8, 8)


class BatchNorm1d(_BatchNorm):
    name, axes = "batch_norm_1d", 1
    doc = "Normalises each channel of a sequence over the batch and all positions."
    rule = "unchanged: C×L"
    examples = ("batch_norm_1d",)
    example_input = (8, 32)


class BatchNorm3d(_BatchNorm):
    name, axes = "batch_norm_3d", 3
    doc = "Normalises each channel of a volume over the batch and all positions."
    rule = "unchanged: C×D×H×W"
    examples = ("batch_norm_3d",)
    example_input = (4, 8, 8, 8)
