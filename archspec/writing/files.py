"""Files that are replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat

from archspec.foundation.errors import UsageError, escape_line


def default_mode() -> int:
    """The mode of a file that a program makes without asking for another."""
    mask = os.umask(0)  # it can only be read by setting it
    os.umask(mask)
    return 0o666 & ~mask


def make(path: str, content: bytes) -> None:
    """Make a file that is not there, whole or not at all.

    Raises:
        UsageError: It is there, or cannot be written.
    """
    made = False
    try:
        with open(path, "xb") as file:
            made = True
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if made:
            with contextlib.suppress(OSError):
                os.remove(path)
        raise UsageError(f"cannot write {escape_line(path)}: {error.strerror or error}") from None


def write(path: str, content: bytes) -> None:
    """Make a file or replace it, whole or not at all; what is no file, such as /dev/stdout, is written to.

    Raises:
        UsageError: It cannot be written.
    """
    if os.path.isfile(path):
        replace(path, content)
    elif not os.path.exists(path):
        make(os.path.realpath(path) if os.path.islink(path) else path, content)
    else:
        try:
            with open(path, "wb") as file:
                file.write(content)
        except OSError as error:
            raise UsageError(f"cannot write {escape_line(path)}: {error.strerror or error}") from None


def replace(path: str, content: bytes) -> None:
    """Put new content in a file that exists, whole or not at all; its mode stays, and a link still leads to it.

    Raises:
        UsageError: The file cannot be written.
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.part")
    try:
        if not os.access(target, os.W_OK):
            raise PermissionError(13, "Permission denied")
        with open(beside, "xb") as file:
            os.chmod(beside, stat.S_IMODE(os.stat(target).st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.remove(beside)
        raise UsageError(f"cannot write {escape_line(path)}: {error.strerror or error}") from None
