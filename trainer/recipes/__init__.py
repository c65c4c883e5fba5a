"""Named recipes, a file each. A file that is put here is found; each is laid over a spec's `train` section."""

from __future__ import annotations

import os

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.spelling import did_you_mean
from archspec.language.finder import SUFFIXES, FoundFile

FOLDER = os.path.dirname(os.path.abspath(__file__))


def names() -> list[str]:
    """The names of the recipes there are."""
    return sorted(file[:-5] for file in os.listdir(FOLDER) if file.endswith(".yaml"))


def find(name: str) -> FoundFile:
    """A recipe's file, by its path or name. Raises `UsageError`."""
    if name in names():
        return FoundFile(os.path.join(FOLDER, f"{name}.yaml"), f"recipes/{name}.yaml")
    if name.endswith(SUFFIXES):
        return FoundFile(name, name)
    hint = "a file's name ends in .yaml" if os.path.exists(name) else did_you_mean(name, names())
    raise UsageError(f"there is no recipe `{name}`", help=f"{hint or f'there are {join_words(names())}'}")
