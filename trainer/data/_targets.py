"""Folders of images with target images: `images` and `targets`, for each part or for all."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from trainer.data._pairs import Pairs, add_test_part, layout, pair_up
from trainer.input.cache import files_fingerprint
from trainer.input.datasets import IMAGES, DataSet
from trainer.input.files import SUFFIXES, ignore_pillow_warnings
from trainer.input.pairs import GREY_MODES, ImagePairs

COLOURS, GREY = ("red", "green", "blue"), ("grey",)
"""What the channels of target images are called."""


def has_targets(root: Path) -> bool:
    """Whether a folder holds images and target images."""
    return bool(layout(root, "targets"))


def load(root: Path) -> DataSet:
    """The images and target images below an absolute path; no image is decoded yet. Raises `UsageError`.

    Without folders for the parts, a fifth is kept for the test: always the same images, by their names. Without one for
    the test, what `val` holds is the test set. Targets are in colour if the first one is.
    """
    found = {part: pair_up(root, *where, "target", SUFFIXES) for part, where in layout(root, "targets").items()}
    parts = add_test_part(root, found, "targets")
    first = root / parts["train"][0][1]
    mode = _mode(first)
    channels = 1 if mode in GREY_MODES else 3
    made = {part: _files(root, pairs, channels) for part, pairs in parts.items()}
    notes = (f"{first} has 16 bits, of which 8 are kept",) if mode.startswith("I") else ()
    return DataSet(
        str(root),
        GREY if channels == 1 else COLOURS,
        made["train"],
        made["test"],
        made.get("val"),
        files_fingerprint=files_fingerprint(
            [root / path for pairs in parts.values() for pair in pairs for path in pair]
        ),
        notes=notes,
        targets=IMAGES,
    )


def _files(root: Path, pairs: Pairs, channels: int) -> ImagePairs:
    images, targets = zip(*pairs, strict=True)
    return ImagePairs(root, images, torch.zeros(len(pairs), dtype=torch.int64), targets, channels)


def _mode(file: Path) -> str:
    """The mode of an image file as Pillow has it; of one that cannot be read, which is said later, that of colour."""
    try:
        with ignore_pillow_warnings(), Image.open(file) as image:
            return image.mode
    except Exception:
        return "RGB"
