"""The progress bar: one for the whole training, on a terminal."""

from __future__ import annotations

import time
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from archspec.recipe import Recipe
from trainer.runs.monitor import TrainingMonitor

REFRESH_SECONDS = 0.2
"""Seconds between two updates of the bar."""
VALIDATION_COST = 1 / 3
"""The cost of evaluating an image as a share of training with it, assumed until a validation was timed."""


class Bar(Callback):
    """Shows the epoch, the mean loss of it so far, the last validation's metric, images/s and the time left.

    Losses are those that `TrainingMonitor` has copied already: the bar never waits for a device. Images/s are those of
    training alone; the time left is that of the whole training, validation included, if it does not stop early.
    """

    def __init__(self, recipe: Recipe, epochs: TrainingMonitor) -> None:
        self.recipe = recipe
        self.epochs = epochs
        self.shown = Progress(
            TextColumn("{task.description}"),
            BarColumn(None),
            TextColumn("{task.fields[facts]}"),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self.task = self.shown.add_task("", facts="")
        self.rendered_at = 0.0
        self.total = self.done = 0
        self.epoch_batches = 1
        self.validations_left = 0
        self.trained: list[float] = [0, 0.0, 0.0]
        """Batches and images that were timed since the start or resumption, and the seconds that they took."""
        self.validated: tuple[int, float] = (0, 0.0)
        """Validations since then, and the seconds that they took."""
        self.guess = 0.0
        """What a validation costs in batches of training, as long as none was timed."""
        self.validating: float | None = None
        self.last: float | None = None
        self.facts: dict[str, str] = {}
        self.unit = "images"

    # --- training ---------------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.unit = pl_module.unit
        self.epoch_batches = batches = int(trainer.num_training_batches)
        self.total = batches_of(self.recipe, batches)
        self.done = trainer.current_epoch * batches + trainer.fit_loop.epoch_loop.batch_progress.current.completed
        images = sum(map(len, (one.dataset for one in _loaders(trainer.val_dataloaders))))
        self.guess = VALIDATION_COST * images / self.recipe.batch_size
        self.validations_left = -(-self.total // batches) - trainer.current_epoch if images else 0
        if trainer.is_global_zero:
            doing = self._epoch(trainer)
            self.shown.reset(self.task, total=self.total, completed=self.done, description=doing, facts="")
            self.shown.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        now = time.monotonic()
        if self.last is not None:  # the first batch, whose kernels are still to be chosen or compiled, tells little
            for place, more in enumerate((1, len(batch[1]) * self.epochs.group.size, now - self.last)):
                self.trained[place] += more
        self.last = now
        self.done = trainer.current_epoch * self.epoch_batches + index + 1
        if now - self.rendered_at >= REFRESH_SECONDS:
            if self.epochs.steps:
                self.facts["loss"] = f"loss {self.epochs.total / self.epochs.steps:.4f}"
            self._render(now, self._epoch(trainer))

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.shown.stop()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self.shown.stop()

    # --- validation -------------------------------------------------------------------------------------------------

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.validating = time.monotonic()

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        now = time.monotonic()
        if now - self.rendered_at >= REFRESH_SECONDS:
            self._render(now, self._epoch(trainer, "validating"))

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.last = time.monotonic()
        if self.validating is not None:
            self.validated = self.validated[0] + 1, self.validated[1] + self.last - self.validating
            self.validating = None
        self.validations_left -= 1
        metric = self.epochs.metric
        if (value := trainer.callback_metrics.get(metric.log_name)) is not None:
            self.facts["score"] = f"{metric.heading} {metric.show(float(value))}"

    # --- rendering --------------------------------------------------------------------------------------------------

    def _epoch(self, trainer: Trainer, doing: str = "epoch") -> str:
        return f"{doing} {trainer.current_epoch + 1}/{-(-self.total // self.epoch_batches)}"

    def _render(self, now: float, doing: str) -> None:
        self.rendered_at = now
        batches, images, seconds = self.trained
        if self.facts and batches and seconds:
            minutes, rest = divmod(round(self.left(now)), 60)
            clock = f"{minutes // 60}:{minutes % 60:02}" if minutes >= 60 else f"{minutes}"
            self.facts |= {"speed": f"{images / seconds:,.0f} {self.unit}/s", "left": f"{clock}:{rest:02} left"}
        facts = "  ".join(self.facts[one] for one in ("loss", "score", "speed", "left") if one in self.facts)
        self.shown.update(self.task, description=doing, completed=self.done, facts=facts, refresh=True)

    def left(self, now: float) -> float:
        """The seconds that the training will still take."""
        pace = self.trained[2] / self.trained[0]
        count, seconds = self.validated
        each = seconds / count if count else self.guess * pace
        running = min(each, now - self.validating) if self.validating is not None else 0.0
        return (self.total - self.done) * pace + self.validations_left * each - running


def batches_of(recipe: Recipe, epoch: int) -> int:
    """How many batches a whole training has, whose epochs have `epoch` of them."""
    if recipe.steps is None:
        assert recipe.epochs is not None
        return recipe.epochs * epoch
    whole, rest = divmod(recipe.steps, -(-epoch // recipe.accumulate))
    return whole * epoch + min(rest * recipe.accumulate, epoch)


def _loaders(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [] if given is None else [given]
