"""`archspec runs`: list runs and their results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import format_option
from archspec.foundation.errors import UsageError, did_you_mean, escape, join_words

if TYPE_CHECKING:
    from trainer.runs.folders import Run

FIELDS = (
    "run",
    "status",
    "name",
    "data",
    "seed",
    "val_accuracy",
    "test_accuracy",
    "params",
    "macs",
    "epochs",
    "images_per_second",
    "seconds",
    "started",
)
_WHERE = re.compile(r"\s*([a-z_]+)\s*(>=|<=|!=|=|>|<)\s*(.*?)\s*")
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
}


@click.command("runs")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs are kept."
)
@click.option(
    "--sort", metavar="FIELD", default="run", show_default=True, help="Sort by this field; -FIELD: descending."
)
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="Only runs of which this holds: FIELD=VALUE, or !=, <, <=, >, >=. May be repeated.",
)
@format_option
def command(out: Path, sort: str, conditions: tuple[str, ...], output_format: str) -> None:
    """List the runs below --out: status, data, accuracies, size and time."""
    from trainer.runs.folders import list_runs

    descending, field = sort.startswith("-"), sort.removeprefix("-")
    _known(field)
    tests = [_condition(one) for one in conditions]
    notes: list[str] = []
    rows = [_row(run) for run in list_runs(out, notes.append)]
    rows = [row for row in rows if all(test(row) for test in tests)]
    having = sorted((row for row in rows if row[field] is not None), key=lambda row: row[field], reverse=descending)
    rows = having + [row for row in rows if row[field] is None]  # rows without a value come last either way
    if output_format == "json":
        click.echo(json.dumps({"results": rows, "errors": []}, indent=2))
    elif rows:
        click.echo("\n".join(_lines(rows)))
    else:
        click.echo(f"no runs{' of which that holds' * bool(tests)} in {out}")
    for note in notes:
        click.echo(escape(f"note: {note}"), err=True)


def _row(run: Run) -> dict[str, Any]:
    made = run.environment
    row = {
        "run": run.folder.name,
        "status": run.status,
        **{name: made.get(name) for name in ("name", "data", "seed", "started")},
    }
    return {name: row[name] if name in row else (run.raw_results or {}).get(name) for name in FIELDS}


def _known(field: str) -> None:
    if field not in FIELDS:
        hint = did_you_mean(field, FIELDS) or f"the fields are {join_words(FIELDS)}"
        raise UsageError(f"runs have no field `{field}`", help=hint)


def _condition(text: str) -> Callable[[dict[str, Any]], bool]:
    match = _WHERE.fullmatch(text)
    if match is None:
        raise UsageError(f"`{text}` is no condition", help="write it as `test_accuracy>0.9` or `data=cifar10`")
    field, sign, written = match.groups()
    _known(field)
    numeric = field not in ("run", "status", "name", "data", "started")
    try:
        value: Any = float(written) if numeric else written
    except ValueError:
        raise UsageError(f"`{field}` is a number, and `{written}` is none", help=f"`{field}>0.5` for example") from None
    return lambda row: row[field] is not None and _COMPARED[sign](row[field], value)


_COLUMNS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("run", "run", str),
    ("status", "status", str),
    ("data", "data", str),
    ("seed", "seed", str),
    ("val_accuracy", "val accuracy", lambda v: f"{v:.2%}"),
    ("test_accuracy", "test accuracy", lambda v: f"{v:.2%}"),
    ("params", "parameters", lambda v: f"{v:,}"),
    ("macs", "GMACs", lambda v: f"{v / 1e9:.3f}"),
    ("epochs", "epochs", str),
    ("images_per_second", "images/s", lambda v: f"{v:,.0f}"),
    ("seconds", "time", lambda v: f"{v:.0f} s" if v < 600 else f"{v / 60:.0f} min"),
)


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    """The runs as aligned lines below their headings."""
    table = [[heading for _, heading, _ in _COLUMNS]]
    table += [["-" if row[field] is None else show(row[field]) for field, _, show in _COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    # names are aligned to the left, figures to the right
    sides = [str.ljust] * 3 + [str.rjust] * (len(_COLUMNS) - 3)
    return [
        "  ".join(side(cell, w) for side, cell, w in zip(sides, line, widths, strict=True)).rstrip() for line in table
    ]
