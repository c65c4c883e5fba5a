"""The log of a run, `metrics.csv`: a row for each epoch."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from trainer.runs.writing import written_whole


class EpochLog(Logger):
    """Gathers what is logged of each epoch, and writes it as one row, whole or not at all.

    Args:
        folder: The run's folder. Rows that a resumed run had written of the epochs before `epoch` are kept.
        epoch: The epoch that the training begins with, counted from 0, as in the table.
        within: Whether it begins within that epoch, whose row is then kept too, with what is logged as an epoch begins.
    """

    def __init__(self, folder: Path, epoch: int = 0, *, within: bool = False) -> None:
        super().__init__()
        self.file = folder / "metrics.csv"
        self.columns = ["epoch", "step"]
        self.rows: dict[int, dict[str, Any]] = {}
        self.epoch = epoch
        self.written = True
        """Whether the file has all that was logged."""
        self._read(epoch, within)

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def root_dir(self) -> str:
        return str(self.file.parent)

    @property
    def log_dir(self) -> str:
        return str(self.file.parent)

    @rank_zero_only
    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: `spec.yaml` and `recipe.yaml` have them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.epoch = int(metrics.get("epoch", self.epoch))
        row = self.rows.setdefault(self.epoch, {"epoch": self.epoch})
        row |= metrics | ({} if step is None else {"step": step}) | {"epoch": self.epoch}
        self.columns += [name for name in metrics if name not in self.columns]
        self.written = False
        if "train_loss" in metrics:  # the last thing that is logged of an epoch
            self.epoch += 1

    @rank_zero_only
    def save(self) -> None:
        if self.written:
            return
        with written_whole(self.file, newline="") as text:
            writer = csv.DictWriter(text, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows.values())
        self.written = True

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def _read(self, epoch: int, within: bool) -> None:
        if not self.file.is_file():
            return
        with open(self.file, newline="", encoding="utf-8") as text:
            for row in csv.DictReader(text):
                number = row.get("epoch") or ""
                if not number.isdigit() or int(number) > epoch or (int(number) == epoch and not within):
                    continue
                kept = {name: value for name, value in row.items() if name and value != ""}
                if int(number) == epoch:  # what comes at its end comes again
                    kept = {name: value for name, value in kept.items() if name.startswith(("epoch", "lr"))}
                self.rows.setdefault(int(number), {}).update(kept)
                self.columns += [name for name in row if name and name not in self.columns]
        self.written = False  # rows that are not kept are still there
