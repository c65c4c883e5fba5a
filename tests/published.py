"""Data sets in the files they are published in, written with other images; torchvision is told their checksums."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat
from torchvision import datasets

COUNT = 30
Arrays = dict[str, np.ndarray[Any, Any]]


def _put(file: Path, content: bytes) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return hashlib.md5(content).hexdigest()


def write_cifar(kind: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """CIFAR's pickled batches: rows of 3,072 bytes, red before green before blue."""
    base = folder / kind.base_folder
    generator = np.random.default_rng(0)
    fine = kind.__name__ == "CIFAR100"
    classes = 100 if fine else 10
    count = 200 if fine else COUNT
    written = {}

    def batch(name: str) -> list[str]:
        written[name] = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = {"fine_labels" if fine else "labels": [i % classes for i in range(count)]}
        return [name, _put(base / name, pickle.dumps({"data": written[name]} | labels, protocol=2))]

    monkeypatch.setattr(kind, "train_list", [batch(name) for name, _ in kind.train_list])
    monkeypatch.setattr(kind, "test_list", [batch(name) for name, _ in kind.test_list])
    names = pickle.dumps({kind.meta["key"]: [f"class{i}" for i in range(classes)]}, protocol=2)
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": _put(base / kind.meta["filename"], names)})
    return written


def idx(array: np.ndarray[Any, Any]) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(kind: Any, folder: Path, *, packed: bool = True) -> Arrays:
    """MNIST's four files, as they are published or unpacked."""
    generator = np.random.default_rng(1)
    written = {}
    for part in ("train", "t10k"):
        written[part] = generator.integers(0, 256, (COUNT, 28, 28), dtype=np.uint8)
        labels = (np.arange(COUNT) % 10).astype(np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", written[part]), (f"{part}-labels-idx1-ubyte", labels)):
            content = idx(array)
            place = folder / kind.__name__ / "raw"
            _put(place / (f"{name}.gz" if packed else name), gzip.compress(content) if packed else content)
    return written


def write_svhn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """SVHN's MATLAB files: X of 32×32×3×N, y from 1 to 10, of which 10 is the digit 0."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(2)
    written, parts = {}, dict(datasets.SVHN.split_list)
    for part in ("train", "test"):
        url, name, _ = parts[part]
        written[part] = generator.integers(0, 256, (32, 32, 3, COUNT), dtype=np.uint8)
        savemat(folder / name, {"X": written[part], "y": (np.arange(COUNT) % 10 + 1).astype(np.uint8)[:, None]})
        parts[part] = [url, name, hashlib.md5((folder / name).read_bytes()).hexdigest()]
    monkeypatch.setattr(datasets.SVHN, "split_list", parts)
    return written


def write_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(datasets.CIFAR10, folder, monkeypatch)
    write_cifar(datasets.CIFAR100, folder, monkeypatch)
    write_idx(datasets.MNIST, folder)
    write_idx(datasets.FashionMNIST, folder, packed=False)
    write_svhn(folder, monkeypatch)
