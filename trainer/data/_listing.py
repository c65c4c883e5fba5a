"""What lies in folders of images: which files count, which folders are parts, and what is kept for the test."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from trainer.input.files import SUFFIXES

T = TypeVar("T")
TEST_SHARE = 0.2
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What folders of the parts are called, in whatever case."""
LEFT_OUT = "__MACOSX"
"""What macOS adds to archives: files of these names that are no images."""


def entries(root: Path, below: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name, without what is hidden."""
    with os.scandir(root / below) as found:
        shown = [entry for entry in found if not entry.name.startswith(".") and entry.name != LEFT_OUT]
    return sorted(shown, key=lambda entry: entry.name)


def subfolders(root: Path, below: Path) -> list[str]:
    """The names of the folders in a folder."""
    return [entry.name for entry in entries(root, below) if entry.is_dir()]


def is_image(name: str) -> bool:
    """Whether a file is an image by its suffix."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def walk(root: Path, below: Path, above: frozenset[str] = frozenset()) -> tuple[list[str], int]:
    """The images in a folder and in those within it, and how many other files.

    A link that leads back is not followed: to a folder around it up to `root`, or to one of those `above`.
    """
    real = os.path.realpath(root / below)
    above |= {os.path.realpath(root / one) for one in below.parents}
    if real in above:  # a link that leads back
        return [], 0
    images, others = [], 0
    for entry in entries(root, below):
        if entry.is_dir():
            inner, more = walk(root, below / entry.name, above | {real})
            images += inner
            others += more
        elif is_image(entry.name):
            images.append((below / entry.name).as_posix())
        else:
            others += 1
    return images, others


def with_test(parts: Mapping[str, T], split: Callable[[T], tuple[T, T]]) -> dict[str, T]:
    """The parts with one for the test: `val` where there is none, or else what `split` takes from `train`."""
    found = dict(parts)
    if "test" not in found and "val" in found:
        found["test"] = found.pop("val")
    elif "test" not in found:
        found["train"], found["test"] = split(found["train"])
    return found


def held_out(paths: Sequence[str]) -> set[str]:
    """Which images are kept for the test: by their paths, and hardly by what else there is."""
    order = sorted(paths, key=lambda path: hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest())
    return set(order[: max(1, round(TEST_SHARE * len(paths)))])
