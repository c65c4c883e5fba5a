"""The base of layers whose names say how many axes they slide over.

Sequences with channels first (channels×length) and tokens (tokens×features) are both of two axes, so the shape alone
could not tell which is meant.
"""

from __future__ import annotations

from typing import Any, ClassVar

from archspec.foundation.arguments import LARGEST, Schema, either, integer
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, show, window_count
from archspec.layers.primitive import Arguments, Called

TORCH = "https://docs.pytorch.org/docs/stable/generated/torch.nn."
_AXES = {1: "a sequence (channels×length)", 3: "a volume (channels×depth×height×width)"}
WINDOWS = {1: "C×L → {0}×L′", 3: "C×D×H×W → {0}×D′×H′×W′"}


def sizes_for(axes: int, minimum: int) -> Schema:
    """The type of an integer for all axes, or of a list with one for each."""
    one = integer(minimum, LARGEST)
    return one if axes == 1 else either(one, {"type": "array", "items": one, "minItems": axes, "maxItems": axes})


class OnAxes(Called):
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
