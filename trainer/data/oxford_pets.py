"""Oxford-IIIT Pets: photographs of cats and dogs of 37 breeds."""

from __future__ import annotations

from pathlib import Path

import torch

from trainer.data._pets import load_pets, relative
from trainer.input.cache import files_fingerprint
from trainer.input.datasets import DataSet
from trainer.input.files import Files


def load(folder: Path, *, download: bool = False) -> DataSet:
    """The set as published: 3,680 images to train with, 3,669 to test. Raises `UsageError` where it is not there."""
    root, parts = load_pets("oxford_pets", folder, download=download)
    train, test = (
        Files(root, relative(root, part._images), torch.tensor(part._labels, dtype=torch.int64))
        for part in parts.values()
    )
    fingerprint = files_fingerprint([root / path for files in (train, test) for path in files.paths])
    return DataSet("oxford_pets", tuple(parts["trainval"].classes), train, test, files_fingerprint=fingerprint)
