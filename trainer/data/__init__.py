"""Data sets, a file each. A file that is put here is found; each defines `load`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from archspec.errors import UsageError, did_you_mean, listed


@dataclass(frozen=True)
class Labelled:
    """Images as uint8 `(N, C, H, W)` and their classes as int64 `(N,)`, in memory."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | list[int]) -> tuple[Tensor, Tensor]:
        """The images and labels at some positions, as one batch."""
        return self.images[index], self.labels[index]

    def at(self, index: Tensor) -> Labelled:
        return Labelled(*self[index])


@dataclass(frozen=True)
class DataSet:
    """A training set, from which the validation set is split, and a test set."""

    name: str
    classes: int
    train: Labelled
    test: Labelled


def names() -> list[str]:
    """The names of the data sets there are."""
    return sorted(
        file[:-3] for file in os.listdir(os.path.dirname(__file__)) if file.endswith(".py") and not file.startswith("_")
    )


def load(name: str, folder: Path) -> DataSet:
    """A data set by its name; those that lie in files are looked for in `folder`. Raises `UsageError`."""
    if name not in names():
        hint = did_you_mean(name, names()) or f"there are {listed(names())}"
        raise UsageError(f"there is no data set `{name}`\n  help: {hint}")
    module = importlib.import_module(f"trainer.data.{name}")
    return cast(Callable[[Path], DataSet], module.load)(folder)


def labelled(images: object, labels: object) -> Labelled:
    """Arrays `(N, H, W)`, or `(N, H, W, C)` with the channels last, of values 0 to 255, and their classes."""
    tensor = torch.as_tensor(images)
    tensor = tensor.unsqueeze(1) if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)
    return Labelled(tensor.to(torch.uint8).contiguous(), torch.as_tensor(labels).to(torch.int64))
