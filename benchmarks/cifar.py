"""Made-up images in CIFAR-10's files, for trainings whose time is measured."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets


class Unchecked(datasets.CIFAR10):  # type: ignore[misc]
    """torchvision's CIFAR-10 of other images: their checksums are not asked for."""

    train_list = [[name, None] for name, _ in datasets.CIFAR10.train_list]  # noqa: RUF012
    test_list = [[name, None] for name, _ in datasets.CIFAR10.test_list]  # noqa: RUF012
    meta = datasets.CIFAR10.meta | {"md5": None}


def write_data(folder: Path, images: int) -> None:
    """CIFAR-10's pickled batches: five to train with, `images` in all, and one of 100 to test."""
    base = folder / datasets.CIFAR10.base_folder
    base.mkdir(parents=True)
    generator = np.random.default_rng(0)
    parts = [len(part) for part in np.array_split(np.arange(images), 5)]
    names = [name for name, _ in (*Unchecked.train_list, *Unchecked.test_list)]
    for name, count in zip(names, (*parts, 100), strict=True):
        labels = generator.integers(0, 10, count).tolist()
        data = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        (base / name).write_bytes(pickle.dumps({"data": data, "labels": labels}, protocol=2))
    (base / Unchecked.meta["filename"]).write_bytes(pickle.dumps({"label_names": [f"class{i}" for i in range(10)]}))


def trust(folder: Path) -> None:
    """Tell torchvision the checksums of this data, in this process: `archspec train` asks for them."""

    def checksum(name: str) -> str:
        return hashlib.md5((folder / datasets.CIFAR10.base_folder / name).read_bytes()).hexdigest()

    kind: Any = datasets.CIFAR10
    kind.train_list = [[name, checksum(name)] for name, _ in kind.train_list]
    kind.test_list = [[name, checksum(name)] for name, _ in kind.test_list]
    kind.meta = kind.meta | {"md5": checksum(kind.meta["filename"])}
