"""Make, lock, find and read the folders of runs. Without torch, so that listing runs is quick."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any, get_args, get_type_hints

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.spelling import did_you_mean
from archspec.foundation.values import describe
from trainer import tasks
from trainer.runs.writing import write_json
from trainer.tasks import DEFAULT, Task


@dataclass(frozen=True)
class Result:
    """The results of a run. The time is in seconds."""

    name: str
    spec: str
    variant: str | None
    data: str
    seed: int
    epochs: int
    params: int
    macs: int
    metrics: dict[str, float | None]
    """What the task measures, by the names under which `results.json` has it: `val_accuracy`, `test_accuracy`, …

    Of the validation images it is the first metric, `None` where there are none, and the last epoch counts as the best.
    """
    best_epoch: int
    seconds: float
    images_per_second: float
    """Training images, validation and all else included in the time."""
    folder: str
    task: str = DEFAULT

    def write(self) -> None:
        """Write `results.json` into the run's folder, whole or not at all."""
        kept: dict[str, Any] = {}
        for name, value in asdict(self).items():
            kept |= value if name == "metrics" else {} if name == "folder" else {name: value}
        write_json(Path(self.folder) / "results.json", kept)


@dataclass(frozen=True)
class Run:
    """A run's folder and what is known of it."""

    folder: Path
    environment: dict[str, Any]
    result: Result | None
    """Its results; `None` where it is not finished, or `results.json` is incomplete."""
    raw_results: dict[str, Any] | None = None
    """The valid values of `results.json`; `None` where there is no such file."""
    notes: tuple[str, ...] = ()
    """What is missing or invalid in its files, a line each."""

    @property
    def status(self) -> str:
        """`finished`, `running` (some process has locked it) or `stopped`."""
        finished = self.result is not None or self.raw_results is not None
        return "finished" if finished else "running" if _is_locked(self.folder) else "stopped"

    @property
    def task_name(self) -> str:
        """The name of the task that it was trained for."""
        return str(self.environment.get("task", DEFAULT))

    @property
    def task(self) -> Task:
        """What it was trained for. Raises `UsageError` where the task is not installed here."""
        return tasks.load(self.task_name)

    @property
    def has_images(self) -> bool:
        """Whether it was trained with images, not with vectors or sequences."""
        return self.environment.get("form") is None

    @property
    def metrics(self) -> dict[str, float | None]:
        """What is measured of it, by the names in `results.json`."""
        return {name: value for name, value in (self.raw_results or {}).items() if _METRIC.match(name)}

    @property
    def name(self) -> str:
        return str(self.environment.get("name", self.folder.name))

    def recorded(self, key: str) -> Any:
        """A value of `environment.json`. Raises `UsageError` where it is missing: another version wrote the file."""
        if key not in self.environment:
            file = self.folder / "environment.json"
            raise UsageError(
                f"{file} lacks `{key}`: another version of archspec wrote it, or it was changed",
                help="train anew, or use the archspec that made the run",
            )
        return self.environment[key]


def read(folder: Path) -> Run | None:
    """A run by its folder; `None` where that is no run's. Raises `UsageError` where its files are damaged.

    Valid values are taken; what is missing or invalid is in `notes`.
    """
    if not (folder / "environment.json").is_file():
        return None
    notes: list[str] = []
    made = _read_json(folder / "environment.json")
    understood = _valid_values(made, _ENVIRONMENT, folder / "environment.json", notes)
    environment = {key: value for key, value in made.items() if key not in _ENVIRONMENT or key in understood}
    if not (folder / "results.json").is_file():
        return Run(folder, environment, None, None, tuple(notes))
    content = _read_json(folder / "results.json")
    kinds = get_type_hints(Result)
    for name in ("folder", "metrics"):
        del kinds[name]
    measured = {name: float | None if name.startswith("val_") else float for name in content if _METRIC.match(name)}
    raw_results = _valid_values(content, kinds | measured, folder / "results.json", notes)
    needed = kinds.keys() - {"task"} | _needed_metrics(str(raw_results.get("task", DEFAULT)))
    for what, names in (
        ("lacks", needed - content.keys()),
        ("has, unknown here,", content.keys() - kinds.keys() - measured.keys()),
    ):
        if names:
            notes.append(f"{folder / 'results.json'} {what} {join_words(sorted(names))}")
    result = None
    if needed <= raw_results.keys():
        metrics = {name: value for name, value in raw_results.items() if name in measured}
        others = {name: value for name, value in raw_results.items() if name not in measured}
        result = Result(**others, metrics=metrics, folder=str(folder))
    return Run(folder, environment, result, raw_results, tuple(notes))


_METRIC = re.compile("(val|test)_")


def _needed_metrics(task: str) -> set[str]:
    """The names of the figures that results are not complete without."""
    try:
        metric = tasks.load(task).metric
    except UsageError:  # of a package that is not installed here
        return {"test_loss"}
    return {metric.log_name, metric.test_name, "test_loss"}


_ENVIRONMENT: dict[str, Any] = {
    "name": str,
    "spec": str,
    "variant": str | None,
    "data": str,
    "seed": int,
    "started": str,
    "key": str,
    "data_folder": str,
    "task": str,
    "classes": list,
    "data_path": str | None,
    "form": dict | None,
    "targets": dict | None,
}
"""The types of what is read of `environment.json`."""


def _valid_values(content: dict[str, Any], kinds: dict[str, Any], file: Path, notes: list[str]) -> dict[str, Any]:
    """The values that have the right types; the others are noted."""
    found = {}
    for name, kind in kinds.items():
        if name in content:
            value = content[name]
            if _fits(value, kind):
                found[name] = value
            else:
                notes.append(f"`{name}` in {file} is {describe(value)}, which is not understood")
    return found


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value of a JSON file has a type, or one of several; an integer is a number, a boolean is none."""
    kinds = get_args(kind) or (kind,)
    if isinstance(value, bool) or (isinstance(value, int) and not -LARGEST < value < LARGEST):
        return False
    if isinstance(value, int) and float in kinds:
        value = float(value)
    return isinstance(value, kinds) and (not isinstance(value, float) or isfinite(value))


LARGEST = 2**63
"""No count of a run is as large: those of layers and of tensors are smaller."""


def list_runs(out: Path, note: Callable[[str], None] = lambda message: None) -> list[Run]:
    """The runs in a folder, by name; damaged ones are left out, and noted."""
    found = []
    for folder in sorted(out.iterdir()) if out.is_dir() else ():
        try:
            run = read(folder) if folder.is_dir() else None
        except UsageError as error:
            note(f"the run {folder} is left out: {error.message}")
            continue
        if run is not None:
            found.append(run)
            for message in run.notes:
                note(message)
    return found


def find(name: str, out: Path) -> Run:
    """A run, by its folder's path or its name below `out`. Raises `UsageError`."""
    for folder in (Path(name), out / name):
        if run := read(folder):
            return run
    if Path(name).exists():
        raise UsageError(f"{name} is no run's folder: it holds no environment.json", help="archspec runs lists them")
    hint = did_you_mean(name, [run.folder.name for run in list_runs(out)]) or "archspec runs lists those there are"
    raise UsageError(f"there is no run `{name}`, here or in {out}", help=hint)


def find_finished(out: Path, key: str) -> Run | None:
    """A finished run of the same spec, recipe and data."""
    return next((run for run in list_runs(out) if run.result and run.environment.get("key") == key), None)


def find_stopped(out: Path, key: str) -> Run | None:
    """A run of the same spec, recipe and data that was stopped after a checkpoint."""
    return next(
        (
            run
            for run in list_runs(out)
            if run.status == "stopped"
            and run.environment.get("key") == key
            and (run.folder / "checkpoints" / "last.ckpt").is_file()
        ),
        None,
    )


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
def lock(folder: Path) -> Iterator[None]:
    """Lock a run's folder for this process inside the `with` block. Raises `UsageError` where another has the lock."""
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _lock(handle):
            raise UsageError(
                f"the run {folder} is being trained by another process", help="wait for it, or stop it first"
            )
        yield
    finally:
        os.close(handle)


def fingerprint_of(spec: dict[str, Any], data: str) -> str:
    """Identifies a training by the resolved spec with its complete recipe, and the data's digest."""
    text = json.dumps({"spec": spec, "data": data}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise UsageError(f"{file} is damaged", help="move the run's folder away")
    return content


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


def _is_locked(folder: Path) -> bool:
    try:
        handle = os.open(folder / ".lock", os.O_RDWR)
    except OSError:
        return False
    try:
        return not _lock(handle)
    finally:
        os.close(handle)
