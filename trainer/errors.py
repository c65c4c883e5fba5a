"""The ways in which a training fails or is stopped."""

from __future__ import annotations

from archspec.foundation.errors import ArchspecError, UsageError


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
