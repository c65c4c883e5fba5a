"""Read the log of a run, `metrics.csv`, without torch."""

from __future__ import annotations

import csv
from pathlib import Path

MOST_EPOCHS = 2**53  # as a float, each is still another


def read_log(file: Path) -> list[dict[str, float]]:
    """What a `metrics.csv` says of each epoch, in order; nothing of a file that is not there, or not understood."""
    epochs: dict[int, dict[str, float]] = {}
    try:
        with open(file, newline="", encoding="utf-8") as text:
            for row in csv.DictReader(text):
                if row.get("epoch"):
                    values = {name: float(value) for name, value in row.items() if name and value}
                    if not 0 <= values["epoch"] < MOST_EPOCHS:
                        return []
                    epochs.setdefault(int(row["epoch"]), {}).update(values)
    except (OSError, ValueError, TypeError, csv.Error):
        return []
    return list(epochs.values())
