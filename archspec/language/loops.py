"""The grammar of what formulas are given names for: the columns and tables of loops, and values by `let`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archspec.foundation.errors import Fault, Mark, join_words
from archspec.foundation.formulas import Formula
from archspec.foundation.source import List, Mapping, Scalar, Value, is_left_empty
from archspec.foundation.spelling import did_you_mean
from archspec.foundation.values import describe
from archspec.language.calls import CallGrammar
from archspec.language.names import check_variable
from archspec.language.syntax import Expression, For, Let, Table


class LoopGrammar(CallGrammar):
    """Parses the rows of loops, in each of their forms."""

    def _parse_rows(self, value: Value) -> tuple[dict[str, Expression], Table | None]:
        """The columns of a loop, and its table where it has one. Raises `Fault`."""
        if isinstance(value, List) and value.items:
            return {}, self._parse_table(value, value.items[0])
        if not isinstance(value, Mapping) or not value.entries:
            help = "write `for: {i: =range(3)}`, or put `repeat: 3` beside one node"
            if isinstance(value, Scalar) and value.value is not None and str(value.value).startswith("="):
                help = f"name the values: `for: {{item: {value.value}}}`; or a table's columns: `{{as: […], rows: …}}`"
            raise Fault("node-form", "`for` needs columns: a mapping of names to lists", value.mark, help=help)
        columns = {}
        table = None
        if "as" in value.entries:
            table = self._parse_named_table(value)
        for name, (at, column) in value.entries.items():
            if table and name in ("as", "rows"):
                continue
            check_variable(name, at)
            if table and name in table.names:
                raise Fault("duplicate-name", f"the column `{name}` stands in `as` already", at)
            if is_left_empty(column):
                help = "columns of a table are named by `as`: `{as: [kernel, out], rows: [[3, 8], [5, 16]]}`"
                self.report.add(Fault("type-mismatch", f"the column `{name}` is left empty", at, help=help))
            if isinstance(column, Mapping):
                message = f"the column `{name}` must be a list, or a value that is the same in every row"
                self.report.add(Fault("type-mismatch", message, column.mark))
            columns[name] = self._parse_expression(column)
        return columns, table

    def _note_unread_columns(self, value: Value, before: int) -> None:
        """Note the columns that the body of their loop leaves unread, `before` which formulas had read so much.

        A single one may be there for its length alone.
        """
        first = value.items[0] if isinstance(value, List) else value
        if not isinstance(first, Mapping):
            return
        names = {name: mark for name, (mark, _) in first.entries.items()}
        if isinstance(value, Mapping) and isinstance(listed := names.pop("as", None) and value.get("as"), List):
            names.pop("rows")
            names |= {str(item.value): item.mark for item in listed.items if isinstance(item, Scalar)}
        if len(names) > 1:
            self._note_unread(names, before, "the column `{}` of `for`")

    def _parse_let(self, value: Value) -> tuple[Let, dict[str, Mark]]:
        """`let: {name: value}`, and the names that are new: formulas see them from now on. Raises `Fault`."""
        if not isinstance(value, Mapping) or not value.entries:
            help = "write `let: {channels: =c_in}`"
            raise Fault("type-mismatch", "`let` must be a mapping of names to values", value.mark, help=help)
        values: dict[str, Expression | None] = {}
        new: dict[str, Mark] = {}
        for name, (at, inner) in value.entries.items():
            try:
                check_variable(name, at)
                if name in self.visible:
                    help = "give it a name of its own: a `let` hides nothing"
                    raise Fault("duplicate-name", f"`{name}` has a value here already", at, help=help)
                before = self.report.count
                made = self._parse_expression(inner)
                values[name] = made if self.report.count == before else None
            except Fault as fault:
                self.report.add(fault, inner.mark)
                values[name] = None
            if name not in self.visible:
                self.visible.add(name)
                new[name] = at
        return Let(value.mark, values), new

    def _parse_table(self, value: List, first: Value) -> Table:
        """A list of rows, each a mapping; the first one names the columns. Raises `Fault`."""
        if not isinstance(first, Mapping) or not first.entries:
            help = "name the values: `for: {kernel: [3, 5]}`"
            if isinstance(first, List):
                help = "name the columns: `for: {as: [kernel, stride], rows: [[3, 1], [5, 2]]}`"
            message = "each row of `for` must be a mapping of names to values"
            raise Fault("type-mismatch", message, first.mark, help=help)
        for name, (at, _) in first.entries.items():
            check_variable(name, at)
        return self._check_table(tuple(first.entries), value)

    def _parse_named_table(self, mapping: Mapping) -> Table:
        """`as: [names]` with `rows: [values]`. Raises `Fault`."""
        at, names = mapping.entries["as"]
        if not isinstance(names, List) or not names.items:
            help = "write `as: [kernel, stride]`, a name for each value of a row"
            raise Fault("type-mismatch", "`as` must be a list of names", names.mark, help=help)
        known: list[str] = []
        for name in names.items:
            if not (isinstance(name, Scalar) and isinstance(name.value, str)):
                raise Fault("type-mismatch", "`as` must be a list of names", name.mark)
            check_variable(name.value, name.mark)
            if name.value in known:
                raise Fault("duplicate-name", f"`as` names `{name.value}` twice", name.mark)
            known.append(name.value)
        rows = mapping.get("rows")
        if rows is None:
            help = f"add `rows`, a list of lists of {len(known)}"
            raise Fault("key-missing", "`as` names the columns of `rows`, which are not there", at, help=help)
        return self._check_table(tuple(known), rows)

    def _check_table(self, names: tuple[str, ...], value: Value) -> Table:
        """The rows, of which those that no formula gives are held to the names. Raises `Fault`."""
        rows = self._parse_expression(value)
        if not isinstance(rows.data, Formula):
            fault = next(iter(faults_of_rows(names, rows)), None)
            if fault:
                raise fault
        return Table(names, rows)


def faults_of_rows(names: Sequence[str], rows: Expression, data: Any = None) -> list[Fault]:
    """What is wrong with the rows of a table, as written or, where they are given, as computed."""
    data = rows.data if data is None else data
    if not isinstance(data, list):
        help = "each row has the values of one pass: `rows: [[3, 1], [5, 2]]`"
        return [Fault("type-mismatch", f"the rows of `for` must be a list, not {describe(data)}", rows.mark, help=help)]
    found = []
    places = rows.value.items if isinstance(rows.value, List) else ()
    for number, row in enumerate(data, start=1):
        fault = _fault_of_row(names, row, number)
        if fault:
            fault.mark = places[number - 1].mark if places else rows.mark
            found.append(fault)
    return found


def _fault_of_row(names: Sequence[str], row: Any, number: int) -> Fault | None:
    if isinstance(row, Formula):
        return None
    named = f"{len(names)} column{'s' * (len(names) != 1)}: {join_words(names)}"
    if isinstance(row, dict):
        lacking = [name for name in names if name not in row]
        added = [name for name in row if name not in names]
        if not lacking and not added:
            return None
        what = f"has {join_words(added)}, which is no column" if len(added) == 1 else f"has {join_words(added)}"
        what = what if added else f"lacks {join_words(lacking)}"
        help = did_you_mean(added[0], lacking) if added and lacking else None
        return Fault("loop-columns", f"row {number} of `for` {what}", help=help or f"each row gives {named}")
    if isinstance(row, list):
        if len(row) == len(names):
            return None
        message = f"row {number} of `for` has {len(row)} value{'s' * (len(row) != 1)}, but there are {named}"
        return Fault("loop-columns", message)
    help = f"write `for: {{{names[0]}: […]}}` for a single column" if len(names) == 1 else f"each row gives {named}"
    return Fault("loop-columns", f"row {number} of `for` must be a list, not {describe(row)}", help=help)


def count_rows(loop: For) -> set[int]:
    """The numbers of rows that are written out, column by column."""
    written = [*loop.columns.values(), *([loop.table.rows] if loop.table else [])]
    return {len(one.data) for one in written if isinstance(one.data, list)}
