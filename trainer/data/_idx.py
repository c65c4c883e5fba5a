"""MNIST and the sets published in its form: IDX files, packed by gzip or unpacked."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data._published import check, fetch, refuse
from trainer.input.cache import files_fingerprint
from trainer.input.datasets import DataSet, in_memory


def load_idx(name: str, kind: Any, class_names: tuple[str, ...], folder: Path, *, download: bool) -> DataSet:
    """The set of torchvision's class `kind`, which reads unpacked files alone, where it keeps it.

    Raises `UsageError` where it is not there, or is damaged.
    """
    place = folder / kind.__name__ / "raw"
    packed = [resource for resource, _ in kind.resources]
    cure = f"put {packed[0]} and the other three files in {kind.__name__}/raw"
    if download:
        fetch(name, folder, cure, lambda: kind(folder, download=True))
    files = [_either(place / file) for file in packed]
    check(name, [(file, "") for file in files], folder, cure)
    state = files_fingerprint(files)
    arrays = []
    for file, axes in zip(files, (3, 1, 3, 1), strict=True):
        try:
            arrays.append(read_idx(file, axes))
        except (OSError, EOFError, ValueError, zlib.error) as error:
            refuse(name, f"is damaged: {file.absolute()}: {error}", folder, cure, anew=True)
    for images, labels, file in zip(arrays[::2], arrays[1::2], files[1::2], strict=True):
        if len(images) != len(labels) or labels.max(initial=0) >= len(class_names):
            fault = f"is damaged: the labels of {file.absolute()} are not those of its images"
            refuse(name, fault, folder, cure, anew=True)
    return DataSet(name, class_names, in_memory(*arrays[:2]), in_memory(*arrays[2:]), files_fingerprint=state)


def _either(packed: Path) -> Path:
    """The unpacked file where there is one, else the packed one."""
    unpacked = packed.with_suffix("")
    return unpacked if unpacked.is_file() else packed


def read_idx(file: Path, axes: int) -> np.ndarray[Any, Any]:
    """The bytes of an IDX file (two zeros, type 8, the number of axes, their lengths, the values), unpacked if need be.

    Raises `ValueError` where it is none, and what gzip raises.
    """
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    if data[:4] != bytes((0, 0, 8, axes)) or len(data) < 4 + 4 * axes:
        raise ValueError(f"no IDX file of bytes with {axes} axes")
    lengths = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * axes)
    if len(values) != np.prod(lengths, dtype=object):
        raise ValueError(f"{len(values):,} values where {' × '.join(map(str, lengths))} are announced")
    return values.reshape(lengths).copy()
