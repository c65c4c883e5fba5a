"""The base of layers whose names say how many axes they slide over.

Sequences with channels first (channels×length) and tokens (tokens×features) are both of two axes, so the shape alone
could not tell which is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

from archspec.foundation.arguments import LARGEST, Schema, either, integer
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, show, window_count
from archspec.layers import same
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import Reach, windows

TORCH = "https://docs.pytorch.org/docs/stable/generated/torch.nn."
_AXES = {
    1: "a sequence (channels×length)",
    2: "a feature map (channels×height×width)",
    3: "a volume (channels×depth×height×width)",
}
WINDOWS = {1: "C×L → {0}×L′", 2: "C×H×W → {0}×H′×W′", 3: "C×D×H×W → {0}×D′×H′×W′"}
AXIS = {1: "L", 2: "H", 3: "D"}
"""The letter of the first axis that a window slides along."""
EXAMPLE_INPUTS = {1: (8, 32), 2: (8, 16, 16), 3: (4, 8, 8, 8)}


def sizes_for(axes: int, minimum: int) -> Schema:
    """The type of an integer for all axes, or of a list with one for each."""
    one = integer(minimum, LARGEST)
    return one if axes == 1 else either(one, {"type": "array", "items": one, "minItems": axes, "maxItems": axes})


Sides = tuple[tuple[int, int], ...]
"""Positions before and after each axis."""


def differ(sides: Sides) -> bool:
    """Whether an axis has other positions before it than after it, which torch's own layers do not know."""
    return any(before != after for before, after in sides)


def flat(sides: Sides) -> tuple[int, ...]:
    """The positions as `torch.nn.functional.pad` takes them: those of the last axis first."""
    return tuple(one for both in reversed(sides) for one in both)


class OnAxes(Called):
    axes: ClassVar[int]
    torch_class: ClassVar[str]
    """Its class in `torch.nn`, less the number of its axes."""

    def sizes(self, shape: Shape) -> Shape:
        """The input's sizes without the channels. Raises `Fault` where it has another number of axes."""
        if len(shape) != self.axes + 1:
            raise self.refuse(shape, _AXES[self.axes], self._sibling(len(shape) - 1))
        return shape[1:]

    def _sibling(self, axes: int) -> str | None:
        """What to write for an input of another number of axes."""
        from archspec.layers.registry import primitives  # which holds this one

        if axes == 0:
            return "it stands before `flatten`" if self.axes == 2 else None
        name = self.name.removesuffix("_1d").removesuffix("_3d") + {1: "_1d", 2: "", 3: "_3d"}[axes]
        return f"write `{name}`" if name in primitives() else None

    def each(self, value: Any) -> tuple[int, ...]:
        """An integer for all axes, or a list, as one integer for each axis."""
        return (value,) * self.axes if isinstance(value, int) else tuple(value)

    def kind(self) -> str:
        return f"nn.{self.torch_class}{self.axes}d"


class Sliding(OnAxes):
    """A layer with windows: `kernel`, `stride`, `padding` and, where it has one, `dilation` are arguments of it."""

    def sides(self, padding: Any) -> Sides:
        """The positions before and after each axis, by an argument of the type `padding` that is no word."""
        if self.axes == 1:
            return (_both(padding),)
        return tuple(_both(one) for one in self.each(padding))

    def steps(self, arguments: Arguments) -> tuple[tuple[int, ...], ...]:
        """Kernel, stride and dilation, along each axis."""
        kernel, stride = self.each(arguments["kernel"]), arguments["stride"]
        return kernel, kernel if stride is None else self.each(stride), self.each(arguments.get("dilation", 1))


class Windowed(Sliding):
    """A layer whose windows slide along the axes of its input."""

    def windows(self, arguments: Arguments, size: Shape) -> Shape:
        """How many windows fit along each axis. Raises `Fault` where none does."""
        kernel, stride, dilation = self.steps(arguments)
        if arguments["padding"] == "same":
            return same.counts(size, stride)
        ceil, sides = arguments.get("ceil_mode", False), self.sides(arguments["padding"])
        axes = zip(size, kernel, stride, sides, dilation, strict=True)
        counts = tuple(window_count(n + after - p, k, s, p, d, ceil=ceil) for n, k, s, (p, after), d in axes)
        if min(counts) < 1:
            padded = show([n + sum(both) for n, both in zip(size, sides, strict=True)])
            reach = show([d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)])
            message = f"the window of `{self.name}` ({reach}) is larger than its padded input ({padded})"
            raise Fault("input-shape", message)
        return counts

    def added(self, arguments: Arguments, size: Shape) -> Sides:
        """The positions added before and after each axis, those of `same` by the size of the input."""
        if arguments["padding"] != "same":
            return self.sides(arguments["padding"])
        return tuple((total // 2, total - total // 2) for total in same.totals(size, *self.steps(arguments)))

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        kernel, stride, dilation = self.steps(arguments)
        before = [one for one, _ in self.added(arguments, shape[1:])]
        return Reach(
            {i: windows(*axis) for i, axis in enumerate(zip(kernel, stride, before, dilation, strict=True), 1)}
        )

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        kernel, stride, dilation = self.steps(arguments)
        if all(taps == 1 for taps in kernel) and max(dilation) > 1:
            return f"`dilation` changes nothing: the kernel of `{self.name}` is {show(kernel)}"
        extent = [spread * (taps - 1) + 1 for taps, spread in zip(kernel, dilation, strict=True)]
        axes = zip(extent, stride, shape[1:], strict=True)
        if any(1 < reach < step < size for reach, step, size in axes):
            message = f"the windows of `{self.name}` ({show(extent)}) never see some positions: they are"
            return f"{message} {show(stride)} apart, by `stride`"
        sides = self.added(arguments, shape[1:])
        if any(max(both) >= reach for both, reach in zip(sides, extent, strict=True)):
            return f"the outermost windows of `{self.name}` ({show(extent)}) see nothing but `padding`"
        return None

    def padded_values(self, arguments: Arguments, shape: Shape) -> int:
        """The values of the input with what is added around it."""
        sides = self.added(arguments, shape[1:])
        return shape[0] * prod(n + before + after for n, (before, after) in zip(shape[1:], sides, strict=True))


def _both(value: int | Sequence[int]) -> tuple[int, int]:
    before, after = (value, value) if isinstance(value, int) else value
    return before, after
