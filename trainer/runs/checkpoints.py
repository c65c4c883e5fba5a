"""Safe checkpoints: written to a temporary file, read back, renamed over the target, and checked when loaded.

A file is what `torch.save` writes, a ZIP archive, with a SHA-256 of all its bytes in the archive's comment. Whatever
reads torch's files reads these too.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO, cast

import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins import CheckpointIO

from archspec.foundation.errors import UsageError
from trainer.undocumented import restore_best

_KEY = b"sha256:"
_COMMENT = len(_KEY) + 64
_END = b"PK\x05\x06"  # what a ZIP archive's last record begins with; the length of the comment is its last two bytes
_BLOCK = 1 << 20


class Damaged(UsageError):
    """A checkpoint's file is not as it was written."""


def previous(path: Path) -> Path:
    """Where the checkpoint that `path` held before is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint. Until it is safe on the disk, and read back, what `path` held before stays as it was.

    A file called `last` is then kept as `last.previous`; the others are replaced.
    Raises `UsageError` where the disk is full or refuses, with `path` and its predecessor left alone.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "w+b") as file:
            _write(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):  # so that the disk is read, not the memory before it
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if not _sound(file):
                raise OSError(errno.EIO, "what was written is read back differently")
        if path.stem == "last" and path.exists():
            os.replace(path, previous(path))
        os.replace(beside, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UsageError(
            f"the checkpoint {path} cannot be written: {error.strerror or error}",
            help="make room on its disk, then resume from the one before: "
            f"archspec train --resume {path.parent.parent}",
        ) from None
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def load(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint; nothing in it is run. Raises `Damaged` where it is not as `save` wrote it."""
    try:
        with open(path, "rb") as file:
            if not _sound(file):
                raise Damaged(f"the checkpoint {path} is damaged: its checksum does not fit its content")
            file.seek(0)
            loaded: dict[str, Any] = torch.load(file, map_location=map_location, weights_only=True)
            return loaded
    except UnpicklingError:
        raise Damaged(
            f"the checkpoint {path} holds other things than tensors and numbers, which are not loaded: they could run",
            help="use a checkpoint that archspec wrote",
        ) from None
    except OSError as error:
        raise Damaged(f"the checkpoint {path} cannot be read: {error.strerror or error}") from None


def latest(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The newest intact checkpoint to resume from; `say` takes a note of each damaged one. `None`: there are none.

    Raises `Damaged` where all are damaged.
    """
    last = folder / "last.ckpt"
    candidates = [path for path in (last, previous(last)) if path.exists()]
    for number, path in enumerate(candidates):
        try:
            with open(path, "rb") as file:
                if _sound(file):
                    return path
        except OSError:
            pass
        then = f"; resuming from {candidates[number + 1].name}" if number + 1 < len(candidates) else ""
        say(f"the checkpoint {path} is damaged{then}")
    if candidates:
        raise Damaged(
            f"no checkpoint in {folder} is intact enough to resume from",
            help="train anew: archspec train, with --force",
        )
    return None


class SafeCheckpointIO(CheckpointIO):
    """Has Lightning write and read checkpoints by `save` and `load`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        save(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return load(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


class BestCheckpoint(ModelCheckpoint):
    """The checkpoint of the epoch with the best value of a metric: `best.ckpt`.

    Its state names no folder, so that a run that was moved can be resumed.
    """

    def __init__(self, folder: Path, monitor: str, mode: str) -> None:
        super().__init__(folder, "best", monitor, mode=mode, enable_version_counter=False)

    @property
    def state_key(self) -> str:
        return super().state_key.replace(type(self).__qualname__, "Best", 1)  # its name in the checkpoints there are

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.best_model_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if (score := state_dict["score"]) is not None:
            restore_best(self, self.format_checkpoint_name({}), score)


def _write(checkpoint: dict[str, Any], file: BinaryIO) -> None:
    """Write a checkpoint as torch does, then its checksum as the archive's comment."""
    hashed = _Hashed(file)
    try:
        torch.save(checkpoint, cast(BinaryIO, hashed))
    except RuntimeError:  # torch hides what writing raised
        if hashed.error is not None:
            raise hashed.error from None
        raise
    file.seek(-22, os.SEEK_END)
    end = file.read()
    assert (end[:4], end[-2:]) == (_END, b"\0\0"), "torch writes an archive without a comment"
    file.seek(-2, os.SEEK_END)
    file.write(struct.pack("<H", _COMMENT) + _KEY + hashed.digest.hexdigest().encode())


class _Hashed:
    """Writes to a file, and takes the digest of all but the last two bytes, which are to change."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.held = b""
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            self.file.write(data)
        except OSError as error:
            self.error = error
            raise
        if len(data) >= 2:
            self.digest.update(self.held)
            view = memoryview(data).cast("B")
            self.digest.update(view[:-2])
            self.held = bytes(view[-2:])
        else:
            both = self.held + bytes(data)
            self.digest.update(both[:-2])
            self.held = both[-2:]
        return len(data)

    def flush(self) -> None:
        self.file.flush()


def _sound(file: BinaryIO) -> bool:
    """Whether a file's content has the checksum that it carries."""
    size = file.seek(0, os.SEEK_END) - _COMMENT - 2
    if size < 0:
        return False
    file.seek(0)
    digest = hashlib.sha256()
    left = size
    while left and (block := file.read(min(left, _BLOCK))):
        digest.update(block)
        left -= len(block)
    return file.read() == struct.pack("<H", _COMMENT) + _KEY + digest.hexdigest().encode()


def _sync_folder(folder: Path) -> None:
    """Make sure that renames reach the disk."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
