"""Folders of images with masks: `images` and `masks`, for each part or for all; and Pascal VOC's layout."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from archspec.foundation.errors import UsageError, join_words
from trainer.data._listing import held_out
from trainer.input import files
from trainer.input.cache import files_fingerprint, read_cache, write_cache
from trainer.input.datasets import DataSet
from trainer.input.masks import IGNORED, SUFFIXES, Legend, MaskFiles, read_mask

PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
LAYOUT = "put images and masks of the same names in `images` and `masks`, or such folders in train, val and test"
CLASSES = "classes.txt"
VOC = ("JPEGImages", "SegmentationClass", "ImageSets")
VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

Pairs = list[tuple[str, str]]
"""Images and their masks, by paths from the data set's folder."""


def is_masked(root: Path) -> bool:
    """Whether a folder has one of the layouts of images with masks."""
    return _is_voc(root) or bool(_layout(root))


def load(root: Path) -> DataSet:
    """The images and masks below an absolute path; no image is decoded yet. Raises `UsageError`.

    Without folders for the parts, a fifth is kept for the test: always the same images, by their names. Without one for
    the test, what `val` holds is the test set.
    """
    parts = _voc(root) if _is_voc(root) else {part: _pairs(root, *where) for part, where in _layout(root).items()}
    for part, pairs in parts.items():
        if not pairs:
            raise UsageError(f"{root} holds no images to {'train with' if part == 'train' else part}", help=LAYOUT)
    if "train" not in parts:
        raise UsageError(f"{root} has no part `train`", help=LAYOUT)
    if "test" not in parts and "val" in parts:
        parts["test"] = parts.pop("val")
    elif "test" not in parts:
        parts["train"], parts["test"] = _split(root, parts["train"])
    used = [root / path for pairs in parts.values() for pair in pairs for path in pair]
    fingerprint = files_fingerprint([*used, *([root / CLASSES] if (root / CLASSES).is_file() else [])])
    names, legend = _legend(root, [root / mask for pairs in parts.values() for _, mask in pairs], fingerprint)
    made = {part: _files(root, pairs, legend) for part, pairs in parts.items()}
    return DataSet(
        str(root),
        names,
        made["train"],
        made["test"],
        made.get("val"),
        files_fingerprint=fingerprint,
        targets="masks",
    )


def _files(root: Path, pairs: Pairs, legend: Legend) -> MaskFiles:
    images, masks = zip(*pairs, strict=True)
    return MaskFiles(root, images, torch.zeros(len(pairs), dtype=torch.int64), masks, legend)


def _is_voc(root: Path) -> bool:
    return all((root / name).is_dir() for name in VOC)


def _layout(root: Path) -> dict[str, tuple[str, str]]:
    """The folders of images and of masks of each part, from the data set's folder; nothing where there are none."""
    inner = {name: PARTS[name] for name in PARTS if all((root / name / kind).is_dir() for kind in ("images", "masks"))}
    if inner:
        return {part: (f"{name}/images", f"{name}/masks") for name, part in inner.items()}
    if not all((root / kind).is_dir() for kind in ("images", "masks")):
        return {}
    outer = {name: PARTS[name] for name in PARTS if (root / "images" / name).is_dir()}
    for name in outer:
        if not (root / "masks" / name).is_dir():
            raise UsageError(f"{root / 'images'} has the folder `{name}`, and {root / 'masks'} has not", help=LAYOUT)
    return {part: (f"images/{name}", f"masks/{name}") for name, part in outer.items()} or {"train": ("images", "masks")}


def _pairs(root: Path, images: str, masks: str) -> Pairs:
    """The images below a folder, each with the mask of the same name below another. Raises `UsageError`."""
    found, meant = _stems(root, images, files.SUFFIXES), _stems(root, masks, SUFFIXES)
    lossy = [name for name in _stems(root, masks, {".jpg", ".jpeg", ".webp"}).values() if name not in meant.values()]
    if lossy:
        raise UsageError(
            f"the mask {root / lossy[0]} is in a format that changes values", help="save masks as PNG files"
        )
    for what, other, missing in (
        ("image", "mask", [found[stem] for stem in found if stem not in meant]),
        ("mask", "image", [meant[stem] for stem in meant if stem not in found]),
    ):
        if missing:
            where = root / (masks if other == "mask" else images)
            more = f", nor have {len(missing) - 1:,} others" if len(missing) > 1 else ""
            raise UsageError(
                f"the {what} {root / missing[0]} has no {other} of that name in {where}{more}",
                help=f"add the {other}, or remove the {what}",
            )
    return [(found[stem], meant[stem]) for stem in sorted(found)]


def _stems(root: Path, folder: str, suffixes: set[str]) -> dict[str, str]:
    """The files of some suffixes below a folder, by their paths within it without the suffix. Raises `UsageError`."""
    found: dict[str, str] = {}
    for place, folders, names in os.walk(root / folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if name.startswith(".") or suffix.lower() not in suffixes:
                continue
            path = Path(place, name)
            key = path.with_name(stem).relative_to(root / folder).as_posix()
            if key in found:
                raise UsageError(f"{root / found[key]} and {path} have one name", help="rename or remove one of them")
            found[key] = path.relative_to(root).as_posix()
    return found


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


def _split(root: Path, pairs: Pairs) -> tuple[Pairs, Pairs]:
    """Training and test images. Which an image belongs to depends on its path, and hardly on what else there is."""
    if len(pairs) < 2:
        raise UsageError(f"{root} holds one image: none could be tested", help="add some")
    kept = held_out([image for image, _ in pairs])
    return [pair for pair in pairs if pair[0] not in kept], [pair for pair in pairs if pair[0] in kept]


# --- classes ----------------------------------------------------------------------------------------------------------


def _legend(root: Path, masks: Sequence[Path], fingerprint: str) -> tuple[tuple[str, ...], Legend]:
    """The names of the classes, and what values or colours mean: of `classes.txt`, or of the masks themselves."""
    if (root / CLASSES).is_file():
        return _listed(root / CLASSES)
    if _is_voc(root):
        return VOC_CLASSES, Legend(len(VOC_CLASSES))
    values = _values(root, masks, fingerprint)
    if values == {0, IGNORED}:
        raise UsageError(
            f"the masks of {root} hold the values 0 and 255 alone: is 255 a class, or what is not known?",
            help=f"say so in {root / CLASSES}, a line for each class: `background 0` and `object 255`",
        )
    known = values - {IGNORED}
    if len(known | {0}) < 2:
        raise UsageError(f"the masks of {root} hold one class, and two at least are needed", help="mend the masks")
    classes = max(known) + 1
    return tuple(map(str, range(classes))), Legend(classes)


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
                help=f"name the classes in {root / CLASSES}, one each line, or mend the mask",
            ) from None
        write_cache(key, cached)
    return set(cached)
