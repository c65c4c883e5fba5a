"""Jobs: a spec and a data set, checked and ready to train."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.shapes import Shape
from archspec.recipe import Recipe, Resize
from archspec.spec import Spec, load
from trainer import data, tasks
from trainer.data import folder as image_folder
from trainer.input.augment_batch import Augmentation
from trainer.input.datasets import DataSet, InMemory
from trainer.input.files import Files
from trainer.input.images import check_fit, check_inputs
from trainer.input.loaders import Stream
from trainer.input.splits import DecodeCache, Splits, prepare_splits, split
from trainer.processes.devices import Devices
from trainer.processes.group import SINGLE_PROCESS
from trainer.runs.engine import check_devices
from trainer.runs.folders import Run
from trainer.runs.start import Start, described, known_moments, load_start, with_resize
from trainer.steps.norms import check_norms
from trainer.steps.optim import check_schedule
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
        return list(described(self.spec.plan, self.recipe, self.start, self.data.class_names))

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
        self._sets: dict[tuple[str, Path], DataSet] = {}
        self._splits: dict[tuple[Any, ...], Splits] = {}
        self._kept: list[DataSet] = []  # so that no other set gets the id of one
        self._decoder = DecodeCache()

    def load(self, name: str, folder: Path, *, download: bool) -> DataSet:
        """The data set of this name (`trainer.data.load`). Raises `UsageError`."""
        if (name, folder) not in self._sets:
            self._sets[name, folder] = data.load(name, folder, download=download)
        return self._sets[name, folder]

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
    download: bool = False,
    skip_unreadable: bool = False,
    devices: Devices = SINGLE_PROCESS.devices,
    cache: DataCache | None = None,
    source: str | None = None,
    name: str | None = None,
    start: Start | None = None,
) -> Job:
    """Check that a spec fits its data set, and load that; `num_classes` follows the data set unless it was given.

    `source` is where the data set lies, instead of where the recipe says. A `cache` that holds the data set spares
    reading it again. The weights that the recipe starts from are loaded, unless `start` says what a run that has begun
    knows of them. Raises `UsageError` where spec, data, weights and devices do not fit together.
    """
    check_inputs(spec.plan)
    check_devices(spec.recipe, devices)
    cache = cache or DataCache()
    images = cache.load(source or spec.recipe.data, data_folder, download=download)
    task = tasks.choose(spec.recipe.task, images.targets, images.name)
    recipe = _complete(spec, task)
    if "num_classes" in dict(spec.plan.vars).keys() - spec.unused_vars and not num_classes_given:
        spec = spec.replace(vars={"num_classes": images.classes})
    check_fit(images.train.channels, spec.plan.input, images.name)
    tasks.refuse_detection(spec.plan)
    task.check(spec.plan, images, num_classes_given=num_classes_given)
    if recipe.early_stopping is not None:
        task.metric_of(recipe.early_stopping.monitor, plan=spec.plan)
    task.metric_of(recipe.monitor, "monitor", spec.plan)
    task.check_recipe(recipe, spec.plan, images.class_names)
    images = task.fit_data(images, spec.plan.input, spec.plan.output)
    check_norms(spec.plan, recipe.batch_size, devices.processes)
    Augmentation(recipe.augment, spec.plan.input, images.classes)  # raises `UsageError` for wrong arguments
    count = len(split(images, recipe)[0])
    _check_size(recipe, count)  # before any image is decoded
    start = start or load_start(spec)
    recipe = with_resize(recipe, start)
    moments = known_moments(recipe, start)
    measured = replace(recipe, normalize=moments is None and recipe.normalize is not False)
    splits = cache.splits(images, spec.plan.input, measured, skip_unreadable=skip_unreadable)
    if 0 < len(splits.validation) < devices.processes:
        raise UsageError(
            f"a validation set of {len(splits.validation)} cannot be divided among {devices.processes} processes",
            help=f"--set train.validation={devices.processes}, or train on fewer devices",
        )
    if len(splits.train) < count:  # some could not be read
        _check_size(recipe, len(splits.train))
    return Job(
        task,
        spec,
        images,
        splits.train,
        splits.validation,
        splits.test,
        recipe,
        data_folder,
        splits.statistics if moments is None else (torch.tensor(moments.mean), torch.tensor(moments.std)),
        splits.notes,
        skip_unreadable,
        None if images.name in data.names() else Path(images.name).expanduser().absolute(),
        name,
        start,
    )


def _complete(spec: Spec, task: Task) -> Recipe:
    """A spec's recipe with what its task says where the recipe does not. Raises `UsageError`."""
    recipe = task.with_loss(spec.recipe, given="loss" in spec.resolved.get("train", {}))
    mixing = [one.name for one in recipe.augment if one.kind.mixes]
    if mixing and not task.mixes:
        raise UsageError(
            f"`{mixing[0]}` mixes the targets of images, and those of {task.name} cannot be mixed",
            help="leave it out of `train.augment`",
        )
    if recipe.sampler is not None and not task.balances:
        raise UsageError(
            f"`sampler: {recipe.sampler}` draws images of each class equally often, and {task.name} knows no class of "
            "an image",
            help="leave `train.sampler` out",
        )
    # what recipes without a task have always meant is not written: runs are found by their recipe
    return replace(recipe, task=None if task.name == tasks.DEFAULT else task.name)


def load_job(
    run: Run, data_folder: Path | None, devices: Devices = SINGLE_PROCESS.devices, *, source: str | None = None
) -> Job:
    """The job of a run; its data are read from `data_folder`, or by default from where the run had them.

    `source` is where a folder of images lies now. Raises `UsageError`, also where the classes are not those of the run.
    """
    folder = data_folder or Path(run.recorded("data_folder"))
    skip = bool(run.environment.get("skip_unreadable"))
    spec = load(str(run.folder / "spec.yaml"))
    if source is None and (kept := run.environment.get("data_path")) is not None:
        if not Path(kept).is_dir():
            raise UsageError(
                f"the images of the run {run.folder} are not in {kept}", help="say where they are by --data"
            )
        source = kept
    cache = DataCache()
    _check_classes(run, cache.load(source or spec.recipe.data, folder, download=False))
    start = Start.recorded(run.environment["weights"]) if run.environment.get("weights") else None
    return prepare(spec, folder, True, skip_unreadable=skip, devices=devices, cache=cache, source=source, start=start)


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
        part = image_folder.load_test(Path(source).expanduser(), names, targets)
    return Stream(part, shape, resize=resize) if isinstance(part, Files) else part


def _check_classes(run: Run, images: DataSet) -> None:
    """Raises `UsageError` where a data set's classes are not those of a run: its labels would mean others."""
    classes = run.environment.get("classes")
    if classes is None or list(images.class_names) == classes:
        return
    only_now = [name for name in images.class_names if name not in classes]
    only_then = [name for name in classes if name not in images.class_names]
    said = [
        f"{join_words(names[:MOST_NAMED])} {what}"
        for names, what in ((only_now, "is new"), (only_then, "is missing"))
        if names
    ]
    raise UsageError(
        f"the classes of `{images.name}` are not those that the run {run.folder} was trained with: "
        f"{', '.join(said) or 'their order differs'}",
        help="give the folders of the classes the names that they had",
    )


def _check_size(recipe: Recipe, images: int) -> None:
    """Raises `UsageError` where batches or schedule do not fit the number of training images."""
    if recipe.batch_size > images:
        raise UsageError(
            f"a batch of {recipe.batch_size} is more than the {images} images to train with",
            help=f"--set train.batch_size={min(64, images)}",
        )
    check_schedule(recipe, images // recipe.batch_size)
