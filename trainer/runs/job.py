"""Jobs: a spec and a data set, checked and ready to train."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import Shape
from archspec.recipe import Recipe
from archspec.spec import Spec, load
from trainer import data, tasks
from trainer.input.augment_batch import Augmentation
from trainer.input.datasets import DataSet, InMemory
from trainer.input.images import check_fit
from trainer.input.loaders import Stream
from trainer.input.splits import DecodeCache, Splits, prepare_splits, split
from trainer.processes.devices import Devices
from trainer.processes.group import SINGLE_PROCESS
from trainer.runs.engine import check_devices
from trainer.runs.folders import Run
from trainer.steps.optim import check_schedule
from trainer.tasks import Task


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

    @property
    def name(self) -> str:
        """A short name: the variant's where it begins with the file's, else both."""
        stem, variant = Path(self.spec.file).stem, self.spec.variant
        return stem if variant is None else variant if variant.startswith(stem) else f"{stem}-{variant}"


class DataCache:
    """Reads data sets for the trainings of one command: each set, and each image of it, once."""

    def __init__(self) -> None:
        self._sets: dict[tuple[str, Path], DataSet] = {}
        self._splits: dict[tuple[Any, ...], Splits] = {}
        self._decoder = DecodeCache()

    def load(self, name: str, folder: Path, *, download: bool) -> DataSet:
        """The data set of this name (`trainer.data.load`). Raises `UsageError`."""
        if (name, folder) not in self._sets:
            self._sets[name, folder] = data.load(name, folder, download=download)
        return self._sets[name, folder]

    def splits(self, images: DataSet, shape: Shape, recipe: Recipe, *, skip_unreadable: bool) -> Splits:
        """Its splits for a network of input `shape` (`trainer.input.splits.prepare_splits`). Raises `UsageError`."""
        # all that the splits depend on; of streamed ones, augmentation is a part
        drawn = (recipe.seed, recipe.validation, recipe.normalize, repr(recipe.augment))
        key = (id(images), shape, *drawn, skip_unreadable)
        if key not in self._splits:
            self._splits[key] = prepare_splits(
                images, shape, recipe, skip_unreadable=skip_unreadable, decoder=self._decoder
            )
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
) -> Job:
    """Check that a spec fits its data set, and load that; `num_classes` follows the data set unless it was given.

    A `cache` that holds the data set spares reading it again. Raises `UsageError` where spec, data and devices do not
    fit together.
    """
    check_devices(spec.recipe, devices)
    cache = cache or DataCache()
    images = cache.load(spec.recipe.data, data_folder, download=download)
    task = tasks.choose(spec.recipe.task, images.targets, images.name)
    recipe = _complete(spec, task)
    if "num_classes" in dict(spec.plan.vars) and not num_classes_given:
        spec = spec.replace(vars={"num_classes": images.classes})
    check_fit(images.train.channels, spec.plan.input, images.name)
    task.check(spec.plan, images, num_classes_given=num_classes_given)
    Augmentation(recipe.augment, spec.plan.input, images.classes)  # raises `UsageError` for wrong arguments
    count = len(split(images, recipe)[0])
    _check_size(recipe, count)  # before any image is decoded
    splits = cache.splits(images, spec.plan.input, recipe, skip_unreadable=skip_unreadable)
    if 0 < len(splits.validation) < devices.processes:
        raise UsageError(
            f"a validation set of {len(splits.validation)} cannot be divided among {devices.processes} processes",
            help="--set train.validation=0.1, or train on fewer devices",
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
        splits.statistics,
        splits.notes,
        skip_unreadable,
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
    if recipe.early_stopping is not None:
        task.metric_of(recipe.early_stopping.monitor)
    # what recipes without a task have always meant is not written: runs are found by their recipe
    return replace(recipe, task=None if task.name == tasks.DEFAULT else task.name)


def load_job(run: Run, data_folder: Path | None, devices: Devices = SINGLE_PROCESS.devices) -> Job:
    """The job of a run; its data are read from `data_folder`, or by default from where the run had them.

    Raises `UsageError`.
    """
    folder = data_folder or Path(run.recorded("data_folder"))
    skip = bool(run.environment.get("skip_unreadable"))
    spec = load(str(run.folder / "spec.yaml"))
    return prepare(spec, folder, num_classes_given=True, skip_unreadable=skip, devices=devices)


def _check_size(recipe: Recipe, images: int) -> None:
    """Raises `UsageError` where batches or schedule do not fit the number of training images."""
    if recipe.batch_size > images:
        raise UsageError(
            f"a batch of {recipe.batch_size} is more than the {images} images to train with",
            help="--set train.batch_size=64",
        )
    check_schedule(recipe, images // recipe.batch_size)
