"""Run folders: made, locked, found and read. Without torch, so that looking at runs is quick."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from archspec import __version__
from archspec.foundation.errors import UsageError, did_you_mean

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "numpy")


@dataclass(frozen=True)
class Result:
    """What came of a run. Accuracies are shares from 0 to 1, the time is in seconds.

    Without validation images there is no `val_accuracy`, and the last epoch counts as the best.
    """

    name: str
    spec: str
    variant: str | None
    data: str
    seed: int
    epochs: int
    params: int
    macs: int
    val_accuracy: float | None
    test_accuracy: float
    test_loss: float
    best_epoch: int
    seconds: float
    images_per_second: float
    """Training images, validation and all else included in the time."""
    folder: str

    def write(self) -> None:
        """Write `results.json` into the run's folder, whole or not at all."""
        kept = asdict(self)
        del kept["folder"]
        write_json(Path(self.folder) / "results.json", kept)


@dataclass(frozen=True)
class Run:
    """A run's folder and what is known of it."""

    folder: Path
    environment: dict[str, Any]
    result: Result | None

    @property
    def status(self) -> str:
        """`finished`, `running` (some process holds it) or `stopped`."""
        return "finished" if self.result else "running" if _held(self.folder) else "stopped"

    @property
    def name(self) -> str:
        return str(self.environment.get("name", self.folder.name))


def read(folder: Path) -> Run | None:
    """A run by its folder; `None` where that is no run's. Raises `UsageError` where its files are damaged."""
    if not (folder / "environment.json").is_file():
        return None
    environment, kept = _read_json(folder / "environment.json"), None
    if (folder / "results.json").is_file():
        kept = _read_json(folder / "results.json")
        names = {field.name for field in fields(Result)} - {"folder"}
        if set(kept) != names:
            raise UsageError(
                f"{folder / 'results.json'} is not what archspec {__version__} writes",
                help="move it away, and test the run again: archspec train --resume " + str(folder),
            )
    return Run(folder, environment, Result(**kept, folder=str(folder)) if kept else None)


def all_below(out: Path) -> list[Run]:
    """The runs in a folder, by name; damaged ones are left out."""
    found = []
    for folder in sorted(out.iterdir()) if out.is_dir() else ():
        try:
            run = read(folder) if folder.is_dir() else None
        except UsageError:
            continue
        if run is not None:
            found.append(run)
    return found


def find(name: str, out: Path) -> Run:
    """A run, by its folder's path or its name below `out`. Raises `UsageError`."""
    for folder in (Path(name), out / name):
        if run := read(folder):
            return run
    if Path(name).exists():
        raise UsageError(f"{name} is no run's folder: it holds no environment.json", help="archspec runs lists them")
    hint = did_you_mean(name, [run.folder.name for run in all_below(out)]) or "archspec runs lists those there are"
    raise UsageError(f"there is no run `{name}`, here or in {out}", help=hint)


def finished(out: Path, key: str) -> Run | None:
    """A finished run of the same spec, recipe and data."""
    return next((run for run in all_below(out) if run.result and run.environment.get("key") == key), None)


def new_folder(out: Path, name: str) -> Path:
    """A folder of this run's own: `name`, or where that is taken `name-2`, `name-3`, … Raises `UsageError`."""
    number = 1
    while True:
        folder = out / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if not out.is_dir():
                raise UsageError(
                    f"cannot make a run's folder: {out} is a file", help="choose another by --out"
                ) from None
            number += 1
        except OSError as error:
            raise UsageError(
                f"cannot make the folder {folder}: {error.strerror}", help="choose another by --out"
            ) from None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds a run's folder for this process alone, to its end if need be. Raises `UsageError` where another has it."""
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _lock(handle):
            raise UsageError(
                f"the run {folder} is being trained by another process", help="wait for it, or stop it first"
            )
        yield
    finally:
        os.close(handle)


def key_of(spec: dict[str, Any], data: str) -> str:
    """What tells a training from all others: the resolved spec with its complete recipe, and the data's digest."""
    text = json.dumps({"spec": spec, "data": data}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def environment() -> dict[str, Any]:
    """Where and by what a run is made: versions, machine, git commit, command line, time (JSON types)."""
    return {
        "archspec": __version__,
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "git": _git(),
        "command": sys.argv,
        "folder": os.getcwd(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write a file whole or not at all."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    with open(beside, "w", encoding="utf-8") as text:
        text.write(json.dumps(content, indent=2) + "\n")
        text.flush()
        os.fsync(text.fileno())
    os.replace(beside, file)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise UsageError(f"{file} is damaged", help="move the run's folder away")
    return content


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """The commit that the current folder is at, and whether files differ from it; `None` outside of git."""
    try:
        commit, changes = (
            subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True).stdout.strip()
            for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": bool(changes)}


def _lock(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # where there is none, folders are told apart by their names alone
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held(folder: Path) -> bool:
    try:
        handle = os.open(folder / ".lock", os.O_RDWR)
    except OSError:
        return False
    try:
        return not _lock(handle)
    finally:
        os.close(handle)
