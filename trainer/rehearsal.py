"""Try a training out: its first steps and a little of its validation, for what they take; nothing is kept of it."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback

from archspec.foundation.errors import UsageError
from trainer.processes.group import ProcessGroup
from trainer.report.progress import batches_of
from trainer.runs.job import Job
from trainer.trial.steps import time_at, try_out

BATCHES, SECONDS = 20, 3.0
"""After the first one, batches are trained with until there were so many, or so much time has gone by."""
VALIDATED = 3
"""Batches of the validation images that are timed, the first of them not counted."""


@dataclass(frozen=True)
class Rehearsal:
    """What the first steps of a training were like."""

    device: str
    loss: float
    """Of the first batch."""
    first_seconds: float
    """What the first batch took, compilation included."""
    batch_seconds: float
    """What each batch after it takes, the median."""
    batches: int
    """Batches of the whole training."""
    validation_seconds: float
    """What one validation takes."""
    validations: int
    memory_bytes: int
    """What the process held at most: of the GPU's memory, or on a CPU of the machine's."""
    without_gradient: tuple[str, ...]
    """Parameters that the loss does not depend on, though they are not frozen."""

    @property
    def seconds(self) -> float:
        """What the whole training will take, without tests and pictures, if it is not stopped early."""
        rest = self.batch_seconds * (self.batches - 1) + self.validation_seconds * self.validations
        return self.first_seconds + rest


def rehearse(job: Job, group: ProcessGroup, workers: int | None = None) -> Rehearsal:
    """Train with the first batches of a job, as the training itself would, in a folder that is deleted again.

    Raises `UsageError`: it runs out of memory, or its loss is not finite.
    """
    recipe, clock = job.recipe, _Clock()
    tried = try_out(job, group, [clock], workers=workers, validated=VALIDATED)
    batches = batches_of(recipe, tried.batches)
    return Rehearsal(
        device=tried.device_name,
        loss=clock.loss,
        first_seconds=clock.seconds[0],
        batch_seconds=statistics.median(clock.seconds[1:] or clock.seconds),
        batches=batches,
        validation_seconds=statistics.median(clock.validated[1:] or clock.validated or [0.0]) * tried.validated,
        validations=-(-batches // tried.batches) if tried.validated else 0,
        memory_bytes=_held(tried.device),
        without_gradient=clock.without_gradient,
    )


class _Clock(Callback):
    """Times each batch and ends the training when enough were timed."""

    def __init__(self) -> None:
        self.loss = math.nan
        self.seconds: list[float] = []
        self.validated: list[float] = []
        self.without_gradient: tuple[str, ...] = ()
        self.began = self.last = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.began = self.last = time_at(pl_module.device)

    def on_after_backward(self, trainer: Trainer, pl_module: Any) -> None:
        if not self.seconds:
            named = pl_module.network.named_parameters()
            self.without_gradient = tuple(name for name, one in named if one.requires_grad and one.grad is None)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        now = time_at(pl_module.device)
        self.seconds.append(now - self.last)
        if len(self.seconds) == 1:
            self.loss = float(outputs["loss"]) * trainer.accumulate_grad_batches
            if not math.isfinite(self.loss):
                raise UsageError(
                    f"the loss of the first batch is {self.loss}",
                    help="look at the initial weights (`init`), and at what the network's last layer gives",
                )
        elif len(self.seconds) > BATCHES or now - self.began - self.seconds[0] > SECONDS:
            trainer.should_stop = True
        self.last = time_at(pl_module.device)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        trainer.should_stop = True

    def on_validation_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        if not self.validated:
            self.last = time_at(pl_module.device)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        now = time_at(pl_module.device)
        self.validated.append(now - self.last)  # from one end to the next: loading the images counts
        self.last = now


def _held(device: torch.device) -> int:
    """The memory that this process held at most, in bytes; 0 where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    try:
        import resource
        import sys
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
