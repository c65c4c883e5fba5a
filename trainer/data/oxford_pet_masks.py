"""Oxford-IIIT Pets with masks: which pixels of a photograph are of the cat or dog."""

from __future__ import annotations

from pathlib import Path

import torch

from trainer.data._pets import load_pets, relative
from trainer.input.cache import files_fingerprint
from trainer.input.datasets import DataSet
from trainer.input.masks import IGNORED, Legend, MaskFiles

VALUES = {2: 0, 1: 1, 3: IGNORED}
"""What the trimaps' values mean: background, pet, and what the set's authors call not classified, the outline."""


def load(folder: Path, *, download: bool = False) -> DataSet:
    """The set as published: 3,680 images to train with, 3,669 to test. Raises `UsageError` where it is not there."""
    root, parts = load_pets("oxford_pet_masks", folder, download=download)
    legend = Legend(2, values=VALUES)
    train, test = (
        MaskFiles(
            root,
            relative(root, part._images),
            torch.zeros(len(part), dtype=torch.int64),
            relative(root, part._segs),
            legend,
        )
        for part in parts.values()
    )
    fingerprint = files_fingerprint([root / path for files in (train, test) for path in files.names])
    return DataSet(
        "oxford_pet_masks", ("background", "pet"), train, test, files_fingerprint=fingerprint, targets="masks"
    )
