"""The pictures of a run: curves, samples of the augmentation, and those of its task."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from archspec.foundation.errors import join_words
from trainer import drawing
from trainer.figures import without_glyphs
from trainer.input.augment_batch import Augmentation
from trainer.input.datasets import InMemory
from trainer.input.images import fit_to_input
from trainer.input.vectors import sample_shape
from trainer.logs import read_log
from trainer.runs.job import Job
from trainer.tasks import Evaluation

MOST_NAMED = 5
"""How many characters a note names."""
SAMPLES = 6
"""Of how many images the augmentation is shown."""


def draw_all(folder: Path, job: Job, found: Evaluation) -> None:
    """Draw all pictures of a run into its folder, as PNG and SVG files, from what its network says of the test images.

    Class names with characters that no installed font has are replaced by their numbers, and a note says so.
    """
    metric = job.task.metric
    best = (
        json.loads((folder / "results.json").read_text(encoding="utf-8"))["best_epoch"] if len(job.validation) else None
    )
    drawing.curves(
        read_log(folder / "metrics.csv"),
        folder / "curves.png",
        metric.log_name,
        f"validation {metric.heading}",
        best=best,
        percent=metric.format_spec.endswith("%"),
    )
    job.task.draw(folder, found, job.test, _legible(job.data.class_names))
    shape, count = sample_shape(job.spec.plan), min(SAMPLES, len(job.train))
    if isinstance(job.train, InMemory) and not job.train.are_images:
        return
    if isinstance(job.train, InMemory):
        augmentation = Augmentation(job.recipe.augment, shape, job.data.classes)
        images = fit_to_input(job.train.images[:count], shape, job.recipe.resize)
        drawing.samples(augmentation, images, folder / "augmentation.png")
    else:
        positions = list(range(count))
        draws = [batch[0] for seed in range(drawing.DRAWS) if isinstance(batch := job.train[seed, positions], tuple)]
        if len(draws) == drawing.DRAWS:  # all files are still there
            images = drawing.batch_at(replace(job.train, augment=None), positions)[0]
            drawing.show_draws(images, draws, folder / "augmentation.png")


def _legible(names: Sequence[str]) -> list[str]:
    missing = without_glyphs(names)
    if not missing:
        return list(names)
    shown = join_words(missing[:MOST_NAMED])
    print(
        f"note: no font has the characters {shown}{' and others' * (len(missing) > MOST_NAMED)} of class names: "
        "pictures number these classes; install one that has them, Noto Sans CJK for example",
        file=sys.stderr,
        flush=True,
    )
    return [f"class {i}" if set(name) & set(missing) else name for i, name in enumerate(names)]
