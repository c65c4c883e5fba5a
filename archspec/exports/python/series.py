"""Values that change evenly from pass to pass of a loop."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Linear:
    """`start + step * i` in pass i."""

    start: int
    step: int
    is_sure: bool = field(default=True, compare=False)
    """Whether there are enough values: two lie on a line by themselves."""


@dataclass(frozen=True)
class Share:
    """`whole * (first + i) / count` in pass i, computed in this order."""

    whole: float
    first: int
    count: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class Fraction:
    """`whole * part / count`, computed in this order: a `Share` of no loop."""

    whole: float
    part: int
    count: int


@dataclass(frozen=True)
class Cycle:
    """Two values in turns; the first is 0."""

    second: Any


@dataclass(frozen=True)
class Listed:
    """A value for each pass, which follow no rule: the loop goes through them."""

    values: tuple[Any, ...]


Series = Linear | Share | Cycle
"""What differs from pass to pass."""


def find(values: list[Any]) -> Any:
    """One value where all are equal, the series that they are, or `None`."""
    first = values[0]
    if all(type(one) is type(first) and one == first for one in values):
        return first
    if all(type(one) is int for one in values):
        if first == 0 and all(one == (0, values[1])[i % 2] for i, one in enumerate(values)):
            return Cycle(values[1])
        step = values[1] - first
        if all(one == first + step * i for i, one in enumerate(values)):
            return Linear(first, step, is_sure=len(values) > 2)
        return None
    if all(isinstance(one, float) or one == 0 for one in values) and not any(isinstance(one, bool) for one in values):
        return _share([float(one) for one in values])
    if all(isinstance(one, tuple) and len(one) == len(first) for one in values):
        found = tuple(find([one[i] for one in values]) for i in range(len(first)))
        return None if any(one is None for one in found) else found
    return None


def find_listed(values: list[Any]) -> Any:
    """One value where all are equal, or all of them."""
    first = values[0]
    return first if all(type(one) is type(first) and one == first for one in values) else Listed(tuple(values))


WHOLE: ContextVar[Share | None] = ContextVar("WHOLE", default=None)
"""The shares of which those of single loops are a part: the rates of a network's stochastic depth."""


def find_whole(values: Iterable[float]) -> Share | None:
    """The shares that are all these values, perhaps with others between them."""
    found = sorted(set(values))
    steps = [after - before for before, after in pairwise(found)]
    return _simplest(found, min(steps)) if steps else None


def share_of_whole(value: float) -> Share | None:
    """A single value as one of those shares, if it is one and not 0."""
    whole = WHOLE.get()
    return place(whole, (value,)) if whole and value else None


def _share(values: list[float]) -> Share | None:
    whole = WHOLE.get()
    found = place(whole, tuple(values)) if whole else None
    step = (values[-1] - values[0]) / (len(values) - 1)
    return found or (_simplest(values, step, is_even=True) if step > 0 else None)


def _simplest(values: list[float], step: float, *, is_even: bool = False) -> Share | None:
    """The shares, each of which is about `step`, with the shortest whole."""
    places = [round((one - values[0]) / step) for one in values]
    if is_even and places != list(range(len(values))):
        return None
    first = round(values[0] / step)
    found: list[tuple[bool, int, int, Share]] = []
    for count in range(1, 200):
        whole = float(f"{step * count:.4g}")
        if all(whole * (first + i) / count == one for i, one in zip(places, values, strict=True)):
            is_more = first + places[-1] > count  # than the whole
            found.append((is_more, len(repr(whole)), count, Share(whole, first, count, tuple(values))))
    return min(found, key=lambda one: one[:3])[3] if found else None


def place(share: Share, values: tuple[float, ...]) -> Share | None:
    """Values as some of the same shares."""
    for first in range(share.count + 1):  # the whole at most
        if all(share.whole * (first + i) / share.count == one for i, one in enumerate(values)):
            return Share(share.whole, first, share.count, values)
    return None
