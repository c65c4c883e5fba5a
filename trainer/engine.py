"""Lightning's trainer, told what a recipe says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
)
from pytorch_lightning.loggers import TensorBoardLogger

from archspec.errors import UsageError
from trainer.resume import RunFiles, csv_log

Recipe = dict[str, Any]


def check_device(recipe: Recipe) -> None:
    """Raises `UsageError` where a recipe asks for what this machine cannot do, and Lightning would do otherwise."""
    if recipe["precision"] == "16-mixed" and not torch.cuda.is_available():
        raise UsageError(
            "the precision `16-mixed` needs a GPU, and there is none\n  help: --set train.precision=bf16-mixed"
        )


def make_engine(recipe: Recipe, folder: Path, callbacks: list[Callback], *, step: int = 0) -> Trainer:
    """A trainer that logs to a folder, after what was logged there before a step, and writes checkpoints safely."""
    clip = recipe["clip"] or {}
    return Trainer(
        max_epochs=recipe.get("epochs", -1),
        devices=1,
        precision=recipe["precision"],
        accumulate_grad_batches=recipe["accumulate"],
        gradient_clip_val=next(iter(clip.values()), None),
        gradient_clip_algorithm=next(iter(clip), None),
        callbacks=[*_of_recipe(recipe), *callbacks, LearningRateMonitor("epoch")],
        logger=[csv_log(folder, step), TensorBoardLogger(str(folder), name="", version="", purge_step=step or None)],
        plugins=[RunFiles()],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
    )


def _of_recipe(recipe: Recipe) -> list[Callback]:
    """What a recipe asks for that Lightning does by callbacks."""
    callbacks: list[Callback] = []
    if recipe.get("steps"):
        callbacks.append(LastStep(recipe["steps"]))
    if recipe["ema"] is not None:
        given = recipe["ema"]
        callbacks.append(
            EMAWeightAveraging(decay=given.get("decay", 0.999), update_every_n_steps=given.get("every", 1))
        )
    if recipe["early_stopping"] is not None:
        given = {"monitor": "val_accuracy", "min_delta": 0.0} | recipe["early_stopping"]
        mode = "min" if given["monitor"] == "val_loss" else "max"
        # a loss that is not finite is an error, and said elsewhere
        callbacks.append(EarlyStopping(**given, mode=mode, check_finite=False))
    return callbacks


class LastStep(Callback):
    """Ends a training that is counted in steps as early stopping would: an epoch cut short is validated too.

    Lightning's own `max_steps` takes such a training, gone on with after an epoch, for one stopped in its midst.
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
