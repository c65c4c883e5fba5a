"""A line every minute of a training that no terminal shows: that it goes on, how fast, and for how long."""

from __future__ import annotations

import time
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback

from archspec.recipe import Recipe
from trainer.report.progress import batches_of
from trainer.runs.monitor import TrainingMonitor

SECONDS = 60.0
"""How long nothing is said at most."""


class Heartbeat(Callback):
    """Prints where a training is, `SECONDS` after the last line.

    Losses are those that `TrainingMonitor` has copied already: no device is waited for. The time left counts training
    alone.
    """

    def __init__(self, recipe: Recipe, monitor: TrainingMonitor) -> None:
        self.recipe = recipe
        self.monitor = monitor
        self.said = self.began = time.monotonic()
        self.first: int | None = None
        """How many batches of the training were done when this process began its first."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, index: int) -> None:
        if self.first is None:
            self.first = trainer.current_epoch * int(trainer.num_training_batches) + index
            self.said = self.began = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        now = time.monotonic()
        if now - self.said < SECONDS or self.first is None:
            return
        batches = int(trainer.num_training_batches)
        done = trainer.current_epoch * batches + index + 1
        total = batches_of(self.recipe, batches)
        pace = (now - self.began) / (done - self.first)
        images = self.recipe.batch_size / pace
        parts = [f"{self._epoch(trainer)}, batch {index + 1} of {batches}"]
        if self.monitor.steps:
            parts.append(f"loss {self.monitor.total / self.monitor.steps:.4f}")
        parts += [f"{images:,.0f} {pl_module.unit}/s", f"{_duration((total - done) * pace)} left"]
        self._say("  ".join(parts), now)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, index: int, dataloader_idx: int = 0
    ) -> None:
        now = time.monotonic()
        if now - self.said >= SECONDS:
            self._say(f"{self._epoch(trainer)}, validating, batch {index + 1} of {sum(trainer.num_val_batches)}", now)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.said = time.monotonic()  # `TrainingMonitor` has printed a line

    def _epoch(self, trainer: Trainer) -> str:
        return f"epoch {trainer.current_epoch + 1}" + (f"/{self.recipe.epochs}" if self.recipe.epochs else "")

    def _say(self, line: str, now: float) -> None:
        print(line, flush=True)
        self.said = now


def _duration(seconds: float) -> str:
    """Some seconds, roughly: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
