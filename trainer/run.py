"""What a run needs before it can begin: a spec and a data set brought together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from archspec.errors import UsageError
from archspec.recipe import complete
from archspec.shapes import show
from archspec.spec import Spec
from trainer import data
from trainer.data import DataSet, Labelled
from trainer.engine import check_device
from trainer.images import check_fit
from trainer.optim import check_schedule

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Job:
    """A spec made ready for a data set: it fits, and only training remains."""

    spec: Spec
    data: DataSet
    train: Labelled
    validation: Labelled
    recipe: dict[str, Any]
    folder: Path
    """Where data sets were looked for."""

    @property
    def name(self) -> str:
        """A short name: the variant's where it begins with the file's, else both."""
        stem, variant = Path(self.spec.file).stem, self.spec.variant
        return stem if variant is None else variant if variant.startswith(stem) else f"{stem}-{variant}"


def prepare(spec: Spec, data_folder: Path, num_classes_given: bool = False) -> Job:
    """Bring a spec and its data set together; `num_classes` follows the data set unless it was given.

    Raises `UsageError` where they cannot fit, before anything is trained.
    """
    recipe = complete(spec.recipe)
    check_device(recipe)
    images = data.load(recipe["data"], data_folder)
    if "num_classes" in dict(spec.plan.vars) and not num_classes_given:
        spec = spec.replace(vars={"num_classes": images.classes})
    check_fit(images.train.images, spec.plan.input, images.name)
    if spec.plan.output != (images.classes,):
        cure = "end the network in `- linear: =num_classes`, with `vars: {num_classes: 10}`"
        if num_classes_given:
            cure = "leave `num_classes` alone: it follows the data set"
        raise UsageError(
            f"the data set `{images.name}` has {images.classes} classes, but {spec.plan.title} gives "
            f"{show(spec.plan.output)}\n  help: {cure}"
        )
    for side in spec.plan.aux.values():
        if side.shape != (images.classes,):
            raise UsageError(
                f"the data set `{images.name}` has {images.classes} classes, but the side classifier `{side.name}` of "
                f"{spec.plan.title} gives {show(side.shape)}\n  help: end its body in `- linear: =num_classes`"
            )
    train, validation = _split(images, recipe)
    if recipe["batch_size"] > len(train):
        raise UsageError(
            f"a batch of {recipe['batch_size']} is more than the {len(train)} images to train with\n"
            "  help: --set train.batch_size=64"
        )
    check_schedule(recipe, len(train) // recipe["batch_size"])
    return Job(spec, images, train, validation, recipe, data_folder)


def _split(images: DataSet, recipe: dict[str, Any]) -> tuple[Labelled, Labelled]:
    """The training set and the validation set drawn from it by the recipe's seed."""
    total = len(images.train)
    share = recipe["validation"]
    count = share if isinstance(share, int) else round(share * total)
    if not (0 < count < total or share == 0):
        raise UsageError(
            f"a validation set of {count} images cannot be drawn from the {total} of `{images.name}`\n"
            "  help: --set train.validation=0.1"
        )
    order = torch.randperm(total, generator=torch.Generator().manual_seed(recipe["seed"]))
    return images.train.at(order[count:]), images.train.at(order[:count])


class Batches(Sampler[list[int]]):
    """The positions of each batch. Shuffled by a seed, in another order each epoch, a last partial batch is dropped.

    The order depends on the seed and the epoch alone, not on what else draws random numbers.
    """

    def __init__(self, count: int, batch_size: int, seed: int | None) -> None:
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self.begin: tuple[int, int] | None = None

    def go_on(self, epoch: int, batch: int) -> None:
        """The next epoch gone through is this one, from this batch on: those before it were trained with already."""
        self.begin = epoch, batch

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.batch_size if self.seed is not None else -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        (epoch, first), self.begin = self.begin or (self.epoch, 0), None
        order = list(range(self.count))
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(self.count, generator=generator).tolist()
        for number in range(first, len(self)):
            yield order[number * self.batch_size : (number + 1) * self.batch_size]


def loader(part: Labelled, batch_size: int, *, shuffle_by: int | None = None) -> DataLoader[Any]:
    """Whole batches, taken from memory at once; for training, shuffled by a seed."""
    batches = Batches(len(part), batch_size, shuffle_by)
    # a generator of its own keeps the loader from drawing on the global one
    return DataLoader(part, sampler=batches, batch_size=None, generator=torch.Generator())  # type: ignore[arg-type]
