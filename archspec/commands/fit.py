"""`archspec fit`: the largest value of a variable with which a network keeps to a budget."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import (
    aligned,
    diagnostics,
    echo_json,
    format_option,
    lines,
    note_measured,
    plugin_option,
    result,
    set_option,
    variant_option,
)
from archspec.foundation.errors import SpecError, UsageError, did_you_mean, escape_line, join_words

if TYPE_CHECKING:
    from archspec.plan.plan import Plan
    from archspec.spec import SpecFile
    from archspec.views.fit import Search, Tried

_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(B?)", re.IGNORECASE)
_UNITS = {"": 0, "K": 3, "M": 6, "G": 9, "T": 12}
MOST = 100_000
"""Values, at most."""


@click.command("fit")
@click.argument("spec")
@variant_option
@set_option
@click.option("--vary", metavar="NAME", required=True, help="The variable, a number.")
@click.option("--from", "low", metavar="VALUE", help="Its least value.  [default: the step]")
@click.option("--to", "high", metavar="VALUE", help="Its largest.  [default: 64 times its value in the spec]")
@click.option("--step", metavar="VALUE", help="From one value to the next.  [default: 1, or 0.01 of no whole number]")
@click.option("--params", metavar="COUNT", help="At most this many parameters: 5M, 500K, 1234567.")
@click.option("--macs", metavar="COUNT", help="At most this many MACs for one sample: 600M, 1.5G.")
@click.option(
    "--memory",
    metavar="BYTES[@BATCH]",
    help="At most these bytes in a step of training (fp32, SGD with momentum): 8GB@64.",
)
@format_option
@plugin_option
def command(
    spec: str,
    variant: str | None,
    settings: tuple[str, ...],
    vary: str,
    low: str | None,
    high: str | None,
    step: str | None,
    params: str | None,
    macs: str | None,
    memory: str | None,
    output_format: str,
) -> None:
    """Find the largest value of a variable of SPEC with which it keeps to all limits, and show what was tried."""
    try:
        limits, batch = _limits(params, macs, memory)
        file, chosen = _open(spec, variant, settings)
        values = _Values(vary, _variable(file, chosen, vary), low, high, step)
        search = _search(file, chosen, values, limits, batch)
        best = search.run()
        if best is None:
            raise _nothing(search, values)
    except (SpecError, UsageError) as error:
        if output_format != "json":
            raise
        echo_json([], diagnostics(error))
        raise click.exceptions.Exit(error.exit_status) from None
    plan = _plan(file, chosen, values.given(best.index))
    if output_format == "json":
        found = {"vary": vary, "value": values.number(best.index), "limits": limits, "exhaustive": search.exhaustive}
        tried = [_row(one, values) for _, one in sorted(search.tried.items())]
        echo_json([result(plan, file.file) | found | {"figures": dict(best.figures or {}), "tried": tried}], [])
    else:
        _show(search, values, plan, best)
    note_measured()


class _Values:
    """The values of a variable that are tried: `low`, `low + step`, … up to `high`, exactly."""

    def __init__(self, name: str, now: int | float, low: str | None, high: str | None, step: str | None) -> None:
        self.name = name
        self.step = _number(step, "--step") if step else Decimal(1) if isinstance(now, int) else Decimal("0.01")
        if self.step <= 0:
            raise UsageError("--step is more than 0")
        self.low = _number(low, "--from") if low else self.step
        self.high = _number(high, "--to") if high else max(64 * Decimal(str(now)), self.low)
        if self.high < self.low:
            raise UsageError(f"--to ({self.high}) is less than --from ({self.low})")
        self.last = int((self.high - self.low) / self.step)
        if self.last >= MOST:
            raise UsageError(f"these are {self.last + 1:,} values, and {MOST:,} are tried at most", help="give --step")

    def number(self, index: int) -> int | float:
        value = self.low + index * self.step
        return int(value) if value == int(value) else float(value)

    def given(self, index: int) -> dict[str, int | float]:
        return {self.name: self.number(index)}

    def setting(self, index: int) -> str:
        return f"{self.name}={json.dumps(self.number(index))}"


def _number(text: str, option: str) -> Decimal:
    if not re.fullmatch(r"-?\d{1,15}(\.\d{1,9})?", text):
        raise UsageError(f"{option} is a number, and `{escape_line(text)}` is none")
    return Decimal(text)


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


def _plan(file: SpecFile, variant: str | None, given: dict[str, int | float] | None = None) -> Plan:
    """Raises `SpecError` where there is no such network."""
    return file.with_settings(given).spec(variant).plan


def _variable(file: SpecFile, variant: str | None, name: str) -> int | float:
    """The value of a variable in the spec, a number."""
    known = dict(_plan(file, variant).vars)
    if name not in known:
        hint = did_you_mean(name, known) or f"its variables are {join_words(list(known))}" if known else None
        raise UsageError(f"the spec has no variable `{escape_line(name)}`", help=hint or "give it one under `vars`")
    value = known[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"`{name}` is no number", help="give the spec a variable that its lists are computed from")
    return value


def _search(file: SpecFile, variant: str | None, values: _Values, limits: dict[str, int], batch: int) -> Search:
    from archspec.views.fit import Search, Tried
    from archspec.views.memory import training_memory

    def figures(index: int) -> Tried:
        try:
            plan = _plan(file, variant, values.given(index))
        except SpecError as error:
            return Tried(index, None, error.diagnostics[0].message)
        found = {"params": plan.params, "macs": plan.macs}
        if "memory" in limits:
            found["memory"] = training_memory(plan, batch, "sgd", {"momentum": 0.9}).peak
        return Tried(index, found)

    return Search(figures, limits, values.last)


def _nothing(search: Search, values: _Values) -> UsageError:
    sound = [one for _, one in sorted(search.tried.items()) if one.figures is not None]
    if not sound:
        first = search.tried[min(search.tried)]
        value = values.number(first.index)
        return UsageError(f"no value of `{values.name}` gives a network: with {value}, {first.reason}")
    least = sound[0]
    has = ", ".join(_figure(name, (least.figures or {})[name]) for name in search.limits)
    return UsageError(
        f"no value of `{values.name}` keeps to the limits: with {values.number(least.index)} there are already {has}"
    )


def _figure(name: str, value: int) -> str:
    from archspec.foundation.figures import show_bytes, show_macs

    return {"params": f"{value:,} parameters", "macs": show_macs(value), "memory": show_bytes(value)}[name]


def _row(one: Tried, values: _Values) -> dict[str, Any]:
    return {"value": values.number(one.index), **(one.figures or {"error": one.reason})}


def _show(search: Search, values: _Values, plan: Plan, best: Tried) -> None:
    """The value with its network, what was tried, and the setting that gives it."""
    click.echo(lines([plan])[0])
    rows = []
    for _, one in sorted(search.tried.items()):
        mark = "fits" if search.fits(one.index) else "too large" if one.figures else f"no network: {one.reason}"
        mark = "← largest that fits" if one.index == best.index else mark
        figures = [_figure(name, value) for name, value in one.figures.items()] if one.figures else []
        figures += [""] * (2 + ("memory" in search.limits) - len(figures))
        rows.append([f"{values.name}={values.number(one.index)}", *figures, escape_line(mark)])
    if search.exhaustive:
        click.echo(f"  the figures do not grow with `{values.name}` throughout: all {len(rows)} values were tried")
        rows = [row for row in rows if "←" in row[-1]]
    for line in aligned(rows, "<" + ">" * (len(rows[0]) - 2) + "<"):
        click.echo(f"  {line}")
    if best.index == values.last:
        click.echo(f"note: {values.number(best.index)} is the largest value that was asked for; --to allows more")
    click.echo(f"use it by --set {values.setting(best.index)}")
