"""How large a batch a GPU's memory holds: by the plan, then tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback

from archspec.foundation.errors import UsageError
from trainer.errors import OutOfMemory
from trainer.processes.group import ProcessGroup
from trainer.runs.job import Job
from trainer.runs.memory_need import step_memory
from trainer.trial.steps import try_out

USED = 0.9
"""What share of the free memory is planned with: a convolution's workspace and fragments take some."""
STEP = 8
"""Batches are multiples of this, where they are as large: GPUs compute with such numbers fastest."""


def fit_batch(job: Job, group: ProcessGroup, workers: int | None = None) -> int:
    """The largest batch with which a job trains on its GPU. Raises `UsageError` without a GPU, or where none fits."""
    if not torch.cuda.is_available() or group.devices.accelerator == "cpu":
        raise UsageError(
            "--batch-size auto fills the memory of a GPU, and this training runs on a CPU",
            help="say how many images a batch has, --batch-size 64 for example",
        )
    free = torch.cuda.mem_get_info()[0]
    return largest_batch(planned(job, int(USED * free)), lambda size: _fits(job, size, group, workers))


def planned(job: Job, memory: int) -> int:
    """The largest batch whose step needs so many bytes at most by the plan, and that images suffice for; 1 at least."""
    low, high = 1, len(job.train)
    while low < high:  # the largest that fits is from `low` to `high`
        middle = (low + high + 1) // 2
        low, high = (middle, high) if step_memory(job, middle) <= memory else (low, middle - 1)
    return _rounded(low)


def largest_batch(size: int, fits: Callable[[int], bool]) -> int:
    """The first batch that fits of `size` and those that are a quarter smaller each. Raises `UsageError` for none."""
    while not fits(size):
        if size == 1:
            raise UsageError(
                "not even a batch of one image fits into the GPU's memory",
                help="recompute parts of the network in the backward pass (`recompute: true` at a node)",
            )
        size = max(1, min(size - 1, _rounded(size * 3 // 4)))
    return size


def _rounded(size: int) -> int:
    return size // STEP * STEP or size


def _fits(job: Job, size: int, group: ProcessGroup, workers: int | None) -> bool:
    """Whether two steps with batches of a size run."""
    recipe = replace(job.recipe, batch_size=size, accumulate=1)
    try:
        try_out(replace(job, recipe=recipe), group, [_TwoSteps()], workers=workers)
    except OutOfMemory:
        return False
    finally:
        torch.cuda.empty_cache()
    return True


class _TwoSteps(Callback):
    """Ends a training after its second step, which has the optimizer's state in memory."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        trainer.should_stop = trainer.global_step >= 2

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        trainer.should_stop = trainer.global_step >= 2
