"""Results side by side: for the terminal, and as files for papers and programs."""

from __future__ import annotations

import csv
import io
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from archspec.foundation.figures import show_macs_in_column
from trainer.runs.folders import Result


@dataclass(frozen=True)
class Column:
    """A column of the comparison: how it is headed, what it shows, and how."""

    heading: str
    values: Callable[[Result], float | None]
    show: Callable[[float], str]
    spread: bool = False
    """Whether it differs from seed to seed, so that repeated runs show their mean and standard deviation."""


COLUMNS = (
    Column("val accuracy", lambda r: r.val_accuracy, lambda v: f"{100 * v:.2f}", spread=True),
    Column("test accuracy", lambda r: r.test_accuracy, lambda v: f"{100 * v:.2f}", spread=True),
    Column("parameters", lambda r: r.params, lambda v: f"{v:,.0f}"),
    Column("MACs", lambda r: r.macs, lambda v: show_macs_in_column(round(v))),
    Column("epochs", lambda r: r.epochs, lambda v: f"{v:g}"),
    Column("images/s", lambda r: r.images_per_second, lambda v: f"{v:,.0f}"),
    Column("time", lambda r: r.seconds, lambda v: f"{v:.0f} s" if v < 600 else f"{v / 60:.0f} min"),
)
PERCENT = {"val accuracy", "test accuracy"}


def compared(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """The comparison's headings and rows as text. Runs of one spec with several seeds share a row."""
    groups: dict[tuple[str, str, int], list[Result]] = {}
    for result in results:
        groups.setdefault((result.name, result.data, result.params), []).append(result)
    several, repeated = len({result.data for result in results}) > 1, any(len(g) > 1 for g in groups.values())
    headings = ["spec", *(["data"] if several else []), *(["runs"] if repeated else [])]
    rows = []
    for (name, data, _), group in groups.items():
        row = [name, *([data] if several else []), *([str(len(group))] if repeated else [])]
        rows.append([*row, *(_cell(column, group) for column in COLUMNS)])
    return [*headings, *(column.heading for column in COLUMNS)], rows


def _cell(column: Column, group: Sequence[Result]) -> str:
    values = [value for result in group if (value := column.values(result)) is not None]
    if not values:
        return "-"
    shown = column.show(statistics.fmean(values))
    if column.spread and len(values) > 1:
        shown += f" ± {column.show(statistics.stdev(values))}"
    return shown + "%" * (column.heading in PERCENT)


def print_table(results: Sequence[Result], console: Console) -> None:
    """The comparison of runs; below it, where each run is kept."""
    console.print(_table(results))
    for result in results:
        console.print(f"{result.name}: {result.folder}", soft_wrap=True, highlight=False)


def write_tables(results: Sequence[Result], out: Path) -> list[Path]:
    """Write the comparison into a folder, as text, CSV (a row for each run) and Markdown, over no older one."""
    headings, rows = compared(results)
    text = io.StringIO()
    Console(file=text, width=200, legacy_windows=False).print(_table(results))
    names = ["name", "spec", "variant", "data", "seed", "epochs", "best_epoch", "params", "macs", "val_accuracy"]
    names += ["test_accuracy", "test_loss", "seconds", "images_per_second", "folder"]
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(result, name) for name in names] for result in results)
    contents = {".txt": text.getvalue(), ".csv": lines.getvalue(), ".md": _markdown(headings, rows)}
    number = 1
    while True:
        stem = "comparison" if number == 1 else f"comparison-{number}"
        try:  # the first of the files decides whose the name is
            os.close(os.open(out / f"{stem}.txt", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            break
        except FileExistsError:
            number += 1
    files = []
    for suffix, content in contents.items():
        files.append(out / f"{stem}{suffix}")
        files[-1].write_text(content, encoding="utf-8")
    return files


def _table(results: Sequence[Result]) -> Table:
    headings, rows = compared(results)
    table = Table(title=f"trained on {', '.join(sorted({result.data for result in results}))}")
    for heading in headings:
        text = heading in ("spec", "data")
        table.add_column(heading, overflow="fold", justify="left" if text else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    sides = [":--" if heading in ("spec", "data") else "--:" for heading in headings]
    lines = [headings, sides, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
