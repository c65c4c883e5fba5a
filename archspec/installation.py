"""Whether the packages that run are those that archspec-nets installed.

On PyPI, the names `archspec` and `trainer` belong to other projects, whose import packages are called as ours are. pip
lets one distribution overwrite another's files without a word, and deletes them with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from archspec.foundation.errors import UsageError, join_words

OTHERS = ("archspec", "trainer")
"""The other projects' distributions. Each has an import package of its own name, which is a name of ours."""
HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The folder that our packages lie in."""


def require_own_packages() -> None:
    """Raise `UsageError` where another distribution has overwritten, deleted or hidden our packages, or would.

    Reads what distributions have recorded of themselves, in the folders of `sys.path` as far as ours: what comes after
    it is never imported in our place. A checkout, which no distribution has recorded, is ours whatever it holds.
    """
    others: set[str] = set()
    changed: list[str] = []
    for entry in sys.path:
        folder = os.path.abspath(entry)
        for name, record in _records(folder):
            if name != "archspec_nets":
                others |= {name for path, _ in record if path.startswith(f"{name}/")}
            elif folder == HOME:
                starts = {f"{package}/__init__.py" for package in OTHERS}
                changed = sorted(path for path, size in record if path in starts and _size(path) != size)
        if folder == HOME:
            break
    if not others and not changed:
        return
    if others:
        have = "has a package" if len(others) == 1 else "have packages"
        message = (
            f"archspec-nets shares this environment with {join_words(sorted(others))} of PyPI, which {have} of the "
            "same name: they overwrite each other's files"
        )
    else:
        message = f"another distribution has overwritten or deleted {join_words(changed)} of archspec-nets in {HOME}"
    remove = f"`pip uninstall {' '.join(sorted(others))}`, then " if others else ""
    raise UsageError(
        message,
        help="install archspec-nets in a virtual environment of its own; or here "
        f"{remove}install it again with pip's `--force-reinstall --no-deps`",
    )


def _records(folder: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The distributions installed in a folder that matter here: name, and each file's path and size as recorded."""
    try:
        entries = os.listdir(folder)
    except OSError:  # a zip archive, or nothing
        return
    for entry in entries:
        name = entry.partition("-")[0].lower()
        if entry.endswith(".dist-info") and (name in OTHERS or name == "archspec_nets"):
            try:
                with open(os.path.join(folder, entry, "RECORD"), encoding="utf-8") as file:
                    lines = [line.rstrip().split(",") for line in file]
            except OSError:  # what an uninstallation left
                continue
            yield name, [(line[0], line[-1]) for line in lines]


def _size(path: str) -> str:
    """The size of a file of ours, as RECORD has it: bytes; empty where the file is missing."""
    try:
        return str(os.stat(os.path.join(HOME, path)).st_size)
    except OSError:
        return ""
