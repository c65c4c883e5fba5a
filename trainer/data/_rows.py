"""Tables as their files have them: CSV, or Parquet where pyarrow is installed; each cell with its place."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.spelling import did_you_mean

SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")
"""What the names of table files end in, in whatever case."""
MISSING = {"", "?", "na", "n/a", "nan", "null", "#n/a"}
"""How a value is written that is not known, in small letters."""
MOST_SHOWN = 5
"""How many cells a message shows."""
MOST = float(np.finfo(np.float32).max)
EXTRA = "pip install 'archspec-nets[tables]'"
Cells = Sequence[str] | np.ndarray[Any, Any]


@dataclass(frozen=True)
class Table:
    """The columns of a table file: texts, or numbers as float64, of which NaN is missing."""

    file: Path
    columns: Mapping[str, Cells]
    lines: Sequence[int] | None
    """The line of each row in a text file; `None` where rows are numbered from 1."""
    count: int
    cure: str = ""
    """What to do where a value is missing, if it is not what can be done of features."""

    def place(self, row: int) -> str:
        """Where a row stands, counted from 0."""
        return f"{self.file}, row {row + 1}" if self.lines is None else f"{self.file}, line {self.lines[row]}"

    def only(self, names: Sequence[str]) -> Table:
        return replace(self, columns={name: self.columns[name] for name in names})

    def cell(self, name: str, row: int) -> str:
        """What stands in a column of a row, as a text; empty where it is missing."""
        cells = self.columns[name]
        return _shown(cells[row]) if isinstance(cells, np.ndarray) else cells[row]

    def values(self, name: str) -> list[str]:
        """The cells of a column as texts. Raises `UsageError` where one is missing."""
        cells = self.columns[name]
        texts = [_shown(one) for one in cells] if isinstance(cells, np.ndarray) else list(cells)
        for row, text in enumerate(texts):
            if text.strip().lower() in MISSING:
                raise self._missing(row, name, text)
        return texts

    def is_numeric(self, name: str) -> bool:
        """Whether every cell of a column is a number or missing, and one at least is a number."""
        cells = self.columns[name]
        if isinstance(cells, np.ndarray):
            return True
        known = [cell for cell in cells if cell.lower() not in MISSING]
        return bool(known) and all(_number(cell) is not None for cell in known)

    def count_numbers(self, name: str) -> int:
        """How many cells of a column are numbers."""
        cells = self.columns[name]
        return len(cells) if isinstance(cells, np.ndarray) else sum(_number(cell) is not None for cell in cells)

    def numbers(self, name: str, cure: str) -> np.ndarray[Any, Any]:
        """The cells of a column as float64. Raises `UsageError` where one is missing or no finite number."""
        cells = self.columns[name]
        if isinstance(cells, np.ndarray):
            for row in np.flatnonzero(~(np.abs(cells) < MOST)).tolist():
                if math.isnan(cells[row]):
                    raise self._missing(row, name, "")
                raise self._no_number(row, name, str(cells[row]), cure)
            return cells
        values = np.empty(len(cells))
        for row, cell in enumerate(cells):
            value = _number(cell)
            if value is None and cell.lower() in MISSING:
                raise self._missing(row, name, cell)
            if value is None:
                raise self._no_number(row, name, cell, cure)
            values[row] = value
        return values

    def _missing(self, row: int, name: str, cell: str) -> UsageError:
        what = f"`{cell}`, which means that it is not known" if cell.strip() else "empty"
        return UsageError(
            f"{self.place(row)}: the column `{name}` is {what}, and no value is made up for it",
            help=self.cure or f"fill it in, or remove the row; a feature may be left out: `data: {{ignore: [{name}]}}`",
        )

    def _no_number(self, row: int, name: str, cell: str, cure: str) -> UsageError:
        message = f"{self.place(row)}: `{cell}` in the column `{name}` is no finite number"
        return UsageError(message, help=how_to_write(cell) or cure)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) < MOST and "_" not in cell else None


def how_to_write(cell: str) -> str | None:
    """What to do of a number as other languages write it; `None` where a cell is none."""
    if "," in cell and _number(cell.replace(",", ".", 1)) is not None:
        return "write numbers with a decimal point"
    if _number(re.sub(r"(?<=\d)[,.' ’](?=\d{3})", "", cell).replace(",", ".")) is not None:
        return "write numbers without marks between thousands, and with a decimal point"
    return None


def _shown(value: Any) -> str:
    """A number of a table as people write it: `3` for 3.0."""
    number = float(value)
    return "" if math.isnan(number) else str(int(number)) if number.is_integer() else repr(number)


def is_table(path: Path) -> bool:
    """Whether a path is that of a table, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def read(file: Path) -> Table:
    """A table, with the names and places of its cells. Raises `UsageError`."""
    try:
        found = _read_parquet(file) if file.suffix.lower() in (".parquet", ".pq") else _read_text(file)
    except OSError as error:
        what = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise UsageError(f"cannot read {file}: {what}", help="give the path of a table") from None
    if not found.count:
        raise UsageError(f"{file} has no rows", help="give each sample a row, below the names of the columns")
    return found


def choose(table: Table, names: Sequence[str], what: str) -> None:
    """Raises `UsageError` where a table lacks one of the columns that the recipe names as `what`."""
    for name in names:
        if name not in table.columns:
            raise UsageError(
                f"{table.file} has no column `{name}`, which `{what}` names",
                help=did_you_mean(name, table.columns) or f"its columns are {join_words(table.columns)}",
            )


# --- text -------------------------------------------------------------------------------------------------------------


def _read_text(file: Path) -> Table:
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            lines = list(read_lines(text, "\t" if file.suffix.lower() == ".tsv" else None))
    except (csv.Error, UnicodeDecodeError) as error:
        raise explain_bad_text(file, error) from None
    if not lines:
        raise UsageError(f"{file} is empty", help="begin it with a line of the columns' names")
    names = lines[0][1]
    if names[0].lower().startswith("sep="):
        raise UsageError(f"{file} begins with `sep=`, which Excel alone reads", help="remove that line")
    _check_header(file, names)
    mark = re.search(r"[|:]| +", names[0]) if len(names) == 1 and len(lines) > 1 else None
    if mark and lines[1][1][0].count(mark[0]) == names[0].count(mark[0]):
        raise UsageError(
            f"{file} has one column, `{names[0]}`",
            help=f"if several are meant: cells are set apart by commas, semicolons or tabs, not by `{mark[0]}`",
        )
    for line, cells in lines[1:]:
        if len(cells) != len(names):
            raise UsageError(
                f"{file}, line {line}: {len(cells)} cell{'s' * (len(cells) != 1)} for {len(names)} columns",
                help="put texts with commas between quotes",
            )
    _check_named(file, names, lines[1:])
    columns = {name: [cells[place] for _, cells in lines[1:]] for place, name in enumerate(names)}
    return Table(file, columns, [line for line, _ in lines[1:]], len(lines) - 1)


def explain_bad_text(file: Path, error: csv.Error | UnicodeDecodeError) -> UsageError:
    """Why a text file is no CSV."""
    if isinstance(error, UnicodeDecodeError):
        why = f"is not in UTF-8: it holds the byte 0x{error.object[error.start]:02x} where that has no meaning"
        return UsageError(f"{file} {why}", help="save it as CSV in UTF-8")
    return UsageError(f"{file} is no CSV file: {error}", help="save it as CSV in UTF-8")


def read_lines(text: Any, delimiter: str | None) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each line that is not empty; without a delimiter, it is what the header has."""
    if delimiter is None:
        header = text.readline()
        text.seek(0)
        delimiter = next((one for one in (",", ";", "\t") if one in header), ",")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    for cells in reader:
        if any(cells):
            yield reader.line_num, [cell.strip() for cell in cells]


def _check_named(file: Path, names: Sequence[str], lines: Sequence[tuple[int, Sequence[str]]]) -> None:
    """Raises `UsageError` where the first line is a row: all columns of numbers are called by numbers.

    Numbers that count up, such as years or pandas' own names of columns, are names.
    """
    numeric = [place for place in range(len(names)) if lines and _number(lines[0][1][place]) is not None]
    called = [_number(names[place]) for place in numeric]
    known = [one for one in called if one is not None]
    if not known or len(known) < len(called):
        return
    if len(known) == 1 or any(not a < b for a, b in pairwise(known)) or not all(one.is_integer() for one in known):
        held = ", ".join(names[:MOST_SHOWN]) + (", …" if len(names) > MOST_SHOWN else "")
        raise UsageError(
            f"{file} has no header: its first line is a row, {held}", help="begin it with the columns' names"
        )


def _check_header(file: Path, names: Sequence[str]) -> None:
    if all(_number(name) is not None for name in names):
        raise UsageError(
            f"{file} has no header: its first line holds numbers alone", help="begin it with the columns' names"
        )
    if "" in names:
        raise UsageError(
            f"{file}: column {names.index('') + 1} has no name",
            help="name it in the first line, or remove it; of pandas, `to_csv(…, index=False)` writes no such column",
        )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{file} has the column `{twice[0]}` twice", help="remove or rename one")


# --- Parquet ----------------------------------------------------------------------------------------------------------


def _read_parquet(file: Path) -> Table:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UsageError(f"to read {file}, pyarrow is needed", help=f"{EXTRA}; or save the table as CSV") from None
    try:
        found = parquet.read_table(file)
    except pyarrow.ArrowInvalid as error:
        raise UsageError(f"{file} is no Parquet file: {' '.join(str(error).split())}", help="write it anew") from None
    names = [str(name) for name in found.column_names]
    _check_header(file, names)
    columns = {name: _column(file, name, found.column(place)) for place, name in enumerate(names)}
    return Table(file, columns, None, found.num_rows)


def _column(file: Path, name: str, column: Any) -> Cells:
    """A column of Parquet: numbers, where it holds these or booleans, else texts."""
    from pyarrow import types

    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    values = column.to_pylist()
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind):
        return np.array([math.nan if one is None else float(one) for one in values])
    if types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind):
        return ["" if one is None else str(one).strip() for one in values]
    raise UsageError(
        f"{file}: the column `{name}` holds values of the type {column.type}, neither numbers nor texts",
        help="make numbers of it, or remove it",
    )
