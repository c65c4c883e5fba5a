"""Folders of images whose `targets.csv` has columns for several outputs: a class of texts, or numbers, for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from archspec.foundation.errors import UsageError, join_words
from archspec.recipe import Columns
from archspec.recipe.outputs import HeadTargets
from trainer.data import _columns, _rows, _tables
from trainer.data._tables import ImageTable
from trainer.input.datasets import NUMBERS, TARGETS, DataSet, Form
from trainer.input.files import Files


def load(root: Path, heads: Mapping[str, HeadTargets]) -> DataSet:
    """The images below an absolute path with the targets of each output; none is decoded yet. Raises `UsageError`."""
    _check(root)
    parts = _tables.parts_with_test(root)
    train = parts["train"]
    forms = _columns.of_heads(_rows_of(train), Columns(), heads)
    targets = tuple(name for one in forms for name in one.targets)
    others = tuple(name for name in train.columns if name not in targets)
    form = Form((), {}, targets, None, others, forms)
    made = {part: _files(root, table, form) for part, table in parts.items()}
    note = f"no output learns the column{'s' * (len(others) > 1)} {join_words(others)} of {train.file}"
    found = _tables.data_set(root, form.names, parts, made, TARGETS)
    return replace(found, form=form, notes=(note,) if others else ())


def load_test(root: Path, form: Form) -> Files:
    """The images to test a network on: those of the part `test`, or all. Raises `UsageError`."""
    _check(root)
    parts = _tables.read_parts(root)
    return _files(root, parts.get("test") or parts.get("val") or parts["train"], form)


def _check(root: Path) -> None:
    if _tables.kind_of(root) != NUMBERS:
        raise UsageError(
            f"`train.outputs` names targets, columns of a `targets.csv` beside the images, and {root} has none",
            help="add one with `file` and a column for each target; or give the outputs weights, "
            "`outputs: {NAME: 0.4}`, to learn the same targets",
        )


def _files(root: Path, table: ImageTable, form: Form) -> Files:
    rows = _rows_of(table)
    _columns.check_columns(rows, form, form.targets)
    return Files(root, tuple(table.rows), _columns.targets_of(rows, form))


def _rows_of(table: ImageTable) -> _rows.Table:
    """The columns beside the images' paths."""
    cells: Sequence[Sequence[str]] = [cells for _, cells in table.rows.values()]
    columns = {name: [row[place] for row in cells] for place, name in enumerate(table.columns)}
    lines = [line for line, _ in table.rows.values()]
    return _rows.Table(table.file, columns, lines, len(lines), "fill it in, or remove the image and its line")
