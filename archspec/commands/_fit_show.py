"""What `archspec fit` prints: progress, what was tried, and why nothing fits."""

from __future__ import annotations

import json
import sys
import time
from math import prod
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import aligned, lines
from archspec.foundation.errors import UsageError, escape_line, join_words

if TYPE_CHECKING:
    from archspec.plan.plan import Plan
    from archspec.views.axes import Axis
    from archspec.views.fit import GridSearch, Place

MOST_ROWS = 20
"""Combinations that are shown, at most."""


class Progress:
    """What is tried, on one line of a terminal, from the second second on."""

    def __init__(self) -> None:
        self.began = self.shown = time.monotonic()
        self.count = 0

    def step(self, values: str) -> None:
        self.count += 1
        now = time.monotonic()
        if now - self.began > 1 and now - self.shown > 0.2 and sys.stderr.isatty():
            self.shown = now
            click.echo(f"\r\x1b[Ktried {self.count:,}: {values[:60]}", err=True, nl=False)

    @staticmethod
    def clear() -> None:
        if sys.stderr.isatty():
            click.echo("\r\x1b[K", err=True, nl=False)


def values_of(axes: list[Axis], place: Place) -> str:
    return " ".join(f"{axis.name}={json.dumps(axis.value(at))}" for axis, at in zip(axes, place, strict=True))


def nothing_fits(search: GridSearch, axes: list[Axis]) -> UsageError:
    names = "no value of " + join_words([axis.name for axis in axes])
    shown = [f"{axis.value(at)}" for axis, at in zip(axes, min(search.tried), strict=True)]
    sound = [(place, figures) for place, figures in sorted(search.tried.items()) if not isinstance(figures, str)]
    if not sound:
        return UsageError(f"{names} gives a network: with {' and '.join(shown)}, {search.tried[min(search.tried)]}")
    place, figures = sound[0]
    values = " and ".join(f"{axis.value(at)}" for axis, at in zip(axes, place, strict=True))
    has = ", ".join(show_figure(name, figures[name]) for name in search.limits)
    return UsageError(f"{names} keeps to the limits: with {values} there are already {has}")


def show_figure(name: str, value: int) -> str:
    from archspec.foundation.figures import show_bytes, show_macs

    return {"params": f"{value:,} parameters", "macs": show_macs(value), "memory": show_bytes(value)}[name]


def as_json(search: GridSearch, axes: list[Axis], best: Place) -> dict[str, Any]:
    """What a search found, for programs."""

    def row(place: Place, figures: Any) -> dict[str, Any]:
        return {"values": values(place), **({"error": figures} if isinstance(figures, str) else figures)}

    def values(place: Place) -> dict[str, Any]:
        return {axis.name: axis.value(at) for axis, at in zip(axes, place, strict=True)}

    return {
        "values": values(best),
        "limits": dict(search.limits),
        "most": search.most,
        "exhaustive": search.exhaustive,
        "figures": search.tried[best],
        "tried": [row(place, figures) for place, figures in sorted(search.tried.items())],
    }


def show(search: GridSearch, axes: list[Axis], plan: Plan, best: Place) -> None:
    """The values with their network, and what was tried."""
    click.echo(lines([plan])[0])
    places = sorted(search.tried)
    names = join_words([axis.name for axis in axes])
    if search.exhaustive:
        click.echo(f"  the figures do not grow with {names} throughout: all {len(places):,} values were tried")
        places = [best]
    elif len(axes) > 1:
        total = prod(axis.last + 1 for axis in axes)
        places = search.best_first()
        rest = f", and the best {MOST_ROWS} are shown" if len(places) > MOST_ROWS else ""
        click.echo(f"  of {total:,} combinations, {len(search.tried):,} were tried{rest}")
        places = places[:MOST_ROWS]
    rows, failed = [], []
    for place in places:
        found = search.tried[place]
        if isinstance(found, str):
            failed.append(f"with {values_of(axes, place)}, {found}")
            continue
        mark = "fits" if search.fits(place) else "too large"
        mark = ("← largest that fits" if len(axes) == 1 else f"← most {search.most}") if place == best else mark
        rows.append([values_of(axes, place), *(show_figure(name, value) for name, value in found.items()), mark])
    for line in aligned(rows, "<" + ">" * (len(rows[0]) - 2) + "<"):
        click.echo(f"  {line}")
    if failed:
        count = "1 of the values tried gives" if len(failed) == 1 else f"{len(failed):,} of the values tried give"
        click.echo(escape_line(f"  {count} no network: {failed[0]}"))
    for axis, at in zip(axes, best, strict=True):
        if at == axis.last:
            value = json.dumps(axis.value(at))
            click.echo(f"note: {value} is the largest value of {axis.name} that was tried; a range allows more")
