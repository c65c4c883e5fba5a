"""Safe checkpoints: written to a temporary file, read back, renamed over the target, and checked when loaded.

A file is what `torch.save` writes, a ZIP archive, with a SHA-256 of all its bytes in the archive's comment. Whatever
reads torch's files reads these too.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO, cast

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins import CheckpointIO

from archspec.foundation.errors import UsageError
from trainer.tasks import MetricSpec

_KEY = b"sha256:"
_COMMENT = len(_KEY) + 64
_END = b"PK\x05\x06"  # what a ZIP archive's last record begins with; the length of the comment is its last two bytes
_BLOCK = 1 << 20


RUN = "run"
"""Under which name a checkpoint keeps the key of its run (`trainer.runs.folders.fingerprint_of`)."""
BEST_KEY = "Best"
"""Under which name checkpoints keep the state of `BestCheckpoint`."""
_PARTS: dict[str, type] = {
    **dict.fromkeys(("state_dict", "callbacks", "loops", "hyper_parameters"), dict),
    **dict.fromkeys(("optimizer_states", "lr_schedulers"), list),
    **dict.fromkeys(("epoch", "global_step"), int),
}
"""What every checkpoint of a training holds, and its types."""


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
        with _open(path) as file:
            if not _sound(file):
                raise Damaged(f"the checkpoint {path} is damaged: its checksum does not fit its content")
            file.seek(0)
            loaded: Any = torch.load(file, map_location=map_location, weights_only=True)
    except UnpicklingError:
        raise Damaged(
            f"the checkpoint {path} holds other things than tensors and numbers, which are not loaded: they could run",
            help="use a checkpoint that archspec wrote",
        ) from None
    except (UsageError, MemoryError):
        raise
    except OSError as error:
        raise Damaged(f"the checkpoint {path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # what torch raises is as manifold as what files can hold
        raise Damaged(f"the checkpoint {path} is none that can be read: {error}") from None
    return cast(dict[str, Any], loaded)


def load_own(
    path: Path, key: str | None, spec: dict[str, Any] | None = None, map_location: Any = "cpu"
) -> dict[str, Any]:
    """Read a checkpoint of the run that has this key. Raises `UsageError` where it is damaged, or another run's.

    Those that were written without a key are known by their spec, if one is given.
    """
    content = load(path, map_location)
    wrong = [
        name for name, kind in _PARTS.items() if not (isinstance(content, dict) and isinstance(content.get(name), kind))
    ]
    if wrong:
        raise Damaged(
            f"the checkpoint {path} is none of a training: it lacks `{wrong[0]}`",
            help="use a checkpoint that archspec wrote",
        )
    if RUN in content:
        own = key is None or content[RUN] == key
    else:
        own = spec is None or content["hyper_parameters"].get("spec") == spec
    if not own:
        raise UsageError(
            f"the checkpoint {path} is another run's: its spec, recipe or data differ",
            help="put the run's own file back",
        )
    return content


def latest(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The newest intact checkpoint to resume from; `say` takes a note of each damaged one. `None`: there are none.

    Raises `Damaged` where all are damaged.
    """
    last = folder / "last.ckpt"
    candidates = [path for path in (last, previous(last)) if path.exists()]
    for number, path in enumerate(candidates):
        try:
            with _open(path) as file:
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


def remove_previous(folder: Path) -> None:
    """Remove the checkpoint before the last one, which a finished run is not resumed from."""
    previous(folder / "last.ckpt").unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process had begun to write in a run's folder, which this process has locked."""
    for file in (
        *folder.glob(".*.json.[0-9]*"),
        *folder.glob(".*.csv.[0-9]*"),
        *(folder / "checkpoints").glob(".*.ckpt.[0-9]*"),
    ):
        file.unlink(missing_ok=True)


class SafeCheckpointIO(CheckpointIO):
    """Has Lightning write and read checkpoints by `save` and `load`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        save(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return load(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


class BestCheckpoint(Checkpoint):
    """Keeps the weights of the best epoch in `best.ckpt`: that of the best value on the validation images.

    `monitor` is what is compared, `metric` what is kept of the best epoch. Of several epochs with the same value, that
    of the least loss is the best. The state names no folder, so that a run that was moved can be resumed.
    """

    def __init__(self, folder: Path, metric: MetricSpec, monitor: MetricSpec) -> None:
        self.path = folder / "best.ckpt"
        self.metric = metric
        self.monitor = monitor
        self.value: float | None = None
        """The best value of `monitor`."""
        self.score: float | None = None
        self.loss = math.inf
        self.epoch = 0
        """The best epoch, counted from 1."""

    @property
    def state_key(self) -> str:
        return BEST_KEY

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        names = (self.monitor.log_name, self.metric.log_name, "val_loss")
        value, score, loss = (float(trainer.callback_metrics[name]) for name in names)
        if self._is_better(value, loss):
            self.value, self.score, self.loss, self.epoch = value, score, loss, trainer.current_epoch + 1
            trainer.save_checkpoint(self.path)

    def _is_better(self, value: float, loss: float) -> bool:
        if self.value is None or math.isnan(self.value):
            return True
        return self.monitor.is_better(value, self.value) or (value == self.value and loss < self.loss)

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "score": self.score, "loss": self.loss, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.path.exists():  # what is kept no longer is no match for what comes
            vars(self).update(state_dict)


def _open(path: Path) -> BinaryIO:
    """Open a file to read. Raises `OSError`, also for what is no file: a named pipe would never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return open(path, "rb")


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
