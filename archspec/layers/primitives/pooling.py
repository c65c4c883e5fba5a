"""Pooling by windows: of feature maps, sequences with channels first and volumes."""

from __future__ import annotations

from math import prod
from typing import Any

from archspec.foundation.arguments import Argument, Schema, boolean, either, integer, padding
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, sees_padding_only, show
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, Kept
from archspec.layers.on_axes import AXIS, EXAMPLE_INPUTS, TORCH, WINDOWS, Windowed, differ, flat, sizes_for
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import Reach, windows


def _arguments(axes: int, *more: Argument) -> tuple[Argument, ...]:
    sides = "before and after, less than it" if axes == 1 else "two numbers for an axis: before and after, less than it"
    around = f"added around the input, at most half the kernel ({sides}); `same` gives ⌈size / stride⌉"
    return (
        Argument("kernel", sizes_for(axes, 1), doc="window size"),
        Argument("stride", either(sizes_for(axes, 1), {"type": "null"}), None, "step of the window; none: its size"),
        Argument("padding", padding(axes), 0, around),
        *more,
        Argument("ceil_mode", boolean(), False, "round the output size up, not down"),
    )


def _max_arguments(axes: int) -> tuple[Argument, ...]:
    return _arguments(axes, Argument("dilation", sizes_for(axes, 1), 1, "step between the window's taps"))


def _avg_arguments(axes: int) -> tuple[Argument, ...]:
    doc = "count the padding's zeros in the mean; false where `padding` is `same`"
    return *_arguments(axes), Argument("count_include_pad", boolean(), True, doc)


def _rule(axes: int) -> str:
    a = AXIS[axes]
    count = f"{a}′ = ⌊({a} + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1"
    return f"{WINDOWS[axes].format('C')}, {count}; `ceil_mode` rounds up; `same`: ⌈{a} / stride⌉"


class _Pool(Windowed):
    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        size = self.sizes(shape)
        stride, dilation = self.steps(arguments)[1:]
        self._check_padding(arguments)
        counts = self.windows(arguments, size)
        before = [one for one, _ in self.added(arguments, size)]
        axes = zip(size, stride, before, dilation, counts, strict=True)
        for n, step, margin, spread, count in axes:
            if sees_padding_only(n, step, margin, spread, count):
                raise Fault(
                    "input-shape",
                    f"a window of `{self.name}` would see padding only: "
                    f"`dilation` ({show(dilation)}) leads past its input ({show(size)})",
                    help="leave `padding` out, or give it a smaller `dilation`",
                )
        return shape[0], *counts

    def pads(self, arguments: Arguments) -> bool:
        """Whether it pads as torch's pools do not: by the size of its input, or each side by itself."""
        given = arguments["padding"]
        return given == "same" or differ(self.sides(given))

    def _check_padding(self, arguments: Arguments) -> None:
        """Raises `Fault` where padding is too much for the kernel, so that windows might see nothing else."""
        kernel = self.each(arguments["kernel"])
        if arguments["padding"] == "same":
            return
        sides = self.sides(arguments["padding"])
        if not self.pads(arguments):
            if any(2 * before > k for (before, _), k in zip(sides, kernel, strict=True)):
                most = f"more than half its kernel ({show(kernel)})"
                shown = show([before for before, _ in sides])
                raise Fault("input-shape", f"`padding` ({shown}) of `{self.name}` is {most}")
            return
        for both, k in zip(sides, kernel, strict=True):
            if max(both) >= k:
                message = f"`padding` of `{self.name}` adds {max(both)} on one side, and its kernel has {k}"
                raise Fault(
                    "input-shape", message, help="a side takes less than the kernel, so that each window sees input"
                )
        if arguments["ceil_mode"]:
            message = f"`ceil_mode` of `{self.name}` needs a `padding` that is equal on both sides of each axis"
            help = "add to the last sides what the windows shall reach"
            raise Fault("input-shape", message, help=help)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        kernel, stride, dilation = self.steps(arguments)
        named: dict[str, Any] = {"stride": None if stride == kernel else stride}
        named |= {"dilation": dilation} if "dilation" in arguments else {}
        given = arguments["padding"]
        if given == "same":
            return call(f"Same{self.torch_class}", kernel, **named)
        if self.pads(arguments):
            sides = flat(self.sides(given))
            named |= {} if arguments.get("count_include_pad", True) else {"count_include_pad": False}
            return call(f"Padded{self.torch_class}", kernel, sides, **named)
        named |= {name: one for name, one in arguments.items() if name in ("ceil_mode", "count_include_pad")}
        return call(self.kind(), kernel_size=kernel, padding=tuple(one for one, _ in self.sides(given)), **named)


class _MaxPool(_Pool):
    torch_class = "MaxPool"

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        if self.pads(arguments):
            return Kept(values=self.padded_values(arguments, shape), indices=prod(output))
        return Kept(input=True, indices=prod(output))


class _AvgPool(_Pool):
    torch_class = "AvgPool"

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        result = super().output(arguments, shape)
        if arguments["padding"] == "same" and arguments["count_include_pad"]:
            message = (
                f"`padding: same` of `{self.name}` would count the zeros that it adds, which TensorFlow's does not"
            )
            help = "write `count_include_pad: false`; to count them, put `same_pad` before it"
            raise Fault("input-shape", message, help=help)
        return result

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        if not self.pads(arguments):
            return INPUT
        once = 0 if arguments["count_include_pad"] else prod(output[1:])
        return Kept(values=self.padded_values(arguments, shape), once=once)


class MaxPool(_MaxPool):
    name, axes = "max_pool", 2
    doc = "The largest value of each window."
    source = f"{TORCH}MaxPool2d.html"
    rule = _rule(2)
    arguments = _max_arguments(2)
    examples = (
        "max_pool: 2",
        "max_pool: {kernel: 3, stride: 2, padding: 1}",
        "max_pool: {kernel: 3, ceil_mode: true}",
        "max_pool: {kernel: 3, stride: 2, padding: same}",
        "max_pool: {kernel: 3, stride: 2, padding: [[0, 1], [0, 1]]}",
    )


class AvgPool(_AvgPool):
    name, axes = "avg_pool", 2
    doc = "The mean of each window."
    source = f"{TORCH}AvgPool2d.html"
    rule = _rule(2)
    arguments = _avg_arguments(2)
    examples = (
        "avg_pool: 2",
        "avg_pool: {kernel: 3, stride: 1, padding: 1, count_include_pad: false}",
        "avg_pool: {kernel: 3, stride: 2, padding: same, count_include_pad: false}",
        "avg_pool: {kernel: 3, stride: 2, padding: [1, [0, 1]]}",
    )


class MaxPool1d(_MaxPool):
    name, axes = "max_pool_1d", 1
    doc = "The largest value of each window of a sequence with channels first."
    source = f"{TORCH}MaxPool1d.html"
    rule = _rule(1)
    arguments = _max_arguments(1)
    examples = (
        "max_pool_1d: 2",
        "max_pool_1d: {kernel: 3, stride: 2, padding: 1}",
        "max_pool_1d: {kernel: 3, stride: 3, padding: same}",
        "max_pool_1d: {kernel: 3, stride: 1, dilation: 2, padding: [2, 0]}",
    )
    example_input = EXAMPLE_INPUTS[1]


class MaxPool3d(_MaxPool):
    name, axes = "max_pool_3d", 3
    widens = True
    doc = "The largest value of each window of a volume."
    source = f"{TORCH}MaxPool3d.html"
    rule = _rule(3)
    arguments = _max_arguments(3)
    examples = (
        "max_pool_3d: 2",
        "max_pool_3d: {kernel: [1, 3, 3], stride: [1, 2, 2], padding: [0, 1, 1]}",
        "max_pool_3d: {kernel: 3, stride: [1, 2, 2], padding: same}",
        "max_pool_3d: {kernel: 3, stride: 2, padding: [[1, 0], 1, [0, 1]]}",
    )
    example_input = EXAMPLE_INPUTS[3]


class AvgPool1d(_AvgPool):
    name, axes = "avg_pool_1d", 1
    doc = "The mean of each window of a sequence with channels first."
    source = f"{TORCH}AvgPool1d.html"
    rule = _rule(1)
    arguments = _avg_arguments(1)
    examples = (
        "avg_pool_1d: 2",
        "avg_pool_1d: {kernel: 4, stride: 3, padding: same, count_include_pad: false}",
        "avg_pool_1d: {kernel: 3, stride: 1, padding: [2, 0], count_include_pad: false}",
    )
    example_input = EXAMPLE_INPUTS[1]


class AvgPool3d(_AvgPool):
    name, axes = "avg_pool_3d", 3
    widens = True
    doc = "The mean of each window of a volume."
    source = f"{TORCH}AvgPool3d.html"
    rule = _rule(3)
    arguments = _avg_arguments(3)
    examples = (
        "avg_pool_3d: 2",
        "avg_pool_3d: [1, 2, 2]",
        "avg_pool_3d: {kernel: 2, padding: same, count_include_pad: false}",
        "avg_pool_3d: {kernel: 3, padding: [0, [0, 1], [2, 0]], count_include_pad: false}",
    )
    example_input = EXAMPLE_INPUTS[3]

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        result = super().output(arguments, shape)
        kernel = self.each(arguments["kernel"])
        short = any(size < window for size, window in zip(shape[1:], kernel, strict=True))
        if short and not self.pads(arguments):  # torch's rule of this one layer
            raise self.refuse(shape, f"at least the size of its kernel ({show(kernel)}), without the padding")
        return result


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

    def buffers(self, arguments: Arguments, shape: Shape) -> int:
        return 4 * shape[0] * int(arguments["kernel"]) ** 2

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        size, stride = arguments["kernel"], arguments["stride"]
        return Reach({i: windows(size, stride, size // 2) for i in (1, 2)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        around = arguments["kernel"] // 2 * 2
        values = shape[0] * (shape[1] + around) * (shape[2] + around)
        return Kept(input=True, values=values, mixed=prod(shape))

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("BlurPool", shape[0], arguments["kernel"], arguments["stride"])
