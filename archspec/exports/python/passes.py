"""Templates of the passes of loops: values that change evenly from pass to pass, made alike in all trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from archspec.exports.python import series
from archspec.exports.python.template import ANY, Mismatch, Row, Template, walk


def align(template: Template, counts: Row) -> None:
    """Make single values series where those of other trees are. Raises `Mismatch`."""
    template.slots = [(name, _aligned(row, counts)) for name, row in template.slots]
    for _, child in template.children:
        align(child, counts)


def _aligned(row: Row, counts: Row) -> Row:
    sizes = {len(one) for one in row if isinstance(one, tuple)}
    if len(sizes) == 1 and all(isinstance(one, tuple) or one is ANY for one in row):
        columns = [_aligned(tuple(ANY if one is ANY else one[i] for one in row), counts) for i in range(sizes.pop())]
        return tuple(ANY if one is ANY else tuple(parts) for one, *parts in zip(row, *columns, strict=True))
    kinds = {type(one) for one in row if isinstance(one, (series.Linear, series.Share, series.Cycle))}
    if not kinds:
        return row
    if len(kinds) > 1:
        raise Mismatch
    model = next(one for one in row if type(one) in kinds)
    if isinstance(model, series.Share):
        return _shares(row, counts)
    if isinstance(model, series.Linear) and not any(isinstance(one, series.Linear) and one.is_sure for one in row):
        raise Mismatch
    aligned = []
    for one, count in zip(row, counts, strict=True):
        if type(one) in kinds or one is ANY:
            aligned.append(one)
        elif isinstance(model, series.Linear) and isinstance(one, int):
            aligned.append(series.Linear(one, model.step if count == 1 else 0))
        elif isinstance(model, series.Cycle) and count == 1 and one == 0:
            aligned.append(model)
        else:
            raise Mismatch
    return tuple(aligned)


def _shares(row: Row, counts: Row) -> Row:
    """All as shares of one whole."""
    for model in sorted((one for one in row if isinstance(one, series.Share)), key=lambda one: -len(one.values)):
        placed = []
        for one, count in zip(row, counts, strict=True):
            values = one.values if isinstance(one, series.Share) else (one,) * (1 if count is ANY else count)
            placed.append(ANY if one is ANY else series.place(model, values))
        if None not in placed:
            return tuple(placed)
    raise Mismatch


def continue_shares(first: Template, rest: Template) -> None:
    """Where values of the later passes are shares of a whole, write those of the first pass as such too.

    The later passes count from 1 if all that changes in them are shares. Raises `Mismatch` where a value is none.
    """
    shares = {}
    for one, later in _pairs(first, rest.children[0][1]):
        for (slot, row), (_, values) in zip(one.slots, later.slots, strict=True):
            model = next((value for value in values if isinstance(value, series.Share)), None)
            if model is None or any(isinstance(value, series.Share) for value in row):
                continue
            shares[id(one), slot] = tuple(ANY if value is ANY else _fraction(model, float(value)) for value in row)
    for one, _ in _pairs(first, rest.children[0][1]):
        one.slots = [(slot, shares.get((id(one), slot), row)) for slot, row in one.slots]
    if shares and _counts_from_one(rest):
        rest.name = "rest from 1"


def _fraction(model: series.Share, value: float) -> series.Fraction:
    share = series.place(model, (value,))
    if share is None:
        raise Mismatch
    return series.Fraction(share.whole, share.first, share.count)


def _pairs(first: Template, later: Template) -> Iterator[tuple[Template, Template]]:
    """The calls in both, where they are of the same parts."""
    if first.kind == later.kind == "call" and [name for name, _ in first.slots] == [name for name, _ in later.slots]:
        yield first, later
    children = dict(later.children)
    for key, child in first.children:
        if key in children:
            yield from _pairs(child, children[key])


def _counts_from_one(template: Template) -> bool:
    """Make all series of a loop's passes start one earlier, if that can be done."""
    values = [value for one in walk(template) for _, row in one.slots for value in row]
    if not all(isinstance(value, series.Share) and value.first > 0 for value in values if _changes(value)):
        return False
    for one in walk(template):
        one.slots = [
            (slot, tuple(replace(value, first=value.first - 1) if _changes(value) else value for value in row))
            for slot, row in one.slots
        ]
    return True


def _changes(value: Any) -> bool:
    """Whether a value differs from pass to pass."""
    if isinstance(value, tuple):
        return any(map(_changes, value))
    return isinstance(value, (series.Linear, series.Share, series.Cycle))
