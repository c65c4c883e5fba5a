"""Folders of images with a CSV file: `labels.csv` with the labels of each, or `targets.csv` with numbers."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from archspec.foundation.errors import UsageError, join_words
from trainer.data._listing import PARTS, held_out, subfolders, walk, with_test
from trainer.data._rows import explain_bad_text, how_to_write, read_lines
from trainer.input.cache import files_fingerprint
from trainer.input.datasets import LABEL_SETS, NUMBERS, DataSet
from trainer.input.files import Files

TABLES = {"labels.csv": LABEL_SETS, "targets.csv": NUMBERS}
"""The names of the files, and the kind of targets that each holds."""
HEADERS = {
    LABEL_SETS: "`file,labels`, or `file` and a column of 0 and 1 for each label",
    NUMBERS: "`file` and a column for each number",
}
LAYOUT = "put the CSV file beside the images, or one into each of train, val and test"
MOST = float(torch.finfo(torch.float32).max)


@dataclass(frozen=True)
class ImageTable:
    """The rows of a CSV file: of each image, by its path from the data set's folder, the line and the cells."""

    file: Path
    kind: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[int, Sequence[str]]]

    @property
    def is_listing(self) -> bool:
        """Whether a single column lists the labels."""
        return self.kind == LABEL_SETS and self.columns == ("labels",)


def kind_of(root: Path) -> str | None:
    """The kind of targets that a folder, or its parts, have a CSV file of; `None` where there is none."""
    return next(iter(_files(root).values()), None)


def load(root: Path) -> DataSet:
    """The images below an absolute path and what the CSV files say of them; nothing is decoded yet.

    Raises `UsageError` where files and images do not agree.
    """
    parts = parts_with_test(root)
    names = _names(parts["train"])
    made = {part: _with_targets(root, table, names) for part, table in parts.items()}
    _check_varied(parts["train"], made["train"])
    return data_set(root, names, parts, made, parts["train"].kind)


def parts_with_test(root: Path) -> dict[str, ImageTable]:
    """The table of each part, one for the test among them. Raises `UsageError`."""
    parts = read_parts(root)
    if "train" not in parts:
        raise UsageError(f"{root} has no part `train`", help=LAYOUT)
    return with_test(parts, split_off)


def data_set(
    root: Path, names: tuple[str, ...], parts: Mapping[str, ImageTable], made: Mapping[str, Files], targets: str
) -> DataSet:
    """The data set of the files of each part and the tables that list them."""
    used = {root / path for files in made.values() for path in files.paths} | {one.file for one in parts.values()}
    fingerprint = files_fingerprint(sorted(used))
    return DataSet(
        str(root), names, made["train"], made["test"], made.get("val"), files_fingerprint=fingerprint, targets=targets
    )


def load_test(root: Path, names: tuple[str, ...]) -> Files:
    """The images to test a network on: those of the part `test`, or all. Raises `UsageError`."""
    parts = read_parts(root)
    return _with_targets(root, parts.get("test") or parts.get("val") or parts["train"], names)


# --- files ------------------------------------------------------------------------------------------------------------


def _files(root: Path) -> dict[str, str]:
    """The CSV files of a folder, or of its parts, and the kind of targets that each holds."""
    places = ["", *(f"{name}/" for name in subfolders(root, Path()) if name.lower() in PARTS)]
    return {place + name: kind for place in places for name, kind in TABLES.items() if (root / place / name).is_file()}


def read_parts(root: Path) -> dict[str, ImageTable]:
    """The table of each part; of `train` alone where there are no parts. Raises `UsageError`."""
    files = _files(root)
    if len(set(files.values())) > 1 or (len(files) > 1 and any("/" not in name for name in files)):
        raise UsageError(f"{root} has {join_words(files)}: which is meant?", help="keep one, or one in each part")
    (kind,) = set(files.values())
    if all("/" not in name for name in files):
        return _by_folder(root, _read(root, next(iter(files)), kind))
    parts: dict[str, ImageTable] = {}
    for name in subfolders(root, Path()):
        if (part := PARTS.get(name.lower())) is None:
            raise UsageError(
                f"{root} has `{name}` beside {join_words(files)}", help="move it away: train, val and test are used"
            )
        if part in parts:
            raise UsageError(f"{root} has two folders for the part `{part}`", help="keep one")
        found = [file for file in files if file.startswith(f"{name}/")]
        if not found:
            first = next(iter(files)).partition("/")[2]
            raise UsageError(f"{root / name} has no `{first}`, as other parts have", help=LAYOUT)
        parts[part] = _read(root, found[0], kind)
    return parts


def _by_folder(root: Path, table: ImageTable) -> dict[str, ImageTable]:
    """The parts of a table by the folders that its images lie in. Raises `UsageError`."""
    below: dict[str, str] = {path: PARTS.get(path.partition("/")[0].lower(), "") for path in table.rows if "/" in path}
    inside = [path for path, part in below.items() if part]
    outside = [path for path in table.rows if not below.get(path)]
    if inside and outside:
        raise UsageError(
            f"{table.file} lists {inside[0]}, which is in a part's folder, and {outside[0]}, which is in none",
            help="put all images into train, val and test, or none",
        )
    parts = {part: _chosen(table, {path for path in inside if below[path] == part}) for part in set(below.values())}
    return parts if inside else {"train": table}


def _chosen(table: ImageTable, paths: set[str]) -> ImageTable:
    rows = {path: row for path, row in table.rows.items() if path in paths}
    return ImageTable(table.file, table.kind, table.columns, rows)


def split_off(table: ImageTable) -> tuple[ImageTable, ImageTable]:
    if len(table.rows) < 2:
        raise UsageError(f"{table.file} lists one image: none could be tested", help="add some")
    kept = held_out(list(table.rows))
    return _chosen(table, set(table.rows) - kept), _chosen(table, kept)


def _read(root: Path, name: str, kind: str) -> ImageTable:
    """A CSV file, held against the images below its folder. Raises `UsageError`."""
    file, folder = root / name, os.path.dirname(name)
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            lines = list(read_lines(text, None))
    except (csv.Error, UnicodeDecodeError) as error:
        raise explain_bad_text(file, error) from None
    columns = _columns(file, kind, lines[0][1] if lines else [])
    rows: dict[str, tuple[int, Sequence[str]]] = {}
    for line, cells in lines[1:]:
        if len(cells) != len(columns) + 1:
            raise UsageError(
                f"{file}, line {line}: {len(cells)} cell{'s' * (len(cells) > 1)} for {len(columns) + 1} columns",
                help="put texts with commas between quotes, labels apart by spaces",
            )
        path = os.path.normpath(os.path.join(folder, cells[0])).replace(os.sep, "/")
        if path in rows:
            raise UsageError(
                f"{file}, line {line}: {cells[0]} is listed in line {rows[path][0]} already", help="keep one line"
            )
        rows[path] = (line, cells[1:])
    if not rows:
        raise UsageError(f"{file} lists no images", help="give each image a line")
    _check_images(root, folder, file, rows)
    return ImageTable(file, kind, columns, dict(sorted(rows.items())))


def _columns(file: Path, kind: str, header: Sequence[str]) -> tuple[str, ...]:
    if not header or header[0] != "file":
        said = f"its first line begins with `{header[0]}`, not with `file`" if header else "it is empty"
        raise UsageError(f"{file} has no header: {said}", help=f"begin it with {HEADERS[kind]}")
    columns = tuple(header[1:])
    if not columns or "" in columns:
        what = "a column without a name" if columns else "no column"
        raise UsageError(f"{file} has {what} beside `file`", help=f"begin it with {HEADERS[kind]}")
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise UsageError(f"{file} has the column `{twice[0]}` twice", help="remove one")
    if kind == LABEL_SETS and len(columns) == 1 and columns != ("labels",):
        raise UsageError(f"{file} has the one column `{columns[0]}`", help=f"begin it with {HEADERS[kind]}")
    return columns


def _check_images(root: Path, folder: str, file: Path, rows: Mapping[str, tuple[int, Sequence[str]]]) -> None:
    """Raises `UsageError` where a line has no image, or an image no line."""
    images = set(walk(root, Path(folder))[0])
    missing = [path for path in rows if path not in images]
    if missing:
        line = rows[missing[0]][0]
        why = "no image by its name below that folder" if (root / missing[0]).is_file() else "not there"
        more = f", and {len(missing) - 1:,} more in its lines" if len(missing) > 1 else ""
        cure = "add the image, or remove the line"
        if missing[0].replace("\\", "/").removeprefix("./") in images:
            cure = "write `/` between folders, not `\\`"
        elif Path(missing[0]).is_relative_to(file.parent):
            cure = f"write paths from the folder of the file on: `{Path(missing[0]).relative_to(file.parent)}`"
        raise UsageError(f"{file}, line {line}: {root / missing[0]} is {why}{more}", help=cure)
    unlisted = sorted(images - rows.keys())
    if unlisted:
        more = f", and {len(unlisted) - 1:,} more have none" if len(unlisted) > 1 else ""
        raise UsageError(
            f"{root / unlisted[0]} has no line in {file}{more}",
            help="add a line, without a label where it has none, or move the image away",
        )


# --- targets ----------------------------------------------------------------------------------------------------------


def _names(table: ImageTable) -> tuple[str, ...]:
    """The labels, or what the numbers are called. Raises `UsageError`."""
    if not table.is_listing:
        return table.columns
    for line, cells in table.rows.values():
        if mark := re.search("[,;|]", cells[0]):
            raise UsageError(
                f"{table.file}, line {line}: `{cells[0]}` holds a `{mark[0]}`, and labels are set apart by spaces",
                help="write spaces between labels, and `_` or `-` within them",
            )
    names = tuple(sorted({label for _, cells in table.rows.values() for label in cells[0].split()}))
    if len(names) < 2:
        held = f"one label, `{names[0]}`" if names else "no label"
        raise UsageError(f"{table.file} has {held} for training, and two at least are needed", help="add some")
    return names


def _with_targets(root: Path, table: ImageTable, names: tuple[str, ...]) -> Files:
    """The images of a table and their targets, float32 `(N, names)`. Raises `UsageError`."""
    if not table.is_listing:
        unknown = [name for name in table.columns if name not in names]
        lacking = [name for name in names if name not in table.columns]
        if unknown or lacking:
            what = (
                f"a column `{unknown[0]}`, which training" if unknown else f"no column `{lacking[0]}`, which training"
            )
            raise UsageError(
                f"{table.file} has {what} has{'' if lacking and not unknown else ' not'}",
                help="give all parts the same columns",
            )
    read = _labels if table.is_listing else _marks if table.kind == LABEL_SETS else _numbers
    return Files(root, tuple(table.rows), read(table, names))


def _check_varied(table: ImageTable, files: Files) -> None:
    """Raises `UsageError` where the same labels are given to all training images."""
    if table.kind == LABEL_SETS and bool((files.labels == files.labels[0]).all()):
        raise UsageError(
            f"{table.file} gives all training images the same labels: there is nothing to learn",
            help="a label is learned from images that have it and others that have not",
        )


def _labels(table: ImageTable, names: tuple[str, ...]) -> Tensor:
    places, targets = {name: place for place, name in enumerate(names)}, torch.zeros(len(table.rows), len(names))
    for number, (line, cells) in enumerate(table.rows.values()):
        for label in cells[0].split():
            if label not in places:
                raise UsageError(
                    f"{table.file}, line {line}: no training image has the label `{label}`",
                    help="labels are set apart by spaces; remove it, or add it to training images",
                )
            targets[number, places[label]] = 1
    return targets


def _marks(table: ImageTable, names: tuple[str, ...]) -> Tensor:
    return torch.tensor(
        _cells(
            table, names, {"0": 0.0, "1": 1.0}.get, "neither 0 nor 1", "write 1 where the image has the label, else 0"
        )
    )


def _numbers(table: ImageTable, names: tuple[str, ...]) -> Tensor:
    def number(text: str) -> float | None:
        try:
            value = float(text)
        except ValueError:
            return None
        return value if math.isfinite(value) and abs(value) < MOST else None

    return torch.tensor(
        _cells(table, names, number, "no finite number", "write the number, or remove the line and the image")
    )


def _cells(
    table: ImageTable, names: tuple[str, ...], read: Callable[[str], float | None], wrong: str, cure: str
) -> list[list[float]]:
    """Each image's values in the order of `names`; `read` gives `None` for what is `wrong`. Raises `UsageError`."""
    order, found = [table.columns.index(name) for name in names], []
    for line, cells in table.rows.values():
        values = [read(cells[place]) for place in order]
        for name, place, value in zip(names, order, values, strict=True):
            if value is None:
                what = f"`{cells[place]}` in the column `{name}` is {wrong}"
                if not cells[place]:
                    what = f"the column `{name}` is empty"
                better = how_to_write(cells[place]) if table.kind == NUMBERS else None
                raise UsageError(f"{table.file}, line {line}: {what}", help=better or cure)
        found.append([value for value in values if value is not None])
    return found
