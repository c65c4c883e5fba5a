"""Padding `same` with a stride: zeros so that ⌈size / stride⌉ windows fit, the odd one at the end, as in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from archspec.foundation.shapes import Shape
from archspec.layers.kept import INPUT, Kept
from archspec.layers.primitive import Arguments
from archspec.layers.reach import Reach, windows

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


def kept(arguments: Arguments, shape: Shape, each: Each) -> Kept:
    """What a convolution keeps: its input, or what was padded of it."""
    if not pads(arguments, each):
        return INPUT
    added = totals(shape[1:], *(each(arguments[name]) for name in ("kernel", "stride", "dilation")))
    return Kept(values=shape[0] * prod(size + total for size, total in zip(shape[1:], added, strict=True)))


def pads(arguments: Arguments, each: Each) -> bool:
    """Whether a convolution pads by the size of its input, which torch's do not for a stride."""
    return arguments["padding"] == "same" and max(each(arguments["stride"])) > 1
