"""The largest value of a variable with which a network keeps to a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Tried:
    """A value that was tried: its figures, or why there is no network with it."""

    index: int
    figures: Mapping[str, int] | None
    reason: str = ""


@dataclass
class Search:
    """Finds the largest of the values 0 to `last` that keeps to all limits.

    Figures are taken to grow with the value, as those of widths and depths do: the first value beyond the limits is
    found by doubling, then by halving what lies between. Values without a network (a width that its groups do not
    divide) are stepped over. Where a figure that was seen falls as the value grows, every value is tried instead.
    """

    figures: Callable[[int], Tried]
    """The figures of a value, by its number."""
    limits: Mapping[str, int]
    last: int
    tried: dict[int, Tried] = field(default_factory=dict)
    exhaustive: bool = False
    """Whether every value was tried."""

    def run(self) -> Tried | None:
        """The largest value that fits; `None`, where none does."""
        low, high = self._bracket()
        while low is not None and high is not None and high - low > 1:
            middle = self._sound((low + high) // 2, high)
            if middle is None:  # nothing sound from there on: look below
                high = (low + high) // 2
            elif self.fits(middle):
                low = middle
            else:
                high = self._first_from((low + high) // 2, middle)
        if not self._grows():
            self.exhaustive = True
            fitting = [index for index in range(self.last + 1) if self.fits(index)]
            return self.tried[fitting[-1]] if fitting else None
        return None if low is None else self.tried[low]

    def look(self, index: int) -> Tried:
        if index not in self.tried:
            self.tried[index] = self.figures(index)
        return self.tried[index]

    def fits(self, index: int) -> bool:
        """Whether a value has a network that keeps to the limits."""
        figures = self.look(index).figures
        return figures is not None and all(figures[name] <= most for name, most in self.limits.items())

    def _bracket(self) -> tuple[int | None, int | None]:
        """The last value seen to fit, and the first seen not to, sought by doubling."""
        low: int | None = None
        start, step = 0, 1
        while start <= self.last:
            found = self._sound(start, min(start + step, self.last + 1))
            if found is not None:
                if not self.fits(found):
                    return low, found
                low = found
            start, step = start + step, 2 * step
        return low, self.last + 1

    def _sound(self, start: int, stop: int) -> int | None:
        """The first value with a network."""
        return next((one for one in range(start, stop) if self.look(one).figures is not None), None)

    def _first_from(self, start: int, found: int) -> int:
        """The value from which on nothing fits: those between have no network."""
        return min(start, found)

    def _grows(self) -> bool:
        seen = [one.figures for _, one in sorted(self.tried.items()) if one.figures is not None]
        return all(a[name] <= b[name] for a, b in pairwise(seen) for name in self.limits)
