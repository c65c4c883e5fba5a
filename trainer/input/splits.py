"""The parts of a data set made ready for a network: in memory where they are small, else as streams."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import Shape
from archspec.recipe import Recipe
from trainer.input.cache import read_cache, write_cache
from trainer.input.datasets import DataSet, InMemory
from trainer.input.files import Files, Unreadable
from trainer.input.images import histogram, moments, statistics
from trainer.input.loaders import Stream

MEMORY_LIMIT = 1_000_000_000
"""How many bytes of images are held in memory: a training set in files that needs more is streamed."""

MAX_NAMED_FILES = 5
"""How many of the unreadable files are named."""

Statistics = tuple[Tensor, Tensor]
Faults = list[tuple[Path, str]]
"""Files that cannot be read, and why."""


@dataclass(frozen=True)
class Splits:
    """A data set's parts for one network and recipe, and what is to be said of them, a line each.

    `statistics` are the mean and standard deviation of the training images, floats `(C,)` of values from 0 to 1, if the
    recipe normalises.
    """

    train: InMemory | Stream
    validation: InMemory | Stream
    test: InMemory | Stream
    statistics: Statistics | None
    notes: tuple[str, ...]


class DecodeCache:
    """Decodes images of files, each once for a shape, however often it is asked for."""

    def __init__(self) -> None:
        self._decoded: dict[tuple[Path, str, Shape], Tensor | Unreadable] = {}

    def images(self, files: Files, shape: Shape) -> Iterator[Tensor | Unreadable]:
        """Each image in turn, uint8 of a network's input shape, or why it cannot be read."""
        keys = [(files.root, path, shape) for path in files.paths]
        new = [position for position, key in enumerate(keys) if key not in self._decoded]
        for position, image in zip(new, files.at(torch.tensor(new, dtype=torch.int64)).decoded(shape), strict=True):
            self._decoded[keys[position]] = image
        return (self._decoded[key] for key in keys)


def prepare_splits(
    data: DataSet, shape: Shape, recipe: Recipe, *, skip_unreadable: bool = False, decoder: DecodeCache | None = None
) -> Splits:
    """A data set's parts as a network of input `shape` takes them; its channels fit (`images.check_fit`).

    What a `decoder` has decoded is not decoded again; without one, nothing is kept for later. Raises `UsageError` for
    files that are no images, unless they are to be skipped: they are counted in the notes then.
    """
    parts = split(data, recipe)
    # what decides on the statistics: the files, which of them are trained with, and the size that they are brought to
    sizes = [len(part) for part in parts]
    key = {"version": 1, "data": data.files_fingerprint, "shape": list(shape), "sizes": sizes, "seed": recipe.seed}
    files = [part for part in parts if isinstance(part, Files)]
    if files and math.prod(shape) * sizes[0] > MEMORY_LIMIT:
        return _streamed(data, files, shape, recipe, key, skip_unreadable)
    faults: Faults = []
    train, validation, test = (_in_memory(part, shape, faults, decoder) for part in parts)
    notes = _check_unreadable(data, train.labels, faults, sum(sizes), skip_unreadable)
    measured = _statistics(train, shape, key) if recipe.normalize else None
    return Splits(train, validation, test, measured, notes)


def split(data: DataSet, recipe: Recipe) -> tuple[InMemory | Files, InMemory | Files, InMemory | Files]:
    """The training set without and with what is kept for validation, drawn by the recipe's seed, and the test set.

    A data set's own validation set is left as it is. Raises `UsageError`.
    """
    if data.validation is not None:
        return data.train, data.validation, data.test
    total = len(data.train)
    share = recipe.validation
    count = share if isinstance(share, int) else round(share * total)
    if count >= total or (share and not count):
        raise UsageError(
            f"a validation set of {count} images cannot be drawn from the {total} of `{data.name}`",
            help="--set train.validation=0.1",
        )
    order = torch.randperm(total, generator=torch.Generator().manual_seed(recipe.seed))
    return data.train.at(order[count:]), data.train.at(order[:count]), data.test


def _in_memory(part: InMemory | Files, shape: Shape, faults: Faults, decoder: DecodeCache | None) -> InMemory:
    if isinstance(part, InMemory):
        return part
    images = torch.empty((len(part), *shape), dtype=torch.uint8)
    read: list[int] = []
    for position, image in enumerate(decoder.images(part, shape) if decoder else part.decoded(shape)):
        if isinstance(image, Unreadable):
            faults.append((part.file(position), str(image)))
        else:
            images[len(read)] = image
            read.append(position)
    return InMemory(images[: len(read)], part.labels[read])


def _statistics(train: InMemory, shape: Shape, key: dict[str, Any]) -> Statistics:
    kept = read_cache(key) if key["data"] else None
    if kept is None:
        mean, std = statistics(train.images, shape)
        kept = {"mean": mean.tolist(), "std": std.tolist()}
        if key["data"]:
            write_cache(key, kept)
    return torch.tensor(kept["mean"]), torch.tensor(kept["std"])


def _streamed(
    data: DataSet, parts: list[Files], shape: Shape, recipe: Recipe, key: dict[str, Any], skip: bool
) -> Splits:
    """Streams of what can be read, which is found out once, together with the statistics, and kept."""
    key |= {"streamed": True}
    kept = read_cache(key) if key["data"] else None
    if kept is None:
        kept = _measure(parts, shape)
        if key["data"]:
            write_cache(key, kept)
    broken: list[dict[int, str]] = [dict(faults) for faults in kept["unreadable"]]
    faults = [
        (part.file(position), why) for part, found in zip(parts, broken, strict=True) for position, why in found.items()
    ]
    sound = [
        part.at(torch.tensor([i for i in range(len(part)) if i not in found], dtype=torch.int64)) if found else part
        for part, found in zip(parts, broken, strict=True)
    ]
    notes = _check_unreadable(data, sound[0].labels, faults, sum(map(len, parts)), skip)
    train, validation, test = (Stream(files, shape) for files in sound)
    train = train.augmented(recipe.augment, data.classes)
    measured = torch.tensor(kept["mean"]), torch.tensor(kept["std"])
    return Splits(train, validation, test, measured if recipe.normalize else None, notes)


def _measure(parts: list[Files], shape: Shape) -> dict[str, Any]:
    """Decodes all images once: the training images' statistics, and what cannot be read of each part (JSON types)."""
    count = sum(map(len, parts))
    print(f"reading {count:,} images once, for their mean and deviation, and for damage …", file=sys.stderr, flush=True)
    counts = torch.zeros(shape[0], 256, dtype=torch.int64)
    unreadable: list[list[tuple[int, str]]] = [[] for _ in parts]
    for number, part in enumerate(parts):
        for position, image in enumerate(part.decoded(shape)):
            if isinstance(image, Unreadable):
                unreadable[number].append((position, str(image)))
            elif number == 0:
                counts += histogram(image[None], shape)
    mean, std = moments(counts)
    return {"mean": mean.tolist(), "std": std.tolist(), "unreadable": unreadable}


def _check_unreadable(data: DataSet, labels: Tensor, faults: Faults, total: int, skip: bool) -> tuple[str, ...]:
    """The notes of a data set some of whose files cannot be read, if that is permitted. Raises `UsageError`."""
    if not faults:
        return data.notes
    named = [f"    {file}: {why}" for file, why in faults[:MAX_NAMED_FILES]]
    if len(faults) > MAX_NAMED_FILES:
        named.append(f"    and {len(faults) - MAX_NAMED_FILES:,} more")
    said = "\n".join([f"{len(faults):,} of the {total:,} images of `{data.name}` cannot be read", *named])
    if not skip:
        raise UsageError(said, help="mend or remove them, or leave them out by --skip-unreadable")
    left = set(labels.tolist())
    for number, name in enumerate(data.class_names):
        if number not in left:
            raise UsageError(f"{said}\nNothing is left of the class `{name}`", help="mend or remove them")
    return (*data.notes, said.replace("cannot be read", "cannot be read, and were left out", 1))
