"""`archspec runs`: list runs and their results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import format_option
from archspec.foundation.errors import UsageError, escape, escape_line, join_words
from archspec.foundation.figures import show_macs_in_column
from archspec.foundation.spelling import did_you_mean

if TYPE_CHECKING:
    from trainer.runs.folders import Run

TEXTS = ("run", "status", "name", "task", "data")
FIGURES = ("params", "macs", "epochs", "images_per_second", "seconds")
"""What is known of each run, beside what its task measures."""
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
    """List the runs below --out: status, data, what was measured, size and time.

    Of a run that is not finished, the epochs so far and the best validation are shown; of several runs of one spec, the
    settings in which they differ.
    """
    from trainer.runs.folders import list_runs

    notes: list[str] = []
    runs = list_runs(out, notes.append)
    metrics = metrics_of(runs)
    fields = [*TEXTS, "settings", "seed", *metrics, *FIGURES, "started"]
    descending, field = sort.startswith("-"), sort.removeprefix("-")
    _known(field, fields)
    tests = [_condition(one, fields) for one in conditions]
    apart = _settings(runs)
    rows = [_row(run, fields) | {"settings": apart.get(run.folder)} for run in runs]
    rows = [row for row in rows if all(test(row) for test in tests)]
    having = sorted((row for row in rows if row[field] is not None), key=lambda row: row[field], reverse=descending)
    rows = having + [row for row in rows if row[field] is None]  # rows without a value come last either way
    if output_format == "json":
        click.echo(json.dumps({"results": rows, "errors": []}, indent=2))
    elif rows:
        click.echo("\n".join(_lines(rows, metrics)))
    else:
        click.echo(f"no runs{' of which that holds' * bool(tests)} in {out}")
    for note in notes:
        click.echo(escape(f"note: {note}"), err=True)


def metrics_of(runs: Sequence[Run]) -> dict[str, tuple[str, Callable[[Any], str]]]:
    """What the tasks of some runs measure, by the names in `results.json`: how it is headed and shown."""
    from trainer import tasks

    found: dict[str, tuple[str, Callable[[Any], str]]] = {}
    unlisted = {"test_loss"}
    for name in dict.fromkeys(run.task_name for run in runs) or (tasks.DEFAULT,):
        try:
            metrics = tasks.load(name).metrics
        except UsageError:  # a package's, which is not installed here
            continue
        found[metrics[0].log_name] = f"val {metrics[0].heading}", metrics[0].show
        found |= {one.test_name: (f"test {one.heading}", one.show) for one in metrics if one.listed}
        unlisted |= {one.test_name for one in metrics if not one.listed}
    for run in runs:
        for name in run.metrics:
            if name not in found and name not in unlisted:
                found[name] = name.replace("_", " "), lambda value: f"{value:.4g}"
    return found


def _row(run: Run, fields: Sequence[str]) -> dict[str, Any]:
    made = run.environment
    row = {
        "run": run.folder.name,
        "status": run.status,
        "task": run.task_name,
        **{name: made.get(name) for name in ("name", "data", "seed", "started")},
    }
    measured = _so_far(run) if run.raw_results is None else run.raw_results
    return {name: row[name] if name in row else measured.get(name) for name in fields}


def _so_far(run: Run) -> dict[str, Any]:
    """Of a run that is not finished, the epochs that it has trained, and the best value of its metric in validation."""
    from trainer.logs import read_log

    rows = [row for row in read_log(run.folder / "metrics.csv") if "train_loss" in row]
    found: dict[str, Any] = {"epochs": int(max((row["epoch"] for row in rows), default=-1)) + 1}
    try:
        metric = run.task.metric
    except UsageError:  # a package's, which is not installed here
        return found
    values = [row[metric.log_name] for row in rows if metric.log_name in row]
    return found | ({metric.log_name: (max if metric.mode == "max" else min)(values)} if values else {})


def _settings(runs: Sequence[Run]) -> dict[Path, str]:
    """What tells the runs of one spec apart."""
    from trainer.runs.differences import differences, settings

    alike: dict[tuple[Any, Any], list[Run]] = {}
    for run in runs:
        alike.setdefault((run.environment.get("spec"), run.environment.get("variant")), []).append(run)
    return {
        run.folder: text
        for group in alike.values()
        if len(group) > 1
        for run, text in zip(group, differences([settings(run.folder) for run in group]), strict=True)
        if text
    }


def _known(field: str, fields: Sequence[str]) -> None:
    if field not in fields:
        hint = did_you_mean(field, fields) or f"the fields are {join_words(fields)}"
        raise UsageError(f"runs have no field `{field}`", help=hint)


def _condition(text: str, fields: Sequence[str]) -> Callable[[dict[str, Any]], bool]:
    match = _WHERE.fullmatch(text)
    if match is None:
        raise UsageError(f"`{text}` is no condition", help="write it as `test_accuracy>0.9` or `data=cifar10`")
    field, sign, written = match.groups()
    _known(field, fields)
    numeric = field not in (*TEXTS, "settings", "started")
    try:
        value: Any = float(written) if numeric else written
    except ValueError:
        raise UsageError(f"`{field}` is a number, and `{written}` is none", help=f"`{field}>0.5` for example") from None
    return lambda row: row[field] is not None and _COMPARED[sign](row[field], value)


_FIRST: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("run", "run", str),
    ("status", "status", str),
    ("data", "data", str),
    ("seed", "seed", str),
)
_LAST: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("params", "parameters", lambda v: f"{v:,}"),
    ("macs", "MACs", show_macs_in_column),
    ("epochs", "epochs", str),
    ("images_per_second", "images/s", lambda v: f"{v:,.0f}"),
    ("seconds", "time", lambda v: f"{v:.0f} s" if v < 600 else f"{v / 60:.0f} min"),
)


def _lines(rows: list[dict[str, Any]], metrics: dict[str, tuple[str, Callable[[Any], str]]]) -> list[str]:
    """The runs as aligned lines below their headings."""
    apart = [("settings", "settings", escape_line)] if any(row["settings"] for row in rows) else []
    columns = [*_FIRST, *apart, *((name, *shown) for name, shown in metrics.items()), *_LAST]
    table = [[heading for _, heading, _ in columns]]
    table += [["-" if row[field] is None else show(row[field]) for field, _, show in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    # names are aligned to the left, figures to the right
    sides = [str.ljust if field in (*TEXTS, "settings") else str.rjust for field, _, _ in columns]
    return [
        "  ".join(side(cell, w) for side, cell, w in zip(sides, line, widths, strict=True)).rstrip() for line in table
    ]
