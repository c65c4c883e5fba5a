"""Values that change evenly from pass to pass of a loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Linear:
    """`start + step * i` in pass i."""

    start: int
    step: int


@dataclass(frozen=True)
class Share:
    """`whole * (first + i) / count` in pass i, computed in this order."""

    whole: float
    first: int
    count: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class Cycle:
    """Two values in turns; the first is 0."""

    second: Any


Series = Linear | Share | Cycle


def find(values: list[Any]) -> Any:
    """One value where all are equal, the series that they are, or `None`."""
    first = values[0]
    if all(type(one) is type(first) and one == first for one in values):
        return first
    if all(type(one) is int for one in values):
        if len(values) > 2:
            step = values[1] - first
            if all(one == first + step * i for i, one in enumerate(values)):
                return Linear(first, step)
        if first == 0 and all(one == (0, values[1])[i % 2] for i, one in enumerate(values)):
            return Cycle(values[1])
        return None
    if all(isinstance(one, float) or one == 0 for one in values) and not any(isinstance(one, bool) for one in values):
        return _share([float(one) for one in values])
    if all(isinstance(one, tuple) and len(one) == len(first) for one in values):
        found = tuple(find([one[i] for one in values]) for i in range(len(first)))
        return None if any(one is None for one in found) else found
    return None


def _share(values: list[float]) -> Share | None:
    step = (values[-1] - values[0]) / (len(values) - 1)
    if step <= 0:
        return None
    found: list[tuple[int, int, Share]] = []
    for count in range(1, 200):
        whole = float(f"{step * count:.4g}")
        first = round(values[0] / step)
        if all(whole * (first + i) / count == one for i, one in enumerate(values)):
            found.append((len(repr(whole)), count, Share(whole, first, count, tuple(values))))
    return min(found, key=lambda one: one[:2])[2] if found else None


def place(share: Share, values: tuple[float, ...]) -> Share | None:
    """Values as some of the same shares."""
    for first in range(share.count + 1):
        if all(share.whole * (first + i) / share.count == one for i, one in enumerate(values)):
            return Share(share.whole, first, share.count, values)
    return None
