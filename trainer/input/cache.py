"""Cache statistics of a data set's files in the user's cache folder; files that have changed have other entries."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def files_fingerprint(files: Iterable[Path]) -> str:
    """Identifies files and their state: a digest of paths, sizes, modification times and change times (ctime).

    No program can set a ctime back. Raises `OSError`.
    """
    digest = hashlib.sha256()
    for file in files:
        state = file.stat()
        digest.update(repr((str(file.absolute()), state.st_size, state.st_mtime_ns, state.st_ctime_ns)).encode())
    return digest.hexdigest()


def read_cache(key: dict[str, Any]) -> Any:
    """The value (JSON types) cached under a key; `None` if there is none, or its file is damaged or unreadable."""
    try:
        cached = json.loads(_file(key).read_bytes())
        if cached["sha256"] == _digest(key, cached["value"]):
            return cached["value"]
    except (OSError, ValueError, TypeError, KeyError, RuntimeError):  # the last: there is no home folder
        pass
    return None


def write_cache(key: dict[str, Any], value: Any) -> None:
    """Cache a value (JSON types) under a key. If it cannot be written, it will be computed again."""
    try:
        target = _file(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            temporary = Path(folder) / target.name
            temporary.write_text(
                json.dumps({"key": key, "value": value, "sha256": _digest(key, value)}), encoding="utf-8"
            )
            os.replace(temporary, target)
    except (OSError, RuntimeError):
        pass


def _file(key: dict[str, Any]) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "archspec" / f"{_digest(key, None)}.json"


def _digest(key: dict[str, Any], value: Any) -> str:
    return hashlib.sha256(json.dumps([key, value], sort_keys=True).encode()).hexdigest()
