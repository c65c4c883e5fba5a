"""By what a training is known: its spec, recipe, classes, images and first weights, wherever these lie."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from trainer.input.datasets import InMemory
from trainer.input.files import Files, content_fingerprint
from trainer.input.loaders import Stream
from trainer.input.parts import shared_images, shared_rows
from trainer.input.splits import split
from trainer.runs.folders import Run, fingerprint_of
from trainer.runs.job import DataCache, Job, load_job


def fingerprint(job: Job) -> str:
    """Identifies a training by its spec, recipe, classes, images and first weights, wherever these lie."""
    digest = hashlib.sha256(repr(job.data.class_names).encode())
    for part in (job.train, job.validation, job.test):
        if isinstance(part, Stream):
            digest.update(content_fingerprint(part.files).encode())
        else:
            digest.update(part.images.numpy().data)
            digest.update(part.labels.numpy().data)
            if part.rows is not None:
                digest.update(part.rows.numpy().data)
    if job.start is not None:
        digest.update(job.start.digest.encode())
    spec = resolved(job)
    if job.data_path is not None:
        spec = spec | {"train": {name: value for name, value in spec["train"].items() if name != "data"}}
    return fingerprint_of(spec, digest.hexdigest())


def resolved(job: Job) -> dict[str, Any]:
    """The spec as it is trained, with the whole recipe."""
    return job.spec.resolved | {"train": job.recipe.to_dict()}


def notes_of_shared(run: Run, recipe: Recipe, data_folder: Path | None, part: InMemory | Stream) -> list[str]:
    """Notes of what is tested on, and was trained or validated with, where the run's data still lie where they did."""
    folder = data_folder or Path(run.recorded("data_folder"))
    try:
        train, validation, _ = split(DataCache().load(recipe, folder, source=run.environment.get("data_path")), recipe)
    except UsageError:
        return []
    known = {"training": train, "validation": validation}
    if isinstance(part, Stream):
        return shared_images(
            {name: one for name, one in known.items() if isinstance(one, Files)} | {"test": part.files}
        )
    rows = {name: one for name, one in known.items() if isinstance(one, InMemory) and not one.are_images}
    return shared_rows(rows | {"test": part}) if rows else []


def own_images(run: Run, data_folder: Path | None, source: str) -> Job | None:
    """The job of a run whose images lie at `source`; `None` where these are others than it was trained with."""
    if run.environment.get("data_path") is None:
        return None
    try:
        job = load_job(run, data_folder, source=source)
    except UsageError:  # it may be tested, though not trained with
        return None
    return job if fingerprint(job) == run.environment.get("key") else None
