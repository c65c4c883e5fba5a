"""Formats in which networks leave archspec, one in each file, which defines `FORMAT`. A file put here is found.

A format may be a folder of files too. Names that begin with `_` hold what formats share.
"""

from __future__ import annotations

import importlib
import os

from archspec.exports._format import Format, Images, Model, Options, Written
from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.spelling import did_you_mean

__all__ = ["Format", "Images", "Model", "Options", "Written", "load", "names"]


def names() -> list[str]:
    """The names of the formats there are."""
    folder = os.path.dirname(__file__)
    found = []
    for entry in os.listdir(folder):
        stem, ending = os.path.splitext(entry)
        is_package = not ending and os.path.isfile(os.path.join(folder, entry, "__init__.py"))
        if not entry.startswith("_") and (ending == ".py" or is_package):
            found.append(stem)
    return sorted(found)


def load(name: str) -> Format:
    """A format by its name. Raises `UsageError`."""
    if not name:
        raise UsageError("--to says in which format", help=f"there are {join_words(names())}")
    if name not in names():
        hint = did_you_mean(name, names()) or f"there are {join_words(names())}"
        raise UsageError(f"there is no format `{name}`", help=hint)
    found: Format = importlib.import_module(f"archspec.exports.{name}").FORMAT
    return found
