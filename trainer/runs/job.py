"""Jobs: a spec and a data set, checked and ready to train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.shapes import Shape
from archspec.recipe import Moments, Recipe, Resize
from archspec.spec import Spec, load
from trainer import data, tasks
from trainer.data import folder as image_folder
from trainer.input.augment_batch import Augmentation
from trainer.input.datasets import DataSet, Form, InMemory
from trainer.input.files import Files
from trainer.input.images import check_fit, check_inputs
from trainer.input.loaders import Stream
from trainer.input.splits import DecodeCache, Splits, prepare_splits, split
from trainer.input.vectors import check_rows, check_shape, moments_shape, sample_shape, statistics
from trainer.processes.devices import Devices
from trainer.processes.group import SINGLE_PROCESS
from trainer.runs import fitting, vectors
from trainer.runs.folders import Run
from trainer.runs.logits import note_logits
from trainer.runs.start import Start, described, known_moments, load_start, with_resize
from trainer.steps.layout import choose_layout
from trainer.steps.norms import check_norms
from trainer.tasks import Task

MOST_NAMED = 5
"""How many classes a message names."""


@dataclass(frozen=True)
class Job:
    """A spec and its data set, checked against each other and ready to train."""

    task: Task
    spec: Spec
    data: DataSet
    train: InMemory | Stream
    validation: InMemory | Stream
    test: InMemory | Stream
    recipe: Recipe
    folder: Path
    """Where data sets were looked for."""
    statistics: tuple[Tensor, Tensor] | None
    """The mean and standard deviation that images are normalised by, if they are."""
    notes: tuple[str, ...]
    """What a person should know of the data, a line each."""
    skip_unreadable: bool = False
    """Whether images that cannot be read are left out."""
    data_path: Path | None = None
    """The folder of images; `None` for a data set by name."""
    given_name: str | None = None
    """What the user calls the run."""
    start: Start | None = None
    """The weights that it starts from; `None` for initial ones."""

    def described(self) -> list[str]:
        """Lines on what the training starts from, freezes and learns at rates of its own; none by default."""
        lines = described(self.spec.plan, self.recipe, self.start, self.data.class_names)
        return [self.data.worded(line) for line in lines]

    @property
    def name(self) -> str:
        """The name that was given, or a short one: the variant's where it begins with the file's, else both."""
        if self.given_name is not None:
            return self.given_name
        stem, variant = Path(self.spec.file).stem, self.spec.variant
        return stem if variant is None else variant if variant.startswith(stem) else f"{stem}-{variant}"


class DataCache:
    """Reads data sets for the trainings of one command: each set, and each image of it, once."""

    def __init__(self) -> None:
        self._sets: dict[tuple[Any, ...], DataSet] = {}
        self._splits: dict[tuple[Any, ...], Splits] = {}
        self._kept: list[DataSet] = []  # so that no other set gets the id of one
        self._decoder = DecodeCache()

    def load(self, recipe: Recipe, folder: Path, *, download: bool = False, source: str | None = None) -> DataSet:
        """The data set that a recipe names, or of it at `source` (`trainer.data.load`). Raises `UsageError`."""
        heads = recipe.outputs.heads if recipe.outputs else {}
        key = (source or recipe.data, folder, repr(recipe.columns), recipe.task, repr(heads))
        if key not in self._sets:
            found = data.load(key[0], folder, download=download, columns=recipe.columns, task=recipe.task, heads=heads)
            self._sets[key] = found
        return self._sets[key]

    def splits(self, images: DataSet, shape: Shape, recipe: Recipe, *, skip_unreadable: bool) -> Splits:
        """Its splits for a network of input `shape` (`trainer.input.splits.prepare_splits`). Raises `UsageError`."""
        # all that the splits depend on; of streamed ones, augmentation is a part
        drawn = (recipe.seed, recipe.validation, recipe.normalize, repr((recipe.augment, recipe.resize)))
        key = (id(images), shape, *drawn, skip_unreadable)
        if key not in self._splits:
            self._splits[key] = prepare_splits(
                images, shape, recipe, skip_unreadable=skip_unreadable, decoder=self._decoder
            )
            self._kept.append(images)
        return self._splits[key]


def prepare(
    spec: Spec,
    data_folder: Path,
    num_classes_given: bool = False,
    *,
    features_given: bool = False,
    download: bool = False,
    skip_unreadable: bool = False,
    devices: Devices = SINGLE_PROCESS.devices,
    cache: DataCache | None = None,
    source: str | None = None,
    name: str | None = None,
    start: Start | None = None,
) -> Job:
    """Check that a spec fits its data set, and load that.

    `num_classes` follows the data set unless it was given, and of a table `features` too.

    `source` is where the data set lies, instead of where the recipe says. A `cache` that holds the data set spares
    reading it again. The weights that the recipe starts from are loaded, unless `start` says what a run that has begun
    knows of them. Raises `UsageError` where spec, data, weights and devices do not fit together.
    """
    check_inputs(spec.plan)
    tasks.refuse_detection(spec.plan)
    fitting.check_columns(spec)
    fitting.check_devices(spec.recipe, devices)
    cache = cache or DataCache()
    images = cache.load(spec.recipe, data_folder, download=download, source=source)
    with _worded(images):
        return _prepare(
            spec,
            images,
            data_folder,
            cache,
            num_classes_given=num_classes_given,
            features_given=features_given,
            skip_unreadable=skip_unreadable,
            devices=devices,
            name=name,
            start=start,
        )


@contextmanager
def _worded(images: DataSet) -> Iterator[None]:
    """Have errors speak of samples, where a data set has no images."""
    try:
        yield
    except UsageError as error:
        if images.samples is None:
            raise
        raise UsageError(images.worded(error.message), help=images.worded(error.help or "") or None) from None


def _prepare(
    spec: Spec,
    images: DataSet,
    data_folder: Path,
    cache: DataCache,
    *,
    num_classes_given: bool,
    features_given: bool,
    skip_unreadable: bool,
    devices: Devices,
    name: str | None,
    start: Start | None,
) -> Job:
    task = tasks.of_outputs(spec.recipe, images) or tasks.choose(spec.recipe.task, images.targets, images.name)
    recipe = fitting.complete(spec, task, images)
    spec = fitting.following(spec, images, num_classes_given=num_classes_given, features_given=features_given)
    shape = sample_shape(spec.plan) if images.has_rows else spec.plan.input
    if images.samples is None:
        check_fit(images.train.channels, shape, images.name)
        if images.has_rows:
            check_rows(spec.plan, images.name, images.known_form)
    else:
        check_shape(images.samples, spec.plan, images.name, images.form)
    fitting.check_task(task, spec.plan, recipe, images, num_classes_given=num_classes_given)
    images = task.fit_data(images, shape, spec.plan.output)
    check_norms(spec.plan, recipe.batch_size, devices.processes)
    Augmentation(recipe.augment, shape, images.classes)  # raises `UsageError` for wrong arguments
    count = len(split(images, recipe)[0])
    fitting.check_size(recipe, count)  # before any image is decoded
    start = start or load_start(spec)
    recipe = choose_layout(with_resize(recipe, start), spec.plan, devices.accelerator)
    moments = known_moments(recipe, start)
    measured = replace(recipe, normalize=moments is None and recipe.normalize is not False)
    splits = cache.splits(images, shape, measured, skip_unreadable=skip_unreadable)
    if 0 < len(splits.validation) < devices.processes:
        raise UsageError(
            f"a validation set of {len(splits.validation)} cannot be divided among {devices.processes} processes",
            help=f"--set train.validation={devices.processes}, or train on fewer devices",
        )
    if len(splits.train) < count:  # some could not be read
        fitting.check_size(recipe, len(splits.train))
    return Job(
        task,
        spec,
        images,
        splits.train,
        splits.validation,
        splits.test,
        recipe,
        data_folder,
        _statistics(splits, spec, recipe, moments),
        (*splits.notes, *fitting.idle(spec, recipe, images, len(splits.train)), *note_logits(spec.plan, recipe)),
        skip_unreadable,
        None if images.name in data.names() else Path(images.name).expanduser().absolute(),
        name,
        start,
    )


def _statistics(splits: Splits, spec: Spec, recipe: Recipe, moments: Moments | None) -> tuple[Tensor, Tensor] | None:
    """The mean and standard deviation that samples are normalised by: known ones, or of the training samples."""
    if moments is not None:
        shape = moments_shape(spec.plan)
        return torch.tensor(moments.mean).reshape(shape), torch.tensor(moments.std).reshape(shape)
    if isinstance(splits.train, InMemory) and not splits.train.are_images and recipe.normalize is not False:
        return statistics(splits.train.images, moments_shape(spec.plan))
    return splits.statistics


def load_job(
    run: Run, data_folder: Path | None, devices: Devices = SINGLE_PROCESS.devices, *, source: str | None = None
) -> Job:
    """The job of a run; its data are read from `data_folder`, or by default from where the run had them.

    `source` is where a folder of images lies now. Raises `UsageError`, also where the classes are not those of the run.
    """
    data.check_name(source)
    folder = data_folder or Path(run.recorded("data_folder"))
    skip = bool(run.environment.get("skip_unreadable"))
    spec = load(str(run.folder / "spec.yaml"))
    if source is None and (kept := run.environment.get("data_path")) is not None:
        if not Path(kept).exists():
            is_table = run.environment.get("form") is not None
            raise UsageError(
                f"the {'data' if is_table else 'images'} of the run {run.folder} are not {'at' if is_table else 'in'} "
                f"{kept}",
                help="say where they are by --data",
            )
        source = kept
    cache = DataCache()
    _check_classes(run, cache.load(spec.recipe, folder, source=source))
    start = Start.recorded(run.environment["weights"]) if run.environment.get("weights") else None
    return prepare(
        spec,
        folder,
        True,
        features_given=True,
        skip_unreadable=skip,
        devices=devices,
        cache=cache,
        source=source,
        start=start,
    )


def load_start_again(job: Job, run: Run) -> Job:
    """The job of a run that has no checkpoint yet, with the weights that it began with. Raises `UsageError`."""
    if job.start is None:
        return job
    start = load_start(job.spec)
    if start is None or start.digest != job.start.digest:
        raise UsageError(
            f"the run {run.folder} cannot be resumed: {job.start.origin} holds other weights than it began with",
            help="train anew",
        )
    return replace(job, start=start)


def load_test(
    run: Run, source: str, shape: Shape, output: Shape, resize: Resize, data_folder: Path | None
) -> InMemory | Stream:
    """The images of another data set to test a run's network on, of these shapes. Raises `UsageError`."""
    if not run.has_images:
        part = vectors.load_test(run, source, shape, data_folder)
        return Stream(part, shape, resize=resize) if isinstance(part, Files) else part
    if data.is_path_of_vectors(source):
        raise UsageError(
            f"{source} is a table or arrays, but the run was trained with images", help="choose other images"
        )
    if source in data.names() or image_folder.has_pairs(Path(source)):
        images = data.load(source, data_folder or Path(run.recorded("data_folder")))
        if images.targets != run.task.targets:
            raise UsageError(
                f"{source} has {images.targets}, but the run was trained with {run.task.targets}",
                help="choose other images",
            )
        _check_classes(run, images)
        check_fit(images.test.channels, shape, images.name)
        part = run.task.fit_data(images, shape, output).test
    else:
        names, targets = tuple(run.recorded("classes")), run.task.targets
        known = run.environment.get("targets")
        part = image_folder.load_test(Path(source).expanduser(), names, targets, known and Form.from_dict(known))
    return Stream(part, shape, resize=resize) if isinstance(part, Files) else part


def _check_classes(run: Run, images: DataSet) -> None:
    """Raises `UsageError` where a data set's classes are not those of a run: its labels would mean others."""
    classes = run.environment.get("classes")
    if classes is None or list(images.class_names) == classes:
        return
    only_now = [name for name in images.class_names if name not in classes]
    only_then = [name for name in classes if name not in images.class_names]
    said = [
        f"{join_words(names[:MOST_NAMED])} {'is' if len(names) == 1 else 'are'} {what}"
        for names, what in ((only_now, "new"), (only_then, "missing"))
        if names
    ]
    raise UsageError(
        f"the classes of `{images.name}` are not those that the run {run.folder} was trained with: "
        f"{', '.join(said) or 'their order differs'}",
        help="give the folders of the classes the names that they had",
    )
