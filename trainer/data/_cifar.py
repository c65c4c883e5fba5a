"""CIFAR-10 and CIFAR-100, read by torchvision from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.data._published import check, fetch
from trainer.input.cache import files_fingerprint
from trainer.input.datasets import DataSet, in_memory


def load_cifar(name: str, kind: Any, folder: Path, *, download: bool) -> DataSet:
    """The set that torchvision's class `kind` reads. Raises `UsageError` where it is not there, or is damaged."""
    cure = f"unpack {kind.filename}"
    base = folder / kind.base_folder
    files = [(base / file, md5) for file, md5 in [*kind.train_list, *kind.test_list]]
    files.append((base / kind.meta["filename"], kind.meta["md5"]))
    if download:
        fetch(name, folder, cure, lambda: kind(folder, download=True))
    # they are pickles: none is opened but what its checksum shows to be the published one
    check(name, files, folder, cure)
    state = files_fingerprint([path for path, _ in files])
    train, test = (kind(folder, train=part) for part in (True, False))
    parts = [in_memory(part.data, part.targets) for part in (train, test)]
    return DataSet(name, tuple(train.classes), parts[0], parts[1], files_fingerprint=state)
