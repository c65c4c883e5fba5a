"""How a training can end other than well."""

from __future__ import annotations

from archspec.foundation.errors import ArchspecError, UsageError


class Diverged(UsageError):
    """A loss or weight is no longer finite."""


class Stopped(ArchspecError):
    """A signal ended a run, which was saved before."""

    def __init__(self, number: int, message: str, *, help: str) -> None:
        super().__init__(message, help=help)
        self.exit_status = 128 + number


class OtherProcessFailed(ArchspecError):
    """Rank 0 failed, and has said why."""

    def __init__(self, exit_status: int) -> None:
        super().__init__("another process failed")
        self.exit_status = exit_status
