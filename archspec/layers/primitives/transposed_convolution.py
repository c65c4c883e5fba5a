"""Transposed convolutions, which enlarge by their stride."""

from __future__ import annotations

from math import prod
from typing import Any

from archspec.foundation.arguments import Argument, integer, padding
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, show
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, Kept
from archspec.layers.on_axes import AXIS, EXAMPLE_INPUTS, TORCH, WINDOWS, Sides, Sliding, differ, flat, sizes_for
from archspec.layers.primitive import Arguments
from archspec.layers.primitives.convolution import BIAS, GROUPS, check_groups
from archspec.layers.reach import Reach, transposed_windows


def _arguments(axes: int) -> tuple[Argument, ...]:
    positions = "rows and columns" if axes == 2 else "positions"
    sides = "before and after" if axes == 1 else "two numbers for an axis: before and after"
    return (
        Argument("out", integer(1), doc="output channels"),
        Argument("kernel", sizes_for(axes, 1), doc="window size"),
        Argument("stride", sizes_for(axes, 1), 1, "step of the window over the output"),
        Argument(
            "padding",
            padding(axes),
            0,
            f"{positions} left off at each side of the output ({sides}); `same`: the size times the stride",
        ),
        Argument(
            "output_padding",
            sizes_for(axes, 0),
            0,
            f"{positions} added at the end of the output, fewer than the stride",
        ),
        Argument("dilation", sizes_for(axes, 1), 1, "step between the window's taps"),
        GROUPS,
        BIAS,
    )


def _rule(axes: int) -> str:
    a = AXIS[axes]
    count = f"{a}′ = ({a} − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1; `same`: {a}·stride"
    return f"{WINDOWS[axes].format('out')}, {count}"


class _ConvTranspose(Sliding):
    torch_class = "ConvTranspose"
    weights = ("weight", "bias")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        size = self.sizes(shape)
        check_groups(self.name, arguments["groups"], shape[0], arguments["out"])
        sides, extra = self.cut(arguments)
        sizes = []
        for axis, both, more, kernel, stride, dilation in zip(size, sides, extra, *self.steps(arguments), strict=True):
            if more >= max(stride, dilation):
                message = f"`output_padding` ({more}) of `{self.name}` must be below its stride or dilation"
                raise Fault("input-shape", f"{message} ({max(stride, dilation)})")
            sizes.append((axis - 1) * stride - sum(both) + dilation * (kernel - 1) + more + 1)
        if min(sizes) < 1:
            message = f"`{self.name}` would give {show(sizes)}: its `padding` takes away everything"
            raise Fault("input-shape", message)
        return arguments["out"], *sizes

    def cut(self, arguments: Arguments) -> tuple[Sides, tuple[int, ...]]:
        """The positions that are left off before and after each axis, and those that are added at its end.

        Those of `same` are what TensorFlow's `conv2d_transpose` leaves off: the padding of the convolution that it
        is the gradient of. Raises `Fault` where it would leave two meanings.
        """
        extra = self.each(arguments["output_padding"])
        if arguments["padding"] != "same":
            return self.sides(arguments["padding"]), extra
        if any(extra):
            message = f"`{self.name}` with `padding: same` gives its size times the stride, without `output_padding`"
            raise Fault("input-shape", message, help="leave `output_padding` out")
        steps = tuple(zip(*self.steps(arguments), strict=True))
        spare = [dilation * (kernel - 1) + 1 - stride for kernel, stride, dilation in steps]
        sides = tuple((max(one, 0) // 2, max(one, 0) - max(one, 0) // 2) for one in spare)
        return sides, tuple(max(-one, 0) for one in spare)

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        out = arguments["out"]
        weight = (shape[0], out // arguments["groups"], *self.each(arguments["kernel"]))
        return {"weight": weight} | ({"bias": (out,)} if arguments["bias"] else {})

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        return prod(shape) * prod(self.parameters(arguments, shape)["weight"][1:])

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        kernel, stride, dilation = self.steps(arguments)
        reached = [step * (size - 1) + 1 for size, step in zip(kernel, dilation, strict=True)]
        if all(one >= step for one, step in zip(reached, stride, strict=True)):
            return None
        return f"a `{self.name}` whose kernel is smaller than its stride leaves gaps, which hold its bias alone"

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        before = [one for one, _ in self.cut(arguments)[0]]
        kernel, stride, dilation = self.steps(arguments)
        axes = zip(kernel, stride, before, dilation, strict=True)
        return Reach({i: transposed_windows(*axis) for i, axis in enumerate(axes, 1)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return INPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        kernel, stride, dilation = self.steps(arguments)
        sides, extra = self.cut(arguments)
        named: dict[str, Any] = {"stride": stride, "output_padding": extra, "dilation": dilation}
        named |= {name: arguments[name] for name in ("groups", "bias")}
        if differ(sides):
            named["sides"] = flat(sides)
            kind = self.kind().removeprefix("nn.")
            return call(f"Cropped{kind}", shape[0], arguments["out"], kernel_size=kernel, **named)
        named["padding"] = tuple(one for one, _ in sides)
        return call(self.kind(), shape[0], arguments["out"], kernel_size=kernel, **named)


class ConvTranspose(_ConvTranspose):
    name, axes = "conv_transpose", 2
    doc = "A 2-d transposed convolution, which enlarges by its stride."
    source = f"{TORCH}ConvTranspose2d.html"
    rule = _rule(2)
    arguments = _arguments(2)
    examples = (
        "conv_transpose: {out: 8, kernel: 2, stride: 2}",
        "conv_transpose: {out: 8, kernel: 3, stride: 2, padding: 1, output_padding: 1}",
        "conv_transpose: {out: 8, kernel: 3, stride: 2, padding: same}",
        "conv_transpose: {out: 8, kernel: 3, stride: 2, padding: [[0, 1], 1]}",
    )


class ConvTranspose1d(_ConvTranspose):
    name, axes = "conv_transpose_1d", 1
    doc = "A 1-d transposed convolution of a sequence with channels first, which enlarges by its stride."
    source = f"{TORCH}ConvTranspose1d.html"
    rule = _rule(1)
    arguments = _arguments(1)
    examples = (
        "conv_transpose_1d: {out: 8, kernel: 4, stride: 2, padding: 1}",
        "conv_transpose_1d: {out: 4, kernel: 3, stride: 3, output_padding: 1, groups: 2, bias: false}",
        "conv_transpose_1d: {out: 4, kernel: 3, padding: [0, 2]}",
    )
    example_input = EXAMPLE_INPUTS[1]


class ConvTranspose3d(_ConvTranspose):
    name, axes = "conv_transpose_3d", 3
    doc = "A 3-d transposed convolution of a volume, which enlarges by its stride."
    source = f"{TORCH}ConvTranspose3d.html"
    rule = _rule(3)
    arguments = _arguments(3)
    examples = (
        "conv_transpose_3d: {out: 8, kernel: 2, stride: 2}",
        "conv_transpose_3d: {out: 8, kernel: [1, 4, 4], stride: [1, 2, 2], padding: [0, 1, 1]}",
        "conv_transpose_3d: {out: 4, kernel: [1, 3, 3], stride: [1, 2, 2], padding: same}",
    )
    example_input = EXAMPLE_INPUTS[3]
