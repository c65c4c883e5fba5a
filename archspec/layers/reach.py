"""Which positions of its input each position of a layer's output depends on, axis by axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import gcd

from archspec.foundation.shapes import Shape


@dataclass(frozen=True, slots=True)
class AxisReach:
    """Along one axis, the first and the last position that position 0 to `period − 1` sees; the others are moved.

    Position `i + period` sees what position `i` sees, `shift` further. Positions may lie outside the input, in padding.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    shift: int

    @property
    def period(self) -> int:
        return len(self.first)

    def at(self, position: int) -> tuple[int, int]:
        """The first and the last position that a position sees."""
        turns, rest = divmod(position, len(self.first))
        return self.first[rest] + turns * self.shift, self.last[rest] + turns * self.shift


@dataclass(frozen=True, slots=True)
class Reach:
    """What a layer's output depends on. An axis that `axes` leaves out is reached position by position."""

    axes: Mapping[int, AxisReach] = field(default_factory=dict)
    """By the input's axes, 0 being the first one of a sample."""
    layout: tuple[tuple[int, ...], ...] | None = None
    """Of each axis of the output, the input's axes that it numbers; those that none numbers are reached as a whole.
    `None`: those of the input."""
    whole: bool = False
    """Whether every position depends on all positions."""
    split: bool = False
    """Whether the first axis becomes the last two, row by row."""


def fits(reach: Reach, shape: Shape, output: Shape) -> bool:
    """Whether it speaks of axes that the input and the output have."""
    if not all(isinstance(step, AxisReach) and len(step.first) == len(step.last) > 0 for step in reach.axes.values()):
        return False
    named = {*reach.axes, *(axis for part in reach.layout or () for axis in part)}
    spread = len(output) if reach.layout is None else len(reach.layout)
    same = reach.whole or reach.split or reach.layout is not None or len(output) == len(shape)
    return same and spread == len(output) and named <= set(range(len(shape)))


LOCAL = Reach()
"""Each position depends on the same position of the input."""
WHOLE = Reach(whole=True)


def windows(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> AxisReach:
    """The windows of a convolution or pooling along an axis.

    Args:
        kernel: The window's length in taps.
        stride: Positions from one window to the next.
        padding: Positions added at the start.
        dilation: Positions from one tap to the next.

    Example:
        ```python
        Reach({1: windows(3, stride=2, padding=1), 2: windows(3, stride=2, padding=1)})
        ```
    """
    return AxisReach((-padding,), (dilation * (kernel - 1) - padding,), stride)


def transposed_windows(kernel: int, stride: int, padding: int, dilation: int) -> AxisReach:
    """Windows that slide over the output."""
    reach = dilation * (kernel - 1)
    first = tuple(-(-(i + padding - reach) // stride) for i in range(stride))
    last = tuple((i + padding) // stride for i in range(stride))
    return AxisReach(tuple(map(min, first, last)), last, 1)


def blocks(size: int, shift: int = 0) -> AxisReach:
    """Neighbouring positions that see each other, `size` together, one such block beginning at `shift`."""
    first = tuple((i - shift) // size * size + shift for i in range(size))
    return AxisReach(first, tuple(one + size - 1 for one in first), size)


def repeated(factor: int) -> AxisReach:
    """Each position in place of `factor` positions."""
    return AxisReach((0,) * factor, (0,) * factor, 1)


def cells(size: int, output: int) -> AxisReach:
    """A grid of cells that covers `size` positions."""
    period = output // gcd(size, output)
    first = tuple(i * size // output for i in range(period))
    last = tuple(-(-(i + 1) * size // output) - 1 for i in range(period))
    return AxisReach(first, last, size * period // output)


def interpolated(size: int, output: int, taps: int, *, corners: bool = False) -> AxisReach:
    """Interpolation from `size` to `output` positions by 1, 2 or 4 of them, as torch computes it.

    Args:
        size: The input's positions.
        output: The output's positions.
        taps: How many positions each is made of: 1 of the nearest, 2 of the linear, 4 of the cubic interpolation.
        corners: Whether the outermost positions are kept.
    """
    first, last = [], []
    exact = corners and output > 1
    period = output if exact else output // gcd(size, output)
    for i in range(period):
        if taps == 1:
            at, rest = i * size // output, 1
        elif exact:
            at, rest = divmod(i * (size - 1), output - 1)
        else:
            at, rest = divmod((2 * i + 1) * size - output, 2 * output)
        spare = bool(rest)  # a position that is hit exactly needs no other
        first.append(at - (1 if taps == 4 and spare else 0))
        last.append(at + (taps // 2 if spare and taps > 1 else 0))
    return AxisReach(tuple(first), tuple(last), size if exact else size * period // output)


def along(axis: int, shape: Shape) -> Reach:
    """Each position depends on all that lie with it along an axis."""
    return Reach(layout=tuple((one,) if one != axis else () for one in range(len(shape))))
