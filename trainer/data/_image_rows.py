"""Tables that name an image in each row: images with the numbers beside them that a network takes too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from archspec.foundation.errors import UsageError
from archspec.recipe import Columns
from archspec.recipe.outputs import HeadTargets
from trainer.data import _columns, _rows, _vectors
from trainer.data._inputs import give_columns
from trainer.data._listing import held_out, is_image, with_test
from trainer.data._rows import Table
from trainer.input.datasets import DataSet, Form
from trainer.input.files import SUFFIXES, Files


def load(path: Path, columns: Columns, task: str | None, heads: Mapping[str, HeadTargets] | None = None) -> DataSet:
    """The images and rows of a table, or of a folder with one for each part; no image is decoded yet.

    `columns.image` is the input whose one column has the images' paths, from the table's folder on. Without parts, a
    fifth of the images, of each class alike, is kept for the test: always the same. Raises `UsageError`.
    """
    (image,) = columns.inputs[columns.image]
    given = {name: one for name, one in columns.inputs.items() if name != columns.image}
    tables = {part: _table(one, image, "train.data.inputs") for part, one in _vectors.parts_of(path).items()}
    form = _columns.find_form(_without(tables["train"], image), replace(columns, inputs={}, image=""), task, heads)
    form = replace(give_columns(form, given, str(path)), image=image)
    parts = {part: _files(table, form) for part, table in tables.items()}
    parts = with_test(parts, lambda files: _hold_out(files, path))
    used = {one.file(i) for one in parts.values() for i in range(len(one))} | {one.file for one in tables.values()}
    rows = parts["train"].rows
    assert rows is not None
    return _vectors.data_set(path, form, parts, rows, tables.values(), sorted(used))


def load_test(path: Path, form: Form) -> Files:
    """The images and rows to test a network on: those of the part `test`, or all. Raises `UsageError`."""
    return _files(_table(_vectors.test_part(path), form.image), form)


def read_inputs(path: Path, form: Form) -> Files:
    """The images and rows of a table whose targets are not known, or not looked at. Raises `UsageError`."""
    return _files(_table(path, form.image), form, with_targets=False)


def _table(path: Path, image: str, key: str | None = None) -> Table:
    """A table with a column of images, which the `key` of a recipe names. Raises `UsageError`."""
    if not _rows.is_table(path):
        raise UsageError(
            f"{path} is no table, whose column `{image}` names images",
            help=f"give a file that ends in {', '.join(_rows.SUFFIXES)}",
        )
    table = _rows.read(path)
    if key is not None:
        _rows.choose(table, [image], key)
    return replace(table, cure="fill it in, or remove the row; a feature may be left out: `data: {ignore: […]}`")


def _without(table: Table, image: str) -> Table:
    return table.only([name for name in table.columns if name != image])


def _files(table: Table, form: Form, *, with_targets: bool = True) -> Files:
    """The images of a table with their rows, and their targets or 0. Raises `UsageError` where one is not there."""
    _columns.check_columns(table, form, [form.image, *form.columns, *(form.targets if with_targets else ())])
    targets = _columns.targets_of(table, form) if with_targets else torch.zeros(table.count, dtype=torch.int64)
    root = table.file.absolute().parent
    paths = [os.path.normpath(one) for one in table.values(form.image)]
    for row, path in enumerate(paths):
        file = root / path
        if not is_image(path):
            why, cure = "no image by its name", f"images end in {' '.join(sorted(SUFFIXES))}"
        elif not os.path.exists(file):
            slashed = "\\" in path and (root / path.replace("\\", "/")).is_file()
            why = "not there"
            cure = "write `/` between folders, not `\\`" if slashed else f"write paths from the folder {root} on"
        else:
            continue
        raise UsageError(f"{table.place(row)}: {file}, in the column `{form.image}`, is {why}", help=cure)
    return Files(root, tuple(paths), targets, rows=_columns.features_of(table, form))


def _hold_out(files: Files, path: Path) -> tuple[Files, Files]:
    """What to train with, and a fifth of the images for the test, with all their rows; of each class alike."""
    groups = [files.labels == one for one in sorted(set(files.labels.tolist()))] if files.labels.ndim == 1 else []
    chosen: set[str] = set()
    for members in groups or [torch.ones(len(files), dtype=torch.bool)]:
        places = members.nonzero()[:, 0].tolist()
        own = sorted({files.paths[i] for i in places} - chosen)
        chosen |= held_out(own) if len(own) > 1 else set()
    is_test = torch.tensor([one in chosen for one in files.paths])
    if not chosen or bool(is_test.all()):
        raise UsageError(f"{path} lists too few images: none could be tested", help="add some")
    return files.at((~is_test).nonzero()[:, 0]), files.at(is_test.nonzero()[:, 0])
