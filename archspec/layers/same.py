"""Padding `same` with a stride: zeros so that ⌈size / stride⌉ windows fit, the odd one at the end, as in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from archspec.foundation.shapes import Shape
from archspec.layers.kept import INPUT, Kept
from archspec.layers.primitive import Arguments, traced
from archspec.layers.reach import Reach, windows

if TYPE_CHECKING:
    from torch import Tensor, nn

Steps = Sequence[int]
"""A number for each axis of positions."""
Each = Callable[[Any], tuple[int, ...]]
"""What makes a number for all axes, or a list, one number for each."""


def counts(size: Shape, stride: Steps) -> Shape:
    """How many windows there are along each axis."""
    return tuple(-(-one // step) for one, step in zip(size, stride, strict=True))


def totals(size: Shape, kernel: Steps, stride: Steps, dilation: Steps) -> Shape:
    """The positions added along each axis, both ends together.

    This is `max((⌈size / stride⌉ − 1)·stride + dilation·(kernel − 1) + 1 − size, 0)`, of the notes on padding in
    TensorFlow's documentation (https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2).
    """
    axes = zip(size, kernel, stride, dilation, strict=True)
    return tuple(max(spread * (taps - 1) - (one - 1) % step, 0) for one, taps, step, spread in axes)


def reach(size: Shape, kernel: Steps, stride: Steps, dilation: Steps) -> Reach:
    """Which positions the windows see."""
    before = [total // 2 for total in totals(size, kernel, stride, dilation)]
    axes = zip(kernel, stride, before, dilation, strict=True)
    return Reach({i: windows(*axis) for i, axis in enumerate(axes, 1)})


def padder(kernel: Steps, stride: Steps, dilation: Steps) -> Callable[[Tensor], Tensor]:
    """What pads a batch, of any size: a function that `torch.fx` can trace."""
    import torch
    from torch.nn.functional import pad

    def padded(input: Tensor) -> Tensor:
        sides: list[Any] = []
        for axis in reversed(range(len(kernel))):
            total: Any = dilation[axis] * (kernel[axis] - 1)
            if stride[axis] > 1:
                total = torch.sym_max(total - (input.shape[axis + 2] - 1) % stride[axis], 0)
            sides += [total // 2, total - total // 2]
        return pad(input, sides)

    return padded


def kept(arguments: Arguments, shape: Shape, each: Each) -> Kept:
    """What a convolution keeps: its input, or what was padded of it."""
    stride = each(arguments["stride"])
    if arguments["padding"] != "same" or max(stride) == 1:
        return INPUT
    added = totals(shape[1:], each(arguments["kernel"]), stride, each(arguments["dilation"]))
    return Kept(values=shape[0] * prod(size + total for size, total in zip(shape[1:], added, strict=True)))


def plain(
    kind: type[Any], arguments: Arguments, channels: int, each: Each
) -> tuple[Any, Callable[[Tensor], Tensor] | None]:
    """A convolution of one of torch's classes, and what pads for it: torch does not for `same` with a stride."""
    kernel, stride, dilation = (each(arguments[name]) for name in ("kernel", "stride", "dilation"))
    padding = arguments["padding"]
    pads = padding == "same" and max(stride) > 1
    zeros = 0 if pads else padding if isinstance(padding, str) else each(padding)
    more = (dilation, arguments["groups"], arguments["bias"])
    module = kind(channels, arguments["out"], kernel, stride, zeros, *more)
    return module, padder(kernel, stride, dilation) if pads else None


def convolution(kind: type[Any], arguments: Arguments, channels: int, each: Each) -> nn.Module:
    """A convolution as one module: torch's own, where that can pad."""
    made, pad = plain(kind, arguments, channels, each)
    module: nn.Module = made
    if pad is None:
        return module

    def forward(self: Any, input: Tensor) -> Tensor:
        output: Tensor = self._conv_forward(pad(input), self.weight, self.bias)
        return output

    module.__class__ = type(f"Same{kind.__name__}", (kind,), {"forward": forward})
    return traced(module)
