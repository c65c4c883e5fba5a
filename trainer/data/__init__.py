"""Data sets, a file each. A file that is put here is found; each defines `load`.

A package names the module of its data set as an entry point of the group `archspec.data`, under the data set's name.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.extensions import extensions, load_extension
from archspec.foundation.spelling import did_you_mean
from archspec.recipe import Columns
from archspec.recipe.outputs import HeadTargets
from trainer.input.datasets import DataSet

__all__ = ["check_name", "load", "names"]


GROUP = "archspec.data"


def names() -> list[str]:
    """The names of the data sets there are: ours, then those of installed packages."""
    ours = _ours()
    return [*ours, *(name for name in sorted(extensions(GROUP)) if name not in ours)]


def _ours() -> list[str]:
    return sorted(
        file[:-3] for file in os.listdir(os.path.dirname(__file__)) if file.endswith(".py") and not file.startswith("_")
    )


def load(
    name: str,
    folder: Path,
    *,
    download: bool = False,
    columns: Columns | None = None,
    task: str | None = None,
    heads: Mapping[str, HeadTargets] | None = None,
) -> DataSet:
    """A data set by its name, or by its path: a folder of images (`trainer.data.folder`), a table or arrays.

    Of a table, `columns` says what its columns are, and which of them each input of a network takes, of tables by name
    that alone; the `task` that is to be learned tells classes from amounts where a target might be either. Data sets by
    name that lie in files are looked for in `folder`, and fetched to there if they are missing and `download` says so.
    Raises `UsageError`.
    """
    columns = columns or Columns()
    check_name(name)
    if columns.image:
        return _with_images(name, columns, task, heads or {})
    if columns.inputs:
        from trainer.data import _inputs

        whole = replace(columns, inputs={})
        found = load(name, folder, download=download, columns=whole, task=task, heads=heads)
        return _inputs.for_inputs(found, columns.inputs)
    path = Path(name).expanduser()
    if columns != Columns() and (name in names() or not is_path_of_vectors(name)):
        said = join_words(columns.to_dict())
        raise UsageError(f"`{name}` is no table, of which `train.data` could name columns", help=f"leave {said} out")
    if heads and name in names():
        raise UsageError(
            f"`train.outputs` names targets, columns of a table or of a folder's `targets.csv`, and `{name}` is none",
            help="give the outputs weights, `outputs: {NAME: 0.4}`, to learn the same targets",
        )
    if name in _ours():
        module = importlib.import_module(f"trainer.data.{name}")
        return _told_apart(cast(Callable[..., DataSet], module.load)(folder, download=download), name)
    if point := extensions(GROUP).get(name):
        made = load_extension(point, "load")(folder, download=download)
        if not isinstance(made, DataSet):
            raise UsageError(f"`load` of `{point.value}`, the data set `{name}` of a package, gives no `DataSet`")
        return _told_apart(made, name)
    if is_path_of_vectors(name):
        from trainer.data import _vectors

        return replace(_vectors.load(path, columns, task, heads), name=name)
    if len(path.parts) > 1 or name != path.name or path.is_dir():
        from trainer.data import folder as images

        return replace(images.load(path, heads=heads), name=name)
    hint = (
        did_you_mean(name, names())
        or f"there are {join_words(names())}; folders of images and tables are given by their path"
    )
    raise UsageError(f"there is no data set `{name}`", help=hint)


def check_name(name: str | None) -> None:
    """Raises `UsageError` where a data set's name is empty: as a path it would be the current folder."""
    if name == "":
        raise UsageError("the name of the data set is empty", help="give its name, or its path; `.` is this folder")


def _with_images(name: str, columns: Columns, task: str | None, heads: Mapping[str, HeadTargets]) -> DataSet:
    """The images that a table names, with its rows. Raises `UsageError`."""
    from trainer.data import _image_rows

    path = Path(name).expanduser()
    if name in names() or not (is_path_of_vectors(name) or path.is_dir()):
        raise UsageError(
            f"`{name}` is no table, whose columns would say the images and rows of each sample",
            help="name a table with a column of the images' paths, `--data scans.csv` for example",
        )
    return replace(_image_rows.load(path, columns, task, heads), name=name)


def _told_apart(found: DataSet, name: str) -> DataSet:
    """A data set that its name stands for, which says so where a folder here has that name too."""
    if not Path(name).is_dir():
        return found
    note = f"`{name}` is the data set of this name; the folder that lies here is given as ./{name}"
    return replace(found, notes=(*found.notes, note))


def is_path_of_vectors(name: str) -> bool:
    """Whether a data set is given by the path of a table or arrays."""
    from trainer.data import _vectors

    return name not in names() and _vectors.is_vectors(Path(name).expanduser())
