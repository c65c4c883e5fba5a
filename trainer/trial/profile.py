"""Where the time of a training's steps goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback

from trainer.processes.group import ProcessGroup
from trainer.runs import writing
from trainer.runs.job import Job
from trainer.steps.module import SpecModule
from trainer.trial.steps import time_at, try_out

BATCHES, SECONDS = 50, 6.0
"""After the first one, batches are timed until there were so many, or so much time has gone by."""
PARTS = {
    "data": "waiting for the next batch",
    "transfer": "moving it to the device",
    "augment": "augmentation on the device",
    "prepare": "size, channels and normalisation",
    "forward": "the network",
    "loss": "the loss",
    "backward": "its gradients",
    "optimizer": "the step, with clipping of gradients",
    "other": "all else: logging, random numbers, the loop",
}
"""What a step consists of, in its order."""


@dataclass(frozen=True)
class Profile:
    """The mean time of each part of a step, in seconds, over so many batches."""

    seconds: dict[str, float]
    batches: int
    device: str

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def rows(self) -> list[tuple[str, float, float]]:
        """Each part, its time in milliseconds, and its share."""
        return [(name, 1e3 * value, value / self.total) for name, value in self.seconds.items()]

    def write(self, file: Path) -> None:
        """Write the rows as CSV."""
        writing.write_table(file, [("part", "milliseconds", "share"), *self.rows()])


def profile(job: Job, group: ProcessGroup, workers: int | None = None) -> Profile:
    """Time the parts of a job's steps, those after the first one. A GPU is waited for after each part.

    Raises `UsageError`: it runs out of memory, or a file cannot be read.
    """
    watch = Stopwatch()
    tried = try_out(job, group, [watch], workers=workers, watch=watch.watch)
    count = max(1, watch.batches)
    return Profile({name: watch.seconds[name] / count for name in PARTS}, count, tried.device_name)


class Stopwatch(Callback):
    """Times parts of steps, each without those that are timed within it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self.batches = -1  # the first one is not timed
        self.parts = ["other"]
        self.device = torch.device("cpu")
        self.last = self.began = 0.0

    def watch(self, module: SpecModule) -> None:
        """Time what a module does."""
        for method, part in (
            ("transfer_batch_to_device", "transfer"),
            ("augmentation", "augment"),
            ("fit_images", "prepare"),
            ("normalize", "prepare"),
            ("backward", "backward"),
        ):
            setattr(module, method, self._timed(getattr(module, method), part))
        for inner, part in ((module.network, "forward"), (module.loss, "loss")):
            inner.register_forward_pre_hook(self._entering(part))
            inner.register_forward_hook(self._leaving)

    def _timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            self._enter(part)
            try:
                return function(*arguments, **named)
            finally:
                self._leave()

        return timed

    def _entering(self, part: str) -> Callable[..., None]:
        return lambda *_: self._enter(part)

    def _leaving(self, *_: Any) -> None:
        self._leave()

    def _enter(self, part: str) -> None:
        self._lap()
        self.parts.append(part)

    def _leave(self) -> None:
        self._lap()
        self.parts.pop()

    def _lap(self) -> None:
        moment = time_at(self.device)
        self.seconds[self.parts[-1]] += moment - self.last
        self.last = moment

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.device = pl_module.device
        self.last = time_at(self.device)
        for optimizer in trainer.optimizers:
            optimizer.register_step_pre_hook(self._entering("optimizer"))
            optimizer.register_step_post_hook(self._leaving)

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, index: int) -> None:
        self._lap()
        self.parts = ["other"]

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        self._lap()
        self.parts = ["data"]
        self.batches += 1
        if self.batches == 0:
            self.seconds = dict.fromkeys(PARTS, 0.0)
            self.began = self.last
        elif self.batches >= BATCHES or self.last - self.began > SECONDS:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.parts = ["other"]
        if self.batches > 0:
            trainer.should_stop = True
