"""Build Lightning's `Trainer` from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
)
from pytorch_lightning.loggers import TensorBoardLogger

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from trainer.runs.log import EpochLog
from trainer.runs.resume import FiniteCheckpointIO
from trainer.steps.averaging import MovingAverage

if TYPE_CHECKING:
    from trainer.processes.devices import Devices
    from trainer.processes.group import ProcessGroup
    from trainer.tasks import Task


def check_devices(recipe: Recipe, devices: Devices) -> None:
    """Raises `UsageError` where devices cannot do what a recipe asks for, and Lightning would silently do otherwise."""
    if recipe.precision == "16-mixed" and not (torch.cuda.is_available() and devices.accelerator != "cpu"):
        raise UsageError(
            "the precision `16-mixed` needs a GPU, and there is none", help="--set train.precision=bf16-mixed"
        )
    size, processes = recipe.batch_size, devices.processes
    if size % processes:
        near = max(1, round(size / processes)) * processes
        raise UsageError(
            f"a batch of {size} cannot be shared equally among {processes} processes",
            help=f"--set train.batch_size={near}",
        )
    if devices.strategy == "fsdp":
        if recipe.clip is not None and recipe.clip.norm is not None:
            raise UsageError(
                "the strategy `fsdp` cannot clip gradients by their norm, of which each process has a part",
                help="clip by value, --set train.clip={value: 1} for example, or --strategy ddp",
            )
        if recipe.freeze is not None and recipe.freeze.thaws:
            raise UsageError(
                "the strategy `fsdp` cannot train parts later that it does not train from the first epoch on",
                help="freeze them for good, `freeze: [PATH, …]`, or --strategy ddp",
            )
        if recipe.ema is not None:
            raise UsageError(
                "the strategy `fsdp` cannot average weights, of which each process has a part",
                help="--set train.ema=null, or --strategy ddp",
            )


def make_engine(
    recipe: Recipe,
    folder: Path,
    callbacks: list[Callback],
    group: ProcessGroup,
    task: Task,
    *,
    step: int = 0,
    start: tuple[int, int] = (0, 0),
    unused_parameters: bool = False,
) -> Trainer:
    """A trainer that logs to a folder, and writes checkpoints safely.

    What was logged there before `step`, and before the epoch and batch of `start`, is kept. `unused_parameters`: some
    parameters get no gradient, which DDP has to know.
    """
    log = EpochLog(folder, start[0], within=start[1] > 0)
    return Trainer(
        **group.devices.arguments(unused_parameters=unused_parameters),
        max_epochs=-1 if recipe.epochs is None else recipe.epochs,
        precision=recipe.precision,
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.clip.limit if recipe.clip else None,
        gradient_clip_algorithm=recipe.clip.algorithm if recipe.clip else None,
        callbacks=[*_of_recipe(recipe, task), *callbacks, LearningRateMonitor("epoch")],
        logger=[log, TensorBoardLogger(str(folder), name="", version="", purge_step=step or None)],
        plugins=[FiniteCheckpointIO(), group.devices.environment()],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
    )


def _of_recipe(recipe: Recipe, task: Task) -> list[Callback]:
    """The callbacks that a recipe asks for."""
    callbacks: list[Callback] = []
    if recipe.steps is not None:
        callbacks.append(LastStep(recipe.steps))
    if recipe.ema is not None:
        callbacks.append(MovingAverage(recipe.ema.decay, recipe.ema.every))
    if recipe.early_stopping is not None:
        stop = recipe.early_stopping
        metric = task.metric_of(stop.monitor)
        # `TrainingMonitor` reports a loss that is not finite
        callbacks.append(
            EarlyStopping(metric.log_name, stop.min_delta, stop.patience, mode=metric.mode, check_finite=False)
        )
    return callbacks


class LastStep(Callback):
    """Ends a training after a number of steps as early stopping does: an epoch cut short is validated too.

    Lightning's own `max_steps` mistakes a run resumed after an epoch for one interrupted within it.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        self.on_train_batch_end(trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step >= self.steps:
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        self.on_train_batch_end(trainer)
