"""The rows of a loop: its columns and tables, computed where the loop stands."""

from __future__ import annotations

from typing import Any

from archspec.foundation.errors import Fault
from archspec.language.loops import faults_of_rows
from archspec.language.syntax import For, Table
from archspec.plan.binding import Binder, Context, Scope

MAX_PASSES = 10_000  # of one loop


def compute_rows(loop: For, binder: Binder, context: Context) -> tuple[dict[str, Any], int]:
    """The columns of a loop, and how many rows they have. Raises `Fault` or `InvalidValue`."""
    columns = {name: binder.value(column, context) for name, column in loop.columns.items()}
    if loop.table is not None:
        columns |= _compute_table(loop.table, binder, context)
    lists = {name: column for name, column in columns.items() if isinstance(column, list)}
    if not lists:
        help = "write `=range(3)`, or a list; `repeat: 3` beside one node repeats it"
        for value in columns.values():
            if isinstance(value, str) and isinstance(context.scope.get(value), list):
                help = f"a formula begins with `=`: did you mean `={value}`?"
        raise Fault("loop-columns", "`for` needs at least one column that is a list", loop.mark, help=help)
    counts = {name: len(column) for name, column in lists.items()}
    count = max(counts.values())
    if len(set(counts.values())) > 1:
        width = max(map(len, counts))
        notes = [f"{name:<{width}}  {n} value{'s' * (n != 1)}" for name, n in counts.items()]
        raise Fault("loop-columns", "the columns of `for` differ in length", loop.mark, notes=notes)
    if count > MAX_PASSES:
        raise Fault("too-large", f"`for` has more than {MAX_PASSES:,} rows", loop.mark)
    return columns, count


def loop_scope(index: int, count: int) -> Scope:
    """What formulas see of the pass that they stand in."""
    return {"index": index, "first": index == 0, "last": index == count - 1}


def _compute_table(table: Table, binder: Binder, context: Context) -> dict[str, Any]:
    """The columns of a table, each with its values of all rows. Raises `Fault` or `InvalidValue`."""
    rows = binder.value(table.rows, context)
    for fault in faults_of_rows(table.names, table.rows, rows):
        raise fault
    return {
        name: [row[name] if isinstance(row, dict) else row[i] for row in rows] for i, name in enumerate(table.names)
    }
