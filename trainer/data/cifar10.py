"""CIFAR-10, read by torchvision from a folder."""

from __future__ import annotations

from pathlib import Path

from archspec.errors import UsageError
from trainer.data import DataSet, labelled


def load(folder: Path) -> DataSet:
    """The set as published: 50,000 images to train with, 10,000 to test. Raises `UsageError` where it is not there."""
    from torchvision.datasets import CIFAR10

    try:
        train, test = (CIFAR10(folder, train=part) for part in (True, False))
    except (RuntimeError, OSError) as error:
        where = (folder / CIFAR10.base_folder).absolute()
        what = "is damaged: a file is missing or not as published" if where.is_dir() else "is not there"
        raise UsageError(
            f"the data set `cifar10` {what}; it was looked for in {where}\n"
            f"  help: unpack cifar-10-python.tar.gz in {folder.absolute()}, or name its folder by --data-folder"
        ) from error
    return DataSet("cifar10", 10, labelled(train.data, train.targets), labelled(test.data, test.targets))
