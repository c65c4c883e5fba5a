"""The ways in which a training fails or is stopped."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archspec.foundation.errors import ArchspecError, UsageError

FULL = {errno.ENOSPC: "the disk is full", errno.EFBIG: "a file would be too large", errno.EROFS: "it is read-only"}
if hasattr(errno, "EDQUOT"):
    FULL[errno.EDQUOT] = "your quota is used up"


class Diverged(UsageError):
    """A loss or weight is no longer finite."""


class Stopped(ArchspecError):
    """A signal stopped a run, after a checkpoint."""

    def __init__(self, number: int, message: str, *, help: str) -> None:
        super().__init__(message, help=help)
        self.exit_status = 128 + number


class OtherProcessFailed(ArchspecError):
    """Rank 0 failed, and has reported why."""

    def __init__(self, exit_status: int) -> None:
        super().__init__("another process failed")
        self.exit_status = exit_status


class OutOfMemory(UsageError):
    """A training that runs out of memory."""


@contextmanager
def explain_failed_writes(folder: Path) -> Iterator[None]:
    """Make `UsageError` of a disk that takes no more, where a run is written into its folder."""
    try:
        yield
    except OSError as error:
        if not folder.is_dir():
            raise UsageError(f"the run's folder {folder} is no longer there", help="train anew") from None
        if error.errno not in FULL:
            raise
        raise UsageError(
            f"cannot write into {folder}: {FULL[error.errno]}",
            help=f"make room, then go on with what is kept: archspec train --resume {folder}",
        ) from None
