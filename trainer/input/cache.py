"""What was computed of files once, kept in the user's cache folder; never used for files that have changed since."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def files_fingerprint(files: Iterable[Path]) -> str:
    """What tells these files in this state from all others: a digest of paths, sizes and times of change.

    The time of a file's last change of state is among them, which no program can set back. Raises `OSError`.
    """
    digest = hashlib.sha256()
    for file in files:
        state = file.stat()
        digest.update(repr((str(file.absolute()), state.st_size, state.st_mtime_ns, state.st_ctime_ns)).encode())
    return digest.hexdigest()


def read_cache(key: dict[str, Any]) -> Any:
    """What was kept under a key (JSON types), or `None`: also where the file is damaged or cannot be read."""
    try:
        kept = json.loads(_file(key).read_bytes())
        if kept["sha256"] == _digest(key, kept["value"]):
            return kept["value"]
    except (OSError, ValueError, TypeError, KeyError, RuntimeError):  # the last: there is no home folder
        pass
    return None


def write_cache(key: dict[str, Any], value: Any) -> None:
    """Keeps a value (JSON types) under a key; where that cannot be done, it will be computed again."""
    try:
        target = _file(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as beside:
            part = Path(beside) / target.name
            part.write_text(json.dumps({"key": key, "value": value, "sha256": _digest(key, value)}), encoding="utf-8")
            os.replace(part, target)
    except (OSError, RuntimeError):
        pass


def _file(key: dict[str, Any]) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "archspec" / f"{_digest(key, None)}.json"


def _digest(key: dict[str, Any], value: Any) -> str:
    return hashlib.sha256(json.dumps([key, value], sort_keys=True).encode()).hexdigest()
