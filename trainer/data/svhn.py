"""SVHN: digits cut from photographs of house numbers, in colour, of 32×32 pixels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from trainer.data._published import check, fetch
from trainer.input.cache import files_fingerprint
from trainer.input.datasets import DataSet, in_memory


def load(folder: Path, *, download: bool = False) -> DataSet:
    """The set as published, without its extra part: 73,257 images to train with, 26,032 to test.

    Raises `UsageError` where it is not there.
    """
    from torchvision.datasets import SVHN

    files = [(folder / SVHN.split_list[part][1], SVHN.split_list[part][2]) for part in ("train", "test")]
    cure = f"put {files[0][0].name} and {files[1][0].name}"
    if download:
        for part in ("train", "test"):
            fetch("svhn", folder, cure, partial(SVHN, folder, split=part, download=True))
    check("svhn", files, folder, cure)
    state = files_fingerprint([path for path, _ in files])
    parts = [SVHN(folder, split=part) for part in ("train", "test")]
    train, test = (in_memory(part.data.transpose(0, 2, 3, 1), part.labels) for part in parts)
    return DataSet("svhn", tuple("0123456789"), train, test, files_fingerprint=state)
