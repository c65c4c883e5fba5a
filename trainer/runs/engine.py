"""Lightning's `Trainer` for a job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
)
from pytorch_lightning.loggers import TensorBoardLogger

from archspec.recipe import Recipe
from trainer.runs.log import EpochLog
from trainer.runs.resume import FiniteCheckpointIO
from trainer.steps.averaging import MovingAverage
from trainer.steps.freezing import Freezing

if TYPE_CHECKING:
    from trainer.processes.group import ProcessGroup
    from trainer.runs.job import Job
    from trainer.tasks import Task


def make_engine(
    job: Job,
    folder: Path,
    callbacks: Sequence[Callback],
    group: ProcessGroup,
    *,
    step: int = 0,
    start: tuple[int, int] = (0, 0),
) -> Trainer:
    """A trainer that logs to a folder, and writes checkpoints safely.

    What was logged there before `step`, and before the epoch and batch of `start`, is kept.
    """
    recipe = job.recipe
    # that some parameters get no gradient, DDP has to know
    unused_parameters = bool(job.spec.plan.outputs) or (recipe.freeze is not None and recipe.freeze.thaws)
    log = EpochLog(folder, start[0], within=start[1] > 0)
    return Trainer(
        **group.devices.arguments(unused_parameters=unused_parameters),
        max_epochs=-1 if recipe.epochs is None else recipe.epochs,
        precision=recipe.precision,
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.clip.limit if recipe.clip else None,
        gradient_clip_algorithm=recipe.clip.algorithm if recipe.clip else None,
        callbacks=[*_of_recipe(recipe, job.task), *callbacks, LearningRateMonitor("epoch")],
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
    if recipe.freeze:
        callbacks.append(Freezing(recipe.freeze))
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
