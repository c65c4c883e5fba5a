"""The pictures of a run: curves, samples of the augmentation, and those of its task."""

from __future__ import annotations

from pathlib import Path

from trainer import drawing
from trainer.input.augment_batch import Augmentation
from trainer.input.datasets import InMemory
from trainer.input.images import fit_to_input
from trainer.runs.job import Job
from trainer.tasks import Evaluation

SAMPLES = 6
"""Of how many images the augmentation is shown."""


def draw_all(folder: Path, job: Job, found: Evaluation) -> None:
    """Draw all pictures of a run into its folder, as PNG files, from what its network says of the test images."""
    metric = job.task.metric
    drawing.curves(folder / "metrics.csv", folder / "curves.png", metric.log_name, metric.heading)
    job.task.draw(folder, found, job.test, job.data.class_names)
    if isinstance(job.train, InMemory):
        shape = job.spec.plan.input
        augmentation = Augmentation(job.recipe.augment, shape, job.data.classes)
        drawing.samples(augmentation, fit_to_input(job.train.images[:SAMPLES], shape), folder / "augmentation.png")
