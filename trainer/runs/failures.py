"""What a person is told of a training that fails: the cause, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from trainer.errors import Diverged, OutOfMemory
from trainer.runs import checkpoints, resume
from trainer.runs.job import Job
from trainer.runs.monitor import TrainingMonitor


@contextmanager
def translate_errors(job: Job, folder: Path, device: torch.device) -> Iterator[None]:
    """Add advice to `Diverged`, and make `UsageError` of running out of memory."""
    try:
        yield
    except SystemExit:  # so Lightning ends when it is interrupted
        raise KeyboardInterrupt from None
    except Diverged as error:
        raise Diverged(str(error), help=_divergence_hint(job.recipe) + _last_checkpoint_hint(folder)) from None
    except ValueError as error:
        if not str(error).startswith("Expected more than 1 value per channel"):  # a plugin's layer: ours are checked
            raise
        raise UsageError(f"a layer normalises single values: {error}", help="train with more images a batch") from None
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        raise _out_of_memory_error(job.recipe, device) from None


@contextmanager
def refuse_unusable(checkpoint: Path | None, monitor: TrainingMonitor) -> Iterator[None]:
    """Make `Damaged` of what Lightning and torch raise before the first step: the checkpoint's content does not fit."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        if checkpoint is None or monitor.started or _is_out_of_memory(error):
            raise
        raise checkpoints.Damaged(
            f"the checkpoint {checkpoint} cannot be resumed from: {' '.join(str(error).split())}",
            help="use a checkpoint that archspec wrote, or train anew: archspec train, with --force",
        ) from None


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a device's memory is exhausted."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def _out_of_memory_error(recipe: Recipe, device: torch.device) -> OutOfMemory:
    size = recipe.batch_size
    cures = ["recompute parts of the network in the backward pass (`recompute: true` at a node)"]
    if size > 1:
        half = f"--set train.batch_size={size // 2} --set train.accumulate={2 * recipe.accumulate}"
        cures.insert(0, f"halve the batch at the same gradient: {half}")
    if device.type == "cuda" and recipe.precision == "32-true":
        cures.append("compute in half precision: --set train.precision=bf16-mixed")
    return OutOfMemory(f"out of memory on {device}, with batches of {size} images", help="; or ".join(cures))


def _divergence_hint(recipe: Recipe) -> str:
    rate = recipe.optimizer.arguments.get("lr")
    return f"lower the learning rate, --set train.optimizer.lr={rate / 10 if rate else 1e-4:g} for example"


def _last_checkpoint_hint(folder: Path) -> str:
    file = folder / "checkpoints" / "last.ckpt"
    if not file.exists():
        return "; there was no checkpoint yet"
    epochs, batch, _ = resume.position(checkpoints.load(file), file)
    where = f"epoch {epochs + 1}, batch {batch}" if batch else f"epoch {epochs}"
    return f"; the last finite weights, of {where}, are in {file}"
