"""How the files of a run are written that people and programs read."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


@contextmanager
def written_whole(file: Path, newline: str | None = None) -> Iterator[TextIO]:
    """A text that is put in a file's place when all of it is written, and is gone where that fails."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with open(beside, "w", newline=newline, encoding="utf-8") as text:
            yield text
        os.replace(beside, file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write a file whole or not at all."""
    with written_whole(file) as text:
        text.write(json.dumps(content, indent=2) + "\n")
        text.flush()
        os.fsync(text.fileno())


def write_table(file: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write headings and rows as CSV."""
    with open(file, "w", newline="", encoding="utf-8") as text:
        csv.writer(text, lineterminator="\n").writerows(rows)
