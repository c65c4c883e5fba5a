"""Data sets, a file each. A file that is put here is found; each defines `load`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from archspec.foundation.errors import UsageError, did_you_mean, join_words
from trainer.input.datasets import DataSet

__all__ = ["load", "names"]


def names() -> list[str]:
    """The names of the data sets there are."""
    return sorted(
        file[:-3] for file in os.listdir(os.path.dirname(__file__)) if file.endswith(".py") and not file.startswith("_")
    )


def load(name: str, folder: Path, *, download: bool = False) -> DataSet:
    """A data set by its name, or a folder of images by its path (`./photos`; see `trainer.data.folder`).

    Those that lie in files are looked for in `folder`, and fetched to there if they are missing and `download` says so.
    Raises `UsageError`.
    """
    if name in names():
        module = importlib.import_module(f"trainer.data.{name}")
        return cast(Callable[..., DataSet], module.load)(folder, download=download)
    path = Path(name).expanduser()
    if len(path.parts) > 1 or name != path.name or path.is_dir():
        from trainer.data import folder as images

        return replace(images.load(path), name=name)
    hint = did_you_mean(name, names()) or f"there are {join_words(names())}; a folder of images is given by its path"
    raise UsageError(f"there is no data set `{name}`", help=hint)
