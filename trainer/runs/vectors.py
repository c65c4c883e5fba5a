"""Runs whose samples are vectors or sequences: what they keep of their features, and what else they are tested on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import Shape, show
from archspec.recipe import Columns, Recipe
from trainer import data
from trainer.data import _image_rows, _vectors
from trainer.input.datasets import DataSet, Form, InMemory
from trainer.input.files import Files, content_fingerprint
from trainer.input.loaders import Stream
from trainer.input.vectors import statistics
from trainer.runs.folders import Run


def form_of(run: Run) -> Form:
    """What the columns of a run's table are. Raises `UsageError` where it was trained with images."""
    return Form.from_dict(run.recorded("form"))


def load_test(run: Run, source: str, shape: Shape, data_folder: Path | None) -> InMemory | Files:
    """The samples of another table or other arrays to test a run's network on. Raises `UsageError`."""
    form = form_of(run)
    if form.image:
        if not data.is_path_of_vectors(source):
            raise UsageError(
                f"`{source}` is no table, and the run was trained with one that names images", help="choose other data"
            )
        return _image_rows.load_test(Path(source).expanduser(), form)
    if data.is_path_of_vectors(source):
        part = _vectors.load_test(Path(source).expanduser(), form)
    else:
        columns = Columns(inputs=form.inputs)
        found = data.load(source, data_folder or Path(run.recorded("data_folder")), columns=columns)
        if found.samples is None or not isinstance(found.test, InMemory):
            raise UsageError(f"`{source}` holds images, and the run was trained without", help="choose other data")
        if found.known_form != form:
            raise UsageError(
                f"`{source}` has other columns or targets than the run was trained with", help="choose other data"
            )
        part = found.test
    check_samples(tuple(part.images.shape[1:]), shape, source)
    return part


def digest_of(found: DataSet) -> str | None:
    """Identifies the samples and targets of a data set, wherever they lie; `None` where these are images alone."""
    if not found.has_rows:
        return None
    digest = hashlib.sha256()
    for part in (found.train, found.validation, found.test):
        if isinstance(part, Files):
            digest.update(content_fingerprint(part).encode())
        elif part is not None:
            digest.update(part.images.numpy().tobytes())
            digest.update(part.labels.numpy().tobytes())
    return digest.hexdigest()


def is_own_data(run: Run, recipe: Recipe, source: str) -> bool:
    """Whether a table or arrays are those that a run was trained with: then its own test samples are meant."""
    if run.has_images or not data.is_path_of_vectors(source):
        return False
    heads = recipe.outputs.heads if recipe.outputs else {}
    try:
        found = data.load(source, Path(), columns=recipe.columns, task=recipe.task, heads=heads)
    except UsageError:  # it may be tested, though not trained with
        return False
    return digest_of(found) == run.environment.get("digest")


def check_samples(found: Shape, shape: Shape, source: object) -> None:
    """Raises `UsageError` where samples do not have the shape of a run's network's input."""
    if found != shape:
        raise UsageError(
            f"the samples of {source} are {show(found)}, but the network's input is {show(shape)}",
            help="give it samples as those that it was trained with",
        )


def feature_table(data: DataSet, train: InMemory | Stream, moments: Shape) -> list[list[Any]] | None:
    """Mean, standard deviation, least and greatest value of each feature in the training samples; of images, `None`.

    `moments` is the shape of the mean (`trainer.input.vectors.moments_shape`). Of several inputs, each row begins with
    the name of the feature's; images among them have none.
    """
    beside = train.files.rows if isinstance(train, Stream) else train.rows
    if beside is not None:
        samples, moments = beside, beside.shape[1:]
    elif data.samples is not None and isinstance(train, InMemory):
        samples = train.images
    else:
        return None
    mean, std = statistics(samples, moments)
    values = samples.movedim(1 if len(moments) > 1 else -1, 0).flatten(1)
    columns = mean.flatten(), std.flatten(), values.amin(1), values.amax(1)
    form = data.known_form
    rows = zip(form.features or range(len(values)), *(one.tolist() for one in columns), strict=True)
    shown = [[name, *(float(f"{value:.7g}") for value in row)] for name, *row in rows]  # float32 has no more digits
    table = [["feature", "mean", "std", "least", "greatest"], *shown]
    if not form.inputs:
        return table
    owners = [name for name, columns in form.inputs.items() for _ in form.features_in(columns)]
    return [[owner, *row] for owner, row in zip(["input", *owners], table, strict=True)]
