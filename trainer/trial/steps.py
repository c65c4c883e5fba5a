"""Train with the first batches of a job as the training itself would, in a folder that is deleted again."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

from trainer.input.loaders import explain_dead_workers, loader
from trainer.processes.group import ProcessGroup
from trainer.quiet import mute_libraries
from trainer.runs.engine import make_engine
from trainer.runs.failures import translate_errors
from trainer.runs.job import Job
from trainer.session import make_module
from trainer.steps import memory
from trainer.steps.compute import move_to_device, optimize_execution, training_loader
from trainer.steps.module import SpecModule


@dataclass(frozen=True)
class Tried:
    """Where batches were tried out, and how many an epoch and its validation have."""

    device: torch.device
    batches: int
    validated: int

    @property
    def device_name(self) -> str:
        """What the device is called."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type.upper()


def try_out(
    job: Job,
    group: ProcessGroup,
    callbacks: Sequence[Callback],
    *,
    workers: int | None = None,
    validated: int = 0,
    watch: Callable[[SpecModule], object] = lambda module: None,
) -> Tried:
    """Train a new module until one of the callbacks stops it, and validate up to so many batches.

    `watch` gets the module before the first step. Raises `UsageError`: it runs out of memory, or a file cannot be read.
    """
    recipe = job.recipe
    seed_everything(recipe.seed, verbose=False)
    module = make_module(job)
    with tempfile.TemporaryDirectory() as made, mute_libraries(), memory.keep_freed_memory():
        engine = make_engine(job, Path(made), callbacks, group)
        engine.callbacks = [one for one in engine.callbacks if not isinstance(one, ModelCheckpoint)]  # type: ignore[attr-defined]
        engine.limit_val_batches = validated
        device = engine.strategy.root_device
        loading: dict[str, Any] = {"group": group, "workers": workers}
        training = training_loader(job.train, recipe, device, **loading)
        validation = None
        if validated and len(job.validation):
            evaluated = job.task.evaluation_batch(recipe)
            validation = loader(move_to_device(job.validation, device), evaluated, **loading)
        optimize_execution(module.network, recipe, device)
        watch(module)
        with translate_errors(job, Path(made), device), explain_dead_workers():
            engine.fit(module, training, validation)
    return Tried(device, len(training), len(validation or ()))


def time_at(device: torch.device) -> float:
    """The time in seconds at which a device has done all that it was asked to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
