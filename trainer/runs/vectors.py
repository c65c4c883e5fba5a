"""Runs whose samples are vectors or sequences: what they keep of their features, and what else they are tested on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import Shape, show
from trainer import data
from trainer.data import _vectors
from trainer.input.datasets import DataSet, Form, InMemory
from trainer.input.loaders import Stream
from trainer.input.vectors import statistics
from trainer.runs.folders import Run


def form_of(run: Run) -> Form:
    """What the columns of a run's table are. Raises `UsageError` where it was trained with images."""
    return Form.from_dict(run.recorded("form"))


def load_test(run: Run, source: str, shape: Shape, data_folder: Path | None) -> InMemory:
    """The samples of another table or other arrays to test a run's network on. Raises `UsageError`."""
    form = form_of(run)
    if data.is_path_of_vectors(source):
        part = _vectors.load_test(Path(source).expanduser(), form)
    else:
        found = data.load(source, data_folder or Path(run.recorded("data_folder")))
        if found.samples is None or not isinstance(found.test, InMemory):
            raise UsageError(f"`{source}` holds images, and the run was trained without", help="choose other data")
        if found.known_form != form:
            raise UsageError(
                f"`{source}` has other columns or targets than the run was trained with", help="choose other data"
            )
        part = found.test
    check_samples(tuple(part.images.shape[1:]), shape, source)
    return part


def check_samples(found: Shape, shape: Shape, source: object) -> None:
    """Raises `UsageError` where samples do not have the shape of a run's network's input."""
    if found != shape:
        raise UsageError(
            f"the samples of {source} are {show(found)}, but the network's input is {show(shape)}",
            help="give it samples as those that it was trained with",
        )


def feature_table(data: DataSet, train: InMemory | Stream, moments: Shape) -> list[list[Any]] | None:
    """Mean, standard deviation, least and greatest value of each feature in the training samples; of images, `None`.

    `moments` is the shape of the mean (`trainer.input.vectors.moments_shape`).
    """
    if data.samples is None or not isinstance(train, InMemory):
        return None
    mean, std = statistics(train.images, moments)
    values = train.images.movedim(1 if len(moments) > 1 else -1, 0).flatten(1)
    columns = mean.flatten(), std.flatten(), values.amin(1), values.amax(1)
    rows = zip(data.known_form.features or range(len(values)), *(one.tolist() for one in columns), strict=True)
    shown = [[name, *(float(f"{value:.7g}") for value in row)] for name, *row in rows]  # float32 has no more digits
    return [["feature", "mean", "std", "least", "greatest"], *shown]
