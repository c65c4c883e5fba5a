"""`archspec fit`: the largest values of variables with which a network keeps to a budget."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from math import prod
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import (
    diagnostics,
    echo_json,
    format_option,
    note_measured,
    plugin_option,
    result,
    set_option,
    variant_option,
)
from archspec.commands._fit_show import Progress, as_json, nothing_fits, show, values_of
from archspec.foundation.errors import SpecError, UsageError, escape_line, join_words
from archspec.foundation.spelling import did_you_mean

if TYPE_CHECKING:
    from archspec.plan.plan import Plan
    from archspec.spec import SpecFile
    from archspec.views.axes import Axis, Variation
    from archspec.views.fit import GridSearch, Place

_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(B?)", re.IGNORECASE)
_UNITS = {"": 0, "K": 3, "M": 6, "G": 9, "T": 12}
MOST_OUTER = 2_000
"""Combinations of all variables but the one with the most values, at most."""


@click.command("fit")
@click.argument("spec")
@variant_option
@set_option
@click.option(
    "--vary",
    metavar="NAME[=LOW..HIGH][:STEP],...",
    multiple=True,
    required=True,
    help="Variables: numbers, or lists of numbers, which keep their proportions and go by the smallest. "
    "[default: from one step to 64 times what the spec has, by 1, or by 0.01 where that is no whole number]",
)
@click.option("--params", metavar="COUNT", help="At most this many parameters: 5M, 500K, 1234567.")
@click.option("--macs", metavar="COUNT", help="At most this many MACs for one sample: 600M, 1.5G.")
@click.option(
    "--memory",
    metavar="BYTES[@BATCH]",
    help="At most these bytes in a step of training (fp32, SGD with momentum): 8GB@64.",
)
@click.option(
    "--most",
    type=click.Choice(["params", "macs", "memory"]),
    help="Which limited figure to maximise, if several variables vary.  [default: the first that is limited]",
)
@click.option(
    "--write", "write_name", metavar="NAME", help="Add a variant of this name with the values to SPEC's file."
)
@format_option
@plugin_option
def command(
    spec: str,
    variant: str | None,
    settings: tuple[str, ...],
    vary: tuple[str, ...],
    params: str | None,
    macs: str | None,
    memory: str | None,
    most: str | None,
    write_name: str | None,
    output_format: str,
) -> None:
    """Find the largest values of variables with which SPEC keeps to all limits, and show what was tried.

    Of several combinations, the one with the most parameters is chosen, if these are limited, else MACs, else memory.
    """
    from archspec.views.axes import parse_variations

    try:
        limits, batch = _limits(params, macs, memory)
        file, chosen = _open(spec, variant, settings)
        if write_name is not None:
            from archspec.commands._fit_write import check_target

            check_target(spec, file, write_name)
        axes = _axes(parse_variations(vary), file, chosen)
        search = _search(file, chosen, axes, limits, batch, _most(most, limits))
        best = search.run()
        Progress.clear()
        if best is None:
            raise nothing_fits(search, axes)
        plan = _plan(file, chosen, _given(axes, best))
        if write_name is not None:
            from archspec.commands._fit_write import write_variant

            write_variant(spec, file, chosen, _settings(axes, best), write_name, plan)
    except (SpecError, UsageError) as error:
        if output_format != "json":
            raise
        echo_json([], diagnostics(error))
        raise click.exceptions.Exit(error.exit_status) from None
    if output_format == "json":
        echo_json([result(plan, file.file) | as_json(search, axes, best)], [])
    else:
        show(search, axes, plan, best)
        if write_name is None:
            click.echo("use it by " + " ".join(f"--set {_quoted(one)}" for one in _settings(axes, best)))
        else:
            click.echo(f"wrote the variant {write_name} to {escape_line(file.file)}")
    note_measured()


def _given(axes: list[Axis], place: Place) -> dict[str, Any]:
    return {axis.name: axis.value(at) for axis, at in zip(axes, place, strict=True)}


def _settings(axes: list[Axis], place: Place) -> tuple[str, ...]:
    return tuple(f"{axis.name}={json.dumps(axis.value(at))}" for axis, at in zip(axes, place, strict=True))


def _quoted(setting: str) -> str:
    """A setting as a shell takes it."""
    return f"'{setting}'" if " " in setting else setting


def _most(most: str | None, limits: dict[str, int]) -> str:
    if most is not None and most not in limits:
        raise UsageError(f"--most {most} needs a limit of it", help=f"give --{most}, or --most {next(iter(limits))}")
    return most or next(iter(limits))


def _limits(params: str | None, macs: str | None, memory: str | None) -> tuple[dict[str, int], int]:
    """The limits by the names of figures, and the batch that memory is counted for."""
    size, at, batch = (memory or "").partition("@")
    if at and not re.fullmatch(r"[1-9]\d{0,8}", batch):
        raise UsageError(f"`{escape_line(batch)}` is no size of a batch", help="write `--memory 8GB@64`")
    given = {"params": (params, False), "macs": (macs, False), "memory": (size or None, True)}
    limits = {name: _count(text, name, is_bytes) for name, (text, is_bytes) in given.items() if text is not None}
    if not limits:
        raise UsageError("there is no limit to keep to", help="give --params 5M, --macs 600M or --memory 8GB@64")
    return limits, int(batch or 1)


def _count(text: str, name: str, is_bytes: bool) -> int:
    match = _COUNT.fullmatch(text.strip())
    if match is None or (match[3] and not is_bytes):
        example = "8GB" if is_bytes else "5M"
        raise UsageError(
            f"`{escape_line(text)}` is no limit of {name}", help=f"write `--{name} {example}`, or a number"
        )
    return int(Decimal(match[1]).scaleb(_UNITS[match[2].upper()]))


def _open(spec: str, variant: str | None, settings: tuple[str, ...]) -> tuple[SpecFile, str | None]:
    from archspec.spec import open_file

    file, implied = open_file(spec)
    if implied and variant is not None and variant != implied:
        raise UsageError(f"`{spec}` is a variant itself; it has no variant `{variant}`")
    return file.with_settings(set=settings), implied if variant is None else variant


def _plan(file: SpecFile, variant: str | None, given: dict[str, Any] | None = None) -> Plan:
    """Raises `SpecError` where there is no such network."""
    return file.with_settings(given).spec(variant).plan


def _axes(variations: list[Variation], file: SpecFile, variant: str | None) -> list[Axis]:
    """The variables with their values. Raises `UsageError` where one has none that are numbers, or too many."""
    from archspec.views.axes import Axis

    known = json.loads(json.dumps(dict(_plan(file, variant).vars)))
    for variation in variations:
        if variation.name not in known:
            hint = (
                did_you_mean(variation.name, known) or f"its variables are {join_words(list(known))}" if known else None
            )
            message = f"the spec has no variable `{escape_line(variation.name)}`"
            raise UsageError(message, help=hint or "give it one under `vars`")
    axes = [Axis(variation, known[variation.name]) for variation in variations]
    outer = prod(axis.last + 1 for axis in axes) // max(axis.last + 1 for axis in axes)
    if outer > MOST_OUTER:
        message = f"these are too many combinations: {outer:,} besides the values of the variable that has the most"
        raise UsageError(message, help=f"leave at most {MOST_OUTER:,} by ranges and steps: NAME=LOW..HIGH:STEP")
    return axes


def _search(
    file: SpecFile, variant: str | None, axes: list[Axis], limits: dict[str, int], batch: int, most: str
) -> GridSearch:
    from archspec.views.fit import GridSearch
    from archspec.views.memory import training_memory

    progress = Progress()

    def figures(place: Place) -> dict[str, int] | str:
        progress.step(values_of(axes, place))
        try:
            plan = _plan(file, variant, _given(axes, place))
        except SpecError as error:
            return error.diagnostics[0].message
        found = {"params": plan.params, "macs": plan.macs}
        if "memory" in limits:
            found["memory"] = training_memory(plan, batch, "sgd", {"momentum": 0.9}).peak
        return found

    return GridSearch(figures, limits, [axis.last for axis in axes], most)
