"""The splits of a data set, ready for a network: in memory where they are small, else as streams."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import Shape
from archspec.recipe import Recipe, Resize
from trainer.input.augment_image import cuts_first
from trainer.input.cache import read_cache, write_cache
from trainer.input.datasets import LABEL_SETS, DataSet, InMemory
from trainer.input.files import Files, Unreadable
from trainer.input.images import histogram, moments, statistics
from trainer.input.loaders import Stream
from trainer.input.parts import missing_classes, shared_images, shared_rows
from trainer.input.resizing import STRETCH

MEMORY_LIMIT = 1_000_000_000
"""Bytes: a training set in files that needs more as decoded images is streamed, not held in memory."""

MAX_NAMED_FILES = 5
"""How many unreadable files a message names."""

_PARTS = ("training", "validation", "test")
T = TypeVar("T")
Statistics = tuple[Tensor, Tensor]
Faults = list[tuple[Path, str]]
"""Files that cannot be read, and why."""


@dataclass(frozen=True)
class Splits:
    """A data set's splits for one network and recipe, and notes for the user, a line each.

    `statistics` are the mean and standard deviation of the training images, floats `(C,)` of values from 0 to 1, if the
    recipe normalises.
    """

    train: InMemory | Stream
    validation: InMemory | Stream
    test: InMemory | Stream
    statistics: Statistics | None
    notes: tuple[str, ...]


class DecodeCache:
    """Decodes image files and keeps the result, so that each is decoded once for a shape."""

    def __init__(self) -> None:
        self._decoded: dict[tuple[Path, str, Shape, str], tuple[Tensor, Tensor] | Unreadable] = {}

    def images(
        self, files: Files, shape: Shape, resize: Resize = STRETCH
    ) -> Iterator[tuple[Tensor, Tensor] | Unreadable]:
        """Each image, uint8 of a network's input shape, with its target, or why it cannot be read, in turn."""
        made = repr((resize, files.empty_targets(shape).shape[1:]))
        # a file may have other labels in another row, or for another recipe
        keys = [(files.root, path, shape, f"{made} {files.labels[i].tolist()}") for i, path in enumerate(files.paths)]
        new = [position for position, key in enumerate(keys) if key not in self._decoded]
        for position, image in zip(
            new, files.at(torch.tensor(new, dtype=torch.int64)).decoded(shape, resize), strict=True
        ):
            self._decoded[keys[position]] = image
        return (self._decoded[key] for key in keys)


def prepare_splits(
    data: DataSet, shape: Shape, recipe: Recipe, *, skip_unreadable: bool = False, decoder: DecodeCache | None = None
) -> Splits:
    """A data set's splits for a network of input `shape`, whose channels fit (`images.check_fit`).

    With a `decoder`, images are decoded once for all calls. Raises `UsageError` for unreadable files, or with
    `skip_unreadable` leaves them out and says so in the notes.
    """
    splits = split(data, recipe)
    # the statistics depend on the files, on which of them are trained with, and on the size they are resized to
    sizes = [len(one) for one in splits]
    key = {"version": 3, "data": data.files_fingerprint, "shape": list(shape), "sizes": sizes, "seed": recipe.seed}
    key |= {} if recipe.resize == STRETCH else {"resize": repr(recipe.resize)}
    files = [one for one in splits if isinstance(one, Files)]
    if files and math.prod(shape) * sizes[0] > MEMORY_LIMIT:
        return _streamed(data, files, shape, recipe, key, skip_unreadable)
    faults: Faults = []
    train, validation, test = (_in_memory(one, shape, recipe.resize, faults, decoder) for one in splits)
    notes = _check_unreadable(data, (train.labels, validation.labels, test.labels), sizes, faults, skip_unreadable)
    measured = _statistics(train, shape, key) if recipe.normalize and train.are_images else None
    notes += _missing(data, train.labels, validation.labels, test.labels)
    if not isinstance(splits[0], Files):
        notes += tuple(shared_rows(_named(train, validation, test))) if data.form is not None else ()
        return Splits(train, validation, test, measured, notes)
    notes += tuple(shared_images(_named(*files), _classes(data)))
    damaged = {file for file, _ in faults}
    sound = splits[0].at(torch.tensor([i for i in range(len(splits[0])) if splits[0].file(i) not in damaged]).long())
    if cuts_first(recipe.augment) and sound.differ_from(shape[1:]):
        # crops are cut from the files' own pixels, as those of larger sets are
        stream = Stream(sound, shape, resize=recipe.resize).augmented(recipe.augment, data.classes)
        return Splits(stream, validation, test, measured, notes)
    return Splits(train, validation, test, measured, notes)


def split(data: DataSet, recipe: Recipe) -> tuple[InMemory | Files, InMemory | Files, InMemory | Files]:
    """The training, validation and test sets.

    Validation images are split off by the recipe's seed, of each class alike; a data set's own validation set is left
    as it is. Raises `UsageError`.
    """
    if data.validation is not None:
        return data.train, data.validation, data.test
    total = len(data.train)
    share = recipe.validation
    count = share if isinstance(share, int) else round(share * total)
    if count >= total or (share and not count):
        raise UsageError(
            f"a validation set of {count} images cannot be drawn from the {total} of `{data.name}`",
            help=f"--set train.validation={0.1 if round(0.1 * total) else min(1, total - 1)}",
        )
    order = torch.randperm(total, generator=torch.Generator().manual_seed(recipe.seed))
    # evenly spaced among the images sorted by class, of each class its share, rounded up or down
    by_class = order[data.train.labels[order].argsort(stable=True)] if data.targets == "classes" else order
    validation = by_class[((torch.arange(count) + 0.5) * (total / max(count, 1))).long()]
    return data.train.at(order[~torch.isin(order, validation)]), data.train.at(validation), data.test


def _missing(data: DataSet, *labels: Tensor) -> tuple[str, ...]:
    told = data.targets in ("classes", LABEL_SETS)
    return tuple(map(data.worded, missing_classes(_named(*labels), data.class_names))) if told else ()


def _classes(data: DataSet) -> tuple[str, ...]:
    """The classes that images are labelled by; none where they have other targets, or rows beside them."""
    return data.class_names if data.targets == "classes" and not data.has_rows else ()


def _named(*parts: T) -> dict[str, T]:
    return dict(zip(_PARTS, parts, strict=True))


def _in_memory(
    one: InMemory | Files, shape: Shape, resize: Resize, faults: Faults, decoder: DecodeCache | None
) -> InMemory:
    if isinstance(one, InMemory):
        return one
    images, targets = torch.empty((len(one), *shape), dtype=torch.uint8), one.empty_targets(shape)
    read: list[int] = []
    decoded = decoder.images(one, shape, resize) if decoder else one.decoded(shape, resize)
    for position, found in enumerate(decoded):
        if isinstance(found, Unreadable):
            faults.append((one.file(position), str(found)))
        else:
            images[len(read)], targets[len(read)] = found
            read.append(position)
    names = tuple(one.paths[i] for i in read)
    return InMemory(images[: len(read)], targets[: len(read)], names, None if one.rows is None else one.rows[read])


def _statistics(train: InMemory, shape: Shape, key: dict[str, Any]) -> Statistics:
    cached = read_cache(key) if key["data"] else None
    if cached is None:
        mean, std = statistics(train.images, shape)
        cached = {"mean": mean.tolist(), "std": std.tolist()}
        if key["data"]:
            write_cache(key, cached)
    return torch.tensor(cached["mean"]), torch.tensor(cached["std"])


def _streamed(
    data: DataSet, splits: list[Files], shape: Shape, recipe: Recipe, key: dict[str, Any], skip: bool
) -> Splits:
    """Streams of the readable files; which these are, and the statistics, is computed once and cached."""
    key |= {"streamed": True}
    cached = read_cache(key) if key["data"] else None
    if cached is None:
        cached = _measure(data, splits, shape, recipe.resize)
        if key["data"]:
            write_cache(key, cached)
    broken: list[dict[int, str]] = [dict(faults) for faults in cached["unreadable"]]
    faults = [
        (one.file(position), why) for one, found in zip(splits, broken, strict=True) for position, why in found.items()
    ]
    sound = [
        one.at(torch.tensor([i for i in range(len(one)) if i not in found], dtype=torch.int64)) if found else one
        for one, found in zip(splits, broken, strict=True)
    ]
    notes = _check_unreadable(data, [one.labels for one in sound], [*map(len, splits)], faults, skip)
    notes += _missing(data, *(one.labels for one in sound))
    notes += tuple(cached["shared"])
    train, validation, test = (Stream(files, shape, resize=recipe.resize) for files in sound)
    train = train.augmented(recipe.augment, data.classes)
    measured = torch.tensor(cached["mean"]), torch.tensor(cached["std"])
    return Splits(train, validation, test, measured if recipe.normalize else None, notes)


def _measure(data: DataSet, splits: list[Files], shape: Shape, resize: Resize) -> dict[str, Any]:
    """Decode all images once for the training images' statistics and each split's unreadable files (JSON types)."""
    count = sum(map(len, splits))
    print(
        f"reading {count:,} images once, for their mean and standard deviation, and for damage …",
        file=sys.stderr,
        flush=True,
    )
    counts = torch.zeros(shape[0], 256, dtype=torch.int64)
    unreadable: list[list[tuple[int, str]]] = [[] for _ in splits]
    for number, one in enumerate(splits):
        for position, found in enumerate(one.decoded(shape, resize)):
            if isinstance(found, Unreadable):
                unreadable[number].append((position, str(found)))
            elif number == 0:
                counts += histogram(found[0][None], shape)
    mean, std = moments(counts)
    shared = shared_images(_named(*splits), _classes(data))
    return {"mean": mean.tolist(), "std": std.tolist(), "unreadable": unreadable, "shared": shared}


def _check_unreadable(
    data: DataSet, labels: Sequence[Tensor], sizes: Sequence[int], faults: Faults, skip: bool
) -> tuple[str, ...]:
    """Raise `UsageError` for unreadable files, or with `skip` add a note about them to those of the data set.

    `labels` are those of each part's readable files, `sizes` how many files each has.
    """
    if not faults:
        return data.notes
    faults = sorted(faults)
    named = [f"    {file}: {why}" for file, why in faults[:MAX_NAMED_FILES]]
    if len(faults) > MAX_NAMED_FILES:
        named.append(f"    and {len(faults) - MAX_NAMED_FILES:,} more")
    message = "\n".join([f"{len(faults):,} of the {sum(sizes):,} images of `{data.name}` cannot be read", *named])
    if not skip:
        raise UsageError(message, help="repair or remove them, or skip them by --skip-unreadable")
    for part, size, readable in zip(_PARTS, sizes, labels, strict=True):
        if size and not len(readable):
            raise UsageError(f"{message}\nNothing is left of the {part} set", help="repair or remove them")
    left = set(labels[0].tolist()) if data.targets == "classes" else set(range(data.classes))
    for number, name in enumerate(data.class_names):
        if number not in left:
            raise UsageError(f"{message}\nNothing is left of the class `{name}`", help="repair or remove them")
    return (*data.notes, message.replace("cannot be read", "cannot be read, and were skipped", 1))
