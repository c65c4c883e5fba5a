"""The largest values of variables with which a network keeps to a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from math import prod

from archspec.foundation.errors import UsageError

MOST_EXHAUSTIVE = 10_000
"""Combinations, at most, where all are tried."""


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
    divide) are skipped. Where a figure that was seen falls as the value grows, every value is tried instead.
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


Place = tuple[int, ...]
"""Which value of each variable, by its number."""


@dataclass
class GridSearch:
    """Finds, of the combinations of several variables that keep to all limits, the one with the most of a figure.

    Of equal ones, it is that with the larger value of the first variable, then of the second, and so on; of a single
    variable's values, it is the largest. For each combination of the others, the variable with the most values is
    searched as `Search` does, no further than where smaller others were already beyond the limits. Where a figure is
    seen to fall as a variable grows, all combinations are tried.
    """

    figures: Callable[[Place], Mapping[str, int] | str]
    """The figures of a combination, or why there is no network with it."""
    limits: Mapping[str, int]
    lasts: Sequence[int]
    most: str
    """The figure of which there is to be the most."""
    tried: dict[Place, Mapping[str, int] | str] = field(default_factory=dict)
    exhaustive: bool = False

    def run(self) -> Place | None:
        """The best combination; `None`, where none fits."""
        inner = max(range(len(self.lasts)), key=lambda axis: self.lasts[axis])
        outer = [range(last + 1) for last in _without(tuple(self.lasts), inner)]
        bounds: dict[Place, int] = {}  # the first number of the inner variable that is too large, by the others
        fitting = []
        for others in product(*outer):
            bound = min([bounds[lower] for lower in _lower_neighbours(others)], default=self.lasts[inner] + 1)
            if bound > 0:
                search = self._search(others, inner, bound - 1)
                found = search.run()
                if found is not None:
                    fitting.append(_join(others, inner, found.index))
                beyond = [i for i, one in search.tried.items() if one.figures is not None and not search.fits(i)]
                bound = min([bound, *beyond])
            bounds[others] = bound
        if not fitting:
            self._look_further()
        if not self._grows(inner):
            total = prod(last + 1 for last in self.lasts)
            if total > MOST_EXHAUSTIVE:
                raise UsageError(
                    f"the figures do not grow with the variables throughout, and {total:,} are too many to try all",
                    help=f"give a range and a step that leave at most {MOST_EXHAUSTIVE:,}: NAME=LOW..HIGH:STEP",
                )
            self.exhaustive = True
            fitting = [place for place in product(*(range(last + 1) for last in self.lasts)) if self.fits(place)]
        return max(fitting, key=self._rank, default=None)

    def _look_further(self) -> None:
        """Look at larger values of each variable, where the least are too large already: figures may fall there."""
        for axis, last in enumerate(self.lasts):
            for at in {min(1 << power, last) for power in range(last.bit_length() + 1)}:
                self.look(tuple(at if one == axis else 0 for one in range(len(self.lasts))))

    def best_first(self) -> list[Place]:
        """The combinations that fit, the best first."""
        return sorted((place for place in self.tried if self.fits(place)), key=self._rank, reverse=True)

    def look(self, place: Place) -> Mapping[str, int] | str:
        if place not in self.tried:
            self.tried[place] = self.figures(place)
        return self.tried[place]

    def fits(self, place: Place) -> bool:
        """Whether a combination has a network that keeps to the limits."""
        figures = self.look(place)
        return not isinstance(figures, str) and all(figures[name] <= most for name, most in self.limits.items())

    def _search(self, others: Place, inner: int, last: int) -> Search:
        """The search of one variable, with values of the others."""
        return Search(lambda index: self._tried(_join(others, inner, index), index), self.limits, last)

    def _tried(self, place: Place, index: int) -> Tried:
        figures = self.look(place)
        return Tried(index, None, figures) if isinstance(figures, str) else Tried(index, figures)

    def _rank(self, place: Place) -> tuple[int, Place]:
        figures = self.look(place)
        assert not isinstance(figures, str)
        return (figures[self.most] if len(place) > 1 else 0), place

    def _grows(self, inner: int) -> bool:
        """Whether, of any two combinations that were tried, the one larger in all variables has the larger figures."""
        rows: dict[Place, list[tuple[int, Mapping[str, int]]]] = {}
        for place, figures in self.tried.items():
            if not isinstance(figures, str):
                rows.setdefault(_without(place, inner), []).append((place[inner], figures))
        return all(self._figure_grows(name, rows, inner) for name in self.limits)

    def _figure_grows(self, name: str, rows: Mapping[Place, list[tuple[int, Mapping[str, int]]]], inner: int) -> bool:
        # of each row, with those below it, the values at which the largest figure so far grows
        stairs: dict[Place, list[tuple[int, int]]] = {}
        for others in product(*(range(last + 1) for last in _without(tuple(self.lasts), inner))):
            below = [(at, 0, figure) for lower in _lower_neighbours(others) for at, figure in stairs[lower]]
            own = [(at, 1, figures[name]) for at, figures in rows.get(others, ())]
            most, grown = -1, []
            for at, is_own, figure in sorted(below + own):
                if is_own and figure < most:
                    return False
                if figure > most:
                    most = figure
                    grown.append((at, figure))
            stairs[others] = grown
        return True


def _join(others: Place, axis: int, index: int) -> Place:
    return (*others[:axis], index, *others[axis:])


def _without(place: Place, axis: int) -> Place:
    return (*place[:axis], *place[axis + 1 :])


def _lower_neighbours(place: Place) -> list[Place]:
    return [(*place[:axis], at - 1, *place[axis + 1 :]) for axis, at in enumerate(place) if at]
