"""Tables as people and programs read them: aligned text, a terminal's table, CSV, Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import click

from archspec.commands._common import aligned


@dataclass(frozen=True)
class Table:
    """Rows below their headings, as text; `sides` has `<` for a column of text, `>` for one of figures."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    sides: str
    spare: tuple[int, ...] = ()
    """The columns that a narrow terminal goes without, first to last."""


def echo_table(table: Table, output_format: str) -> None:
    """Print a table as `csv`, `markdown` or `table`."""
    write = {"csv": _as_csv, "markdown": _as_markdown, "table": as_text}[output_format]
    click.echo(write(table), nl=False)


def as_text(table: Table) -> str:
    """Aligned lines; on a terminal, a table as wide as it at most."""
    width = terminal_width()
    table = _fitted(table, width)
    if width is None:
        return "".join(f"{line}\n" for line in aligned([table.headings, *table.rows], table.sides))
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    widths = _widths(table)
    rest = sum(one + 1 for one in widths[1:])
    room = max(width - rest, min(widths[0], SHORTEST))  # names are cut, figures are not
    for index, (heading, side) in enumerate(zip(table.headings, table.sides, strict=True)):
        drawn.add_column(
            heading,
            justify="left" if side == "<" else "right",
            no_wrap=True,
            overflow="ellipsis",
            width=widths[index] if index else min(widths[0], room),
        )
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    out = io.StringIO()
    Console(file=out, width=max(width, room + rest), force_terminal=True, legacy_windows=False).print(drawn)
    return out.getvalue()


SHORTEST = 8
"""Columns that names have at least; on a terminal that has not even these, lines go on in the next."""
LEAST = 18
"""Columns that are left for names, at least, before others go."""


def _widths(table: Table) -> list[int]:
    return [max(map(len, column)) for column in zip(table.headings, *table.rows, strict=True)]


def _fitted(table: Table, width: int | None) -> Table:
    """A table less the columns that there is no room for."""
    shown = list(range(len(table.headings)))
    widths = _widths(table)
    for spare in table.spare:
        if width is None or min(widths[0], LEAST) + sum(widths[one] + 1 for one in shown[1:]) <= width:
            break
        shown.remove(spare)
    rows = [[row[index] for index in shown] for row in table.rows]
    return Table([table.headings[index] for index in shown], rows, "".join(table.sides[index] for index in shown))


def terminal_width() -> int | None:
    """The columns of the terminal that is written to; `None`, where it is none."""
    import shutil
    import sys

    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else None


def _as_csv(table: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([table.headings, *table.rows])
    return out.getvalue()


def _as_markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"

    rule = [":--" if side == "<" else "--:" for side in table.sides]
    return "".join(map(line, [table.headings, rule, *table.rows]))
