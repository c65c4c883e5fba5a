"""Data sets, a file each. A file that is put here is found; each defines `load`.

A package names the module of its data set as an entry point of the group `archspec.data`, under the data set's name.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from archspec.foundation.errors import UsageError, did_you_mean, join_words
from trainer.extensions import extensions, load_extension
from trainer.input.datasets import DataSet

__all__ = ["load", "names"]


GROUP = "archspec.data"


def names() -> list[str]:
    """The names of the data sets there are: ours, then those of installed packages."""
    ours = _ours()
    return [*ours, *(name for name in sorted(extensions(GROUP)) if name not in ours)]


def _ours() -> list[str]:
    return sorted(
        file[:-3] for file in os.listdir(os.path.dirname(__file__)) if file.endswith(".py") and not file.startswith("_")
    )


def load(name: str, folder: Path, *, download: bool = False) -> DataSet:
    """A data set by its name, or a folder of images by its path (`./photos`; see `trainer.data.folder`).

    Those that lie in files are looked for in `folder`, and fetched to there if they are missing and `download` says so.
    Raises `UsageError`.
    """
    if name in _ours():
        module = importlib.import_module(f"trainer.data.{name}")
        return cast(Callable[..., DataSet], module.load)(folder, download=download)
    if point := extensions(GROUP).get(name):
        made = load_extension(point, "load")(folder, download=download)
        if not isinstance(made, DataSet):
            raise UsageError(f"`load` of `{point.value}`, the data set `{name}` of a package, gives no `DataSet`")
        return made
    path = Path(name).expanduser()
    if len(path.parts) > 1 or name != path.name or path.is_dir():
        from trainer.data import folder as images

        return replace(images.load(path), name=name)
    hint = did_you_mean(name, names()) or f"there are {join_words(names())}; a folder of images is given by its path"
    raise UsageError(f"there is no data set `{name}`", help=hint)
