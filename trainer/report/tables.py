"""Results side by side: for the terminal, and as files for papers and programs."""

from __future__ import annotations

import csv
import io
import json
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from archspec.foundation.errors import escape_line
from archspec.foundation.figures import show_macs_in_column
from trainer import tasks
from trainer.runs.differences import differences, settings
from trainer.runs.folders import Result
from trainer.tasks import MetricSpec


@dataclass(frozen=True)
class Column:
    """A column of the comparison: how it is headed, what it shows, and how."""

    heading: str
    values: Callable[[Result], float | None]
    show: Callable[[float], str]
    unit: str = ""
    spread: bool = False
    """Whether it differs from seed to seed, so that repeated runs show their mean and standard deviation."""


COLUMNS = (
    Column("parameters", lambda r: r.params, lambda v: f"{v:,.0f}"),
    Column("MACs", lambda r: r.macs, lambda v: show_macs_in_column(round(v))),
    Column("epochs", lambda r: r.epochs, lambda v: f"{v:g}"),
    Column("images/s", lambda r: r.images_per_second, lambda v: f"{v:,.0f}"),
    Column("time", lambda r: r.seconds, lambda v: f"{v:.0f} s" if v < 600 else f"{v / 60:.0f} min"),
)


DIFFERENCES = "settings"
"""The heading of what tells trainings of one name apart."""
TEXTS = ("spec", "data", DIFFERENCES)
"""The headings of columns that are aligned to the left."""
LEAST = ("images/s", "samples/s", "time", "MACs", "epochs", "parameters")
"""What is left out of a table that is too wide, in this order."""


def metric_columns(results: Iterable[Result]) -> list[Column]:
    """The columns of what the tasks of some runs measure, of each task in its order."""
    columns: dict[str, Column] = {}
    for name in dict.fromkeys(result.task for result in results):
        metrics = [one for one in tasks.load(name).metrics if one.listed]
        shown = [(f"val {metrics[0].heading}", metrics[0].log_name, metrics[0])]
        for heading, key, metric in [*shown, *((f"test {one.heading}", one.test_name, one) for one in metrics)]:
            columns.setdefault(heading, _metric_column(heading, key, metric))
    return list(columns.values())


def _metric_column(heading: str, key: str, metric: MetricSpec) -> Column:
    show, unit = metric.show, ""
    if metric.format_spec.endswith("%"):  # a mean and its deviation have one sign between them
        show, unit = lambda value: metric.show(value).removesuffix("%"), "%"
    return Column(heading, lambda result: result.metrics.get(key), show, unit, spread=True)


def compared(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """The comparison's headings and rows as text.

    Trainings that differ by the seed alone share a row. Of others with one name, what differs is shown.
    """
    groups: dict[tuple[str, str, str], list[Result]] = {}
    trained: dict[tuple[str, str, str], dict[str, str]] = {}
    for result in results:
        found = settings(Path(result.folder))
        key = result.name, result.data, json.dumps(found, sort_keys=True) if found else str(result.params)
        groups.setdefault(key, []).append(result)
        trained[key] = found
    apart = _apart(trained)
    several, repeated = len({result.data for result in results}) > 1, any(len(g) > 1 for g in groups.values())
    headings = ["spec", *([DIFFERENCES] if apart else []), *(["data"] if several else [])]
    headings += ["runs"] if repeated else []
    columns = (
        [*metric_columns(results), *map(_without_images, COLUMNS)]
        if _have_no_images(trained.values())
        else [*metric_columns(results), *COLUMNS]
    )
    rows = []
    for key, group in groups.items():
        name, data = map(escape_line, key[:2])
        row = [name, *([apart.get(key, "")] if apart else []), *([data] if several else [])]
        row += [str(len(group))] if repeated else []
        rows.append([*row, *(_cell(column, group) for column in columns)])
    return [*headings, *(column.heading for column in columns)], rows


def _have_no_images(trained: Iterable[Mapping[str, str]]) -> bool:
    """Whether the input of every network is known to be no image."""
    inputs = [json.loads(one.get("input", "null")) for one in trained]
    return all(isinstance(one, list) and len(one) != 3 for one in inputs)


def _without_images(column: Column) -> Column:
    return replace(column, heading=column.heading.replace("images", "samples"))


def _apart(trained: Mapping[tuple[str, str, str], dict[str, str]]) -> dict[tuple[str, str, str], str]:
    """What differs between trainings of one name and data set, where there are several of these."""
    alike: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for key in trained:
        alike.setdefault(key[:2], []).append(key)
    return {
        key: text
        for keys in alike.values()
        if len(keys) > 1
        for key, text in zip(keys, differences([trained[one] for one in keys]), strict=True)
    }


def _cell(column: Column, group: Sequence[Result]) -> str:
    values = [value for result in group if (value := column.values(result)) is not None]
    if not values:
        return "-"
    shown = column.show(statistics.fmean(values))
    if column.spread and len(values) > 1:
        shown += f" ± {column.show(statistics.stdev(values))}"
    return shown + column.unit


def print_table(results: Sequence[Result], console: Console) -> None:
    """The comparison of runs; below it, where each run is kept.

    Where the table is too wide, a single run is a list, and of several the columns are shown that fit.
    """
    headings, rows = compared(results)
    shown = _fitting(headings, rows, console.width)
    if len(shown) == len(headings) or len(rows) > 1:
        table = _table(results, [headings[i] for i in shown], [[row[i] for i in shown] for row in rows])
        console.print(table)
        if left := [one for i, one in enumerate(headings) if i not in shown]:
            console.print(f"left out, since the terminal is narrow: {', '.join(left)}", soft_wrap=True, highlight=False)
    else:
        width = max(map(len, headings))
        for heading, cell in zip(headings, rows[0], strict=True):
            console.print(f"{heading:<{width}}  {cell}", soft_wrap=True, highlight=False, markup=False)
    for result in results:
        console.print(escape_line(f"{result.name}: {result.folder}"), soft_wrap=True, highlight=False, markup=False)


def _fitting(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns that fit into so many characters, without as many of `LEAST` as needed. Headings break at spaces."""
    words = [max(map(len, heading.split())) for heading in headings]
    widths = [max(word, *(len(row[i]) for row in rows)) + 3 for i, word in enumerate(words)]
    shown = list(range(len(headings)))
    for heading in LEAST:
        if sum(widths[i] for i in shown) + 1 <= width:
            break
        shown = [i for i in shown if headings[i] != heading]
    return shown


def write_tables(results: Sequence[Result], out: Path) -> list[Path]:
    """Write the comparison into a folder, as text, CSV (a row for each run) and Markdown, over no older one."""
    headings, rows = compared(results)
    text = io.StringIO()
    Console(file=text, width=max(200, *map(_width, [headings, *rows])), legacy_windows=False).print(
        _table(results, headings, rows)
    )
    names = ["name", "spec", "variant", "data", "seed", "epochs", "best_epoch", "params", "macs"]
    metrics = list(dict.fromkeys(name for result in results for name in result.metrics))
    more = ["seconds", "images_per_second", "folder"]
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow([*names, *metrics, *more])
    for result in results:
        figures = [result.metrics.get(name) for name in metrics]
        writer.writerow([*(getattr(result, one) for one in names), *figures, *(getattr(result, one) for one in more)])
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


def _width(cells: Sequence[str]) -> int:
    return sum(len(cell) + 3 for cell in cells) + 1


def _table(results: Sequence[Result], headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    data = ", ".join(sorted({escape_line(result.data) for result in results}))
    table = Table(title=escape(f"trained on {data}"))
    for number, heading in enumerate(headings):
        word = max(map(len, [*heading.split(), *(row[number] for row in rows)]))
        table.add_column(heading, min_width=word, overflow="fold", justify="left" if heading in TEXTS else "right")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    sides = [":--" if heading in TEXTS else "--:" for heading in headings]
    lines = [headings, sides, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
