"""Go on with a run for more epochs, in a folder of its own, as if it had been that long from the beginning."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from archspec.foundation.errors import UsageError
from trainer.runs import checkpoints, resume
from trainer.runs.folders import Run
from trainer.runs.job import Job

FITTED = ("cosine", "one_cycle")
"""The schedules whose rates depend on how long the training is."""


def extended(job: Job, run: Run, checkpoint: Path | None, epochs: int) -> Job:
    """The job of a run with more epochs. Raises `UsageError` where it would have gone otherwise with these."""
    recipe = job.recipe
    anew = _anew(run, epochs)
    if recipe.epochs is None:
        raise UsageError(f"the run {run.folder} lasts {recipe.steps:,} steps, not a number of epochs", help=anew)
    if checkpoint is None:
        raise UsageError(
            f"the run {run.folder} has no checkpoint to go on from", help=f"archspec train --resume {run.folder}"
        )
    content = checkpoints.load_own(checkpoint, run.recorded("key"))
    done = resume.position(content, checkpoint)[0]
    if epochs <= max(done, recipe.epochs):
        raise UsageError(
            f"the run {run.folder} is of {recipe.epochs} epochs: --epochs is their number in all, and not greater",
            help=f"--epochs {2 * recipe.epochs} for example",
        )
    if recipe.schedule is not None and recipe.schedule.name in FITTED:
        raise UsageError(
            f"the run {run.folder} cannot go on: its schedule `{recipe.schedule.name}` came to its end in "
            f"{recipe.epochs} epochs",
            help=anew,
        )
    if recipe.early_stopping is not None and run.result is not None and run.result.epochs < recipe.epochs:
        raise UsageError(
            f"the run {run.folder} cannot go on: it ended after {run.result.epochs} epochs, as it no longer improved",
            help=anew,
        )
    # named as the run was, not as the file in its folder
    spec = replace(job.spec, file=run.recorded("spec"), variant=run.recorded("variant"))
    return replace(job, spec=spec, recipe=replace(recipe, epochs=epochs))


def _anew(run: Run, epochs: int) -> str:
    spec, variant = run.recorded("spec"), run.recorded("variant")
    chosen = f" --variant {shlex.quote(variant)}" if variant else ""
    weights = shlex.quote(str(run.folder))
    return (
        f"start anew from its weights: archspec train {shlex.quote(spec)}{chosen} --weights {weights} --epochs {epochs}"
    )


def copy_state(run: Run, to: Run, spec: dict[str, Any]) -> Path:
    """Copy what a run has learnt and logged into the folder of another, of a resolved spec; the checkpoint there.

    Raises `UsageError` where the disk is full or refuses.
    """
    source = checkpoints.latest(run.folder / "checkpoints", lambda _: None)
    assert source is not None, "as `extended` has seen"
    last = to.folder / "checkpoints" / "last.ckpt"
    for file, copy in ((source, last), (source.with_name("best.ckpt"), last.with_name("best.ckpt"))):
        if file.exists():
            content = checkpoints.load_own(file, run.recorded("key"))
            content |= {
                checkpoints.RUN: to.recorded("key"),
                "hyper_parameters": content["hyper_parameters"] | {"spec": spec},
            }
            checkpoints.save(content, copy)
    try:
        if (run.folder / "metrics.csv").exists():
            shutil.copyfile(run.folder / "metrics.csv", to.folder / "metrics.csv")
    except OSError as error:
        raise UsageError(
            f"cannot copy the metrics of {run.folder} to {to.folder}: {error.strerror or error}",
            help="make room, or choose another --out",
        ) from None
    return last
