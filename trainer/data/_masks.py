"""Folders of images with masks: `images` and `masks`, for each part or for all; and Pascal VOC's layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from archspec.foundation.errors import UsageError, join_words
from trainer.data._pairs import Pairs, add_test_part, layout, pair_up, stems
from trainer.input import files
from trainer.input.cache import files_fingerprint, read_cache, write_cache
from trainer.input.datasets import DataSet
from trainer.input.masks import IGNORED, SUFFIXES, Legend, MaskFiles, read_mask

CLASSES = "classes.txt"
MOST_SHOWN = 5
"""How many values a message shows."""
VOC = ("JPEGImages", "SegmentationClass", "ImageSets")
VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def is_masked(root: Path) -> bool:
    """Whether a folder has one of the layouts of images with masks."""
    return _is_voc(root) or bool(layout(root, "masks"))


def load(root: Path) -> DataSet:
    """The images and masks below an absolute path; no image is decoded yet. Raises `UsageError`.

    Without folders for the parts, a fifth is kept for the test: always the same images, by their names. Without one for
    the test, what `val` holds is the test set.
    """
    found = (
        _voc(root) if _is_voc(root) else {part: _pairs(root, *where) for part, where in layout(root, "masks").items()}
    )
    parts = add_test_part(root, found, "masks")
    used = [root / path for pairs in parts.values() for pair in pairs for path in pair]
    fingerprint = files_fingerprint([*used, *([root / CLASSES] if (root / CLASSES).is_file() else [])])
    names, legend, notes = _legend(root, [root / mask for pairs in parts.values() for _, mask in pairs], fingerprint)
    made = {part: _files(root, pairs, legend) for part, pairs in parts.items()}
    return DataSet(
        str(root),
        names,
        made["train"],
        made["test"],
        made.get("val"),
        files_fingerprint=fingerprint,
        notes=notes,
        targets="masks",
    )


def _files(root: Path, pairs: Pairs, legend: Legend) -> MaskFiles:
    images, masks = zip(*pairs, strict=True)
    return MaskFiles(root, images, torch.zeros(len(pairs), dtype=torch.int64), masks, legend)


def _is_voc(root: Path) -> bool:
    return all((root / name).is_dir() for name in VOC)


def _pairs(root: Path, images: str, masks: str) -> Pairs:
    """The images below a folder, each with the mask of the same name below another. Raises `UsageError`."""
    lossy = stems(root, masks, {".jpg", ".jpeg", ".webp"})
    if lossy:
        raise UsageError(
            f"the mask {root / next(iter(lossy.values()))} is in a format that changes values",
            help="save masks as PNG files",
        )
    return pair_up(root, images, masks, "mask", SUFFIXES)


def _voc(root: Path) -> dict[str, Pairs]:
    """The parts of Pascal VOC by its lists; its test masks are not published, so `val` is the test set."""
    parts: dict[str, Pairs] = {}
    for part in ("train", "val", "test"):
        listing = root / "ImageSets" / "Segmentation" / f"{part}.txt"
        if not listing.is_file():
            continue
        names = listing.read_text(encoding="utf-8").split()
        pairs = [(f"JPEGImages/{name}.jpg", f"SegmentationClass/{name}.png") for name in names]
        missing = [path for pair in pairs for path in pair if not (root / path).is_file()]
        if missing and part != "test":
            raise UsageError(f"{root / missing[0]}, which {listing} lists, is not there", help="unpack the set anew")
        if not missing:
            parts[part] = pairs
    if "train" not in parts:
        raise UsageError(
            f"{root / 'ImageSets' / 'Segmentation' / 'train.txt'} is not there", help="unpack the set anew"
        )
    return parts


# --- classes ----------------------------------------------------------------------------------------------------------


def _legend(root: Path, masks: Sequence[Path], fingerprint: str) -> tuple[tuple[str, ...], Legend, tuple[str, ...]]:
    """The names of the classes, what values or colours mean, of `classes.txt` or of the masks themselves, and notes."""
    if (root / CLASSES).is_file():
        return *_listed(root / CLASSES), ()
    if _is_voc(root):
        return VOC_CLASSES, Legend(len(VOC_CLASSES)), ()
    values = _values(root, masks, fingerprint)
    if values == {0, IGNORED}:
        raise UsageError(
            f"the masks of {root} hold the values 0 and 255 alone: is 255 a class, or what is not known?",
            help=f"say so in {root / CLASSES}, a line for each class: `background 0` and `object 255`",
        )
    known = values - {IGNORED}
    if len(known | {0}) < 2:
        raise UsageError(f"the masks of {root} hold one class, and two at least are needed", help="correct the masks")
    classes = max(known) + 1
    absent = sorted(set(range(classes)) - known)
    if len(absent) > len(known):
        first = sorted(known)[:MOST_SHOWN]
        lines = " and ".join(f"`NAME {value}`" for value in first[:2])
        raise UsageError(
            f"the masks of {root} hold the values {', '.join(map(str, first))}{', …' * (len(known) > MOST_SHOWN)}, and "
            f"none of {len(absent)} values below {classes - 1}: which are classes?",
            help=f"say so in {root / CLASSES}, a line for each class: {lines}, and so on",
        )
    which = ", ".join(map(str, absent))
    notes = (f"no mask holds the value{'s' * (len(absent) > 1)} {which}, which counts as a class",) if absent else ()
    return tuple(map(str, range(classes))), Legend(classes), notes


@dataclass(frozen=True)
class _Line:
    """A line of `classes.txt`: a name, and the value (one number) or colour (three) that stands for it."""

    name: str
    numbers: tuple[int, ...]


def _listed(file: Path) -> tuple[tuple[str, ...], Legend]:
    """What `classes.txt` says: a class each line, by its name alone, `NAME VALUE` or `NAME RED GREEN BLUE`.

    What is named `ignore` counts neither in losses nor in metrics. Raises `UsageError`.
    """
    lines: list[_Line] = []
    form = "a name, `NAME VALUE` or `NAME RED GREEN BLUE`, each number from 0 to 255"
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not text.strip():
            continue
        match = re.fullmatch(r"\s*(.*?\S)((?:\s+\d+){3}|\s+\d+)?\s*", text)
        numbers = tuple(map(int, (match[2] or "").split())) if match else ()
        if match is None or any(one > 255 for one in numbers):
            raise UsageError(f"{file}, line {number}: `{text.strip()}` is no class", help=f"write {form}")
        lines.append(_Line(match[1], numbers))
    counts = {len(line.numbers) for line in lines}
    if len(counts) > 1:
        raise UsageError(f"{file} lists some classes with numbers and others without", help=f"write for each {form}")
    for what, given in (
        ("name", [line.name for line in lines]),
        ("number", [" ".join(map(str, line.numbers)) for line in lines]),
    ):
        twice = [one for one in given if one and given.count(one) > 1]
        if twice:
            raise UsageError(f"{file} lists the {what} `{twice[0]}` twice", help="give each class a line of its own")
    names = tuple(line.name for line in lines if line.name.lower() != "ignore")
    if len(names) < 2:
        raise UsageError(f"{file} lists {join_words(names) or 'no class'}, and two classes at least are needed")
    order = {line.numbers: IGNORED if line.name not in names else names.index(line.name) for line in lines}
    if counts == {1}:
        return names, Legend(len(names), values={one[0]: number for one, number in order.items()})
    if counts == {3}:
        return names, Legend(len(names), colours={(one[0], one[1], one[2]): number for one, number in order.items()})
    return names, Legend(len(names))


def _values(root: Path, masks: Sequence[Path], fingerprint: str) -> set[int]:
    """The values that occur in masks: read once, then cached. Raises `UsageError`."""
    key = {"version": 1, "values of masks": fingerprint}
    cached = read_cache(key)
    if cached is None:

        def read(file: Path) -> set[int]:
            return set(np.unique(read_mask(file, str(file))).tolist())

        try:
            with ThreadPoolExecutor(files.usable_cpus()) as pool, files.ignore_pillow_warnings():
                cached = sorted(set().union(*pool.map(read, masks)))
        except files.Unreadable as error:
            raise UsageError(
                f"the classes of {root} cannot be found: {str(error).removeprefix('its ')}",
                help=f"name the classes in {root / CLASSES}, one each line, or correct the mask",
            ) from None
        write_cache(key, cached)
    return set(cached)
