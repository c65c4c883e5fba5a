"""Data sets that are published as files: errors where they are missing or damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from archspec.foundation.errors import UsageError


def refuse(name: str, fault: str, folder: Path, cure: str, *, anew: bool) -> NoReturn:
    """Raises `UsageError`: what is wrong with a data set in a folder, and what to do (`anew`, if it is there)."""
    raise UsageError(
        f"the data set `{name}` {fault}",
        help=f"--download fetches it{' anew' if anew else ''}; or {cure} in {folder.absolute()}, "
        "or name its folder by --data-folder",
    )


def check(name: str, files: Sequence[tuple[Path, str]], folder: Path, cure: str) -> None:
    """Holds files to their MD5 sums, of which an empty one asks that the file is there. Raises `UsageError`."""
    from torchvision.datasets.utils import check_integrity

    missing = [path for path, _ in files if not path.is_file()]
    place = files[0][0].parent.absolute()
    if len(missing) == len(files):
        refuse(name, f"is not there; it was looked for in {place}", folder, cure, anew=False)
    if missing:
        refuse(name, f"is damaged: {missing[0].name} is missing in {place}", folder, cure, anew=True)
    for path, md5 in files:
        try:
            sound = check_integrity(path, md5 or None)
        except OSError as error:
            refuse(name, f"cannot be read: {path.absolute()}: {error.strerror}", folder, cure, anew=False)
        if not sound:
            refuse(name, f"is damaged: {path.absolute()} is not as published", folder, cure, anew=True)


def fetch(name: str, folder: Path, cure: str, download: Callable[[], object]) -> None:
    """Runs one of torchvision's downloads, which leaves alone what is there and sound. Raises `UsageError`."""
    try:
        download()
    except (OSError, RuntimeError, EOFError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        reason = " ".join(str(reason).split())  # torchvision's has several lines
        raise UsageError(
            f"the data set `{name}` could not be downloaded to {folder.absolute()}: {reason}",
            help=f"try again, or {cure} there yourself",
        ) from error
